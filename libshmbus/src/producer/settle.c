/* SPDX-License-Identifier: MIT */
/*
 * The CPUs and the priority of the producer's thread.
 */
#include "affinity/affinity.h"
#include "producer/producer.h"

int shmbus_producer_settle(struct shmbus_producer *producer,
                           const struct shmbus_settle_options *options,
                           struct shmbus_settled *out_settled)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    const struct segment *segment = &producer->segment;
    const struct affinity_subject subject = {
        .feed = segment->feed,
        .feed_bytes = segment->feed_mapped,
        .asked_node = layout_asked_node(&segment->header),
        .wait_strategy = producer->wait.strategy,
    };
    result = producer->orphaned ? producer_refuse(producer)
                                : affinity_settle(&subject, options, out_settled);
    guard_leave(&producer->guard);
    return result;
}
