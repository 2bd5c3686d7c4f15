/* SPDX-License-Identifier: MIT */
/* Batches: released at once, in parts where there is no room, and cut before what cannot be. */
#include "expect.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUS  "batch"
#define MOST 2000

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;
static struct shmbus_outgoing batch[MOST];
static unsigned char payloads[MOST][300];

static void begin(uint64_t capacity, const struct shmbus_producer_options *how)
{
    struct shmbus_bus_options options = expect_bus();
    options.capacity = capacity;
    producer = support_create(BUS, &options, how);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

/* Messages of these lengths in turn, to be published from a sequence on. */
static void compose(uint64_t sequence, uint32_t count, const uint32_t *lengths, uint32_t turn)
{
    for (uint32_t i = 0; i < count; i++) {
        batch[i] = (struct shmbus_outgoing){payloads[i], lengths[i % turn], (uint16_t)i, 0};
        support_fill(payloads[i], batch[i].length, sequence + i);
    }
}

static const uint32_t small[] = {8, 48, 0, 1};
static const uint32_t mixed[] = {8, 60, 100, 48, 0, 300};

START_TEST(a_batch_is_its_messages_in_order)
{
    begin(64, NULL);
    uint64_t sequence = 0;
    for (uint32_t count = 0; count <= 8; count++) {
        compose(sequence, count, mixed, 6);
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, count), (int)count);
        for (uint32_t i = 0; i < count; i++) {
            struct shmbus_message message = expect_next(consumer, sequence++, mixed[i % 6]);
            ck_assert_uint_eq(message.type, i);
        }
        expect_none(consumer, 0);
    }
    end();
}
END_TEST

START_TEST(as_many_as_there_is_room_for)
{
    begin(16, NULL);
    uint64_t sequence = 0;
    for (uint32_t left = 1; left <= 16; left++) {
        /* So many slots are left, and the batch is larger than a whole ring. */
        for (uint32_t i = left; i < 16; i++)
            ck_assert_int_eq(expect_publish(producer, 8), 0);
        compose(sequence + 16 - left, 40, small, 4);
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, 40), (int)left);
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, 40), -EAGAIN);
        struct expect_run run = {.next = sequence};
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 16);
        sequence += 16;
    }
    end();
}
END_TEST

/* Reads everything to the end of the stream, and says how much it was. */
static void read_all(int line, void *unused)
{
    (void)unused;
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_OLDEST);
    struct expect_run run = {0};
    child_tell(line, 0);
    int result;
    while ((result = shmbus_consumer_wait(reader, GUARD_NS)) == 0)
        shmbus_consumer_poll(reader, expect_in_order, &run, 100);
    ck_assert_int_eq(result, -EPIPE);
    shmbus_consumer_close(reader);
    child_tell(line, run.count);
}

START_TEST(a_batch_of_many_rings_goes_through_while_somebody_reads)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    producer = support_create(BUS, &options, &how);
    struct child reader = child_start(read_all, NULL);
    child_hear(reader.line);
    for (uint64_t sequence = 0; sequence < 5 * MOST; sequence += MOST) {
        compose(sequence, MOST, _i ? mixed : small, _i ? 6 : 4);
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, MOST), MOST);
    }
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(reader.line), 5 * MOST);
    child_end(&reader);
}
END_TEST

/* What a message of a batch may be that cannot be published. */
static const struct {
    struct shmbus_outgoing message;
    int error;
} bad[] = {{{payloads[0], 4097, 0, 0}, -EMSGSIZE},
           {{payloads[0], 8, 0, 0x100}, -EINVAL},
           {{payloads[0], 60, 0, 0x8000}, -EINVAL}};

START_TEST(those_before_a_bad_one_are_published)
{
    begin(64, NULL);
    uint64_t sequence = 0;
    for (uint32_t at = 0; at < 8; at++) {
        compose(sequence, 9, mixed, 6);
        batch[at] = bad[_i].message;
        int result = shmbus_producer_publish_batch(producer, batch, 9);
        ck_assert_int_eq(result, at == 0 ? bad[_i].error : (int)at);
        for (uint32_t i = 0; i < at; i++)
            expect_next(consumer, sequence++, mixed[i % 6]);
        expect_none(consumer, 0);
    }
    end();
}
END_TEST

