/* SPDX-License-Identifier: MIT */
/*
 * The tail's hint is never ahead of the stamps below it: whoever loads it finds those messages, or
 * later ones in their slots. With -DAMONG two producers end their claims and store it.
 */
#define MODEL_CAPACITY 4
#ifdef AMONG
#define MODEL_PRODUCERS 2
#endif

#include "writer.h"

#ifdef AMONG

static struct shmbus_producer two[2];
static struct among amongs[2];

#include "producer/among.c"

static void end_one(uint32_t number)
{
    struct model_slot *slot = bus_slot(number);
    int ended = claim_end(&slot->header, number, number, 0, STAMP_PUBLISHED);
    assert(ended);
    among_store_tail(&two[number]);
}

static void *first(void *unused)
{
    (void)unused;
    end_one(0);
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    end_one(1);
    return NULL;
}

#else

static void *first(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        int done = writer_publish();
        assert(done);
    }
    return NULL;
}

#endif

static void *look(void *unused)
{
    (void)unused;
    /* As one that joins does. */
    uint64_t hint = atomic_load_explicit(&feed.state.tail, memory_order_acquire);
    for (uint64_t i = 0; i < hint; i++)
        assert(ring_is_final(atomic_load_explicit(&bus_slot(i)->header.stamp, memory_order_relaxed),
                             i));
    assert(ring_find_tail(&ring, hint) >= hint);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    writer_begin(0, 0);
    producer.tail_mask = 0;
#ifdef AMONG
    for (uint32_t i = 0; i < 2; i++) {
        two[i] = producer;
        two[i].among = &amongs[i];
        int claimed = claim_take(&bus_slot(i)->header, 0, i, i);
        assert(claimed);
    }
#endif
}

static void end(void)
{
#ifdef AMONG
    /* Whoever ended last saw the other one's stamp or hint, or both. */
    assert(bus_get(&feed.state.tail) == 2 || ring_find_tail(&ring, 0) == 2);
#else
    assert(bus_get(&feed.state.tail) == 2);
#endif
}

int main(void)
{
#ifdef AMONG
    static model_thread *const threads[] = {first, second, look};
    model_run(begin, threads, 3, end);
#else
    static model_thread *const threads[] = {first, look};
    model_run(begin, threads, 2, end);
#endif
    return 0;
}
