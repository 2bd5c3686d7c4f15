/* SPDX-License-Identifier: MIT */
/*
 * An optional consumer holds a slab that the producer reclaims, or an observer copies it (-DCOPY).
 * The producer retires the slab, or a takeover settles it (-DSETTLE). Whoever finds its generation
 * unchanged after it said that it holds, keeps it until it lets go; a copy is whole if the
 * generation is unchanged after it.
 *
 * With -DJOIN the consumer joins after the producer last looked who is there.
 */
#define MODEL_COPIES
#include "slabs.h"

/* What an observer copies changes under its hands by design: here it is one atomic word. */
static void copy_word(void *to, const void *from)
{
    *(uint64_t *)to = bus_get((_Atomic uint64_t *)(uintptr_t)from);
}

#define racing_copy(to, from, bytes) copy_word(to, from)
#include "consumer/lend.c"
#undef racing_copy

#ifdef JOIN
#include "consumer/join.c"
#endif

static void *produce(void *unused)
{
    (void)unused;
#ifdef SETTLE
    /* No message refers to it. */
    list_remove(&pool.classes[0], &pool.classes[0].in_flight, 0);
    settle_class(&pool, &pool.classes[0]);
    if (pool.classes[0].free_count > 0)
        bus_set(&feed.shared[0], 1);
#else
    slabs_reuse(1);
#endif
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
#ifdef JOIN
    int joined = begin_at(&consumer, 0);
    assert(joined == 0);
#endif
    uint64_t stamp = ring_poll(&bus_slot(0)->header);
    consumer.lent.data = &feed.shared[0];
    consumer.lent.length = sizeof(uint64_t);
#ifdef COPY
    uint64_t copied = 0;
    consumer.copy = (unsigned char *)&copied;
    if (lend_copied_slab(&consumer, &bus_slot(0)->header, stamp) == 0)
        assert(copied == 0);
#else
    if (lend_held(&consumer, &bus_slot(0)->header, stamp) == 0) {
        assert(bus_get(&feed.shared[0]) == 0);
        assert(bus_get(&feed.shared[0]) == 0);
        int result = unhold_slab(&consumer, 0);
        assert(result == 0);
    }
#endif
    return NULL;
}

static void begin(void)
{
    bus_begin();
#ifdef JOIN
    bus_set_state(&bus_entry(0)->kind, SHMBUS_OPTIONAL);
    bus_set(&bus_entry(0)->epoch, 1);
#else
    bus_join(0, SHMBUS_OPTIONAL, 1, 0);
#endif
    writer_begin(1, 1);
    reader_begin(0, SHMBUS_OPTIONAL, 0);
    slabs_begin();
    consumer.options.from = SHMBUS_FROM_OLDEST;
}

static void end(void)
{
    assert(bus_get(&bus_entry(0)->holds[0]) == 0 && bus_get(&bus_entry(0)->holding) == 0);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
