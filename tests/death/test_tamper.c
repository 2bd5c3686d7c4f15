/* SPDX-License-Identifier: MIT */
/*
 * Tampering: what a hostile member of the consuming group can do to another's words. The victim
 * finds out at its next call and is told what not to trust; nobody else is held up or harmed, and
 * whoever repairs a forged entry of a dead one gets it free.
 */
#include "rig.h"

#include "layout/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shmbus_bus_options bus;
static unsigned char *control;
static size_t control_bytes;

/* As whoever may consume can: control, writable. */
static struct control_entry *entry_of(uint32_t index)
{
    struct control_header *header = (struct control_header *)(void *)control;
    return (struct control_entry *)(void *)(control + header->entries_offset +
                                            (size_t)index * header->entry_bytes);
}

static struct shmbus_producer *begin(uint32_t flags)
{
    char path[256];
    struct stat found;
    bus = rig_bus();
    bus.flags = flags;
    struct shmbus_producer *producer = rig_create(&bus, GUARD_NS);
    snprintf(path, sizeof path, "%s/shmbus.%s/control", getenv("SHMBUS_DIR"), BUS);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(fstat(descriptor, &found), 0);
    control_bytes = (size_t)found.st_size;
    control = mmap(NULL, control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ck_assert_ptr_ne(control, MAP_FAILED);
    close(descriptor);
    return producer;
}

#define PUT(word, value) atomic_store_explicit(&(word), value, memory_order_seq_cst)

/* What is forged, and whether the victim's own words are changed by it. */
struct forgery {
    const char *what;
    enum { STATE, EPOCH, KIND, CURSOR, HOLDING, GRACE, UNTIL } word;
    uint64_t value;
};

static const struct forgery forgeries[] = {
    {"free", STATE, ENTRY_FREE},
    {"joining", STATE, ENTRY_JOINING},
    {"in grace", STATE, ENTRY_GRACE},
    {"no state", STATE, UINT32_MAX},
    {"epoch 0", EPOCH, 0},
    {"another epoch", EPOCH, 2},
    {"last epoch", EPOCH, UINT64_MAX},
    {"optional", KIND, SHMBUS_OPTIONAL},
    {"an observer", KIND, SHMBUS_OBSERVER},
    {"no kind", KIND, UINT32_MAX},
    {"cursor back", CURSOR, 1},
    {"cursor at 0", CURSOR, 0},
    {"cursor on", CURSOR, 7},
    {"cursor beyond the tail", CURSOR, 9},
    {"last cursor", CURSOR, UINT64_MAX},
    {"holding", HOLDING, 1},
    {"last grace", GRACE, INT64_MAX},
    {"grace below 0", GRACE, UINT64_MAX},
    {"until for ever", UNTIL, INT64_MAX},
};
#define FORGERIES (int)(sizeof forgeries / sizeof forgeries[0])

static int own_word(const struct forgery *forgery)
{
    return forgery->word != GRACE && forgery->word != UNTIL;
}

static void forge(const struct forgery *forgery, uint32_t index)
{
    struct control_entry *entry = entry_of(index);
    switch (forgery->word) {
    case STATE:
        PUT(entry->state, (uint32_t)forgery->value);
        break;
    case EPOCH:
        PUT(entry->epoch, forgery->value);
        break;
    case KIND:
        PUT(entry->kind, (uint32_t)forgery->value);
        break;
    case CURSOR:
        PUT(entry->cursor, forgery->value);
        break;
    case HOLDING:
        PUT(entry->holding, forgery->value);
        break;
    case GRACE:
        entry->grace_ns = (int64_t)forgery->value;
        break;
    case UNTIL:
        PUT(entry->grace_until_ns, (int64_t)forgery->value);
        break;
    }
}

struct victim {
    struct shmbus_consumer *consumer;
    const struct forgery *forgery; /* made inside the callback, or NULL */
};

static int read_one(const struct shmbus_message *message, void *context)
{
    struct victim *victim = context;
    rig_check(message);
    if (victim->forgery != NULL) {
        forge(victim->forgery, 0);
        ck_assert_int_eq(shmbus_consumer_valid(victim->consumer, message),
                         !own_word(victim->forgery));
        victim->forgery = NULL;
    }
    return 0;
}

/* The other one and the producer go on, whatever the victim does. */
static void others_go_on(struct shmbus_producer *producer, struct shmbus_consumer *other)
{
    struct victim reader = {other, NULL};
    for (int i = 0; i < 60; i++) {
        rig_publish_many(producer, 1, i % 2 ? 8 : 256);
        ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &reader, 100), 1);
    }
}

