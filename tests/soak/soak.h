/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the soak test share: participants at full speed that come and go, and what they
 * say of themselves in memory that outlives them.
 */
#ifndef SHMBUS_TESTS_SOAK_SOAK_H
#define SHMBUS_TESTS_SOAK_SOAK_H

#include <shmbus/shmbus.h>

#include <stdatomic.h>
#include <stdint.h>

#define BUS          "soak"
#define CAPACITY     4096u
#define SMALL_BYTES  40u /* in a slot */
#define MIDDLE_BYTES 200u
#define LARGE_BYTES  4000u
#define PLACES       6u

/* Who is in which place. Elders live from the beginning to the end and are measured; guests are
 * killed. */
enum place { PRODUCER, REQUIRED, OPTIONAL, OBSERVER, GUEST, OTHER_GUEST };

/* What the one in a place, and those before it, say of themselves. */
struct member {
    _Atomic uint64_t published;
    _Atomic uint64_t received;
    _Atomic uint64_t lost;
    _Atomic uint64_t kept;
    _Atomic uint64_t opened;
    _Atomic uint32_t is_faulty;
    char fault[200];
};

struct shared {
    _Atomic uint32_t is_over;
    struct member members[PLACES];
};

uint64_t soak_random(uint64_t *state);

/* Live in a place until it is over. */
void soak_produce(struct shared *shared, uint64_t seed);
void soak_consume(struct shared *shared, enum place place, uint64_t seed);

/* ---- what is measured: measure.c ---- */

/* What a process has, or the bus. Less than 0: it cannot be told. */
struct measure {
    int64_t anonymous_kib; /* memory of its own that is there */
    int64_t data_kib;      /* that is reserved */
    int64_t descriptors;
    int64_t mappings;
};

struct measure measure_process(int pid);

/* Bytes of the files of the bus that are allocated, and how many files there are. */
int64_t measure_bus(int64_t *out_files);

#endif
