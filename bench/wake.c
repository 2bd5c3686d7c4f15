/* SPDX-License-Identifier: MIT */
/*
 * What each way to wait costs: how long after its publishing a message is in the hands of a
 * consumer that waits for it, how long the publish call took that woke it, and how much of a
 * processor the consumer burns while nothing comes: in wait() by each strategy, in epoll_wait() on
 * its descriptor, and in a selector over one bus or over many of which the others are silent.
 * Prints a table; time never fails anything.
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
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUS         "bench-wake-%u"
#define EVERY_NS    2000000
#define MESSAGES    2000
#define MOST        100000
#define MICROSECOND 1000.0

enum by { BY_WAIT, BY_DESCRIPTOR, BY_SELECTOR };

struct way {
    const char *name;
    enum by by;
    uint32_t strategy;
    uint32_t bus_flags;
    uint32_t buses;
};

static const struct way ways[] = {
    {"spin", BY_WAIT, SHMBUS_WAIT_SPIN, 0, 1},
    {"yield", BY_WAIT, SHMBUS_WAIT_YIELD, 0, 1},
    {"adaptive", BY_WAIT, SHMBUS_WAIT_ADAPTIVE, 0, 1},
    {"park", BY_WAIT, SHMBUS_WAIT_PARK, 0, 1},
    {"slices", BY_WAIT, SHMBUS_WAIT_ADAPTIVE, SHMBUS_BUS_NO_PARK, 1},
    {"descriptor", BY_DESCRIPTOR, SHMBUS_WAIT_PARK, 0, 1},
    {"select 1", BY_SELECTOR, SHMBUS_WAIT_PARK, 0, 1},
    {"select 16", BY_SELECTOR, SHMBUS_WAIT_PARK, 0, 16},
    {"select 128", BY_SELECTOR, SHMBUS_WAIT_PARK, 0, 128},
};

#define WAYS (sizeof ways / sizeof ways[0])

/* What the two processes tell each other, beside the buses. */
struct shared {
    int64_t wake_ns[MOST];
    int64_t idle_ns; /* of processor time */
    int64_t idle_for_ns;
};

/* What a consumer waits with. */
struct reader {
    const struct way *way;
    struct shmbus_consumer *consumers[SHMBUS_SELECTOR_MAX];
    struct shmbus_selector *selector;
    int loop;
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

static const char *bus_name(uint32_t number)
{
    static char name[32];
    snprintf(name, sizeof name, BUS, number);
    return name;
}

static void open_descriptor(struct reader *reader)
{
    struct epoll_event event = {.events = EPOLLIN};
    int descriptor = -1;
    must(shmbus_consumer_fd(reader->consumers[0], &descriptor), "fd");
    reader->loop = epoll_create1(EPOLL_CLOEXEC);
    if (reader->loop < 0 || epoll_ctl(reader->loop, EPOLL_CTL_ADD, descriptor, &event) < 0) {
        perror("shmbus-bench-wake: epoll");
        exit(EXIT_FAILURE);
    }
}

static void open_selector(struct reader *reader)
{
    const struct shmbus_selector_options options = {.struct_bytes = sizeof options,
                                                    .wait = {.strategy = reader->way->strategy}};
    must(shmbus_selector_open(&options, &reader->selector), "selector");
    for (uint32_t i = 0; i < reader->way->buses; i++)
        must(shmbus_selector_add(reader->selector, reader->consumers[i], NULL), "add");
}

static void reader_open(struct reader *reader)
{
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = SHMBUS_REQUIRED,
        .wait = {.strategy = reader->way->strategy},
    };
    for (uint32_t i = 0; i < reader->way->buses; i++)
        must(shmbus_consumer_open(bus_name(i), &options, &reader->consumers[i]), "open");
    if (reader->way->by == BY_DESCRIPTOR)
        open_descriptor(reader);
    if (reader->way->by == BY_SELECTOR)
        open_selector(reader);
}

static void reader_close(struct reader *reader)
{
    shmbus_selector_close(reader->selector);
    for (uint32_t i = 0; i < reader->way->buses; i++)
        shmbus_consumer_close(reader->consumers[i]);
    if (reader->loop >= 0)
        close(reader->loop);
}

/* One message, if there is one. */
static int take(struct reader *reader, struct shmbus_message *out_message)
{
    struct shmbus_selected selected;
    if (reader->selector == NULL)
        return must(shmbus_consumer_next(reader->consumers[0], out_message), "next");
    int got = must(shmbus_selector_next(reader->selector, &selected), "select");
    if (got > 0)
        *out_message = selected.message;
    return got;
}

static void wait_for(struct reader *reader, int64_t timeout_ns)
{
    struct epoll_event event;
    switch (reader->way->by) {
    case BY_WAIT:
        shmbus_consumer_wait(reader->consumers[0], timeout_ns);
        break;
    case BY_DESCRIPTOR:
        epoll_wait(reader->loop, &event, 1,
                   timeout_ns == SHMBUS_FOREVER ? -1 : (int)(timeout_ns / 1000000));
        break;
    default:
        shmbus_selector_wait(reader->selector, timeout_ns);
        break;
    }
}

static void consume(const struct way *way, uint32_t count, int64_t idle_ns, struct shared *shared)
{
    struct reader reader = {.way = way, .loop = -1};
    struct shmbus_message message;
    reader_open(&reader);
    for (uint32_t i = 0; i < count;) {
        if (take(&reader, &message) == 0) {
            wait_for(&reader, SHMBUS_FOREVER);
            continue;
        }
        shared->wake_ns[i++] = clock_ns(CLOCK_MONOTONIC) - *(const int64_t *)message.data;
    }
    /* That nothing more is there has to be seen, before the descriptor says so. */
    take(&reader, &message);
    int64_t wall = clock_ns(CLOCK_MONOTONIC);
    int64_t busy = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    wait_for(&reader, idle_ns);
    shared->idle_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - busy;
    shared->idle_for_ns = clock_ns(CLOCK_MONOTONIC) - wall;
    reader_close(&reader);
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

/* Publishes on the last of the buses while a child waits at all of them. */
static void measure(const struct way *way, uint32_t count, int64_t idle_ns, struct shared *shared)
{
    static int64_t call_ns[MOST];
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus, .capacity = 1024, .flags = way->bus_flags};
    struct shmbus_producer *producers[SHMBUS_SELECTOR_MAX];
    struct shmbus_producer *last = NULL;
    int status = 0;
    for (uint32_t i = 0; i < way->buses; i++) {
        shmbus_unlink(bus_name(i), NULL);
        must(shmbus_producer_create(bus_name(i), &bus, NULL, &producers[i]), "create");
        last = producers[i];
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        consume(way, count, idle_ns, shared);
        _exit(0);
    }
    while (shmbus_producer_required(last, NULL) == 0 && waitpid(child, &status, WNOHANG) == 0)
        sleep_until(clock_ns(CLOCK_MONOTONIC) + EVERY_NS);
    publish(last, count, call_ns);
    waitpid(child, &status, 0);
    for (uint32_t i = 0; i < way->buses; i++) {
        shmbus_producer_close(producers[i]);
        shmbus_unlink(bus_name(i), NULL);
    }
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