static void ends_well(struct shmbus_producer *producer, struct shmbus_consumer *other)
{
    others_go_on(producer, other);
    shmbus_consumer_close(other);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
    munmap(control, control_bytes);
}

/* The victim, at entry 0, has read 5 of 8 when it is forged; then it calls again. */
START_TEST(the_victim_finds_out)
{
    const struct forgery *forgery = &forgeries[_i / 3];
    struct shmbus_producer *producer = begin(0);
    struct shmbus_consumer *consumer = rig_join("victim", SHMBUS_REQUIRED, 0);
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct victim victim = {consumer, NULL};
    int when = _i % 3; /* between two calls; inside a callback; with nothing to read */
    rig_publish_many(producer, 8, 100);
    ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &victim, 100), 8);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, read_one, &victim, when == 2 ? 8 : 5),
                     when == 2 ? 8 : 5);
    if (when == 1)
        victim.forgery = forgery;
    else
        forge(forgery, 0);
    int is_changed = own_word(forgery) && !(when == 2 && forgery->value == 8);
    int result = shmbus_consumer_poll(consumer, read_one, &victim, 100);
    if (is_changed) {
        ck_assert_msg(result == -ESTALE, "%s: %d", forgery->what, result);
        ck_assert_msg(support_says("changed") || support_says("evicted"), "%s",
                      shmbus_error_text());
        if (when != 2)
            ck_assert_msg(support_says("from 5 to "), "%s", shmbus_error_text());
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ESTALE);
        ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_TAIL, 0), 0);
    } else {
        ck_assert_int_eq(result, when == 2 ? 0 : 3);
    }
    for (int i = 0; i < 40; i++) {
        rig_publish_many(producer, 1, 100);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, read_one, &victim, 100), 1);
        ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &victim, 100), 1);
    }
    shmbus_consumer_close(consumer);
    ends_well(producer, other);
}
END_TEST

/* The victim is stopped all the time: on a bus that evicts, the others go on all the same. */
START_TEST(a_stopped_victim_holds_nobody_up)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT);
    struct child victim = rig_start("victim", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct victim reader = {other, NULL};
    rig_publish_many(producer, 8, 100);
    ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &reader, 100), 8);
    ck_assert_uint_eq(rig_order(&victim, RIG_READ, 5), 5);
    child_stop(&victim);
    forge(&forgeries[_i], 0);
    others_go_on(producer, other);
    child_continue(&victim);
    ck_assert_int_eq((int)rig_order(&victim, RIG_POLL, 100), -ESTALE);
    ck_assert_int_eq((int)rig_order(&victim, RIG_REJOIN, 0), 0);
    rig_publish_many(producer, 3, 100);
    ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &reader, 100), 3);
    ck_assert_uint_eq(rig_order(&victim, RIG_READ, 3), 71);
    rig_leave(&victim);
    ends_well(producer, other);
}
END_TEST

/* The victim is killed, and its forged entry found by the producer that it would block. A forged
 * grace is as good as one that was asked for: it alone keeps the place. */
START_TEST(a_dead_victim_holds_nobody_up)
{
    struct shmbus_producer *producer = begin(0);
    struct child victim = rig_start("victim", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct victim reader = {other, NULL};
    rig_publish_many(producer, 8, 100);
    ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &reader, 100), 8);
    ck_assert_uint_eq(rig_order(&victim, RIG_HOLD, 5), 5);
    forge(&forgeries[_i], 0);
    child_kill(&victim);
    others_go_on(producer, other);
    ck_assert_int_ge(shmbus_reap(BUS, NULL), 0);
    struct shmbus_consumer *next = rig_join("next", SHMBUS_REQUIRED, 0);
    rig_publish_many(producer, 1, 8);
    rig_next(next, 68);
    rig_next(other, 68);
    shmbus_consumer_close(next);
    ends_well(producer, other);
}
END_TEST

