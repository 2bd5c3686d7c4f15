/* SPDX-License-Identifier: MIT */
/*
 * Takeover after deaths at one exact place: in the middle of a batch, after sequences that were
 * left out, and with slabs that only the dead producer knew of.
 */
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shmbus_bus_options bus;

static void die(int number)
{
    (void)number;
    kill(getpid(), SIGKILL);
}

struct doomed {
    uint32_t before; /* messages one by one */
    uint32_t good;   /* messages of the batch before the one that cannot be read */
};

/* Dies in the middle of a batch: the payload of one of its messages cannot be read. */
static void dies_in_a_batch(int line, void *context)
{
    const struct doomed *doomed = context;
    struct shmbus_producer *producer;
    struct shmbus_outgoing messages[16];
    static unsigned char data[16][8];
    void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(hole, MAP_FAILED);
    signal(SIGSEGV, die);
    signal(SIGBUS, die);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    rig_publish_many(producer, doomed->before, 8);
    uint64_t first = shmbus_producer_next_sequence(producer);
    for (uint32_t i = 0; i < 16; i++) {
        support_fill(data[i], 8, first + i);
        messages[i] = (struct shmbus_outgoing){.data = data[i], .length = 8};
    }
    messages[doomed->good].data = hole;
    child_tell(line, first);
    child_hear(line);
    shmbus_producer_publish_batch(producer, messages, 16);
}

START_TEST(killed_in_the_middle_of_a_batch)
{
    bus = rig_bus();
    for (uint32_t before = 0; before < 12; before++) {
        struct doomed doomed = {before, (uint32_t)_i};
        struct shmbus_producer *producer;
        rig_create_and_die(&bus);
        struct shmbus_consumer *required = rig_join("required", SHMBUS_REQUIRED, 0);
        struct shmbus_consumer *optional = rig_join("optional", SHMBUS_OPTIONAL, 0);
        struct child child = child_start(dies_in_a_batch, &doomed);
        ck_assert_uint_eq(child_hear(child.line), before);
        /* All is read, so the whole ring is free for the batch; the hint is behind. */
        for (uint64_t i = 0; i < before; i++) {
            rig_next(required, i);
            rig_next(optional, i);
        }
        struct shmbus_message message;
        ck_assert_int_eq(shmbus_consumer_next(required, &message), 0);
        child_tell(child.line, 0);
        while (shmbus_consumer_wait(required, GUARD_NS) != -EOWNERDEAD)
            ck_abort_msg("%s", shmbus_error_text());
        child_kill(&child);
        ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), before);
        for (uint64_t i = 0; i < 30; i++) {
            rig_publish_many(producer, 1, 8);
            rig_next(required, before + i);
            rig_next(optional, before + i);
        }
        shmbus_consumer_close(required);
        shmbus_consumer_close(optional);
        shmbus_producer_close(producer);
    }
}
END_TEST

/* Sequences left out, then death, with messages before them that are not read yet. */
static void dies_after_a_skip(int line, void *context)
{
    struct shmbus_producer *producer;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    rig_publish_many(producer, 6, 256);
    ck_assert_int_eq(shmbus_producer_skip(producer, *(uint64_t *)context), 0);
    child_tell(line, shmbus_producer_next_sequence(producer));
    pause();
}

START_TEST(killed_after_a_skip)
{
    static const uint64_t skips[] = {1, 3, 4, 5, 16, 1000, 1003};
    uint64_t skip = skips[_i];
    uint64_t next = 0;
    struct shmbus_consumer *consumers[3];
    struct shmbus_producer *producer;
    bus = rig_bus();
    rig_create_and_die(&bus);
    for (uint32_t i = 0; i < 3; i++)
        consumers[i] = rig_join(i == 0 ? "required" : "other",
                                i == 0   ? SHMBUS_REQUIRED
                                : i == 1 ? SHMBUS_OPTIONAL
                                         : SHMBUS_OBSERVER,
                                0);
    struct child child = child_start(dies_after_a_skip, &skip);
    ck_assert_uint_eq(child_hear(child.line), 6 + skip);
    child_kill(&child);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    next = shmbus_producer_next_sequence(producer);
    ck_assert_uint_eq(next, 6 + skip);
    for (int i = 0; i < 3; i++) {
        struct shmbus_message message;
        for (uint64_t sequence = 0; sequence < 6; sequence++)
            rig_next(consumers[i], sequence);
        ck_assert_int_eq(shmbus_consumer_next(consumers[i], &message), 0);
    }
    for (uint64_t sequence = next; sequence < next + 40; sequence++) {
        rig_publish_many(producer, 1, sequence % 2 ? 8 : 256);
        for (int i = 0; i < 3; i++)
            rig_next(consumers[i], sequence);
    }
    for (int i = 0; i < 3; i++) {
        struct shmbus_consumer_stats stats;
        ck_assert_int_eq(shmbus_consumer_stats(consumers[i], &stats), 0);
        ck_assert_uint_eq(stats.lost, skip);
        ck_assert_uint_eq(stats.received, 46);
        shmbus_consumer_close(consumers[i]);
    }
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* It has claimed, acquired by hand, and published one slab twice: nothing of it is lost. */
static void dies_with_slabs(int line, void *context)
{
    struct shmbus_producer *producer;
    struct shmbus_slab slabs[4];
    struct shmbus_claim claim;
    (void)context;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 4, slabs), 0);
    support_fill(slabs[0].data, 0, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(shmbus_producer_slab_publish(producer, slabs[0].handle, 0, 0, 0), 0);
    ck_assert_int_eq(shmbus_producer_claim(producer, 4096, &claim), 0);
    child_tell(line, 0);
    pause();
}

START_TEST(killed_with_slabs_of_its_own)
{
    struct shmbus_producer *producer;
    bus = rig_bus();
    rig_create_and_die(&bus);
    struct shmbus_consumer *consumer = rig_join("required", SHMBUS_REQUIRED, 0);
    for (uint64_t round = 0; round < 5; round++) {
        struct child child = child_start(dies_with_slabs, NULL);
        child_hear(child.line);
        child_kill(&child);
        for (uint64_t i = 0; i < 3; i++)
            rig_next(consumer, 3 * round + i);
    }
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 15);
    rig_all_slabs(producer, &bus);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death exact");
    TCase *tcase = support_case(suite, "exact", 60);
    tcase_add_loop_test(tcase, killed_in_the_middle_of_a_batch, 0, 16);
    tcase_add_loop_test(tcase, killed_after_a_skip, 0, 7);
    tcase_add_test(tcase, killed_with_slabs_of_its_own);
    return support_run(suite);
}
