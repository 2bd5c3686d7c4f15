/* SPDX-License-Identifier: MIT */
/*
 * The order of a pipeline: whoever runs after others sees a message only once they have passed it.
 * Each stage is a process that notes in shared memory how far it is before its cursor follows, and
 * looks there how far those before it are, in every message.
 */
#include "rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#define MESSAGES 20000

/* How far each stage is: all below is done. */
static _Atomic uint64_t *done;

struct worker {
    struct stage stage;
    uint32_t index;    /* in done */
    uint32_t after[2]; /* indices of those that it runs after */
    uint32_t after_count;
    uint32_t uses_next; /* and not poll */
    uint64_t seed;
};

static void dawdle(uint64_t *random)
{
    struct timespec time = {0, (long)support_below(random, 60000)};
    if (support_below(random, 200) == 0)
        nanosleep(&time, NULL);
}

static void share(void)
{
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    done = shared;
}

static int work(const struct shmbus_message *message, void *context)
{
    struct worker *worker = context;
    for (uint32_t i = 0; i < worker->after_count; i++)
        ck_assert_uint_gt(atomic_load_explicit(&done[worker->after[i]], memory_order_relaxed),
                          message->sequence);
    ck_assert_uint_eq(atomic_load_explicit(&done[worker->index], memory_order_relaxed),
                      message->sequence);
    dawdle(&worker->seed);
    atomic_store_explicit(&done[worker->index], message->sequence + 1, memory_order_relaxed);
    return 0;
}

static int go_on(struct shmbus_consumer *consumer, struct worker *worker)
{
    struct shmbus_message message;
    if (!worker->uses_next)
        return shmbus_consumer_poll(consumer, work, worker,
                                    1 + (uint32_t)support_below(&worker->seed, 100));
    int result = shmbus_consumer_next(consumer, &message);
    if (result == 1)
        work(&message, worker);
    return result;
}

/* Reads until the stream has ended, and says how many it read. */
static void work_on(int line, void *context)
{
    struct worker *worker = context;
    struct staged staged;
    struct shmbus_consumer_stats stats;
    rig_join(&worker->stage, &staged);
    child_tell(line, 0);
    int result;
    while ((result = go_on(staged.consumer, worker)) >= 0)
        if (result == 0 && support_below(&worker->seed, 2) == 0 &&
            (result = shmbus_consumer_wait(staged.consumer, MILLISECOND)) < 0 &&
            result != -ETIMEDOUT)
            break;
    ck_assert_msg(result == -EPIPE, "%d: %s", result, shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_stats(staged.consumer, &stats), 0);
    child_tell(line, stats.received);
    rig_leave(&staged);
}

static void run(struct worker *workers, uint32_t count)
{
    struct child children[STAGES];
    uint64_t random = support_seed("order");
    share();
    struct shmbus_producer *producer = rig_create(0, GUARD_NS);
    for (uint32_t i = 0; i < count; i++) {
        workers[i].seed = support_random(&random);
        workers[i].index = i;
        children[i] = child_start(work_on, &workers[i]);
        child_hear(children[i].line);
    }
    rig_publish(producer, MESSAGES);
    shmbus_producer_close(producer);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(child_hear(children[i].line), MESSAGES);
        child_end(&children[i]);
        ck_assert_uint_eq(atomic_load_explicit(&done[i], memory_order_relaxed), MESSAGES);
    }
}

START_TEST(two_stages)
{
    struct worker workers[] = {
        {.stage = {"recorder", NULL, 0, 0, 0}},
        {.stage = {"strategy", "recorder", 0, 0, 0}, .after = {0}, .after_count = 1},
    };
    workers[0].uses_next = (uint32_t)_i & 1;
    workers[1].uses_next = (uint32_t)_i >> 1;
    workers[1].stage.gone = (uint32_t)_i & 1 ? SHMBUS_AFTER_GO_ON : SHMBUS_AFTER_WAIT;
    run(workers, 2);
}
END_TEST

START_TEST(three_stages)
{
    struct worker workers[] = {
        {.stage = {"first", NULL, 0, 0, 0}},
        {.stage = {"second", "first", 0, 0, 0}, .after = {0}, .after_count = 1},
        {.stage = {"third", "second", 0, 0, 0}, .after = {0, 1}, .after_count = 2},
    };
    run(workers, 3);
}
END_TEST

START_TEST(after_two)
{
    struct worker workers[] = {
        {.stage = {"recorder", NULL, 0, 0, 0}},
        {.stage = {"risk", NULL, 0, 0, 0}, .uses_next = 1},
        {.stage = {"strategy", "recorder risk", 0, 0, 0}, .after = {0, 1}, .after_count = 2},
    };
    run(workers, 3);
}
END_TEST

START_TEST(two_after_one)
{
    struct worker workers[] = {
        {.stage = {"recorder", NULL, 0, 0, 0}},
        {.stage = {"left", "recorder", 0, 0, 0}, .after = {0}, .after_count = 1},
        {.stage = {"right", "recorder", 0, 0, 0}, .after = {0}, .after_count = 1},
    };
    run(workers, 3);
}
END_TEST

/* Of one name there may be several: it runs after the slowest. */
START_TEST(namesakes)
{
    struct worker workers[] = {
        {.stage = {"twin", NULL, 0, 0, 0}},
        {.stage = {"twin", NULL, 0, 0, 0}, .uses_next = 1},
        {.stage = {"strategy", "twin", 0, 0, 0}, .after = {0, 1}, .after_count = 2},
    };
    run(workers, 3);
}
END_TEST

