/* SPDX-License-Identifier: MIT */
/*
 * A consumer reads a slab that it holds while somebody else ends its hold and sets it again, and
 * the producer may find it gone in between and reuse the slab. Whoever is not told when it lets go
 * has read what it held.
 */
#define MODEL_COPIES
#include "slabs.h"

#include "consumer/lend.c"

static void *produce(void *unused)
{
    (void)unused;
    slabs_reuse(1);
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    uint64_t read = bus_get(&feed.shared[0]);
    int result = hold_end(&consumer, 0, slabs_handle());
    assert(result == -ESTALE || read == 0);
    return NULL;
}

static void *tamper(void *unused)
{
    (void)unused;
    bus_set(&bus_entry(0)->holds[0], 0);
    bus_set(&bus_entry(0)->holds[0], 1);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_OPTIONAL, 1, 0);
    writer_begin(1, 1);
    reader_begin(0, SHMBUS_OPTIONAL, 0);
    slabs_begin();
    hold_slab(&consumer, 0);
}

static void end(void)
{
    assert(consumer.holds.bits == 0);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume, tamper};
    model_run(begin, threads, 3, end);
    return 0;
}
