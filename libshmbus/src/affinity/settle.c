/* SPDX-License-Identifier: MIT */
/*
 * Settling a thread: the host is read, the CPUs chosen, set and read back; then the policy. What
 * fails leaves the thread as it was, or, with best effort, goes into the report.
 */
#include "affinity/affinity.h"
#include "error/error.h"
#include "layout/layout.h"
#include "numa/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define CPU_FOLDER  "/sys/devices/system/cpu/"
#define NODE_FOLDER "/sys/devices/system/node/"

/* A thread as it was before. */
struct before {
    struct cpus cpus;
    int policy;
    struct sched_param parameter;
};

static int get_cpus(struct cpus *out_cpus)
{
    memset(out_cpus, 0, sizeof *out_cpus);
    return sched_getaffinity(0, sizeof out_cpus->sets, out_cpus->sets);
}

static int set_cpus(const struct cpus *cpus)
{
    return sched_setaffinity(0, sizeof cpus->sets, cpus->sets);
}

static void get_policy(struct before *out_before)
{
    out_before->policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    if (sched_getparam(0, &out_before->parameter) < 0)
        out_before->parameter.sched_priority = 0;
}

static int read_node(int32_t node, struct cpus *out_cpus)
{
    char path[64];
    snprintf(path, sizeof path, NODE_FOLDER "node%" PRId32 "/cpulist", node);
    return cpus_read(path, out_cpus);
}

/* What the host does not say is empty: then the kernel's own answer has to do. */
static void read_host(const struct affinity_subject *subject,
                      const struct shmbus_settle_options *options, struct affinity_host *out_host)
{
    memset(out_host, 0, sizeof *out_host);
    cpus_read(CPU_FOLDER "online", &out_host->online);
    cpus_read(CPU_FOLDER "possible", &out_host->possible);
    cpus_read(CPU_FOLDER "isolated", &out_host->isolated);
    cpus_read(CPU_FOLDER "nohz_full", &out_host->tickless);
    cpus_read(NODE_FOLDER "online", &out_host->nodes);
    out_host->bus_node = place_node(subject->feed, subject->feed_bytes);
    if (out_host->bus_node < 0)
        out_host->bus_node = subject->asked_node;
    int32_t node = options->cpus == SHMBUS_CPUS_NODE ? (int32_t)options->node : out_host->bus_node;
    if (node >= 0)
        read_node(node, &out_host->node);
}

/* Tries what the kernel makes of all CPUs, to name those that the cpuset leaves. */
static int outside_of_cpuset(const struct affinity_host *host, const struct cpus *wanted,
                             const struct before *before)
{
    struct cpus left;
    char wish[64];
    char leaves[128];
    int known = set_cpus(&host->possible) == 0 && get_cpus(&left) == 0;
    set_cpus(&before->cpus);
    cpus_print(wanted, wish, sizeof wish);
    if (known)
        cpus_print(&left, leaves, sizeof leaves);
    return error_set(-EPERM,
                     "CPU %s: outside of this process's cpuset, which has %s (change the cgroup's "
                     "cpuset.cpus; of a container, docker run --cpuset-cpus)",
                     wish, known ? leaves : "others");
}

/* Puts the thread on these CPUs. What the kernel leaves out of them is noted. */
static int pin(const struct affinity_host *host, const struct cpus *wanted,
               const struct before *before, struct shmbus_settled *settled)
{
    struct cpus got;
    if (set_cpus(wanted) < 0) {
        if (errno == EINVAL)
            return outside_of_cpuset(host, wanted, before);
        return error_set(-EPERM, "sched_setaffinity: %s (a seccomp filter?)", strerror(errno));
    }
    if (get_cpus(&got) == 0 && !CPU_EQUAL_S(sizeof got.sets, got.sets, wanted->sets)) {
        char wish[96];
        char has[96];
        cpus_print(wanted, wish, sizeof wish);
        cpus_print(&got, has, sizeof has);
        settled->missed |= SHMBUS_MISSED_SOME_CPUS;
        snprintf(settled->why, sizeof settled->why, "CPUs %s: the cpuset leaves %s of them", wish,
                 has);
    }
    return 0;
}

static int prioritize(uint32_t priority)
{
    const struct sched_param parameter = {.sched_priority = (int)priority};
    struct rlimit limit = {0, 0};
    if (sched_setscheduler(0, SCHED_FIFO, &parameter) == 0)
        return 0;
    if (errno != EPERM)
        return error_set(-ENOTSUP, "SCHED_FIFO: %s", strerror(errno));
    getrlimit(RLIMIT_RTPRIO, &limit);
    if (limit.rlim_cur >= priority)
        return error_set(-EPERM,
                         "SCHED_FIFO %" PRIu32 ": not permitted, although RLIMIT_RTPRIO is %llu "
                         "(has its cgroup real-time to spend? see cpu.rt_runtime_us)",
                         priority, (unsigned long long)limit.rlim_cur);
    return error_set(-EPERM,
                     "SCHED_FIFO %" PRIu32 ": not permitted: RLIMIT_RTPRIO is %llu (raise it: "
                     "ulimit -r, LimitRTPRIO= of systemd; or give the process CAP_SYS_NICE)",
                     priority, (unsigned long long)limit.rlim_cur);
}

