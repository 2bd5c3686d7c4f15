/* SPDX-License-Identifier: MIT */
/*
 * Sets of CPUs: see cpus.h.
 */
#include "affinity/cpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Moves *text past a number. Returns it, or -1. */
static long read_cpu(const char **text)
{
    long number = 0;
    if (**text < '0' || **text > '9')
        return -1;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        number = number * 10 + (**text - '0');
        if (number >= SHMBUS_CPUS_MAX)
            return -1;
    }
    return number;
}

int cpus_parse(const char *text, struct cpus *out_cpus)
{
    struct cpus cpus;
    memset(&cpus, 0, sizeof cpus);
    int more = *text != 0 && *text != '\n';
    while (more) {
        long first = read_cpu(&text);
        long last = first;
        if (first >= 0 && *text == '-') {
            text++;
            last = read_cpu(&text);
        }
        if (first < 0 || last < first)
            return -EINVAL;
        for (long cpu = first; cpu <= last; cpu++)
            cpus_add(&cpus, (uint32_t)cpu);
        more = *text == ',';
        text += more;
    }
    if (*text != 0 && strcmp(text, "\n") != 0)
        return -EINVAL;
    *out_cpus = cpus;
    return 0;
}

int cpus_read(const char *path, struct cpus *out_cpus)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    int result = cpus_parse(getline(&line, &room, file) > 0 ? line : "", out_cpus);
    free(line);
    fclose(file);
    return result;
}

void cpus_print(const struct cpus *cpus, char *out_text, size_t room)
{
    char part[32];
    size_t used = 0;
    snprintf(out_text, room, "%s", cpus_count(cpus) > 0 ? "" : "none");
    for (uint32_t cpu = 0; cpu < SHMBUS_CPUS_MAX; cpu++) {
        if (!cpus_has(cpus, cpu))
            continue;
        uint32_t first = cpu;
        while (cpus_has(cpus, cpu + 1))
            cpu++;
        snprintf(part, sizeof part, first < cpu ? "%s%u-%u" : "%s%u", used > 0 ? "," : "", first,
                 cpu);
        size_t length = strlen(part);
        /* What would leave no room for the dots behind it, is not begun. */
        if (used + length + sizeof ",..." > room) {
            snprintf(out_text + used, room - used, used > 0 ? ",..." : "...");
            return;
        }
        memcpy(out_text + used, part, length + 1);
        used += length;
    }
}

void cpus_both(const struct cpus *one, const struct cpus *other, struct cpus *out_cpus)
{
    struct cpus both = *one;
    CPU_AND_S(sizeof both.sets, both.sets, one->sets, other->sets);
    *out_cpus = both;
}

int cpus_nth(const struct cpus *cpus, uint32_t before)
{
    for (uint32_t cpu = 0; cpu < SHMBUS_CPUS_MAX; cpu++)
        if (cpus_has(cpus, cpu) && before-- == 0)
            return (int)cpu;
    return -1;
}
