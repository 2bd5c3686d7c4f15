/* SPDX-License-Identifier: MIT */
/*
 * A consumer that is told that the stream has ended has read all of it.
 *
 * With -DAMONG one producer leaves while another joins, publishes a message and leaves, and a third
 * one's "closed" comes late, over the "open" of the second. The first leaves only once the second
 * is there, so somebody is there all the time.
 */
#ifdef AMONG
#define MODEL_PRODUCERS 2
#endif

#include "kernel.h"

#include "writer.h"

#include "reader.h"

#include "calls.h"

#include "pool/pool.c"

/* Names that the model has too. */
#define begin producer_begin
#define end   producer_end_of
#include "producer/producer.c"
#undef begin
#undef end

#ifdef AMONG

static struct shmbus_producer joiner;

#define close(descriptor) kernel_close(descriptor)
#include "recovery/producers.c"
#undef close

static void *leave(void *unused)
{
    (void)unused;
    struct producer_entry *other = segment_producer(&segment, 0);
    if (atomic_load_explicit(&other->state, memory_order_seq_cst) != PRODUCER_ACTIVE)
        return NULL;
    recovery_leave_producers(&segment, &ring);
    return NULL;
}

static void *come_and_go(void *unused)
{
    (void)unused;
    announce(&joiner);
    bus_publish(0, 0);
    recovery_leave_producers(&joiner.segment, &ring);
    return NULL;
}

static void *close_late(void *unused)
{
    (void)unused;
    atomic_store_explicit(&feed.state.bus_state, BUS_CLOSED, memory_order_seq_cst);
    return NULL;
}

#else

static void *publish_and_close(void *unused)
{
    (void)unused;
    int done = writer_publish();
    assert(done);
    leave_alone(&producer);
    return NULL;
}

#endif

static void *consume(void *unused)
{
    (void)unused;
    if (consumer_look(&consumer) != NULL)
        return NULL;
    int result = consumer_nothing_there(&consumer);
    /* The message may have come with the end, and then it is to be looked at again. */
    assert(result == 0 || result == CONSUMER_AGAIN);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    kernel_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    bus_set_state(&feed.state.bus_state, BUS_OPEN);
    segment.header.flags = SHMBUS_BUS_NO_PARK;
#ifdef AMONG
    segment.producer = 1;
    bus_set_state(&feed.producers[1].state, PRODUCER_ACTIVE);
#endif
    writer_begin(0, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
#ifdef AMONG
    joiner = producer;
    joiner.entry = &feed.producers[0];
    joiner.segment.producer = 0;
#endif
}

static void end(void)
{
    assert(consumer.next == 0);
}

int main(void)
{
#ifdef AMONG
    static model_thread *const threads[] = {leave, come_and_go, close_late, consume};
    model_run(begin, threads, 4, end);
#else
    static model_thread *const threads[] = {publish_and_close, consume};
    model_run(begin, threads, 2, end);
#endif
    return 0;
}
