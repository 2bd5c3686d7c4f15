/* SPDX-License-Identifier: MIT */
/* The steps on a bus of any content: see steps.h. */
#include "steps.h"

#include "consumer/consumer.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONSUMERS 4

struct stage {
    const char *folder;
    const struct fuzz_case *from;
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumers[CONSUMERS];
    unsigned char *control; /* as a hostile peer has it; NULL when it is empty */
    unsigned char *feed;
};

static void write_file(const struct stage *stage, const char *file, const unsigned char *bytes,
                       size_t length, unsigned char **out_mapped)
{
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus." BED_BUS "/%s", stage->folder, file);
    int descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, (off_t)length) != 0)
        bed_fail("no file");
    *out_mapped = NULL;
    if (length > 0) {
        *out_mapped = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        if (*out_mapped == MAP_FAILED)
            bed_fail("no mapping");
        memcpy(*out_mapped, bytes, length);
    }
    close(descriptor);
}

static void lay(struct stage *stage)
{
    char path[512];
    unsigned char *owner;
    snprintf(path, sizeof path, "%s/shmbus." BED_BUS, stage->folder);
    mkdir(path, 0700);
    write_file(stage, "feed", stage->from->feed, stage->from->feed_bytes, &stage->feed);
    write_file(stage, "control", stage->from->control, stage->from->control_bytes, &stage->control);
    write_file(stage, "owner", (const unsigned char[4096]){0}, 4096, &owner);
    munmap(owner, 4096);
}

static void clear(struct stage *stage)
{
    if (stage->feed != NULL)
        munmap(stage->feed, stage->from->feed_bytes);
    if (stage->control != NULL)
        munmap(stage->control, stage->from->control_bytes);
    /* What is there may be another bus by now, or none. */
    if (shmbus_unlink(BED_BUS, NULL) < 0) {
        static const char *const files[] = {"/feed", "/control", "/owner", ""};
        char path[512];
        for (size_t i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "%s/shmbus." BED_BUS "%s", stage->folder, files[i]);
            remove(path);
        }
    }
}

/* A payload is where one can be: in its slot, in its slab, or in the consumer's own memory, which
 * the sanitizer watches. */
static void check_message(const struct shmbus_consumer *consumer,
                          const struct shmbus_message *message)
{
    const unsigned char *data = message->data;
    const struct feed_header *header = consumer->header;
    bed_touch(data, message->length);
    if (data < consumer->feed || data >= consumer->feed + consumer->segment.feed_mapped)
        return;
    uint64_t at = (uint64_t)(data - consumer->feed);
    uint64_t first = header->ring.offset;
    uint64_t room = header->capacity * header->slot_bytes;
    if (message->flags & SHMBUS_MESSAGE_POOLED) {
        uint32_t index = handle_class(message->handle);
        if (index >= header->class_count)
            bed_fail("a class that is not there");
        first = header->classes[index].slabs_offset;
        room = header->classes[index].slab_bytes * header->classes[index].slab_count;
    }
    if (at < first || at - first > room || message->length > room - (at - first))
        bed_fail("a payload outside of its region");
}

static int take(const struct shmbus_message *message, void *context)
{
    struct shmbus_consumer *consumer = context;
    uint64_t handle;
    check_message(consumer, message);
    shmbus_consumer_valid(consumer, message);
    if (message->sequence % 3 == 0 && shmbus_consumer_retain(consumer, message, &handle) == 0 &&
        message->sequence % 2 == 0)
        shmbus_consumer_release(consumer, handle);
    return 0;
}

static void join(struct stage *stage, struct shmbus_consumer **consumer, uint32_t how)
{
    static const char *const names[] = {NULL, "one", "two", "seed"};
    static const char *const after[] = {"one", "two", "seed"};
    static const uint16_t wanted[] = {1, 7};
    static const struct shmbus_type expected = {
        .type = 7, .bytes = 12, .name = "trade", .fields = "price:<i8,qty:<i4"};
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = how % 3,
        .from = how / 3 % 3,
        .from_sequence = how / 8,
        .hold_quota = 8,
        .name = names[how / 16 % 4],
        .deadline_ns = how & 1,
        .flags = how & 32 ? SHMBUS_JOIN_MOVE_UP | SHMBUS_MAP_PREFAULT : 0,
    };
    if (options.kind == SHMBUS_REQUIRED && how & 64)
        options.grace_ns = options.name != NULL ? INT64_C(1) << 40 : 0;
    if (options.kind == SHMBUS_REQUIRED && how & 128) {
        options.after = after;
        options.after_count = 1 + how % 2;
        options.after_gone = how / 4 % 2;
    }
    if (options.kind == SHMBUS_OPTIONAL && how & 64)
        options.slack = 1 + how / 16 % 4;
    if ((how & 24) == 24) {
        options.types = wanted;
        options.type_count = 2;
    }
    if ((how & 21) == 21) {
        options.expected = &expected;
        options.expected_count = 1;
    }
    shmbus_consumer_close(*consumer);
    *consumer = NULL;
    (void)stage;
    if (shmbus_consumer_open(BED_BUS, &options, consumer) == 0 && *consumer == NULL)
        bed_fail("no consumer");
}