/* Notes an error as what was not to be had. */
static void miss(struct shmbus_settled *settled, uint32_t what)
{
    size_t used = strlen(settled->why);
    settled->missed |= what;
    snprintf(settled->why + used, sizeof settled->why - used, "%s%s", used > 0 ? "; " : "",
             shmbus_error_text());
}

static int is_excused(int result, const struct shmbus_settle_options *options)
{
    return options->flags & SHMBUS_SETTLE_BEST_EFFORT &&
           (result == -ENXIO || result == -ENOTSUP || result == -EPERM);
}

static int settle_cpus(const struct affinity_host *host,
                       const struct shmbus_settle_options *options, const struct before *before,
                       struct shmbus_settled *settled)
{
    struct cpus wanted;
    if (options->cpus == SHMBUS_CPUS_AS_IS)
        return 0;
    int result = affinity_choose(host, options, &wanted);
    if (result == 0)
        result = pin(host, &wanted, before, settled);
    if (!is_excused(result, options))
        return result;
    miss(settled, SHMBUS_MISSED_CPUS);
    return 0;
}

/* The policy, on the CPUs that the thread has by now. */
static int settle_policy(const struct affinity_subject *subject, const struct affinity_host *host,
                         const struct shmbus_settle_options *options, const struct before *before,
                         struct shmbus_settled *settled)
{
    struct cpus now;
    int is_real_time = before->policy == SCHED_FIFO || before->policy == SCHED_RR;
    int policy = options->fifo_priority > 0 ? SCHED_FIFO : before->policy;
    int result = 0;
    if (options->fifo_priority == 0 && options->cpus == SHMBUS_CPUS_AS_IS)
        return 0;
    if (!(options->flags & SHMBUS_SETTLE_FORCE) && get_cpus(&now) == 0)
        result = affinity_allow(host, &now, policy, subject->wait_strategy);
    int is_starving = result < 0;
    if (result == 0 && options->fifo_priority > 0)
        result = prioritize(options->fifo_priority);
    if (!is_excused(result, options))
        return result;
    miss(settled, options->fifo_priority > 0 ? SHMBUS_MISSED_FIFO : SHMBUS_MISSED_CPUS);
    /* A thread that is real-time already is not put where it would starve the rest. */
    if (is_starving && is_real_time && options->cpus != SHMBUS_CPUS_AS_IS) {
        settled->missed |= SHMBUS_MISSED_CPUS;
        set_cpus(&before->cpus);
    }
    return 0;
}

static void report(const struct affinity_host *host, struct shmbus_settled *settled)
{
    struct before now;
    struct cpus part;
    get_policy(&now);
    settled->policy = (uint32_t)now.policy;
    settled->priority = (uint32_t)now.parameter.sched_priority;
    settled->node = -1;
    settled->bus_node = host->bus_node;
    if (get_cpus(&now.cpus) < 0)
        return;
    settled->cpu_count = cpus_count(&now.cpus);
    cpus_print(&now.cpus, settled->cpus, sizeof settled->cpus);
    cpus_both(&now.cpus, &host->isolated, &part);
    settled->isolated = cpus_count(&part);
    cpus_both(&now.cpus, &host->tickless, &part);
    settled->tickless = cpus_count(&part);
    for (uint32_t i = 0; i < cpus_count(&host->nodes); i++) {
        int node = cpus_nth(&host->nodes, i);
        if (read_node(node, &part) < 0)
            continue;
        cpus_both(&now.cpus, &part, &part);
        if (cpus_count(&part) == settled->cpu_count)
            settled->node = node;
    }
}

static int check(const struct shmbus_settle_options *options)
{
    const uint32_t known = SHMBUS_SETTLE_BEST_EFFORT | SHMBUS_SETTLE_FORCE;
    int most = sched_get_priority_max(SCHED_FIFO);
    if (options->cpus > SHMBUS_CPUS_ISOLATED)
        return error_set(-EINVAL, "cpus: %" PRIu32 " is no choice of CPUs", options->cpus);
    if (options->flags & ~known)
        return error_set(-EINVAL, "flags: 0x%" PRIx32 " has bits that mean nothing here",
                         options->flags & ~known);
    if (options->fifo_priority > (uint32_t)most)
        return error_set(-EINVAL, "fifo_priority: %" PRIu32 " is not 1 to %d",
                         options->fifo_priority, most);
    return 0;
}

static int settle(const struct affinity_subject *subject,
                  const struct shmbus_settle_options *options, struct shmbus_settled *out_settled)
{
    struct shmbus_settled settled = {.cpus = ""};
    struct affinity_host host;
    struct before before;
    get_policy(&before);
    if (get_cpus(&before.cpus) < 0)
        return error_set(-ENOTSUP, "sched_getaffinity: %s", strerror(errno));
    read_host(subject, options, &host);
    int result = settle_cpus(&host, options, &before, &settled);
    if (result == 0)
        result = settle_policy(subject, &host, options, &before, &settled);
    if (result < 0) {
        set_cpus(&before.cpus);
        return result;
    }
    report(&host, &settled);
    if (out_settled != NULL)
        *out_settled = settled;
    return 0;
}

int affinity_settle(const struct affinity_subject *subject,
                    const struct shmbus_settle_options *options, struct shmbus_settled *out_settled)
{
    struct shmbus_settle_options taken;
    int saved = errno;
    int result = layout_take_options(options, sizeof taken, "settle options", &taken);
    if (result == 0)
        result = check(&taken);
    if (result == 0)
        result = settle(subject, &taken, out_settled);
    errno = saved;
    return result;
}
