/* SPDX-License-Identifier: MIT */
/*
 * The hot path makes no allocation and no system call: each case publishes and consumes 1,000,000
 * messages, by turns in one process, so that it never waits.
 *
 * Allocations are counted by the functions of malloc's family below, which stand in for the C
 * library's in the whole process. System calls are found twice: here each case runs in a child with
 * a seccomp filter by which any but exit_group kills it; and hotpath.sh runs "hotpath --window"
 * under strace, where two getppid() mark each window. Controls show that both can fail.
 */
#include <shmbus/shmbus.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MESSAGES     1000000u
#define TURN         64u
#define INLINE_BYTES 40u
#define POOLED_BYTES 1024u
#define SLABS        256u
#define BUS          "bus"

/* ---- malloc's family, counted ---- */

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's declarations
 * have names that are its own. */

static volatile int counting;
static volatile uint64_t allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

void *malloc(size_t bytes)
{
    allocations += (uint64_t)counting;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations += (uint64_t)counting;
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    allocations += (uint64_t)counting;
    return __libc_realloc(memory, bytes);
}

void *memalign(size_t alignment, size_t bytes);
void *memalign(size_t alignment, size_t bytes)
{
    allocations += (uint64_t)counting;
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

int posix_memalign(void **out_memory, size_t alignment, size_t bytes)
{
    *out_memory = memalign(alignment, bytes);
    return *out_memory == NULL ? ENOMEM : 0;
}

void free(void *memory)
{
    allocations += (uint64_t)counting;
    __libc_free(memory);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* ---- cases ---- */

/* A bus with both of its ends, and what they count. */
struct both {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct shmbus_slab slab; /* acquired by hand */
    uint64_t got;
    uint64_t kept; /* by how many retains that were released again */
    int keeps;
    unsigned char data[POOLED_BYTES];
};

/* What a child says in shared memory. */
struct report {
    uint64_t got;
    uint64_t allocations;
    int is_done;
};

static int take(const struct shmbus_message *message, void *context)
{
    struct both *both = context;
    uint64_t handle;
    uint64_t copy;
    both->got++;
    if (both->keeps && shmbus_consumer_retain(both->consumer, message, &handle) == 0 &&
        shmbus_consumer_copy(both->consumer, handle, &copy) == 0 &&
        shmbus_consumer_release(both->consumer, handle) == 0 &&
        shmbus_consumer_release(both->consumer, copy) == 0)
        both->kept++;
    return 0;
}

static void poll_turn(struct both *both)
{
    shmbus_consumer_poll(both->consumer, take, both, TURN);
}

static void publish_turn(struct both *both, uint32_t bytes)
{
    for (uint32_t i = 0; i < TURN; i++)
        shmbus_producer_publish(both->producer, 1, 0, both->data, bytes);
}

static void turn_inline(struct both *both)
{
    publish_turn(both, INLINE_BYTES);
    poll_turn(both);
}

static void turn_pooled(struct both *both)
{
    publish_turn(both, POOLED_BYTES);
    poll_turn(both);
}

static void turn_next(struct both *both)
{
    struct shmbus_message message;
    publish_turn(both, INLINE_BYTES);
    while (shmbus_consumer_next(both->consumer, &message) == 1)
        both->got++;
}

static void claim_turn(struct both *both, uint32_t bytes)
{
    struct shmbus_claim claim;
    for (uint32_t i = 0; i < TURN; i++)
        if (shmbus_producer_claim(both->producer, bytes, &claim) == 0) {
            memcpy(claim.data, both->data, bytes);
            shmbus_producer_commit(both->producer, &claim, 1, 0);
        }
    poll_turn(both);
}

static void turn_claim_inline(struct both *both)
{
    claim_turn(both, INLINE_BYTES);
}

static void turn_claim_pooled(struct both *both)
{
    claim_turn(both, POOLED_BYTES);
}

static void turn_abort(struct both *both)
{
    struct shmbus_claim claim;
    if (shmbus_producer_claim(both->producer, INLINE_BYTES, &claim) == 0)
        shmbus_producer_abort(both->producer, &claim);
    if (shmbus_producer_claim(both->producer, POOLED_BYTES, &claim) == 0)
        shmbus_producer_abort(both->producer, &claim);
    turn_inline(both);
}

static void turn_batch(struct both *both)
{
    struct shmbus_outgoing outgoing[TURN];
    for (uint32_t i = 0; i < TURN; i++)
        outgoing[i] =
            (struct shmbus_outgoing){both->data, i % 8 ? INLINE_BYTES : POOLED_BYTES, 1, 0};
    shmbus_producer_publish_batch(both->producer, outgoing, TURN);
    poll_turn(both);
}

static void turn_by_hand(struct both *both)
{
    struct shmbus_slab slab;
    if (shmbus_producer_slab_acquire(both->producer, POOLED_BYTES, 1, &slab) == 0)
        shmbus_producer_slab_release(both->producer, slab.handle);
    for (uint32_t i = 0; i < TURN; i++)
        shmbus_producer_slab_publish(both->producer, both->slab.handle, POOLED_BYTES, 1, 0);
    poll_turn(both);
}

static void turn_retain(struct both *both)
{
    both->keeps = 1;
    turn_pooled(both);
    turn_inline(both);
    both->keeps = 0;
}

static void turn_malloc(struct both *both)
{
    void *volatile memory = malloc(TURN);
    turn_inline(both);
    free(memory);
}

/* A wait that ended leaves its flag: the next message calls the kernel, once. */
static void turn_wake(struct both *both)
{
    turn_inline(both);
}

static void turn_system_call(struct both *both)
{
    turn_inline(both);
    syscall(SYS_getpid);
}

struct row {
    const char *name;
    void (*turn)(struct both *both);
    uint32_t per_turn; /* messages */
    int is_control;
};

static const struct row rows[] = {
    {"publish_poll_inline", turn_inline, TURN, 0},
    {"publish_poll_pooled", turn_pooled, TURN, 0},
    {"publish_next", turn_next, TURN, 0},
    {"claim_commit_inline", turn_claim_inline, TURN, 0},
    {"claim_commit_pooled", turn_claim_pooled, TURN, 0},
    {"abort", turn_abort, TURN, 0},
    {"batch", turn_batch, TURN, 0},
    {"slab_by_hand", turn_by_hand, TURN, 0},
    {"retain_copy_release", turn_retain, 2 * TURN, 0},
    {"control_wake", turn_wake, TURN, 1},
    {"control_malloc", turn_malloc, TURN, 1},
    {"control_system_call", turn_system_call, TURN, 1},
};

#define ROWS (sizeof rows / sizeof rows[0])

static int open_both(struct both *both, uint32_t flags)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus,
        .capacity = 1024,
        .class_count = 1,
        .classes = {{POOLED_BYTES, SLABS}},
        .flags = flags,
    };
    struct shmbus_consumer_options consumer = {.struct_bytes = sizeof consumer,
                                               .kind = SHMBUS_REQUIRED,
                                               .wait = {.strategy = SHMBUS_WAIT_PARK}};
    memset(both, 0, sizeof *both);
    int result = shmbus_producer_create(BUS, &bus, NULL, &both->producer);
    if (result == 0)
        result = shmbus_consumer_open(BUS, &consumer, &both->consumer);
    if (result == 0)
        result = shmbus_producer_slab_acquire(both->producer, POOLED_BYTES, 1, &both->slab);
    if (result < 0)
        printf("FAIL setup: %s\n", shmbus_error_text());
    return result;
}

