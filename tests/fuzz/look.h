/* SPDX-License-Identifier: MIT */
/* Steps of the target `segment` that are no consumer's: who looks on, and the producer. */
#ifndef SHMBUS_TESTS_FUZZ_LOOK_H
#define SHMBUS_TESTS_FUZZ_LOOK_H

#include "steps.h"

#include "shmbus/shmbus.h"

void look_on(uint32_t how);

void publish_step(struct shmbus_producer **producer, enum step what, uint32_t how);

#endif
