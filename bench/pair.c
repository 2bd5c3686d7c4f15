/* SPDX-License-Identifier: MIT */
/*
 * The parent holds no bus open and touches none of the measured memory. It sleeps until both
 * children have ended, and kills the other when one failed or a signal came, so that nobody is left
 * spinning; the kernel kills both if the parent dies. Buses are named after the parent's pid, and
 * the parent unlinks them after every run, whichever way it ended. A floor's memory is a file
 * without a name in the folder of the buses, so that floor and subject are on the same file system.
 */
#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <shmbus/shmbus.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "role.h"

static const char bus_prefix[] = "shmbus-bench.";
static const int run_limit_s = 180; /* a run that takes longer hangs */

const double curve_shares[CURVE_POINTS] = {0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999};

static struct {
    char folder[512];
    char bus[ROLES][BUS_NAME_MAX];
    sigset_t watched;
    sigset_t before;
} pair;

int role_fail(struct role *role, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(role->outcome->why, sizeof(role->outcome->why), format, arguments);
    va_end(arguments);
    return ROLE_NOT_SET_UP;
}

int role_wrong(struct role *role, uint64_t expected, uint64_t got)
{
    role_fail(role, "message %llu is wrong: its first words say %llu", (unsigned long long)expected,
              (unsigned long long)got);
    return ROLE_CHECK_FAILED;
}

void role_meet(struct role *role)
{
    /* release and acquire: what each set up is seen by the other */
    atomic_store_explicit(&role->meeting->ready[role->index], 1, memory_order_release);
    while (atomic_load_explicit(&role->meeting->ready[1 - role->index], memory_order_acquire) == 0)
        sched_yield();
}

static int sweep_one(const char *name, void *context)
{
    (void)context;
    long pid = 0;
    if (strncmp(name, bus_prefix, sizeof(bus_prefix) - 1) != 0)
        return 0;
    if (sscanf(name + sizeof(bus_prefix) - 1, "%ld", &pid) != 1 || pid <= 0)
        return 0;
    /* One that a living producer owns is refused by the library, whatever its pid says. */
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        shmbus_unlink(name, pair.folder);
    return 0;
}

int pair_begin(void)
{
    const char *folder = getenv("SHMBUS_DIR");
    if (folder == NULL || folder[0] == '\0')
        folder = "/dev/shm";
    snprintf(pair.folder, sizeof(pair.folder), "%s", folder);
    for (int i = 0; i < ROLES; i++)
        snprintf(pair.bus[i], sizeof(pair.bus[i]), "%s%ld.%d", bus_prefix, (long)getpid(), i);
    shmbus_list(pair.folder, sweep_one, NULL);
    sigemptyset(&pair.watched);
    sigaddset(&pair.watched, SIGCHLD);
    sigaddset(&pair.watched, SIGINT);
    sigaddset(&pair.watched, SIGTERM);
    sigaddset(&pair.watched, SIGHUP);
    return sigprocmask(SIG_BLOCK, &pair.watched, &pair.before);
}

static int open_memory(uint64_t bytes)
{
    int file = open(pair.folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0)
        file = memfd_create("shmbus-bench", MFD_CLOEXEC);
    if (file >= 0 && ftruncate(file, (off_t)bytes) != 0) {
        close(file);
        return -1;
    }
    return file;
}

static unsigned char *map_memory(int file, uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* What a child does; does not return. */
static void act(struct role *role, const struct runner *runner, int cpu, int realtime, int file,
                uint64_t bytes)
{
    struct rusage usage[2];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &pair.before, NULL);
    int result = topology_pin(cpu);
    if (result != 0)
        _exit(role_fail(role, "cannot run on processor %d: %s", cpu, strerror(-result)));
    if (realtime && sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}) != 0)
        _exit(role_fail(role, "no real-time priority: %s", strerror(errno)));
    if (bytes != 0) {
        role->memory = map_memory(file, bytes);
        if (role->memory == NULL)
            _exit(role_fail(role, "no %llu bytes of shared memory: %s", (unsigned long long)bytes,
                            strerror(errno)));
    }
    getrusage(RUSAGE_SELF, &usage[0]);
    result = runner->act[role->index](role);
    getrusage(RUSAGE_SELF, &usage[1]);
    role->outcome->preempted = usage[1].ru_nivcsw - usage[0].ru_nivcsw;
    role->outcome->faults = usage[1].ru_minflt - usage[0].ru_minflt;
    _exit(result);
}

static void note_end(struct run *run, int index, int status, const struct outcome *outcome)
{
    static const char *const names[ROLES] = {"producer", "consumer"};
    if (WIFEXITED(status) && WEXITSTATUS(status) == ROLE_OK)
        return;
    run->ok = 0;
    if (run->why[0] != '\0') /* the first to fail is the reason; the other was killed for it */
        return;
    if (WIFSIGNALED(status))
        snprintf(run->why, sizeof(run->why), "%s: ended by signal %d", names[index],
                 WTERMSIG(status));
    else
        snprintf(run->why, sizeof(run->why), "%s: %.200s", names[index],
                 outcome->why[0] != '\0' ? outcome->why : "failed");
}

