/* SPDX-License-Identifier: MIT */
/* The one place that is weak: see weaken.h. Not watched by the detector. */
#include "weaken_place.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define LOADS_MAX 300 /* that pass one store */

const char *weaken_file;
_Thread_local volatile void *weaken_kept;

static struct weaken_place place;
static _Atomic uint64_t come_by;
static _Thread_local uint64_t kept_value;
static _Thread_local size_t kept_bytes;
static _Thread_local uint32_t passed_by; /* loads, since it is kept back */

int weaken_is_here(const char *file, int line);
int weaken_keep(volatile void *to, uint64_t value, size_t bytes);
void weaken_let_go(void);
void weaken_look(const volatile void *from);

void weaken_set(const struct weaken_place *wanted)
{
    place = *wanted;
    weaken_file = place.file;
}

uint64_t weaken_come_by(void)
{
    return atomic_load_explicit(&come_by, memory_order_relaxed);
}

int weaken_is_here(const char *file, int line)
{
    if (line < place.from || line > place.to)
        return 0;
    size_t length = strlen(file);
    size_t wanted = strlen(place.file);
    if (length < wanted || strcmp(file + length - wanted, place.file) != 0)
        return 0;
    atomic_fetch_add_explicit(&come_by, 1, memory_order_relaxed);
    return 1;
}

int weaken_keep(volatile void *to, uint64_t value, size_t bytes)
{
    if (!place.is_late)
        return 0;
    weaken_kept = to;
    passed_by = 0;
    kept_value = value;
    kept_bytes = bytes;
    return 1;
}

void weaken_let_go(void)
{
    volatile void *to = weaken_kept;
    weaken_kept = NULL;
    if (kept_bytes == 8)
        *(volatile uint64_t *)to = kept_value;
    else
        *(volatile uint32_t *)to = (uint32_t)kept_value;
}

void weaken_look(const volatile void *from)
{
    if (from == weaken_kept || ++passed_by == LOADS_MAX)
        weaken_let_go();
}