static void next(struct shmbus_consumer *consumer, uint32_t how)
{
    struct shmbus_message message;
    struct shmbus_message held;
    uint64_t handle;
    uint64_t copy;
    if (shmbus_consumer_next(consumer, &message) != 1)
        return;
    check_message(consumer, &message);
    if (how & 1 || shmbus_consumer_retain(consumer, &message, &handle) != 0)
        return;
    if (shmbus_consumer_held(consumer, handle, &held) == 0)
        check_message(consumer, &held);
    if (shmbus_consumer_copy(consumer, handle, &copy) == 0 && how & 2)
        shmbus_consumer_release(consumer, copy);
    if (how & 4)
        shmbus_consumer_release(consumer, handle);
}

static void select_all(struct stage *stage, uint32_t how)
{
    const struct shmbus_selector_options options = {.struct_bytes = sizeof options,
                                                    .order = how & 1};
    struct shmbus_selector *selector;
    struct shmbus_selected selected;
    if (shmbus_selector_open(&options, &selector) != 0)
        return;
    for (uint32_t i = 0; i < CONSUMERS; i++)
        if (stage->consumers[i] != NULL)
            shmbus_selector_add(selector, stage->consumers[i], NULL);
    for (uint32_t i = 0; i < how && shmbus_selector_next(selector, &selected) == 1; i++)
        if (selected.result == 0)
            check_message(selected.consumer, &selected.message);
    shmbus_selector_wait(selector, 0);
    shmbus_selector_close(selector);
}

static void consume(struct stage *stage, enum step step, uint32_t how)
{
    struct shmbus_consumer **consumer = &stage->consumers[how % CONSUMERS];
    struct shmbus_consumer_stats stats;
    if (step == STEP_JOIN) {
        join(stage, consumer, how);
        return;
    }
    if (*consumer == NULL)
        return;
    if (step == STEP_POLL)
        shmbus_consumer_poll(*consumer, take, *consumer, how);
    else if (step == STEP_NEXT)
        next(*consumer, how / CONSUMERS);
    else if (step == STEP_WAIT)
        shmbus_consumer_wait(*consumer, 0);
    else if (step == STEP_REJOIN)
        shmbus_consumer_rejoin(*consumer, how / 4 % 3, how / 16);
    shmbus_consumer_stats(*consumer, &stats);
    if (step == STEP_LEAVE) {
        shmbus_consumer_close(*consumer);
        *consumer = NULL;
    }
}

static void somebody_writes(unsigned char *file, uint32_t bytes, struct bed_input *input)
{
    uint64_t place = bed_take(input, 4);
    uint64_t value = bed_take(input, 8);
    if (file != NULL && bytes >= sizeof value) {
        place = place % (bytes - sizeof value + 1);
        memcpy(file + place, &value, sizeof value);
    }
}

static void step(struct stage *stage, enum step what, uint32_t how, struct bed_input *input)
{
    const struct fuzz_case *from = stage->from;
    /* A producer trusts feed's tables and everybody its header, once they were checked: only who
     * may publish can write there. */
    switch (what) {
    case STEP_LOOK:
        look_on(how);
        break;
    case STEP_JOIN:
    case STEP_POLL:
    case STEP_NEXT:
    case STEP_WAIT:
    case STEP_REJOIN:
    case STEP_LEAVE:
        consume(stage, what, how);
        break;
    case STEP_SELECT:
        select_all(stage, how);
        break;
    case STEP_REAP:
        shmbus_reap(BED_BUS, NULL);
        break;
    case STEP_CONTROL:
        somebody_writes(stage->control, from->control_bytes, input);
        break;
    case STEP_FEED:
        somebody_writes(stage->feed, from->feed_bytes, input);
        break;
    default:
        publish_step(&stage->producer, what, how);
    }
}

void steps_run(const char *folder, const struct fuzz_case *fuzz_case)
{
    struct stage stage = {.folder = folder, .from = fuzz_case};
    struct bed_input input = {fuzz_case->steps, fuzz_case->step_bytes};
    lay(&stage);
    /* The bus is as it is, whatever the steps are. */
    look_on(0);
    while (input.left > 0) {
        uint32_t what = (uint32_t)bed_take(&input, 1) % STEP_COUNT_OF;
        uint32_t how = (uint32_t)bed_take(&input, 1);
        step(&stage, (enum step)what, how, &input);
    }
    for (uint32_t i = 0; i < CONSUMERS; i++)
        shmbus_consumer_close(stage.consumers[i]);
    shmbus_producer_close(stage.producer);
    clear(&stage);
}
