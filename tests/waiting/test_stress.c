/* SPDX-License-Identifier: MIT */
/*
 * No wake-up is lost: rounds of publishing, parking and waking between processes, with pauses of
 * every length in between, and slices that never end. A lost one hangs the case until its guard.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#define CONSUMERS 2

static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};
/* So short that the other side often comes in the middle of it. */
static const struct shmbus_wait brief = {.strategy = SHMBUS_WAIT_ADAPTIVE, .spins = 2, .yields = 1};

struct stress {
    uint64_t rounds;
    uint64_t seed;
    int refuse_producer; /* membarrier */
    int refuse_consumers;
    int brief;
};

static const struct shmbus_wait *way(const struct stress *stress)
{
    return stress->brief ? &brief : &park;
}

static void dawdle(uint64_t *random)
{
    uint64_t pauses = support_below(random, 8) == 0 ? support_below(random, 600) : 0;
    for (uint64_t i = 0; i < pauses; i++)
        wait_pause();
}

/* Reads until the sequence that is the last one. */
static void consume(int line, void *context)
{
    const struct stress *stress = context;
    uint64_t random = stress->seed;
    if (stress->refuse_consumers)
        rig_refuse_membarrier(EPERM);
    struct shmbus_consumer *consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_OLDEST, way(stress));
    consumer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    for (uint64_t i = 0; i < stress->rounds; i++) {
        rig_take(consumer, i);
        dawdle(&random);
    }
    ck_assert_int_eq(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), -EPIPE);
    shmbus_consumer_close(consumer);
}

/* Publishes, waiting for all of it now and then, and else when the ring is full. */
static void produce(int line, void *context)
{
    const struct stress *stress = context;
    uint64_t random = ~stress->seed;
    if (stress->refuse_producer)
        rig_refuse_membarrier(ENOSYS);
    struct shmbus_producer *producer = rig_create(way(stress), 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    producer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    child_hear(line);
    for (uint64_t i = 0; i < stress->rounds; i++) {
        rig_publish(producer);
        dawdle(&random);
        if (support_below(&random, 4) != 0)
            ck_assert_int_eq(shmbus_producer_flush(producer, SHMBUS_FOREVER), 0);
    }
    ck_assert_int_eq(shmbus_producer_flush(producer, SHMBUS_FOREVER), 0);
    child_tell(line, atomic_load_explicit(&segment_state(&producer->segment)->wake_consumers,
                                          memory_order_seq_cst));
    child_tell(line, atomic_load_explicit(&shared->wake_producers, memory_order_seq_cst));
    shmbus_producer_close(producer);
}

static void run(struct stress stress)
{
    struct child consumers[CONSUMERS];
    stress.rounds = getenv("SHMBUS_TEST_LONG") != NULL ? 1000000 : 30000;
    stress.seed = support_seed("waiting_stress");
    struct child producer = child_start(produce, &stress);
    child_hear(producer.line);
    for (int i = 0; i < CONSUMERS; i++) {
        stress.seed++;
        consumers[i] = child_start(consume, &stress);
        child_hear(consumers[i].line);
    }
    child_tell(producer.line, 0);
    uint64_t consumers_woken = child_hear(producer.line);
    uint64_t producers_woken = child_hear(producer.line);
    child_end(&producer);
    for (int i = 0; i < CONSUMERS; i++)
        child_end(&consumers[i]);
    printf("%llu rounds: consumers woken %llu times, the producer %llu times\n",
           (unsigned long long)stress.rounds, (unsigned long long)consumers_woken,
           (unsigned long long)producers_woken);
    /* Who was refused does not park, and so is not woken; and who spins first need not park. */
    ck_assert(stress.brief || stress.refuse_consumers || consumers_woken > 0);
    ck_assert(stress.brief || stress.refuse_producer || producers_woken > 0);
}

START_TEST(everybody_parks)
{
    run((struct stress){.brief = _i});
}
END_TEST

START_TEST(the_producer_fences)
{
    run((struct stress){.refuse_producer = 1, .brief = _i});
}
END_TEST

START_TEST(the_consumers_fence)
{
    run((struct stress){.refuse_consumers = 1, .brief = _i});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting stress");
    TCase *tcase = support_case(suite, "stress", getenv("SHMBUS_TEST_LONG") != NULL ? 3600 : 120);
    tcase_add_loop_test(tcase, everybody_parks, 0, 2);
    tcase_add_loop_test(tcase, the_producer_fences, 0, 2);
    tcase_add_loop_test(tcase, the_consumers_fence, 0, 2);
    return support_run(suite);
}