START_TEST(those_before_the_one_without_a_slab_are_published)
{
    static unsigned char zeros[3000];
    begin(64, NULL);
    /* Four slabs of that class: the fifth large one is message 9. */
    for (uint32_t i = 0; i < 20; i++)
        batch[i] = (struct shmbus_outgoing){zeros, i % 2 ? 3000 : 8, 0, 0};
    ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, 20), 9);
    ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch + 9, 11), -ENOBUFS);
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 100), 9);
    ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch + 9, 11), 8);
    end();
}
END_TEST

START_TEST(a_count_that_is_too_large)
{
    begin(16, NULL);
    ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, (size_t)INT_MAX + 1), -EINVAL);
    ck_assert_int_eq(shmbus_producer_publish_batch(producer, NULL, 0), 0);
    expect_none(consumer, 0);
    end();
}
END_TEST

/* Polls all the time: whatever it gets must be whole batches of 10. */
static void whole_batches_only(int line, void *unused)
{
    (void)unused;
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_TAIL);
    struct expect_run run = {0};
    child_tell(line, 0);
    int got;
    while ((got = shmbus_consumer_poll(reader, expect_in_order, &run, INT_MAX)) >= 0)
        if (got % 10 != 0)
            ck_abort_msg("%d messages were there at once after %llu", got,
                         (unsigned long long)(run.count - (uint64_t)got));
    ck_assert_int_eq(got, -EPIPE);
    child_tell(line, run.count);
    shmbus_consumer_close(reader);
}

START_TEST(a_batch_is_released_at_once)
{
    struct shmbus_bus_options options = expect_bus();
    options.capacity = 65536; /* so that none is cut for want of room */
    producer = support_create(BUS, &options, NULL);
    struct child reader = child_start(whole_batches_only, NULL);
    child_hear(reader.line);
    for (uint64_t sequence = 0; sequence < 60000; sequence += 10) {
        compose(sequence, 10, small, 4);
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, 10), 10);
    }
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(reader.line), 60000);
    child_end(&reader);
}
END_TEST

static unsigned char *hidden; /* a page that cannot be read until somebody tried */
static uint64_t seen_early;

/* The producer is in the middle of its batch: what is there for a consumer? */
static void look_in_the_middle(int number)
{
    (void)number;
    if (shmbus_consumer_poll(consumer, expect_any, &seen_early, 1000) != 0)
        seen_early += 1000;
    if (mprotect(hidden, 4096, PROT_READ | PROT_WRITE) != 0)
        _exit(1);
}

START_TEST(in_the_middle_of_a_batch_nothing_is_there)
{
    struct sigaction action = {.sa_handler = look_in_the_middle, .sa_flags = SA_NODEFER};
    begin(64, NULL);
    hidden = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(hidden, MAP_FAILED);
    ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
    uint64_t sequence = 0;
    for (uint32_t at = 0; at < 8; at++) {
        compose(sequence, 8, mixed, 6);
        batch[at].data = hidden;
        batch[at].length = 33;
        support_fill(hidden, 33, sequence + at);
        ck_assert_int_eq(mprotect(hidden, 4096, PROT_NONE), 0);
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, 8), 8);
        ck_assert_uint_eq(seen_early, 0);
        for (uint32_t i = 0; i < 8; i++)
            expect_next(consumer, sequence++, i == at ? 33 : mixed[i % 6]);
        expect_none(consumer, 0);
        /* The handler was there, or the page could not be read. */
        ck_assert(support_is(hidden, 33, sequence - 8 + at));
    }
    munmap(hidden, 4096);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message batch");
    TCase *tcase = support_case(suite, "batch", 60);
    tcase_add_test(tcase, a_batch_is_its_messages_in_order);
    tcase_add_test(tcase, as_many_as_there_is_room_for);
    tcase_add_loop_test(tcase, a_batch_of_many_rings_goes_through_while_somebody_reads, 0, 2);
    tcase_add_loop_test(tcase, those_before_a_bad_one_are_published, 0, 3);
    tcase_add_test(tcase, those_before_the_one_without_a_slab_are_published);
    tcase_add_test(tcase, a_count_that_is_too_large);
    tcase_add_test(tcase, a_batch_is_released_at_once);
    tcase_add_test(tcase, in_the_middle_of_a_batch_nothing_is_there);
    return support_run(suite);
}
