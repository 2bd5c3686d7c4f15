/* SPDX-License-Identifier: MIT */
/*
 * The table. A ratio is the median over the pairs of the runner's figure divided by the floor's of
 * the same pair, so that a slow minute of the machine is in both.
 */
#include "report.h"

#include <shmbus/shmbus.h>
#include <stddef.h>
#include <string.h>

int report_find(const struct result *result, const char *name)
{
    for (int i = 0; i < result->runner_count && name != NULL; i++)
        if (strcmp(result->test.runners[i]->name, name) == 0)
            return i;
    return -1;
}

struct spread report_values(const struct result *result, int runner)
{
    double figures[PAIRS_MAX];
    size_t count = 0;
    for (int pair = 0; pair < result->pair_count; pair++) {
        const struct run *run = result_run(result, runner, pair);
        if (run->ok)
            figures[count++] = run->value;
    }
    return spread_of(figures, count);
}

struct spread report_ratios(const struct result *result, int runner, int other)
{
    double figures[PAIRS_MAX];
    size_t count = 0;
    for (int pair = 0; pair < result->pair_count; pair++) {
        const struct run *run = result_run(result, runner, pair);
        const struct run *against = result_run(result, other, pair);
        if (run->ok && against->ok)
            figures[count++] = run->value / against->value;
    }
    return spread_of(figures, count);
}

double report_median(const struct result *result, int runner, size_t offset)
{
    double figures[PAIRS_MAX];
    size_t count = 0;
    for (int pair = 0; pair < result->pair_count; pair++) {
        const struct run *run = result_run(result, runner, pair);
        if (run->ok)
            memcpy(&figures[count++], (const char *)run + offset, sizeof(double));
    }
    return spread_of(figures, count).median;
}

void report_machine(FILE *stream, const struct machine *machine)
{
    const struct pinning *pinning = &machine->pinning;
    fprintf(stream, "shmbus-bench %s, %s\n", shmbus_version(), machine->started);
    fprintf(stream, "  processor  %s, %d of them%s\n", machine->processor, machine->processors,
            machine->hypervisor ? ", under a hypervisor" : "");
    fprintf(stream, "  kernel     %s\n", machine->kernel);
    fprintf(stream, "  compiler   %s\n", machine->compiler);
    fprintf(stream, "  pinned to  %d and %d: %s", pinning->cpu[0], pinning->cpu[1],
            topology_words(pinning->nearness));
    if (pinning->shared_cache > 0)
        fprintf(stream, ", sharing the L%d cache", pinning->shared_cache);
    fprintf(stream, "; NUMA nodes %d and %d%s\n", pinning->node[0], pinning->node[1],
            machine->realtime ? "; at a real-time priority" : "");
    fprintf(stream, "  pages      %ld bytes; huge ones in shared memory: %s\n", machine->page_bytes,
            machine->huge_shmem[0] != '\0' ? machine->huge_shmem : "not known");
    fprintf(stream, "  clock      %.4f ns a tick%s\n", machine->ns_per_tick,
            machine->steady_clock ? "" : ", NOT constant: do not trust the figures");
    fprintf(stream, "  load       %.2f before\n\n", machine->load_before);
}

/* A figure in the unit of its test: ns, or millions (thousands, when few) of messages a second. */
static double scaled(const struct test *test, double value)
{
    if (test->is_latency)
        return value;
    return test->slabs == 0 ? value / 1e6 : value / 1e3;
}

static const char *unit_of(const struct test *test)
{
    if (test->is_latency)
        return "ns";
    return test->slabs == 0 ? "M/s" : "k/s";
}

static void show_runner(FILE *stream, const struct result *result, int runner)
{
    const struct test *test = &result->test;
    struct spread value = report_values(result, runner);
    fprintf(stream, "  %-20s %9.1f  %8.1f..%-8.1f", test->runners[runner]->name,
            scaled(test, value.median), scaled(test, value.least), scaled(test, value.most));
    if (test->is_latency)
        fprintf(stream, " %7.0f %7.0f %8.0f",
                report_median(result, runner, offsetof(struct run, p99_ns)),
                report_median(result, runner, offsetof(struct run, p999_ns)),
                report_median(result, runner, offsetof(struct run, max_ns)));
    else
        fprintf(stream, " %8.2f", value.median * bench_size(test, test->runners[runner]) / 1e9);
    for (int i = 0; i < result->runner_count && !test->runners[runner]->is_floor; i++) {
        if (!test->runners[i]->is_floor)
            break;
        struct spread ratio = report_ratios(result, runner, i);
        fprintf(stream, "  %s%.3f (%.2f..%.2f)",
                strcmp(test->runners[i]->name, test->main_floor) == 0 ? "*" : "", ratio.median,
                ratio.least, ratio.most);
    }
    fprintf(stream, "\n");
}

/* The first reason and how many there are; JSON has them all. */
static void show_failures(FILE *stream, const struct result *result, int runner)
{
    const struct run *first = NULL;
    int count = 0;
    for (int pair = result->pair_count - 1; pair >= 0; pair--)
        if (!result_run(result, runner, pair)->ok) {
            first = result_run(result, runner, pair);
            count++;
        }
    if (first != NULL)
        fprintf(stream, "  FAILED: %d of %d runs of %s; %s\n", count, result->pair_count,
                result->test.runners[runner]->name, first->why);
}

void report_table(FILE *stream, const struct result *result)
{
    const struct test *test = &result->test;
    fprintf(stream, "%s: %s (%d pairs)\n", test->name, test->title, result->pair_count);
    fprintf(stream, "  %-20s %9s  %18s", "", test->is_latency ? "p50 ns" : unit_of(test),
            "least..most     ");
    fprintf(stream, test->is_latency ? " %7s %7s %8s" : " %8s", test->is_latency ? "p99" : "GB/s",
            "p99.9", "max");
    for (int i = 0; i < result->runner_count && test->runners[i]->is_floor; i++)
        fprintf(stream, "  / %-17s", test->runners[i]->name);
    fprintf(stream, "\n");
    for (int i = 0; i < result->runner_count; i++)
        show_runner(stream, result, i);
    for (int i = 0; i < result->runner_count; i++)
        show_failures(stream, result, i);
    fprintf(stream, "\n");
    fflush(stream);
}

void report_load(FILE *stream, const struct machine *machine)
{
    fprintf(stream,
            "load %.2f before, %.2f after; others used %.1f %% of the processors meanwhile, the "
            "hypervisor took %.1f %%\n",
            machine->load_before, machine->load_after, machine->elsewhere_percent,
            machine->stolen_percent);
    if (machine->loaded)
        fprintf(stream, "THE MACHINE WAS LOADED: only the ratios of pairs mean something.\n");
}
