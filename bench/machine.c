/* SPDX-License-Identifier: MIT */
/*
 * Reads /proc and /sys once before and once after the measurements. How much processor time others
 * used is what all processors spent less what this process and its children did: unlike the load
 * average it does not count the benchmark itself.
 */
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"

static const double loaded_elsewhere = 3.0; /* percent */
static const double loaded_before = 0.3;    /* load average, for each processor */

static void first_line(const char *path, char *out, size_t bytes)
{
    out[0] = '\0';
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return;
    if (fgets(out, (int)bytes, stream) == NULL)
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(stream);
}

static void read_processor(struct machine *machine)
{
    char line[8192];
    FILE *stream = fopen("/proc/cpuinfo", "re");
    if (stream == NULL)
        return;
    while (fgets(line, sizeof(line), stream) != NULL && line[0] != '\n') {
        const char *value = strchr(line, ':');
        if (value == NULL || value[1] == '\0')
            continue;
        if (strncmp(line, "model name", 10) == 0)
            snprintf(machine->processor, sizeof(machine->processor), "%.*s",
                     (int)strcspn(value + 2, "\n"), value + 2);
        if (strncmp(line, "flags", 5) == 0) {
            machine->hypervisor = strstr(value, " hypervisor") != NULL;
            machine->steady_clock =
                strstr(value, " constant_tsc") != NULL && strstr(value, " nonstop_tsc") != NULL;
        }
    }
    fclose(stream);
#if !defined(__x86_64__)
    machine->steady_clock = 1;
#endif
}

static double load_average(void)
{
    double load = 0;
    FILE *stream = fopen("/proc/loadavg", "re");
    if (stream == NULL)
        return 0;
    if (fscanf(stream, "%lf", &load) != 1)
        load = 0;
    fclose(stream);
    return load;
}

/* Seconds of processor time since boot: spent, stolen, and spent or idle. */
static void processor_time(double *busy, double *stolen, double *all)
{
    double t[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *stream = fopen("/proc/stat", "re");
    *busy = *stolen = *all = 0;
    if (stream == NULL)
        return;
    if (fscanf(stream, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4],
               &t[5], &t[6], &t[7]) == 8) {
        double second = (double)sysconf(_SC_CLK_TCK);
        *busy = (t[0] + t[1] + t[2] + t[5] + t[6]) / second;
        *stolen = t[7] / second;
        *all = *busy + *stolen + (t[3] + t[4]) / second;
    }
    fclose(stream);
}

static double own_time(void)
{
    struct rusage usage[2];
    double seconds = 0;
    getrusage(RUSAGE_SELF, &usage[0]);
    getrusage(RUSAGE_CHILDREN, &usage[1]);
    for (int i = 0; i < 2; i++) {
        seconds += (double)(usage[i].ru_utime.tv_sec + usage[i].ru_stime.tv_sec);
        seconds += (double)(usage[i].ru_utime.tv_usec + usage[i].ru_stime.tv_usec) / 1e6;
    }
    return seconds;
}

static double measure_tick(void)
{
    uint64_t from = cpu_nanoseconds(), ticks = cpu_ticks(), now = from;
    while (now - from < 50000000u)
        now = cpu_nanoseconds();
    return (double)(now - from) / (double)(cpu_ticks() - ticks);
}

void machine_begin(struct machine *machine, const struct pinning *pinning)
{
    struct utsname system;
    time_t now = time(NULL);
    struct tm utc;
    memset(machine, 0, sizeof(*machine));
    machine->pinning = *pinning;
    if (uname(&system) == 0)
        snprintf(machine->kernel, sizeof(machine->kernel), "%s %s %s", system.sysname,
                 system.release, system.machine);
#if defined(__clang__)
    snprintf(machine->compiler, sizeof(machine->compiler), "clang %s", __clang_version__);
#else
    snprintf(machine->compiler, sizeof(machine->compiler), "gcc %s", __VERSION__);
#endif
    if (gmtime_r(&now, &utc) != NULL)
        strftime(machine->started, sizeof(machine->started), "%Y-%m-%dT%H:%M:%SZ", &utc);
    read_processor(machine);
    machine->processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
    machine->page_bytes = sysconf(_SC_PAGESIZE);
    first_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", machine->huge_shmem,
               sizeof(machine->huge_shmem));
    machine->ns_per_tick = measure_tick();
    machine->load_before = load_average();
    processor_time(&machine->busy_before, &machine->stolen_before, &machine->all_before);
    machine->busy_before -= own_time();
}

int machine_settle(int limit_s)
{
    static const struct timespec look = {0, 200000000};
    double busy[2], stolen[2], all[2];
    uint64_t deadline = cpu_nanoseconds() + (uint64_t)limit_s * 1000000000u;
    for (;;) {
        processor_time(&busy[0], &stolen[0], &all[0]);
        nanosleep(&look, NULL);
        processor_time(&busy[1], &stolen[1], &all[1]);
        double spent = busy[1] - busy[0] + stolen[1] - stolen[0];
        if (100 * spent <= loaded_elsewhere * (all[1] - all[0]))
            return 1;
        if (cpu_nanoseconds() > deadline)
            return 0;
    }
}

void machine_end(struct machine *machine)
{
    double busy, stolen, all;
    processor_time(&busy, &stolen, &all);
    double passed = all - machine->all_before;
    machine->load_after = load_average();
    if (passed > 0) {
        double elsewhere = busy - own_time() - machine->busy_before;
        machine->elsewhere_percent = elsewhere > 0 ? 100 * elsewhere / passed : 0;
        machine->stolen_percent = 100 * (stolen - machine->stolen_before) / passed;
    }
    machine->loaded = machine->elsewhere_percent + machine->stolen_percent > loaded_elsewhere ||
                      machine->load_before > loaded_before * machine->processors;
}
