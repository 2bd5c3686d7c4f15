/* SPDX-License-Identifier: MIT */
/* How the rig names the place that is weak. */
#ifndef SHMBUS_RACE_WEAKEN_PLACE_H
#define SHMBUS_RACE_WEAKEN_PLACE_H

#include <stdint.h>

struct weaken_place {
    const char *file; /* the end of its path; NULL: no place */
    int from;         /* its lines */
    int to;
    int is_late;
};

/* Before any thread begins. */
void weaken_set(const struct weaken_place *wanted);

/* How often the place was come by. */
uint64_t weaken_come_by(void);

#endif
