/* SPDX-License-Identifier: MIT */
/*
 * The results as JSON: one list, an object for each runner of each test, each with the machine it
 * was measured on and every single run, the failed ones too. A figure that a test does not have is
 * null.
 */
#include <errno.h>
#include <shmbus/shmbus.h>
#include <stddef.h>
#include <string.h>

#include "report.h"

static void put_text(FILE *stream, const char *key, const char *text)
{
    fprintf(stream, "\"%s\": \"", key);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(stream, "\\%c", *at);
        else if (*at < 0x20)
            fprintf(stream, "\\u%04x", *at);
        else
            fputc(*at, stream);
    }
    fputc('"', stream);
}

static void put_figure(FILE *stream, const char *key, int has, double value)
{
    if (has)
        fprintf(stream, "\"%s\": %.6g", key, value);
    else
        fprintf(stream, "\"%s\": null", key);
}

static void put_spread(FILE *stream, const char *key, struct spread spread)
{
    fprintf(stream, "\"%s\": {\"median\": %.6g, \"least\": %.6g, \"most\": %.6g}", key,
            spread.median, spread.least, spread.most);
}

static void put_machine(FILE *stream, const struct machine *machine)
{
    const struct pinning *pinning = &machine->pinning;
    fputs("\"machine\": {", stream);
    put_text(stream, "processor", machine->processor);
    fprintf(stream, ", \"processors\": %d, \"hypervisor\": %s, ", machine->processors,
            machine->hypervisor ? "true" : "false");
    put_text(stream, "kernel", machine->kernel);
    fputs(", ", stream);
    put_text(stream, "compiler", machine->compiler);
    fprintf(stream, ", \"pinning\": {\"cpus\": [%d, %d], \"numa_nodes\": [%d, %d], ",
            pinning->cpu[0], pinning->cpu[1], pinning->node[0], pinning->node[1]);
    put_text(stream, "kind", topology_words(pinning->nearness));
    fprintf(stream,
            ", \"smt_siblings\": %s, \"shared_cache_level\": %d, "
            "\"realtime\": %s}, ",
            pinning->nearness == NEAR_SIBLINGS ? "true" : "false", pinning->shared_cache,
            machine->realtime ? "true" : "false");
    fprintf(stream, "\"page_bytes\": %ld, ", machine->page_bytes);
    put_text(stream, "huge_shmem", machine->huge_shmem);
    fputs(", ", stream);
    put_text(stream, "started", machine->started);
    fprintf(stream, ", \"ns_per_tick\": %.6g, \"clock_steady\": %s, ", machine->ns_per_tick,
            machine->steady_clock ? "true" : "false");
    fprintf(stream,
            "\"load_before\": %.2f, \"load_after\": %.2f, \"others_percent\": %.2f, "
            "\"stolen_percent\": %.2f, \"loaded\": %s}",
            machine->load_before, machine->load_after, machine->elsewhere_percent,
            machine->stolen_percent, machine->loaded ? "true" : "false");
}

/* The points of the latency curve, from the median up. */
static void put_curve(FILE *stream, int has, const struct run *run)
{
    fputs(", \"curve_ns\": [", stream);
    for (int i = 0; i < CURVE_POINTS && has; i++)
        fprintf(stream, "%s%.6g", i > 0 ? ", " : "", run->curve_ns[i]);
    fputs("]", stream);
}

static void put_run(FILE *stream, const struct test *test, const struct run *run, int pair)
{
    fprintf(stream, "{\"pair\": %d, \"ok\": %s, ", pair + 1, run->ok ? "true" : "false");
    if (!run->ok) {
        put_text(stream, "why", run->why);
        fputs(", ", stream);
    }
    put_figure(stream, "p50_ns", test->is_latency && run->ok, run->p50_ns);
    fputs(", ", stream);
    put_figure(stream, "p99_ns", test->is_latency && run->ok, run->p99_ns);
    fputs(", ", stream);
    put_figure(stream, "p999_ns", test->is_latency && run->ok, run->p999_ns);
    fputs(", ", stream);
    put_figure(stream, "max_ns", test->is_latency && run->ok, run->max_ns);
    put_curve(stream, test->is_latency && run->ok, run);
    fputs(", ", stream);
    put_figure(stream, "msgs_per_s", !test->is_latency && run->ok, run->value);
    fprintf(stream, ", \"messages\": %llu, \"preempted\": [%ld, %ld], \"page_faults\": [%ld, %ld]}",
            (unsigned long long)run->messages, run->preempted[0], run->preempted[1], run->faults[0],
            run->faults[1]);
}

