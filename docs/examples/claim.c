/* SPDX-License-Identifier: MIT */
/* Writing a message where it is to be: claim, fill, commit; or claim and think better of it. */
#include "example.h"

#include <errno.h>
#include <string.h>

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-claim");
    struct shmbus_consumer *consumer = example_consumer("example-claim");
    struct shmbus_message message;

    struct shmbus_claim claim;
    must(shmbus_producer_claim(producer, 8, &claim), "claim");
    memcpy(claim.data, "inline!", 8); /* fits the slot */
    must(shmbus_producer_commit(producer, &claim, 1, 0), "commit");

    must(shmbus_producer_claim(producer, 10000, &claim), "claim");
    must(shmbus_producer_abort(producer, &claim), "abort"); /* nobody will see it */

    must(shmbus_producer_claim(producer, 10000, &claim), "claim");
    memset(claim.data, 'x', 5000); /* in a slab of the pool */
    claim.length = 5000;           /* less than was asked for */
    must(shmbus_producer_commit(producer, &claim, 2, 0), "commit");

    expect(shmbus_consumer_next(consumer, &message) == 1 && message.type == 1 &&
               (message.flags & SHMBUS_MESSAGE_POOLED) == 0,
           "the first message lies in the ring");
    expect(shmbus_consumer_next(consumer, &message) == 1 && message.sequence == 1 &&
               message.length == 5000 && (message.flags & SHMBUS_MESSAGE_POOLED) != 0,
           "the second lies in the pool, and the abort left no gap");
    expect(shmbus_producer_claim(producer, 1u << 20, &claim) == -EMSGSIZE,
           "longer than the largest slab is refused");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-claim", NULL), "unlink");
    return 0;
}
