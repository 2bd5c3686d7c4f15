/* SPDX-License-Identifier: MIT */
/* Nothing stays open or mapped: not after closing, and not after an open that failed half way. */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUNDS 20

static int expected; /* what each call below is to return */

typedef int attempt(void);

/* Repeats a call; descriptors and mappings are the same after it as after the first one. */
static void repeat(attempt *call, int result)
{
    ck_assert_int_eq(call(), result);
    int descriptors = rig_count_descriptors();
    int mappings = rig_count_mappings();
    ck_assert_int_eq(mappings, expected);
    for (int i = 0; i < ROUNDS; i++)
        ck_assert_int_eq(call(), result);
    ck_assert_int_eq(rig_count_descriptors(), descriptors);
    ck_assert_int_eq(rig_count_mappings(), mappings);
}

static struct shmbus_bus_options wanted;

static int create(void)
{
    return rig_try_create("bus", &wanted);
}

static int create_anew(void)
{
    int result = rig_try_create("bus", &wanted);
    return result < 0 ? result : shmbus_unlink("bus", NULL);
}

static int open_it(void)
{
    return rig_try_open("bus");
}

static int join(void)
{
    return rig_try_join("bus");
}

static int join_beyond(void)
{
    struct shmbus_consumer_options options = rig_required();
    struct shmbus_consumer *consumer = NULL;
    options.from = SHMBUS_FROM_SEQUENCE;
    options.from_sequence = 1000;
    return shmbus_consumer_open("bus", &options, &consumer);
}

static int look(void)
{
    struct shmbus_bus_info bus;
    struct shmbus_snapshot *snapshot;
    struct shmbus_placement placement;
    int result = shmbus_snapshot_open("bus", NULL, &snapshot);
    if (result == 0) {
        shmbus_snapshot_placement(snapshot, &placement);
        shmbus_snapshot_close(snapshot);
        result = rig_look("bus", &bus, NULL, 0);
    }
    return result;
}

static int ignore(const char *name, void *context)
{
    (void)name;
    (void)context;
    return 0;
}

static int list(void)
{
    return shmbus_list(NULL, ignore, NULL);
}

static int unlink_it(void)
{
    return shmbus_unlink("bus", NULL);
}

START_TEST(opened_and_closed)
{
    wanted = rig_small();
    repeat(create_anew, 0);
    repeat(create, 0);
    repeat(open_it, 0);
    repeat(join, 0);
    repeat(look, 0);
    repeat(list, 1);
    wanted.pages = SHMBUS_PAGES_THP;
    repeat(create, 0);
    assert_ok(shmbus_unlink("bus", NULL));
    repeat(create_anew, 0);
}
END_TEST

START_TEST(refused_at_create)
{
    wanted = rig_small();
    wanted.group = "no-such-group";
    repeat(create, -EINVAL);
    wanted = rig_small();
    wanted.numa = SHMBUS_NUMA_NODE;
    wanted.numa_node = 63;
    int result = create();
    ck_assert(result == -ENXIO || result == -ENOTSUP);
    repeat(create, result);
    wanted = rig_small();
    wanted.pages = SHMBUS_PAGES_HUGETLB;
    wanted.hugetlb_folder = rig_folder();
    repeat(create, -EINVAL);
    wanted = rig_small();
    wanted.folder = rig_path("absent");
    repeat(create, -ENOENT);
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}
END_TEST

START_TEST(refused_at_open)
{
    wanted = rig_small();
    repeat(open_it, -ENOENT);
    repeat(join, -ENOENT);
    repeat(look, -ENOENT);
    repeat(unlink_it, -ENOENT);
    struct shmbus_producer *producer = rig_create("bus", &wanted);
    expected = rig_count_mappings();
    ck_assert_int_eq(expected, 3);
    repeat(create, -EBUSY);
    repeat(open_it, -EBUSY);
    repeat(unlink_it, -EBUSY);
    repeat(join, 0);
    repeat(join_beyond, -ERANGE);
    repeat(look, 0);
    shmbus_producer_close(producer);
    expected = 0;
    wanted.capacity = 32;
    repeat(create, -EEXIST);
}
END_TEST

START_TEST(refused_for_damage)
{
    struct feed_header header;
    wanted = rig_small();
    rig_make("bus", &wanted);
    rig_read_header("bus", &header);
    header.created_realtime_ns++;
    rig_write_header("bus", &header, 0);
    repeat(open_it, -EBADMSG);
    repeat(join, -EBADMSG);
    repeat(look, 0);
    header.boot_id[0] ^= 1;
    rig_write_header("bus", &header, 1);
    repeat(open_it, -ESTALE);
    repeat(join, -ESTALE);
    header.boot_id[0] ^= 1;
    rig_write_header("bus", &header, 1);
    ck_assert_int_eq(truncate(rig_path("shmbus.bus/control"), 4096), 0);
    repeat(open_it, -EBADMSG);
    repeat(join, -EBADMSG);
    repeat(look, 0);
    ck_assert_int_eq(unlink(rig_path("shmbus.bus/control")), 0);
    repeat(open_it, -EBADMSG);
    repeat(join, -EBADMSG);
    repeat(look, 0);
    ck_assert_int_eq(truncate(rig_path("shmbus.bus/feed"), 4096), 0);
    repeat(open_it, -EBADMSG);
    repeat(join, -EBADMSG);
    repeat(look, 0);
}
END_TEST

/* Every entry taken: the one too many leaves nothing open. */
START_TEST(refused_for_want_of_an_entry)
{
    struct shmbus_consumer_options options = rig_required();
    struct shmbus_consumer *consumers[2];
    wanted = rig_small();
    rig_make("bus", &wanted);
    for (int i = 0; i < 2; i++)
        assert_ok(shmbus_consumer_open("bus", &options, &consumers[i]));
    expected = rig_count_mappings();
    repeat(join, -EUSERS);
    for (int i = 0; i < 2; i++)
        shmbus_consumer_close(consumers[i]);
    expected = 0;
    repeat(join, 0);
}
END_TEST

/* As few descriptors as there can be, one more each time, until all of it works: each failure says
 * so, and leaves no bus, no temporary folder and nothing open. */
START_TEST(out_of_descriptors)
{
    struct rlimit limit;
    int results[64];
    int failed = 0;
    int base = rig_count_descriptors();
    int lowest = dup(0);
    close(lowest);
    wanted = rig_small();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int room = 0; room < 20; room++) {
        struct rlimit tight = {(rlim_t)(lowest + room), limit.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
        results[0] = create();
        results[1] = results[0] == 0 ? join() : 0;
        results[2] = results[0] == 0 ? open_it() : 0;
        results[3] = results[0] == 0 ? unlink_it() : 0;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (int i = 0; i < 4; i++) {
            ck_assert_msg(results[i] == 0 || results[i] == -EMFILE, "room %d call %d: %d", room, i,
                          results[i]);
            failed += results[i] != 0;
        }
        ck_assert_int_eq(rig_count_descriptors(), base);
        ck_assert_int_eq(rig_count_mappings(), 0);
        if (results[3] != 0)
            assert_ok(unlink_it());
        rig_make("next", &wanted);
        assert_ok(shmbus_unlink("next", NULL));
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    }
    ck_assert_int_gt(failed, 3);
    ck_assert_int_eq(results[0] | results[1] | results[2] | results[3], 0);
}
END_TEST

RIG_MAIN("leaks", opened_and_closed, refused_at_create, refused_at_open, refused_for_damage,
         refused_for_want_of_an_entry, out_of_descriptors)