/* One that would resume at a forged cursor begins anew. */
START_TEST(nobody_resumes_at_a_forged_cursor)
{
    static const uint64_t cursors[] = {0, 3, 26, 1000, UINT64_MAX};
    uint64_t cursor;
    uint64_t resumed;
    struct shmbus_producer *producer = begin(0);
    struct child victim = rig_start("named", SHMBUS_REQUIRED, GUARD_NS, NULL, NULL);
    for (uint64_t i = 1; i <= 25; i++) {
        rig_publish_many(producer, 1, 8);
        ck_assert_uint_eq(rig_order(&victim, RIG_READ, 1), i);
    }
    child_kill(&victim);
    PUT(entry_of(0)->cursor, cursors[_i]);
    victim = rig_start("named", SHMBUS_REQUIRED, GUARD_NS, &cursor, &resumed);
    ck_assert_uint_eq(resumed, 0);
    ck_assert_uint_eq(cursor, 25);
    rig_publish_many(producer, 16, 8);
    ck_assert_uint_eq(rig_order(&victim, RIG_READ, 16), 41);
    rig_leave(&victim);
    shmbus_producer_close(producer);
    munmap(control, control_bytes);
}
END_TEST

/* A takeover sees the forged words for the first time. */
START_TEST(a_takeover_over_forged_words)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT);
    struct child victim = rig_start("victim", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct victim reader = {other, NULL};
    rig_publish_many(producer, 8, 100);
    ck_assert_int_eq(shmbus_consumer_poll(other, read_one, &reader, 100), 8);
    ck_assert_uint_eq(rig_order(&victim, RIG_READ, 5), 5);
    child_stop(&victim);
    forge(&forgeries[_i], 0);
    shmbus_producer_close(producer);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 8);
    others_go_on(producer, other);
    child_continue(&victim);
    ck_assert_int_eq((int)rig_order(&victim, RIG_POLL, 100), -ESTALE);
    rig_leave(&victim);
    ends_well(producer, other);
}
END_TEST

struct keeper {
    uint64_t handle;
    struct shmbus_consumer *consumer;
};

static int keeps(const struct shmbus_message *message, void *context)
{
    struct keeper *keeper = context;
    rig_check(message);
    ck_assert_int_eq(shmbus_consumer_retain(keeper->consumer, message, &keeper->handle), 0);
    return 0;
}

/* A hold that somebody else ends, its count left as it was: who keeps the message finds out when it
 * asks, and when it lets go. */
START_TEST(an_ended_hold_is_found_out)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL};
    struct shmbus_producer *producer = begin(0);
    struct keeper keeper = {0, rig_join("victim", kinds[_i % 2], 0)};
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct shmbus_message message;
    uint64_t copy;
    rig_publish_many(producer, 1, 256);
    ck_assert_int_eq(shmbus_consumer_poll(keeper.consumer, keeps, &keeper, 1), 1);
    ck_assert_int_eq(shmbus_consumer_copy(keeper.consumer, keeper.handle, &copy), 0);
    rig_next(other, 0);
    ck_assert_int_eq(shmbus_consumer_held(keeper.consumer, copy, &message), 0);
    ck_assert_int_eq(shmbus_consumer_valid(keeper.consumer, &message), 1);
    uint64_t word = atomic_load(&entry_of(0)->holds[0]);
    ck_assert_uint_ne(word, 0);
    PUT(entry_of(0)->holds[0], 0);
    ck_assert_int_eq(shmbus_consumer_valid(keeper.consumer, &message), 0);
    /* With the hold in place again nothing is found, since nothing could have happened. */
    if (_i < 2) {
        PUT(entry_of(0)->holds[0], word);
        ck_assert_int_eq(shmbus_consumer_valid(keeper.consumer, &message), 1);
        PUT(entry_of(0)->holds[0], 0);
    }
    ck_assert_int_eq(shmbus_consumer_release(keeper.consumer, keeper.handle), 0);
    ck_assert_int_eq(shmbus_consumer_release(keeper.consumer, copy), -ESTALE);
    ck_assert_msg(support_says("changed") && support_says("what is held"), "%s",
                  shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_next(keeper.consumer, &message), -ESTALE);
    ck_assert_msg(support_says("changed") && support_says("join again"), "%s", shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_release(keeper.consumer, copy), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_rejoin(keeper.consumer, SHMBUS_FROM_TAIL, 0), 0);
    rig_publish_many(producer, 1, 256);
    rig_next(keeper.consumer, 1);
    rig_next(other, 1);
    shmbus_consumer_close(keeper.consumer);
    ends_well(producer, other);
}
END_TEST

/* It is set again before its owner looks, but what it held is another message's by then. One that
 * stayed is none the worse for that its slab was retired. */
