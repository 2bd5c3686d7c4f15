/* SPDX-License-Identifier: MIT */
/*
 * Runs one way of using the library over and over in one process, for those who count what it does
 * rather than how long it takes: callgrind (the functions measured_... are what is to be counted),
 * lackey (stores between two marks) and strace (calls between two getppid). Time plays no part.
 *
 *   shmbus-bench-driver MODE [VALUE]
 *
 * publish, claim, batch, pooled, poll, next, retain: VALUE messages, by turns of 64, so that nobody
 * waits. consumers: a warm lap and a measured one of 65,536 slots with VALUE required consumers
 * that catch up each turn. reclaim: as many pooled messages through a pool of VALUE slabs, 64 in
 * flight at most. park: VALUE messages to a process that parks in between. Says how many were
 * measured.
 */
#include <shmbus/shmbus.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu.h"
#include "payload.h"

enum {
    TURN = 64,
    LAP = 65536,
    POOLED_BYTES = 64, /* the least that does not fit a slot of 64 bytes */
    CONSUMERS_MAX = 64,
    PARK_TICKS = 4000000, /* between messages to one that parks: it has time to */
};

static const char bus_name[] = "shmbus-bench-driver";

struct driver {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumers[CONSUMERS_MAX];
    uint32_t consumer_count;
    uint64_t sent;
    uint64_t read; /* by all consumers together */
    uint64_t words[TURN][POOLED_BYTES / 8];
    struct shmbus_outgoing outgoing[TURN];
};

/* Stored to before and after what lackey is to look at. */
static uint64_t mark;

static void must(int result, const char *call)
{
    if (result >= 0)
        return;
    fprintf(stderr, "shmbus-bench-driver: %s: %s\n", call, shmbus_error_text());
    shmbus_unlink(bus_name, NULL);
    exit(EXIT_FAILURE);
}

static void fill(struct driver *driver)
{
    for (uint64_t i = 0; i < TURN; i++)
        small_fill(driver->words[i], driver->sent + i);
}

static int check(const struct shmbus_message *message, void *context)
{
    struct driver *driver = context;
    if (small_differs(message->data, message->sequence) != 0) {
        fprintf(stderr, "shmbus-bench-driver: message %llu is wrong\n",
                (unsigned long long)message->sequence);
        exit(EXIT_FAILURE);
    }
    driver->read++;
    return 0;
}

/* ---- what is counted: each does one turn, and is called through the table below ---- */

static void measured_publish(struct driver *driver)
{
    for (uint64_t i = 0; i < TURN; i++)
        must(shmbus_producer_publish(driver->producer, 1, 0, driver->words[i], SMALL_BYTES),
             "publish");
}

static void measured_pooled(struct driver *driver)
{
    for (uint64_t i = 0; i < TURN; i++)
        must(shmbus_producer_publish(driver->producer, 1, 0, driver->words[i], POOLED_BYTES),
             "publish");
}

static void measured_claim(struct driver *driver)
{
    for (uint64_t i = 0; i < TURN; i++) {
        struct shmbus_claim claim;
        must(shmbus_producer_claim(driver->producer, SMALL_BYTES, &claim), "claim");
        small_fill(claim.data, driver->sent + i);
        must(shmbus_producer_commit(driver->producer, &claim, 1, 0), "commit");
    }
}

static void measured_batch(struct driver *driver)
{
    must(shmbus_producer_publish_batch(driver->producer, driver->outgoing, TURN), "publish_batch");
}

static void measured_poll(struct driver *driver)
{
    must(shmbus_consumer_poll(driver->consumers[0], check, driver, TURN), "poll");
}

static void measured_next(struct driver *driver)
{
    struct shmbus_message message;
    for (uint64_t i = 0; i < TURN; i++) {
        must(shmbus_consumer_next(driver->consumers[0], &message), "next");
        check(&message, driver);
    }
}

/* The turns of retain are of one message, since next is none of what is counted. */
static void measured_retain(struct driver *driver, const struct shmbus_message *message)
{
    uint64_t handle;
    must(shmbus_consumer_retain(driver->consumers[0], message, &handle), "retain");
    must(shmbus_consumer_release(driver->consumers[0], handle), "release");
}

/* ---- turns ---- */

static void (*const volatile counted_retain)(struct driver *,
                                             const struct shmbus_message *) = measured_retain;

static void turn_retain(struct driver *driver)
{
    struct shmbus_message message;
    for (uint64_t i = 0; i < TURN; i++) {
        must(shmbus_consumer_next(driver->consumers[0], &message), "next");
        counted_retain(driver, &message);
        check(&message, driver);
    }
}

static void read_all(struct driver *driver)
{
    for (uint32_t i = 0; i < driver->consumer_count; i++)
        must(shmbus_consumer_poll(driver->consumers[i], check, driver, TURN), "poll");
}

struct mode {
    const char *name;
    void (*send)(struct driver *driver);
    void (*take)(struct driver *driver);
};

static const struct mode modes[] = {
    {"publish", measured_publish, read_all},   {"claim", measured_claim, read_all},
    {"batch", measured_batch, read_all},       {"pooled", measured_pooled, read_all},
    {"poll", measured_publish, measured_poll}, {"next", measured_publish, measured_next},
    {"retain", measured_pooled, turn_retain},  {"consumers", measured_publish, read_all},
    {"reclaim", measured_pooled, read_all},    {NULL, NULL, NULL},
};

