/* SPDX-License-Identifier: MIT */
/*
 * Live: a hostile member of the consuming group writes all over `control` while others publish and
 * read. Nobody crashes or hangs; on a bus that evicts, the producer goes on; a consumer either was
 * handed true messages or is told -ESTALE with a range that has the others in it; and who reads
 * `feed` alone reads exactly what was published.
 *
 * Every payload follows from its sequence, so whoever reads one knows whether it is true.
 */
#include "hostile_peer.h"

#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUS         "hostile"
#define MILLISECOND INT64_C(1000000)
#define MOST        300 /* bytes of a message */

static const struct shmbus_bus_options bus = {
    .struct_bytes = sizeof bus,
    .capacity = 256,
    .max_consumers = 8,
    .class_count = 2,
    .classes = {{128, 64}, {320, 64}},
    .flags = SHMBUS_BUS_EVICT | SHMBUS_BUS_TIMESTAMPS,
    .stall_ns = 20 * MILLISECOND,
};

static const struct shmbus_producer_options patient = {
    .struct_bytes = sizeof patient,
    .full_timeout_ns = GUARD_NS,
};

static uint32_t length_of(uint64_t sequence)
{
    return (uint32_t)(sequence * 7 % MOST);
}

static int is_true(const struct shmbus_message *message)
{
    return message->length == length_of(message->sequence) &&
           support_is(message->data, message->length, message->sequence);
}

/* How long the hostile one writes. */
static int64_t time_ns(void)
{
    return getenv("SHMBUS_TEST_LONG") != NULL ? 120 * SECOND_NS : SECOND_NS;
}

/* What a child finds wrong is said here, since nobody reads its assertions; its parent sees that it
 * is gone. */