/* Waits for both children. Returns the signal that asked us to end, or 0. */
static int watch(pid_t child[ROLES], struct meeting *meeting, struct run *run)
{
    int left = (child[0] > 0) + (child[1] > 0), asked = 0;
    uint64_t deadline = cpu_nanoseconds() + (uint64_t)run_limit_s * 1000000000u;
    while (left > 0) {
        struct timespec limit = {1, 0};
        int got = sigtimedwait(&pair.watched, NULL, &limit);
        if (got > 0 && got != SIGCHLD)
            asked = got;
        for (int i = 0; i < ROLES; i++) {
            int status = 0;
            if (child[i] <= 0 || waitpid(child[i], &status, WNOHANG) != child[i])
                continue;
            child[i] = 0;
            left--;
            note_end(run, i, status, &meeting->outcome[i]);
        }
        if (left > 0 && cpu_nanoseconds() > deadline && run->why[0] == '\0') {
            run->ok = 0;
            snprintf(run->why, sizeof(run->why), "not done after %d s", run_limit_s);
        }
        for (int i = 0; i < ROLES; i++)
            if ((asked != 0 || !run->ok) && child[i] > 0)
                kill(child[i], SIGKILL);
    }
    return asked;
}

/* The outcome of the role that measured. */
static const struct outcome *measured(const struct test *test, const struct meeting *meeting)
{
    const struct outcome *first = &meeting->outcome[0];
    int has = test->is_latency ? first->laps.count > 0 : first->ticks > 0;
    return has ? first : &meeting->outcome[1];
}

static void take_figures(struct run *run, const struct test *test, const struct meeting *meeting,
                         double ns_per_tick)
{
    const struct outcome *outcome = measured(test, meeting);
    const struct histogram *laps = &outcome->laps;
    for (int i = 0; i < ROLES; i++) {
        run->preempted[i] = meeting->outcome[i].preempted;
        run->faults[i] = meeting->outcome[i].faults;
    }
    if (test->is_latency) {
        run->messages = laps->count;
        run->p50_ns = (double)histogram_at(laps, 0.5) * ns_per_tick;
        run->p99_ns = (double)histogram_at(laps, 0.99) * ns_per_tick;
        run->p999_ns = (double)histogram_at(laps, 0.999) * ns_per_tick;
        run->max_ns = (double)laps->greatest * ns_per_tick;
        for (int i = 0; i < CURVE_POINTS; i++)
            run->curve_ns[i] = (double)histogram_at(laps, curve_shares[i]) * ns_per_tick;
        run->value = run->p50_ns;
    } else {
        run->messages = outcome->messages;
        run->seconds = (double)outcome->ticks * ns_per_tick / 1e9;
        run->value = run->seconds > 0 ? (double)run->messages / run->seconds : 0;
    }
    if (run->ok && run->value <= 0) {
        run->ok = 0;
        snprintf(run->why, sizeof(run->why), "nothing was measured");
    }
}

/* The kernel stops real-time processes that take more than 95 % of a second: that would be in the
 * middle of a run. So they take less. */
static void leave_others_time(uint64_t spent_ns)
{
    uint64_t rest_ns = spent_ns / 8;
    struct timespec rest = {(time_t)(rest_ns / 1000000000u), (long)(rest_ns % 1000000000u)};
    nanosleep(&rest, NULL);
}

int pair_run(const struct test *given, const struct runner *runner, const struct machine *machine,
             struct run *out_run)
{
    const struct test own = bench_own(given, runner), *test = &own;
    uint64_t bytes = runner->bytes != NULL ? runner->bytes(test) : 0;
    int file = bytes != 0 ? open_memory(bytes) : -1, asked = 0;
    pid_t child[ROLES] = {0};
    struct run run = {.ok = 1};
    const int event[ROLES] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
    struct meeting *meeting = mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (meeting == MAP_FAILED || (bytes != 0 && file < 0)) {
        snprintf(run.why, sizeof(run.why), "no shared memory: %s", strerror(errno));
        run.ok = 0;
        goto out;
    }
    fflush(NULL);
    for (int i = 0; i < ROLES; i++) {
        struct role role = {.test = test,
                            .meeting = meeting,
                            .outcome = &meeting->outcome[i],
                            .bus = {pair.bus[0], pair.bus[1]},
                            .folder = pair.folder,
                            .runner = runner,
                            .event = {event[0], event[1]},
                            .index = i};
        child[i] = fork();
        if (child[i] == 0)
            act(&role, runner, machine->pinning.cpu[i], machine->realtime, file, bytes);
        if (child[i] < 0) {
            snprintf(run.why, sizeof(run.why), "fork: %s", strerror(errno));
            run.ok = 0;
        }
    }
    uint64_t from = cpu_nanoseconds();
    asked = watch(child, meeting, &run);
    if (machine->realtime)
        leave_others_time(cpu_nanoseconds() - from);
    for (int i = 0; i < ROLES; i++)
        shmbus_unlink(pair.bus[i], pair.folder);
    if (runner->is_peer)
        peer_clean(pair.folder, pair.bus);
    take_figures(&run, test, meeting, machine->ns_per_tick);
out:
    *out_run = run;
    if (meeting != MAP_FAILED)
        munmap(meeting, sizeof(*meeting));
    if (file >= 0)
        close(file);
    for (int i = 0; i < ROLES; i++)
        if (event[i] >= 0)
            close(event[i]);
    return asked;
}