static void put_ratios(FILE *stream, const struct result *result, int runner)
{
    const struct test *test = &result->test;
    int floor = report_find(result, test->main_floor);
    int has = floor >= 0 && !test->runners[runner]->is_floor;
    if (has)
        put_text(stream, "floor", test->main_floor);
    else
        fputs("\"floor\": null", stream);
    fputs(", ", stream);
    put_figure(stream, "ratio", has, has ? report_ratios(result, runner, floor).median : 0);
    fputs(", \"ratios\": {", stream);
    const char *comma = "";
    for (int i = 0; i < result->runner_count && !test->runners[runner]->is_floor; i++) {
        if (!test->runners[i]->is_floor)
            continue;
        fputs(comma, stream);
        put_spread(stream, test->runners[i]->name, report_ratios(result, runner, i));
        comma = ", ";
    }
    fputs("}", stream);
}

static void put_result(FILE *stream, const struct result *result, int runner,
                       const struct machine *machine)
{
    const struct test own = bench_own(&result->test, result->test.runners[runner]), *test = &own;
    struct spread values = report_values(result, runner);
    int latency = test->is_latency && values.median > 0;
    fputs("{", stream);
    put_text(stream, "test", test->name);
    fputs(", ", stream);
    put_text(stream, "title", test->title);
    fputs(", ", stream);
    put_text(stream, "peer", test->runners[runner]->name);
    fprintf(stream,
            ", \"is_floor\": %s, \"is_peer\": %s, \"size\": %u, \"batch\": %u, \"consumers\": %u, "
            "\"producers\": %u, ",
            test->runners[runner]->is_floor ? "true" : "false",
            test->runners[runner]->is_peer ? "true" : "false", test->size, test->batch,
            test->consumers > 1 ? test->consumers : 1, test->producers > 1 ? test->producers : 1);
    put_figure(stream, "p50_ns", latency, values.median);
    fputs(", ", stream);
    put_figure(stream, "p99_ns", latency,
               report_median(result, runner, offsetof(struct run, p99_ns)));
    fputs(", ", stream);
    put_figure(stream, "p999_ns", latency,
               report_median(result, runner, offsetof(struct run, p999_ns)));
    fputs(", ", stream);
    put_figure(stream, "msgs_per_s", !test->is_latency && values.median > 0, values.median);
    fputs(", ", stream);
    put_ratios(stream, result, runner);
    fprintf(stream, ", \"repeats\": %d, ", result->pair_count);
    put_spread(stream, "spread", values);
    fprintf(
        stream,
        ", \"ring_slots\": %llu, \"buffers\": %u, \"burst\": %u, \"pause\": %u, \"ahead\": %u, ",
        (unsigned long long)test->capacity, test->slabs, test->burst, test->pause, test->ahead);
    put_text(stream, "version", shmbus_version());
    fputs(",\n  ", stream);
    put_machine(stream, machine);
    fputs(",\n  \"runs\": [", stream);
    for (int pair = 0; pair < result->pair_count; pair++) {
        fputs(pair == 0 ? "\n    " : ",\n    ", stream);
        put_run(stream, test, result_run(result, runner, pair), pair);
    }
    fputs("]}", stream);
}

int report_json(const char *path, const struct machine *machine, const struct result *results,
                int count)
{
    FILE *stream = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (stream == NULL)
        return -1;
    fputs("[", stream);
    const char *comma = "\n";
    for (int i = 0; i < count; i++)
        for (int runner = 0; runner < results[i].runner_count; runner++) {
            fputs(comma, stream);
            put_result(stream, &results[i], runner, machine);
            comma = ",\n";
        }
    fputs("\n]\n", stream);
    int bad = ferror(stream) != 0;
    if (stream == stdout)
        bad |= fflush(stream) != 0;
    else
        bad |= fclose(stream) != 0;
    return bad ? -1 : 0;
}
