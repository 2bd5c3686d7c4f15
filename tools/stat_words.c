/* SPDX-License-Identifier: MIT */
/* Words for what stands in a snapshot as numbers, and strings made fit to print: see stat.h. */
#include <stdio.h>
#include <string.h>

#include "stat.h"

static const char unknown[] = "unknown";

const char *stat_state_word(uint32_t state)
{
    switch (state) {
    case SHMBUS_STATE_OPEN:
        return "open";
    case SHMBUS_STATE_CLOSED:
        return "closed";
    case SHMBUS_STATE_DEAD:
        return "dead";
    case SHMBUS_STATE_DAMAGED:
        return "damaged";
    default:
        return unknown;
    }
}

const char *stat_kind_word(uint32_t kind)
{
    switch (kind) {
    case SHMBUS_OPTIONAL:
        return "optional";
    case SHMBUS_REQUIRED:
        return "required";
    case SHMBUS_OBSERVER:
        return "observer";
    default:
        return unknown;
    }
}

const char *stat_life_word(uint32_t life)
{
    switch (life) {
    case SHMBUS_LIFE_ALIVE:
        return "alive";
    case SHMBUS_LIFE_DEAD:
        return "dead";
    case SHMBUS_LIFE_EVICTED:
        return "evicted";
    case SHMBUS_LIFE_GRACE:
        return "grace";
    case SHMBUS_LIFE_STALLED:
        return "stalled";
    default:
        return unknown;
    }
}

const char *stat_pages_word(uint32_t pages)
{
    switch (pages) {
    case SHMBUS_PAGES_BASE:
        return "none";
    case SHMBUS_PAGES_THP:
        return "thp";
    case SHMBUS_PAGES_HUGETLB:
        return "hugetlb";
    default:
        return unknown;
    }
}

const char *stat_rule_word(uint32_t rule)
{
    switch (rule) {
    case SHMBUS_REQUIRED_ANYONE:
        return "anyone";
    case SHMBUS_REQUIRED_NOBODY:
        return "nobody";
    case SHMBUS_REQUIRED_NAMED:
        return "named";
    default:
        return unknown;
    }
}

const char *stat_gone_word(uint32_t gone)
{
    switch (gone) {
    case SHMBUS_AFTER_WAIT:
        return "wait";
    case SHMBUS_AFTER_GO_ON:
        return "go-on";
    default:
        return unknown;
    }
}

int stat_is_alive(uint32_t life)
{
    switch (life) {
    case SHMBUS_LIFE_ALIVE:
    case SHMBUS_LIFE_EVICTED:
    case SHMBUS_LIFE_STALLED:
        return 1;
    case SHMBUS_LIFE_DEAD:
    case SHMBUS_LIFE_GRACE:
        return 0;
    default:
        return -1;
    }
}

const char *stat_waiting_word(uint32_t waiting)
{
    switch (waiting) {
    case SHMBUS_WAITING_SPIN:
        return "spin";
    case SHMBUS_WAITING_YIELD:
        return "yield";
    case SHMBUS_WAITING_SLEEP:
        return "sleep";
    case SHMBUS_WAITING_PARK:
        return "park";
    default:
        return NULL;
    }
}

uint64_t stat_kept(const struct shmbus_bus_info *bus)
{
    return bus->tail > bus->floor ? bus->tail - bus->floor : 0;
}

const char *stat_numa_word(const struct shmbus_bus_info *bus, char *buffer, size_t size)
{
    switch (bus->numa) {
    case SHMBUS_NUMA_NONE:
        return "none";
    case SHMBUS_NUMA_LOCAL:
        return "local";
    case SHMBUS_NUMA_INTERLEAVE:
        return "interleave";
    case SHMBUS_NUMA_NODE:
        snprintf(buffer, size, "%u", bus->numa_node);
        return buffer;
    default:
        return unknown;
    }
}

const char *stat_text(const char *string, char buffer[STAT_TEXT_BYTES])
{
    char whole[STAT_TEXT_MOST + 1];
    const size_t length = strnlen(string, sizeof(whole) - 1);
    memcpy(whole, string, length);
    whole[length] = '\0';
    return text_printable(whole, buffer);
}
