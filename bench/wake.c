/* SPDX-License-Identifier: MIT */
/*
 * What each way to wait costs: how long after its publishing a message is in the hands of a
 * consumer that waits for it, how long the publish call took that woke it, and how much of a
 * processor the consumer burns while nothing comes. Prints a table; time never fails anything.
 *
 *   shmbus-bench-wake [MESSAGES [IDLE_SECONDS]]
 *
 * The two processes share the machine as the scheduler likes: waking is the scheduler's work. A
 * message comes every 2 ms, so that whoever waits has got to the end of its strategy.
 */
#include <shmbus/shmbus.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUS         "bench-wake"
#define EVERY_NS    2000000
#define MESSAGES    2000
#define MOST        100000
#define MICROSECOND 1000.0

struct way {
    const char *name;
    uint32_t strategy;
    uint32_t bus_flags;
};

static const struct way ways[] = {
    {"spin", SHMBUS_WAIT_SPIN, 0},
    {"yield", SHMBUS_WAIT_YIELD, 0},
    {"adaptive", SHMBUS_WAIT_ADAPTIVE, 0},
    {"park", SHMBUS_WAIT_PARK, 0},
    {"slices", SHMBUS_WAIT_ADAPTIVE, SHMBUS_BUS_NO_PARK},
};

#define WAYS (sizeof ways / sizeof ways[0])

/* What the two processes tell each other, beside the bus. */
struct shared {
    int64_t wake_ns[MOST];
    int64_t idle_ns; /* of processor time */
    int64_t idle_for_ns;
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_until(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static int must(int result, const char *call)
{
    if (result < 0) {
        fprintf(stderr, "shmbus-bench-wake: %s: %s\n", call, shmbus_error_text());
        exit(EXIT_FAILURE);
    }
    return result;
}

static void consume(const struct way *way, uint32_t count, int64_t idle_ns, struct shared *shared)
{
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = SHMBUS_REQUIRED,
        .wait = {.strategy = way->strategy},
    };
    must(shmbus_consumer_open(BUS, &options, &consumer), "open");
    for (uint32_t i = 0; i < count;) {
        if (must(shmbus_consumer_next(consumer, &message), "next") == 0) {
            must(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), "wait");
            continue;
        }
        shared->wake_ns[i++] = clock_ns(CLOCK_MONOTONIC) - *(const int64_t *)message.data;
    }
    int64_t wall = clock_ns(CLOCK_MONOTONIC);
    int64_t busy = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    shmbus_consumer_wait(consumer, idle_ns);
    shared->idle_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - busy;
    shared->idle_for_ns = clock_ns(CLOCK_MONOTONIC) - wall;
    shmbus_consumer_close(consumer);
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one;
    int64_t b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static double at(const int64_t *sorted, uint32_t count, uint32_t permille)
{
    uint64_t index = (uint64_t)(count - 1) * permille / 1000;
    return (double)sorted[index] / MICROSECOND;
}

static void publish(struct shmbus_producer *producer, uint32_t count, int64_t *out_call_ns)
{
    int64_t next = clock_ns(CLOCK_MONOTONIC) + EVERY_NS;
    for (uint32_t i = 0; i < count; i++, next += EVERY_NS) {
        sleep_until(next);
        int64_t before = clock_ns(CLOCK_MONOTONIC);
        must(shmbus_producer_publish(producer, 1, 0, &before, sizeof before), "publish");
        out_call_ns[i] = clock_ns(CLOCK_MONOTONIC) - before;
    }
}

static void measure(const struct way *way, uint32_t count, int64_t idle_ns, struct shared *shared)
{
    static int64_t call_ns[MOST];
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus, .capacity = 1024, .flags = way->bus_flags};
    struct shmbus_producer *producer;
    int status = 0;
    shmbus_unlink(BUS, NULL);
    must(shmbus_producer_create(BUS, &bus, NULL, &producer), "create");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        consume(way, count, idle_ns, shared);
        _exit(0);
    }
    while (shmbus_producer_required(producer, NULL) == 0 && waitpid(child, &status, WNOHANG) == 0)
        sleep_until(clock_ns(CLOCK_MONOTONIC) + EVERY_NS);
    publish(producer, count, call_ns);
    waitpid(child, &status, 0);
    shmbus_producer_close(producer);
    shmbus_unlink(BUS, NULL);
    if (child < 0 || status != 0)
        exit(EXIT_FAILURE);
    qsort(shared->wake_ns, count, sizeof shared->wake_ns[0], compare);
    qsort(call_ns, count, sizeof call_ns[0], compare);
    printf("%-10s %10.1f %10.1f %10.1f %12.2f %12.2f %12.2f\n", way->name,
           at(shared->wake_ns, count, 500), at(shared->wake_ns, count, 990),
           at(shared->wake_ns, count, 999), at(call_ns, count, 500), at(call_ns, count, 990),
           100.0 * (double)shared->idle_ns / (double)shared->idle_for_ns);
}

int main(int arguments, char **words)
{
    uint32_t count = arguments > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : MESSAGES;
    int64_t idle_ns = (arguments > 2 ? strtol(words[2], NULL, 10) : 3) * INT64_C(1000000000);
    if (count == 0 || count > MOST || idle_ns <= 0) {
        fprintf(stderr, "shmbus-bench-wake [MESSAGES 1 to %d [IDLE_SECONDS]]\n", MOST);
        return 2;
    }
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return EXIT_FAILURE;
    printf("%-10s %10s %10s %10s %12s %12s %12s\n", "us", "wake p50", "p99", "p99.9", "publish p50",
           "p99", "idle, % core");
    for (size_t i = 0; i < WAYS; i++)
        measure(&ways[i], count, idle_ns, shared);
    return 0;
}