/* Step by step: what the one before has acknowledged, and no more. */
START_TEST(not_one_message_early)
{
    struct staged first;
    struct staged second;
    struct staged third;
    struct shmbus_message message;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "third", .after = "second"}, &third);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    rig_join(&(struct stage){.name = "first"}, &first);
    for (uint64_t sequence = 0; sequence < 3 * CAPACITY; sequence++) {
        rig_publish(producer, 1);
        rig_takes(&third, 0);
        rig_takes(&second, 0);
        ck_assert_int_eq(shmbus_consumer_wait(second.consumer, 0), -ETIMEDOUT);
        ck_assert_msg(support_says("first has not passed it"), "%s", shmbus_error_text());
        ck_assert_int_eq(shmbus_consumer_next(second.consumer, &message), 0);
        /* Handed out is not passed. */
        ck_assert_int_eq(shmbus_consumer_next(first.consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, sequence);
        rig_takes(&second, 0);
        ck_assert_int_eq(shmbus_consumer_next(first.consumer, &message), 0);
        rig_takes(&third, 0);
        ck_assert_int_eq(shmbus_consumer_wait(second.consumer, GUARD_NS), 0);
        rig_takes(&second, 1);
        rig_takes(&second, 0);
        rig_takes(&third, 1);
    }
    rig_leave(&first);
    rig_leave(&second);
    rig_leave(&third);
    shmbus_producer_close(producer);
}
END_TEST

/* Of what there is to go past, nothing is told early either. */
START_TEST(what_is_left_out)
{
    static const uint64_t skips[] = {3, CAPACITY, 100000};
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    for (int i = 0; i < 3; i++) {
        uint64_t before = second.passed_over;
        rig_publish(producer, 1);
        ck_assert_int_eq(shmbus_producer_skip(producer, skips[i]), 0);
        rig_takes(&second, 0);
        rig_gets(&first, 1);
        rig_gets(&second, 1);
        ck_assert_uint_eq(second.passed_over, before);
        rig_takes(&first, 0);
        rig_takes(&second, 0);
        ck_assert_uint_eq(second.passed_over, before + skips[i]);
        rig_publish(producer, 1);
        rig_takes(&first, 1);
        rig_takes(&second, 1);
        ck_assert_uint_eq(second.next, shmbus_producer_next_sequence(producer));
    }
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* The end comes after the last message, for everybody. */
START_TEST(the_end_of_the_stream)
{
    struct staged first;
    struct staged second;
    struct shmbus_message message;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = gone}, &second);
    rig_publish(producer, 10);
    shmbus_producer_close(producer);
    rig_takes(&second, 0);
    ck_assert_int_eq(shmbus_consumer_wait(second.consumer, MILLISECOND), -ETIMEDOUT);
    /* What it read by next() counts when it leaves, but for the last one, which it may not have
     * finished with. */
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(shmbus_consumer_next(first.consumer, &message), 1);
    rig_leave(&first);
    if (gone == SHMBUS_AFTER_WAIT) {
        rig_takes(&second, 5);
        ck_assert_int_eq(shmbus_consumer_wait(second.consumer, MILLISECOND), -ETIMEDOUT);
        rig_join(&(struct stage){.name = "first", .from = SHMBUS_FROM_OLDEST}, &first);
        ck_assert_uint_eq(first.next, 0);
        rig_takes(&first, 10);
        rig_takes(&second, 5);
        ck_assert_int_eq(rig_take(&first, 1), -EPIPE);
        rig_leave(&first);
    } else {
        rig_takes(&second, 10);
    }
    ck_assert_int_eq(rig_take(&second, 1), -EPIPE);
    ck_assert_int_eq(shmbus_consumer_wait(second.consumer, GUARD_NS), -EPIPE);
    rig_leave(&second);
}
END_TEST

static void publisher(int line, void *context)
{
    (void)context;
    struct shmbus_producer *producer = rig_create(0, 0);
    child_tell(line, 0);
    child_hear(line);
    rig_publish(producer, 5);
    child_tell(line, 0);
    child_hear(line);
}

/* A producer that is dead is told of when all was read, not when it cannot be read yet. */
START_TEST(the_death_of_the_producer)
{
    struct staged first;
    struct staged second;
    struct child child = child_start(publisher, NULL);
    child_hear(child.line);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    child_tell(child.line, 0);
    child_hear(child.line);
    child_kill(&child);
    ck_assert_int_eq(shmbus_consumer_wait(second.consumer, 50 * MILLISECOND), -ETIMEDOUT);
    rig_takes(&first, 5);
    ck_assert_int_eq(shmbus_consumer_wait(first.consumer, GUARD_NS), -EOWNERDEAD);
    ck_assert_int_eq(shmbus_consumer_wait(second.consumer, GUARD_NS), 0);
    rig_takes(&second, 5);
    ck_assert_int_eq(shmbus_consumer_wait(second.consumer, GUARD_NS), -EOWNERDEAD);
    rig_leave(&first);
    rig_leave(&second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline order");
    TCase *tcase = support_case(suite, "order", 120);
    tcase_add_loop_test(tcase, two_stages, 0, 4);
    tcase_add_test(tcase, three_stages);
    tcase_add_test(tcase, after_two);
    tcase_add_test(tcase, two_after_one);
    tcase_add_test(tcase, namesakes);
    tcase_add_test(tcase, not_one_message_early);
    tcase_add_test(tcase, what_is_left_out);
    tcase_add_loop_test(tcase, the_end_of_the_stream, 0, 2);
    tcase_add_test(tcase, the_death_of_the_producer);
    return support_run(suite);
}