static void insist(int is_so, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void insist(int is_so, const char *format, ...)
{
    va_list arguments;
    if (is_so)
        return;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* ---- the producer ---- */

static void publish(struct shmbus_producer *producer)
{
    unsigned char bytes[MOST];
    uint64_t sequence = shmbus_producer_next_sequence(producer);
    support_fill(bytes, length_of(sequence), sequence);
    int result = shmbus_producer_publish(producer, 1, 0, bytes, length_of(sequence));
    insist(result == 0, "publish: %d: %s", result, shmbus_error_text());
}

/* Publishes until it is told to stop; then so many more, for each such word, and closes at 0. Each
 * time it answers how many there are. */
static void produce(int line, void *context)
{
    struct shmbus_producer *producer;
    uint64_t more;
    (void)context;
    insist(shmbus_producer_open(BUS, NULL, &patient, 0, &producer) == 0, "open: %s",
           shmbus_error_text());
    child_tell(line, 0);
    while (!child_has_said(line))
        publish(producer);
    while ((more = child_hear(line)) != 0) {
        for (uint64_t i = 0; i < more; i++)
            publish(producer);
        child_tell(line, shmbus_producer_next_sequence(producer));
    }
    shmbus_producer_close(producer);
}

/* ---- those that read ---- */

struct reader {
    struct shmbus_consumer *consumer;
    uint64_t true_count;
    uint64_t stale_count;
    uint64_t first_false; /* of what was handed out since the cursor was last known to be right */
    uint64_t last_false;
    int has_false;
    uint64_t kept[4]; /* handles */
    uint64_t told;    /* when it was told to stop */
};

static int take(const struct shmbus_message *message, void *context)
{
    struct reader *reader = context;
    uint64_t *kept = &reader->kept[message->sequence % 4];
    if (is_true(message)) {
        reader->true_count++;
    } else {
        if (!reader->has_false)
            reader->first_false = message->sequence;
        reader->last_false = message->sequence;
        reader->has_false = 1;
    }
    if (*kept == 0 && message->sequence % 16 == 3 &&
        shmbus_consumer_retain(reader->consumer, message, kept) != 0)
        *kept = 0;
    return 0;
}

/* -ESTALE names the range that is not to be trusted: what was false must be in it. */
static void check_range(struct reader *reader)
{
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    const char *text = shmbus_error_text();
    const char *range = strstr(text, "from ");
    if (range != NULL)
        sscanf(range, "from %" SCNu64 " to %" SCNu64, &first, &last);
    insist(!reader->has_false || (first <= reader->first_false && reader->last_false <= last),
           "messages %" PRIu64 " to %" PRIu64 " were false, and it was told: %s",
           reader->first_false, reader->last_false, text);
    reader->has_false = 0;
    reader->stale_count++;
}

/* Lets go of what it kept: a message that is still said to be good must be. */
static void let_go(struct reader *reader)
{
    struct shmbus_message held;
    for (int i = 0; i < 4; i++) {
        if (reader->kept[i] == 0)
            continue;
        if (shmbus_consumer_held(reader->consumer, reader->kept[i], &held) == 0) {
            int was_true = is_true(&held);
            int valid = shmbus_consumer_valid(reader->consumer, &held);
            int result = shmbus_consumer_release(reader->consumer, reader->kept[i]);
            insist(was_true || !valid || result < 0, "%" PRIu64 " is kept, and false",
                   held.sequence);
        }
        reader->kept[i] = 0;
    }
}

/* While somebody writes there, joining may fail, and is tried again. */
static void rejoin(struct reader *reader)
{
    memset(reader->kept, 0, sizeof reader->kept);
    int result = shmbus_consumer_rejoin(reader->consumer, SHMBUS_FROM_TAIL, 0);
    insist(result == 0 || result == -EBADMSG || result == -EUSERS || result == -EBUSY ||
               result == -ESTALE || result == -ERANGE,
           "rejoin: %d: %s", result, shmbus_error_text());
}

static int read_some(struct reader *reader)
{
    int result = shmbus_consumer_poll(reader->consumer, take, reader, 1 + reader->true_count % 40);
    if (result == -ESTALE) {
        check_range(reader);
        rejoin(reader);
    } else if (result != -EPIPE) {
        insist(result >= 0, "poll: %d: %s", result, shmbus_error_text());
        insist(!reader->has_false, "message %" PRIu64 " was false, and nobody said so",
               reader->first_false);
        if (reader->true_count % 3 == 0)
            let_go(reader);
    }
    return result;
}

struct role {
    uint32_t kind;
    uint32_t strategy;
};

/* Reads to the end of the stream; answers how many true ones it read after it was told. */
static void consume(int line, void *context)
{
    const struct role *role = context;
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .kind = role->kind, .wait = {.strategy = role->strategy}};
    struct reader reader = {.consumer = NULL};
    insist(shmbus_consumer_open(BUS, &options, &reader.consumer) == 0, "open: %s",
           shmbus_error_text());
    child_tell(line, 0);
    for (;;) {
        if (child_has_said(line)) {
            child_hear(line);
            reader.told = reader.true_count;
            /* From here on nobody writes there: it joins again if it is not well. */
            child_tell(line, reader.stale_count);
        }
        int result = read_some(&reader);
        if (result == -EPIPE)
            break;
        if (result == 0)
            shmbus_consumer_wait(reader.consumer, MILLISECOND);
    }
    shmbus_consumer_close(reader.consumer);
    child_tell(line, reader.true_count - reader.told);
}

static const struct role required = {SHMBUS_REQUIRED, SHMBUS_WAIT_ADAPTIVE};
static const struct role parks = {SHMBUS_REQUIRED, SHMBUS_WAIT_PARK};
static const struct role optional = {SHMBUS_OPTIONAL, SHMBUS_WAIT_PARK};
static const struct role observer = {SHMBUS_OBSERVER, SHMBUS_WAIT_ADAPTIVE};

struct hostility {
    enum scribble how;
    uint64_t seed;
};

static void be_hostile(int line, void *context)
{
    const struct hostility *hostility = context;
    hostile_run(line, BUS, hostility->how, hostility->seed);
}

static void sleep_ns(int64_t ns)
{
    struct timespec time = {ns / SECOND_NS, ns % SECOND_NS};
    while (nanosleep(&time, &time) != 0)
        continue;
}

static void make_bus(void)
{
    struct shmbus_producer *producer;
    shmbus_unlink(BUS, NULL);
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &producer), 0);
    shmbus_producer_close(producer);
}

