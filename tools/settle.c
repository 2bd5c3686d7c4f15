/* SPDX-License-Identifier: MIT */
/* The CPUs and the priority of a tool: see settle.h. */
#include "settle.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define FIFO_LEAST 1
#define FIFO_MOST  99

int settle_read_cpu(const char *text, struct settle *settle)
{
    static const char isolated[] = "isolated";
    const size_t length = sizeof(isolated) - 1;
    uint64_t number = 0;
    int result = CLI_OK;
    settle->wanted = true;
    settle->options.struct_bytes = sizeof(settle->options);
    if (strcmp(text, "node") == 0) {
        settle->options.cpus = SHMBUS_CPUS_BUS;
    } else if (strncmp(text, isolated, length) == 0 &&
               (text[length] == '\0' || text[length] == ':')) {
        settle->options.cpus = SHMBUS_CPUS_ISOLATED;
        if (text[length] == ':') {
            result =
                cli_number("--cpu isolated:N", text + length + 1, 0, SHMBUS_CPUS_MAX - 1, &number);
        }
    } else if (text[0] >= '0' && text[0] <= '9') {
        settle->options.cpus = SHMBUS_CPUS_ONE;
        result = cli_number("--cpu", text, 0, SHMBUS_CPUS_MAX - 1, &number);
    } else {
        return cli_usage("--cpu: '%s' is none of a CPU's number, node, isolated, isolated:N", text);
    }
    settle->options.cpu = (uint32_t)number;
    return result;
}

int settle_read_fifo(const char *text, struct settle *settle)
{
    uint64_t priority = 0;
    const int result = cli_number("--fifo", text, FIFO_LEAST, FIFO_MOST, &priority);
    settle->wanted = true;
    settle->options.struct_bytes = sizeof(settle->options);
    settle->options.fifo_priority = (uint32_t)priority;
    return result;
}

static const char *policy_name(uint32_t policy)
{
    switch (policy) {
    case SCHED_OTHER:
        return "SCHED_OTHER";
    case SCHED_FIFO:
        return "SCHED_FIFO";
    case SCHED_RR:
        return "SCHED_RR";
    case SCHED_BATCH:
        return "SCHED_BATCH";
    case SCHED_IDLE:
        return "SCHED_IDLE";
    default:
        return "another policy";
    }
}

void settle_say(const char *bus, const struct shmbus_settled *settled)
{
    char node[48] = "";
    char priority[16] = "";
    if (settled->node >= 0) {
        snprintf(node, sizeof(node), " of NUMA node %ld%s", (long)settled->node,
                 settled->node == settled->bus_node ? ", the bus's," : "");
    }
    if (settled->priority > 0) {
        snprintf(priority, sizeof(priority), " %lu", (unsigned long)settled->priority);
    }
    cli_note("bus '%s': runs on CPU %s%s (%lu isolated) with %s%s", bus, settled->cpus, node,
             (unsigned long)settled->isolated, policy_name(settled->policy), priority);
    if (settled->missed != 0) {
        cli_note("bus '%s': %s", bus, settled->why);
    }
}