/* The window: everything in here is the hot path. */
static void run(const struct row *row, struct both *both, struct report *report)
{
    allocations = 0;
    counting = 1;
    for (uint32_t sent = 0; sent < MESSAGES; sent += row->per_turn)
        row->turn(both);
    counting = 0;
    report->got = both->got;
    report->allocations = allocations;
    report->is_done = row->turn != turn_retain || both->kept == both->got;
}

/* From here on every system call but exit_group is the end of this process, by SIGSYS. */
static int forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* Does reading the clock make a system call here? Then timestamps do, too. */
static int clock_calls(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct timespec now;
        if (forbid_system_calls() < 0)
            _exit(1);
        clock_gettime(CLOCK_MONOTONIC, &now);
        _exit(0);
    }
    return child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status);
}

/* One case in a child under the filter. Returns its wait status. */
static int run_filtered(const struct row *row, uint32_t flags, struct report *report)
{
    static struct both both;
    int status = -1;
    memset(report, 0, sizeof *report);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (open_both(&both, flags) < 0)
            exit(1);
        if (row->turn == turn_wake)
            shmbus_consumer_wait(both.consumer, 1);
        if (forbid_system_calls() < 0)
            _exit(2);
        run(row, &both, report);
        _exit(0);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    shmbus_unlink(BUS, NULL);
    return status;
}

/* Judges a case; returns 1 when it failed. */
static int judge(const struct row *row, uint32_t flags, struct report *report)
{
    int status = run_filtered(row, flags, report);
    int is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
    const char *clock = flags & SHMBUS_BUS_TIMESTAMPS ? "_with_timestamps" : "";
    int is_good;
    if (row->turn == turn_system_call || row->turn == turn_wake)
        is_good = is_killed;
    else if (row->turn == turn_malloc)
        is_good = status == 0 && report->allocations > 0;
    else
        is_good =
            status == 0 && report->is_done && report->got >= MESSAGES && report->allocations == 0;
    printf("%s %s%s: %llu messages, %llu allocations, %s%s\n", is_good ? "PASS" : "FAIL", row->name,
           clock, (unsigned long long)report->got, (unsigned long long)report->allocations,
           is_killed     ? "a system call"
           : status == 0 ? "no system call"
                         : "ended otherwise",
           row->is_control ? ": found, as it must be" : "");
    return !is_good;
}

static int run_all_filtered(void)
{
    int failed = 0;
    int calls = clock_calls();
    struct report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < ROWS; i++) {
        failed += judge(&rows[i], 0, report);
        if (!calls && !rows[i].is_control)
            failed += judge(&rows[i], SHMBUS_BUS_TIMESTAMPS, report);
    }
    if (calls)
        puts("hotpath: this machine's clock needs a system call: timestamps were left out");
    return failed > 0;
}

/* The same without the filter, for strace: each window between two getppid(). */
static int run_all_marked(int with_control)
{
    static struct both both;
    struct report report;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].is_control != with_control || rows[i].turn == turn_malloc ||
            rows[i].turn == turn_wake)
            continue;
        if (open_both(&both, 0) < 0)
            return 1;
        syscall(SYS_getppid);
        run(&rows[i], &both, &report);
        syscall(SYS_getppid);
        shmbus_consumer_close(both.consumer);
        shmbus_producer_close(both.producer);
        shmbus_unlink(BUS, NULL);
    }
    return 0;
}

int main(int count, char **words)
{
    char folder[] = "/dev/shm/shmbus-test.XXXXXX";
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    setenv("SHMBUS_DIR", folder, 1);
    int result;
    if (count > 1 && strcmp(words[1], "--window") == 0)
        result = run_all_marked(0);
    else if (count > 1 && strcmp(words[1], "--control") == 0)
        result = run_all_marked(1);
    else
        result = run_all_filtered();
    if (rmdir(folder) < 0) {
        perror(folder);
        result = 1;
    }
    return result;
}
