/* SPDX-License-Identifier: MIT */
/*
 * The CPUs and the priority of the consumer's thread.
 */
#include "affinity/affinity.h"
#include "consumer/consumer.h"
#include "error/error.h"

int shmbus_consumer_settle(struct shmbus_consumer *consumer,
                           const struct shmbus_settle_options *options,
                           struct shmbus_settled *out_settled)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    const struct segment *segment = &consumer->segment;
    const struct affinity_subject subject = {
        .feed = segment->feed,
        .feed_bytes = segment->feed_mapped,
        .asked_node = layout_asked_node(&segment->header),
        .wait_strategy = consumer->options.wait.strategy,
    };
    if (consumer->orphaned)
        result = error_constant(-ECHILD, "the consumer is another process's (open it again after "
                                         "fork)");
    else
        result = affinity_settle(&subject, options, out_settled);
    guard_leave(&consumer->guard);
    return result;
}