static void open_all(struct driver *driver, uint64_t capacity, uint64_t slabs, uint32_t consumers)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                           .capacity = capacity,
                                           .class_count = 1,
                                           .classes = {{POOLED_BYTES, slabs}}};
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .kind = SHMBUS_REQUIRED, .from = SHMBUS_FROM_OLDEST};
    shmbus_unlink(bus_name, NULL);
    must(shmbus_producer_create(bus_name, &bus, NULL, &driver->producer), "create");
    for (; driver->consumer_count < consumers; driver->consumer_count++)
        must(shmbus_consumer_open(bus_name, &options, &driver->consumers[driver->consumer_count]),
             "open");
    for (uint64_t i = 0; i < TURN; i++)
        driver->outgoing[i] = (struct shmbus_outgoing){driver->words[i], SMALL_BYTES, 1, 0};
}

static void close_all(struct driver *driver)
{
    for (uint32_t i = 0; i < driver->consumer_count; i++)
        shmbus_consumer_close(driver->consumers[i]);
    shmbus_producer_close(driver->producer);
    shmbus_unlink(bus_name, NULL);
}

/* Tells lackey's reader where feed is mapped. */
static void say_where(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, bus_name) != NULL && strstr(line, "/feed") != NULL &&
            strstr(line, " rw-s") != NULL)
            printf("feed %s", line);
    if (maps != NULL)
        fclose(maps);
    printf("mark %p\n", (const void *)&mark);
    fflush(stdout);
}

static void set_mark(uint64_t value)
{
    *(volatile uint64_t *)&mark = value;
}

static void turns(struct driver *driver, void (*send)(struct driver *),
                  void (*take)(struct driver *), uint64_t messages)
{
    for (uint64_t i = 0; i < messages; i += TURN) {
        fill(driver);
        set_mark(1);
        send(driver);
        set_mark(2);
        driver->sent += TURN;
        take(driver);
    }
    if (driver->read != driver->sent * driver->consumer_count)
        must(shmbus_producer_flush(driver->producer, 0), "not all was read; flush");
}

static int run_mode(const struct mode *mode, uint64_t value)
{
    static struct driver driver;
    int is_lap = strcmp(mode->name, "consumers") == 0;
    int is_pool = strcmp(mode->name, "reclaim") == 0;
    uint64_t messages = is_lap || is_pool ? LAP : (value + TURN - 1) / TURN * TURN;
    if (is_lap && value > CONSUMERS_MAX) {
        fprintf(stderr, "shmbus-bench-driver: at most %d consumers\n", CONSUMERS_MAX);
        return 2;
    }
    open_all(&driver, is_lap || is_pool ? LAP : 1024, is_pool ? value : 256,
             is_lap ? (uint32_t)value : 1);
    say_where();
    if (is_lap || is_pool) { /* a lap by another function, which is not counted */
        for (uint64_t i = 0; i < TURN && is_pool; i++)
            driver.outgoing[i].length = POOLED_BYTES;
        turns(&driver, measured_batch, read_all, LAP);
    }
    turns(&driver, mode->send, mode->take, messages);
    close_all(&driver);
    printf("messages %llu\n", (unsigned long long)messages);
    return 0;
}

/* ---- park ---- */

static void consume_parked(uint64_t count, uint64_t *out_waits)
{
    struct driver driver = {0};
    const struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                                    .kind = SHMBUS_REQUIRED,
                                                    .wait = {.strategy = SHMBUS_WAIT_PARK}};
    struct shmbus_consumer *consumer;
    must(shmbus_consumer_open(bus_name, &options, &consumer), "open");
    while (driver.read < count) {
        must(shmbus_consumer_poll(consumer, check, &driver, TURN), "poll");
        if (driver.read == count)
            break;
        ++*out_waits;
        must(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), "wait");
    }
    shmbus_consumer_close(consumer);
}

static int run_park(uint64_t count)
{
    static struct driver driver;
    int status = 0;
    uint64_t *waits =
        mmap(NULL, sizeof *waits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (waits == MAP_FAILED)
        return 1;
    open_all(&driver, 1024, 64, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        consume_parked(count, waits);
        _exit(0);
    }
    while (shmbus_producer_required(driver.producer, NULL) == 0 &&
           waitpid(child, &status, WNOHANG) == 0)
        usleep(1000);
    syscall(SYS_getppid);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t from = cpu_ticks();
        while (cpu_ticks() - from < PARK_TICKS)
            cpu_pause(10);
        small_fill(driver.words[0], i);
        must(shmbus_producer_publish(driver.producer, 1, 0, driver.words[0], SMALL_BYTES),
             "publish");
    }
    syscall(SYS_getppid);
    waitpid(child, &status, 0);
    close_all(&driver);
    printf("messages %llu\nwaits %llu\n", (unsigned long long)count, (unsigned long long)*waits);
    return child < 0 || status != 0;
}

int main(int arguments, char **words)
{
    const char *name = arguments > 1 ? words[1] : "";
    uint64_t value = arguments > 2 ? strtoull(words[2], NULL, 10) : 6400;
    if (strcmp(name, "park") == 0 && value > 0)
        return run_park(value);
    for (const struct mode *mode = modes; mode->name != NULL; mode++)
        if (strcmp(mode->name, name) == 0 && value > 0)
            return run_mode(mode, value);
    fprintf(stderr, "shmbus-bench-driver: MODE [VALUE]; modes:");
    for (const struct mode *mode = modes; mode->name != NULL; mode++)
        fprintf(stderr, " %s", mode->name);
    fprintf(stderr, " park\n");
    return 2;
}