/* The producer opens the bus first: a closed one has an end. */
START_TEST(scribbled_over)
{
    const struct role *const roles[] = {&required, &parks, &optional, &observer};
    enum { READERS = sizeof roles / sizeof roles[0] };
    struct child readers[READERS];
    struct hostility hostility = {(enum scribble)_i, support_seed("scribbled_over")};
    make_bus();
    struct child producer = child_start(produce, NULL);
    child_hear(producer.line);
    for (int i = 0; i < READERS; i++) {
        readers[i] = child_start(consume, (void *)(uintptr_t)roles[i]);
        child_hear(readers[i].line);
    }
    struct child hostile = child_start(be_hostile, &hostility);
    sleep_ns(time_ns());
    child_tell(hostile.line, 1);
    ck_assert_uint_gt(child_hear(hostile.line), 0);
    child_end(&hostile);
    uint64_t stale[READERS];
    for (int i = 0; i < READERS; i++) {
        child_tell(readers[i].line, 1);
        stale[i] = child_hear(readers[i].line);
    }
    /* Everything goes on: who was put out joins again and reads. */
    child_tell(producer.line, 20000);
    uint64_t published = child_hear(producer.line);
    ck_assert_uint_gt(published, 20000);
    child_tell(producer.line, 0);
    child_end(&producer);
    for (int i = 0; i < READERS; i++) {
        ck_assert_msg(child_hear(readers[i].line) > 0, "reader %d read nothing afterwards", i);
        child_end(&readers[i]);
    }
    printf("scribbled_over %d: %" PRIu64 " published; -ESTALE: %" PRIu64 " %" PRIu64 " %" PRIu64
           " %" PRIu64 "\n",
           _i, published, stale[0], stale[1], stale[2], stale[3]);
    ck_assert_uint_eq(stale[3], 0);
    if (hostility.how == SCRIBBLE_WORDS || hostility.how == SCRIBBLE_PAGES)
        ck_assert_msg(stale[0] > 0, "nobody found out");
}
END_TEST

/* ---- control is shortened ---- */

static void truncate_control(off_t bytes)
{
    int control = hostile_open(BUS);
    ck_assert_int_eq(ftruncate(control, bytes), 0);
    close(control);
}

/* A child that touches what is no longer there ends as the kernel says. */
static void expect_bus_error(struct child *child)
{
    int status;
    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status 0x%x",
                  (unsigned)status);
    close(child->line);
    close(child->life);
}

static void produce_unguarded(int line, void *context)
{
    signal(SIGBUS, SIG_DFL); /* a sanitizer has its own word on it */
    produce(line, context);
}

static void consume_unguarded(int line, void *context)
{
    signal(SIGBUS, SIG_DFL);
    consume(line, context);
}

/* Reads until the producer is dead and all of its messages were read. */
static void observe_to_the_end(int line, void *context)
{
    const struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                                    .kind = SHMBUS_OBSERVER};
    struct reader reader = {.consumer = NULL};
    (void)context;
    insist(shmbus_consumer_open(BUS, &options, &reader.consumer) == 0, "open: %s",
           shmbus_error_text());
    while (reader.true_count == 0)
        insist(read_some(&reader) >= 0, "poll: %s", shmbus_error_text());
    child_tell(line, 0);
    do {
        insist(read_some(&reader) >= 0, "poll: %s", shmbus_error_text());
    } while (shmbus_consumer_wait(reader.consumer, SECOND_NS) != -EOWNERDEAD);
    shmbus_consumer_close(reader.consumer);
    child_tell(line, reader.true_count);
}

/* Who may consume may shorten `control`: producer and consumers end by the signal that the kernel
 * sends to whoever touches what is gone. No published byte changes, everybody who comes later is
 * told what is wrong, and the bus can be made anew. */
START_TEST(shortened)
{
    static const off_t lengths[] = {0, 4096, 8192};
    struct shmbus_producer *made;
    struct shmbus_consumer *consumer;
    struct shmbus_snapshot *look;
    make_bus();
    struct child producer = child_start(produce_unguarded, NULL);
    child_hear(producer.line);
    struct child reader = child_start(consume_unguarded, (void *)(uintptr_t)&required);
    child_hear(reader.line);
    struct child observing = child_start(observe_to_the_end, NULL);
    child_hear(observing.line);
    sleep_ns(20 * MILLISECOND);
    truncate_control(lengths[_i]);
    expect_bus_error(&reader);
    expect_bus_error(&producer);
    ck_assert_uint_gt(child_hear(observing.line), 0);
    child_end(&observing);
    ck_assert_int_eq(shmbus_consumer_open(BUS, NULL, &consumer), -EBADMSG);
    ck_assert_msg(support_says("control is too short"), "%s", shmbus_error_text());
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &made), -EBADMSG);
    ck_assert_int_eq(shmbus_snapshot_open(BUS, NULL, &look), 0);
    ck_assert_uint_eq(shmbus_snapshot_bus(look)->state, SHMBUS_STATE_DAMAGED);
    shmbus_snapshot_close(look);
    make_bus();
    ck_assert_int_eq(shmbus_consumer_open(BUS, NULL, &consumer), 0);
    shmbus_consumer_close(consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile");
    int seconds = getenv("SHMBUS_TEST_LONG") != NULL ? 600 : 120;
    TCase *tcase = support_case(suite, "hostile", seconds);
    tcase_add_loop_test(tcase, scribbled_over, 0, SCRIBBLES);
    tcase_add_loop_test(tcase, shortened, 0, 3);
    return support_run(suite);
}
