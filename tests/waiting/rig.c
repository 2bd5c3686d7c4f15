/* SPDX-License-Identifier: MIT */
/* What the tests of waiting share: see rig.h. */
#include "rig.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct shmbus_bus_options rig_bus(void)
{
    return (struct shmbus_bus_options){
        .struct_bytes = sizeof(struct shmbus_bus_options),
        .capacity = CAPACITY,
        .max_consumers = 4,
        .class_count = 2,
        .classes = {{64, 4}, {4096, 2}},
    };
}

struct shmbus_producer *rig_create(const struct shmbus_wait *wait, uint32_t bus_flags)
{
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer_options options = {
        .struct_bytes = sizeof options,
        .full_timeout_ns = SHMBUS_FOREVER,
        .wait = *wait,
    };
    bus.flags = bus_flags;
    return support_create(BUS, &bus, &options);
}

struct shmbus_consumer *rig_join(uint32_t kind, uint32_t from, const struct shmbus_wait *wait)
{
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = "waiter",
        .kind = kind,
        .from = from,
        .wait = *wait,
    };
    ck_assert_msg(shmbus_consumer_open(BUS, &options, &consumer) == 0, "%s", shmbus_error_text());
    return consumer;
}

void rig_publish(struct shmbus_producer *producer)
{
    uint64_t number = shmbus_producer_next_sequence(producer);
    ck_assert_msg(shmbus_producer_publish(producer, 1, 0, &number, sizeof number) == 0, "%s",
                  shmbus_error_text());
}

void rig_take(struct shmbus_consumer *consumer, uint64_t sequence)
{
    struct shmbus_message message;
    int result;
    while ((result = shmbus_consumer_next(consumer, &message)) == 0)
        ck_assert_msg(shmbus_consumer_wait(consumer, SHMBUS_FOREVER) == 0, "%s",
                      shmbus_error_text());
    ck_assert_msg(result == 1, "%s", shmbus_error_text());
    ck_assert_uint_eq(message.sequence, sequence);
    ck_assert_uint_eq(*(const uint64_t *)message.data, sequence);
}

static void pause_a_little(void)
{
    struct timespec time = {0, 200000};
    nanosleep(&time, NULL);
}

/* A case's own guard ends a look that never finds it. */
static void until(int is_producer, uint32_t waiting)
{
    for (;;) {
        struct shmbus_snapshot *snapshot = support_look(BUS);
        const struct shmbus_producer_info *producer = shmbus_snapshot_producer(snapshot, 0);
        const struct shmbus_consumer_info *consumer = shmbus_snapshot_consumer(snapshot, 0);
        ck_assert(is_producer ? producer != NULL : consumer != NULL);
        uint32_t found = is_producer ? producer->waiting : consumer->waiting;
        shmbus_snapshot_close(snapshot);
        if (found == waiting)
            return;
        pause_a_little();
    }
}

void rig_until_consumer(uint32_t waiting)
{
    until(0, waiting);
}

void rig_until_producer(uint32_t waiting)
{
    until(1, waiting);
}

void rig_until_asleep(pid_t pid, int in_futex)
{
    char path[64];
    char text[64] = "";
    long wanted = in_futex ? SYS_futex : SYS_clock_nanosleep;
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    for (;;) {
        FILE *file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        char *end = text;
        long found = fgets(text, sizeof text, file) != NULL ? strtol(text, &end, 10) : -1;
        fclose(file);
        if (end != text && found == wanted)
            return;
        pause_a_little();
    }
}

void rig_refuse_membarrier(int number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
    errno = 0;
    ck_assert(syscall(SYS_membarrier, 0, 0, 0) == -1 && errno == number);
}

/* ---- consumers in processes of their own ---- */

static int64_t wait_and_take(struct shmbus_consumer *consumer)
{
    struct shmbus_message message;
    int result = shmbus_consumer_wait(consumer, SHMBUS_FOREVER);
    if (result == 0)
        result = shmbus_consumer_next(consumer, &message);
    return result == 1 ? (int64_t)message.sequence : result;
}

static int stop_here(const struct shmbus_message *message, void *context)
{
    (void)message;
    (void)context;
    return 1;
}

static int64_t obey(struct shmbus_consumer *consumer, uint64_t order, uint64_t argument)
{
    static uint64_t kept;
    struct shmbus_message message;
    if (order == RIG_WAIT)
        return wait_and_take(consumer);
    if (order == RIG_READ) {
        for (uint64_t i = 0; i < argument; i++)
            ck_assert_int_eq(shmbus_consumer_poll(consumer, stop_here, NULL, 1), 1);
        struct shmbus_consumer_stats stats;
        ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
        return (int64_t)stats.cursor;
    }
    if (order == RIG_KEEP) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &kept), 0);
        return (int64_t)message.sequence;
    }
    if (order == RIG_RELEASE)
        return shmbus_consumer_release(consumer, kept);
    return shmbus_consumer_rejoin(consumer, SHMBUS_FROM_TAIL, 0);
}

static void child_main(int line, void *context)
{
    const struct rig_child *how = context;
    if (how->refuse_membarrier != 0)
        rig_refuse_membarrier(how->refuse_membarrier);
    struct shmbus_consumer *consumer = rig_join(how->kind, SHMBUS_FROM_OLDEST, &how->wait);
    child_tell(line, 0);
    uint64_t order;
    while ((order = child_hear(line)) != RIG_LEAVE) {
        uint64_t argument = child_hear(line);
        child_tell(line, (uint64_t)obey(consumer, order, argument));
    }
    child_hear(line);
    shmbus_consumer_close(consumer);
    child_tell(line, 0);
}

struct child rig_start(const struct rig_child *how)
{
    struct rig_child copy = *how;
    struct child child = child_start(child_main, &copy);
    child_hear(child.line);
    return child;
}

void rig_tell(const struct child *child, enum rig_order order, uint64_t argument)
{
    child_tell(child->line, order);
    child_tell(child->line, argument);
}

int64_t rig_order(const struct child *child, enum rig_order order, uint64_t argument)
{
    rig_tell(child, order, argument);
    return (int64_t)child_hear(child->line);
}