START_TEST(a_hold_that_is_ended_and_set_again_is_found_out)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL};
    int is_ended = _i < 2;
    struct shmbus_producer *producer = begin(0);
    struct keeper keeper = {0, rig_join("victim", kinds[_i % 2], 0)};
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct shmbus_message message;
    rig_publish_many(producer, 1, 256);
    ck_assert_int_eq(shmbus_consumer_poll(keeper.consumer, keeps, &keeper, 1), 1);
    ck_assert_int_eq(shmbus_consumer_held(keeper.consumer, keeper.handle, &message), 0);
    rig_next(other, 0);
    uint64_t word = atomic_load(&entry_of(0)->holds[0]);
    if (is_ended)
        PUT(entry_of(0)->holds[0], 0);
    int was_reused = 0;
    for (uint64_t i = 1; i < 64; i++) {
        rig_publish_many(producer, 1, 256);
        was_reused |= rig_next(keeper.consumer, i).data == message.data;
        rig_next(other, i);
    }
    ck_assert_int_eq(was_reused, is_ended);
    PUT(entry_of(0)->holds[0], atomic_load(&entry_of(0)->holds[0]) | word);
    ck_assert_int_eq(shmbus_consumer_valid(keeper.consumer, &message), !is_ended);
    if (is_ended) {
        ck_assert_int_eq(shmbus_consumer_release(keeper.consumer, keeper.handle), -ESTALE);
        ck_assert_msg(support_says("changed") && support_says("what is held"), "%s",
                      shmbus_error_text());
        ck_assert_int_eq(shmbus_consumer_rejoin(keeper.consumer, SHMBUS_FROM_TAIL, 0), 0);
    } else {
        rig_check(&message);
        ck_assert_int_eq(shmbus_consumer_release(keeper.consumer, keeper.handle), 0);
    }
    shmbus_consumer_close(keeper.consumer);
    ends_well(producer, other);
}
END_TEST

static int lets_it_end(const struct shmbus_message *message, void *context)
{
    (void)message;
    (void)context;
    PUT(entry_of(0)->holds[0], 0);
    return 0;
}

/* The hold of an optional consumer on the message that it is reading. */
START_TEST(an_ended_hold_of_what_is_lent)
{
    struct shmbus_producer *producer = begin(0);
    struct shmbus_consumer *consumer = rig_join("victim", SHMBUS_OPTIONAL, 0);
    struct shmbus_consumer *other = rig_join("other", SHMBUS_REQUIRED, 0);
    struct shmbus_message message;
    rig_publish_many(producer, 2, 256);
    rig_next(other, 0);
    rig_next(other, 1);
    if (_i == 0) {
        ck_assert_int_eq(shmbus_consumer_poll(consumer, lets_it_end, NULL, 100), -ESTALE);
        ck_assert_msg(support_says("from 0 to 0"), "%s", shmbus_error_text());
    } else {
        message = rig_next(consumer, 0);
        ck_assert_int_eq(shmbus_consumer_valid(consumer, &message), 1);
        PUT(entry_of(0)->holds[0], 0);
        ck_assert_int_eq(shmbus_consumer_valid(consumer, &message), 0);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -ESTALE);
        ck_assert_msg(support_says("what it read last"), "%s", shmbus_error_text());
    }
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_OLDEST, 0), 0);
    rig_next(consumer, 0);
    shmbus_consumer_close(consumer);
    ends_well(producer, other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death tamper");
    TCase *tcase = support_case(suite, "tamper", 60);
    tcase_add_loop_test(tcase, the_victim_finds_out, 0, 3 * FORGERIES);
    tcase_add_loop_test(tcase, a_stopped_victim_holds_nobody_up, 0, FORGERIES);
    tcase_add_loop_test(tcase, a_dead_victim_holds_nobody_up, 0, FORGERIES);
    tcase_add_loop_test(tcase, nobody_resumes_at_a_forged_cursor, 0, 5);
    tcase_add_loop_test(tcase, an_ended_hold_is_found_out, 0, 4);
    tcase_add_loop_test(tcase, a_hold_that_is_ended_and_set_again_is_found_out, 0, 4);
    tcase_add_loop_test(tcase, an_ended_hold_of_what_is_lent, 0, 2);
    tcase_add_loop_test(tcase, a_takeover_over_forged_words, 0, FORGERIES);
    return support_run(suite);
}
