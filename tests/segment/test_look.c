/* SPDX-License-Identifier: MIT */
/* Listing and looking: in order, of whatever is there, and without a trace. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct names {
    char text[512];
    int most;
    int count;
};

static int note(const char *name, void *context)
{
    struct names *names = context;
    size_t used = strlen(names->text);
    snprintf(names->text + used, sizeof names->text - used, "%s ", name);
    return ++names->count == names->most;
}

START_TEST(listing)
{
    struct shmbus_bus_options options = rig_small();
    struct names names = {.text = ""};
    ck_assert_int_eq(shmbus_list(NULL, note, &names), 0);
    rig_make("b", &options);
    rig_make("a", &options);
    rig_make("c.d", &options);
    /* Damaged ones are there too; what has no name of a bus is not. */
    ck_assert_int_eq(mkdir(rig_path("shmbus.empty"), 0700), 0);
    ck_assert_int_eq(mkdir(rig_path("shmbus."), 0700), 0);
    ck_assert_int_eq(mkdir(rig_path("shmbus..x"), 0700), 0);
    ck_assert_int_eq(mkdir(rig_path("shmbus.a b"), 0700), 0);
    ck_assert_int_eq(mkdir(rig_path(".shmbus-tmp.x"), 0700), 0);
    ck_assert_int_eq(mkdir(rig_path("other"), 0700), 0);
    ck_assert_int_eq(shmbus_list(NULL, note, &names), 4);
    ck_assert_str_eq(names.text, "a b c.d empty ");
    names = (struct names){.text = "", .most = 2};
    ck_assert_int_eq(shmbus_list(rig_folder(), note, &names), 2);
    ck_assert_str_eq(names.text, "a b ");
    assert_error(shmbus_list(NULL, NULL, NULL), -EINVAL, "lister");
    assert_error(shmbus_list(rig_path("absent"), note, &names), -ENOENT, "/absent");
    assert_error(shmbus_list(rig_path("shmbus.a/feed"), note, &names), -ENOTDIR, "/feed");
}
END_TEST

static uint64_t sum_of(const char *file)
{
    unsigned char bytes[4096];
    uint64_t sum = 0;
    ssize_t got;
    int descriptor = open(rig_path("shmbus.bus/%s", file), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(descriptor, 0);
    while ((got = read(descriptor, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < got; i++)
            sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    close(descriptor);
    return sum;
}

/* Looks in every way that there is; the folder, its files and their locks stay as they are. */
static void without_a_trace(void)
{
    static char before[8192];
    static char after[8192];
    struct shmbus_snapshot *snapshot;
    struct shmbus_placement placement;
    struct names names = {.text = ""};
    uint64_t sums[2] = {sum_of("feed"), sum_of("control")};
    int locks = rig_count_locks("bus");
    rig_listing(before, sizeof before);
    ck_assert_int_eq(shmbus_list(NULL, note, &names), 1);
    for (int i = 0; i < 3; i++) {
        assert_ok(shmbus_snapshot_open("bus", NULL, &snapshot));
        assert_ok(shmbus_snapshot_update(snapshot));
        assert_ok(shmbus_snapshot_placement(snapshot, &placement));
        ck_assert_int_eq(rig_count_locks("bus"), locks);
        rig_listing(after, sizeof after);
        ck_assert_str_eq(before, after);
        shmbus_snapshot_close(snapshot);
    }
    ck_assert_int_eq(rig_count_locks("bus"), locks);
    rig_listing(after, sizeof after);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(sum_of("feed"), sums[0]);
    ck_assert_uint_eq(sum_of("control"), sums[1]);
}

START_TEST(looking_leaves_no_trace)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_consumer *consumer;
    struct shmbus_producer *producer = rig_create("bus", &options);
    /* Life bytes in owner, feed and control. */
    ck_assert_int_eq(rig_count_locks("bus"), 2);
    assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
    ck_assert_int_eq(rig_count_locks("bus"), 3);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "x", 1));
    without_a_trace();
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    ck_assert_int_eq(rig_count_locks("bus"), 0);
    without_a_trace();
}
END_TEST

START_TEST(everything_is_mapped_read_only)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_snapshot *snapshot;
    char line[1024];
    int count = 0;
    rig_make("bus", &options);
    assert_ok(shmbus_snapshot_open("bus", NULL, &snapshot));
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "shmbus.bus/") != NULL) {
            ck_assert_msg(strstr(line, " r--s ") != NULL, "%s", line);
            count++;
        }
    fclose(maps);
    ck_assert_int_eq(count, 2);
    shmbus_snapshot_close(snapshot);
}
END_TEST

/* Feed is read-only for a consumer, and so is all of control but the shared page and its entry. */
START_TEST(a_consumer_maps_its_own_entry_only)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_consumer *consumers[2];
    struct feed_header header;
    char line[1024];
    uint64_t writable = 0;
    options.max_consumers = 8;
    rig_make("bus", &options);
    rig_read_header("bus", &header);
    for (int i = 0; i < 2; i++)
        assert_ok(shmbus_consumer_open("bus", &joins, &consumers[i]));
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long begin;
        unsigned long long end;
        if (strstr(line, "shmbus.bus/") == NULL || strstr(line, " rw-s ") == NULL)
            continue;
        ck_assert_ptr_nonnull(strstr(line, "/control"));
        ck_assert_int_eq(sscanf(line, "%llx-%llx", &begin, &end), 2);
        writable += end - begin;
    }
    fclose(maps);
    ck_assert_uint_eq(writable, 2 * (4096 + (uint64_t)header.entry_bytes));
    for (int i = 0; i < 2; i++)
        shmbus_consumer_close(consumers[i]);
}
END_TEST

START_TEST(words_of_peers_are_only_shown)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_consumer *consumer;
    struct shmbus_bus_info bus;
    struct feed_header header;
    struct shmbus_producer *producer = rig_create("bus", &options);
    assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
    rig_read_header("bus", &header);
    unsigned seed = 20;
    srandom(seed);
    /* All of control that is not its header, and all of feed, but for who is who. */
    for (int round = 0; round < 300; round++) {
        for (int file = 0; file < 2; file++) {
            uint64_t bytes = file == 0 ? header.feed_bytes : header.control_bytes;
            int descriptor = open(rig_path("shmbus.bus/%s", file == 0 ? "feed" : "control"),
                                  O_WRONLY | O_CLOEXEC);
            for (int i = 0; i < 64; i++) {
                uint64_t word =
                    random() % 3 == 0 ? UINT64_MAX : (uint64_t)random() << (random() % 33);
                uint64_t at = 4096 + (uint64_t)random() % (bytes - 4096) / 8 * 8;
                ck_assert_int_eq(pwrite(descriptor, &word, 8, (off_t)at), 8);
            }
            close(descriptor);
        }
        assert_ok(rig_look("bus", &bus, NULL, 0));
        ck_assert_uint_le(bus.floor, bus.tail);
        ck_assert_uint_le(bus.ring_used, bus.capacity);
        ck_assert_uint_le(bus.consumer_count, bus.max_consumers);
    }
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

RIG_MAIN("look", listing, looking_leaves_no_trace, everything_is_mapped_read_only,
         a_consumer_maps_its_own_entry_only, words_of_peers_are_only_shown)
