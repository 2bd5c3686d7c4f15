/* SPDX-License-Identifier: MIT */
/*
 * What a consumer does differently when there are many producers: it goes by the greatest of their
 * floors, steps over the hole of one that is proven dead, and the stream has ended only when none
 * is left.
 */
#include "consumer/after.h"

/* One that only polls asks the kernel once in so many looks at the same hole. */
#define LOOKS_PER_PROBE 4096u

uint64_t consumer_floor(const struct shmbus_consumer *consumer)
{
    uint64_t greatest = 0;
    for (uint32_t i = 0; i < consumer->header->max_producers; i++) {
        /* ORDER(join_floor:B) pairs floor:A, floor_down:A, takeover_floor:A: active before the
         * floor */
        uint64_t floor = atomic_load_explicit(&segment_producer(&consumer->segment, i)->floor,
                                              memory_order_seq_cst);
        if (floor > greatest)
            greatest = floor;
    }
    return greatest;
}

static int none_active(const struct shmbus_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->header->max_producers; i++)
        /* ORDER(producers_active:B) pairs producer_active:A, producer_free:A: the bus's state
         * before theirs */
        if (atomic_load_explicit(&segment_producer(&consumer->segment, i)->state,
                                 memory_order_seq_cst) == PRODUCER_ACTIVE)
            return 0;
    return 1;
}

/* Every time that one leaves, this is another number. */
static uint64_t sum_of_epochs(const struct shmbus_consumer *consumer)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < consumer->header->max_producers; i++)
        /* ORDER(producers_gone:B) pairs producer_gone:A: around the looks at their states */
        sum += atomic_load_explicit(&segment_producer(&consumer->segment, i)->epoch,
                                    memory_order_seq_cst);
    return sum;
}

/* One look at all states may miss one that joins behind it before another one leaves in front of
 * it. Two looks that find nobody, while none left, say that at the time between them nobody was
 * there: one that was active then, and not when it was looked at, came after the first look and
 * left before the second. */
int consumer_stream_ended(const struct shmbus_consumer *consumer)
{
    if (consumer->header->max_producers == 1)
        return 1;
    uint64_t before = sum_of_epochs(consumer);
    int was_empty = none_active(consumer);
    int is_empty = none_active(consumer);
    return was_empty && is_empty && sum_of_epochs(consumer) == before;
}

int consumer_steps_over(struct shmbus_consumer *consumer, int probe)
{
    struct slot_header *slot = ring_slot(&consumer->ring, consumer->next);
    uint64_t stamp = ring_poll(slot);
    if (!stamp_is_of(stamp, consumer->next) || !stamp_is_writing(stamp))
        return 0;
    if (consumer->next >= consumer->limit && !after_raise(consumer))
        return 0;
    if (consumer->hole != consumer->next)
        consumer->hole_looks = 0;
    consumer->hole = consumer->next;
    if (!probe && ++consumer->hole_looks % LOOKS_PER_PROBE != 0)
        return 0;
    /* The lock is gone before the proof is there, and whatever its producer stored before that; so
     * a stamp that is still the same is never published. */
    if (lock_probe(consumer->segment.probe_feed, LOCK_LIFE + (int64_t)stamp_writer(stamp)) != 0 ||
        ring_poll(slot) != stamp)
        return 0;
    consumer_go_past_aborted(consumer);
    /* At once: nothing may come after it for long. That it fails is seen at the next look. */
    consumer_advance(consumer);
    return 1;
}
