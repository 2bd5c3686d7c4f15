/* SPDX-License-Identifier: MIT */
/*
 * Files that are not what they should be: too short, missing, of another bus, of another kind, of
 * another user. Each is refused with a text, shown by a snapshot, and can be unlinked by name.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *const files[] = {"feed", "control", "owner"};

static void make_bus(void)
{
    struct shmbus_bus_options options = rig_small();
    rig_make("bus", &options);
}

/* Refused by all who open that file (bits: 1 consumers, 2 producers, 4 snapshots). */
static void refused(unsigned who, int code, const char *one, const char *other)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    char why[512] = "";
    if (who & 1)
        assert_error(rig_try_join("bus"), code, "bus", one, other);
    if (who & 2) {
        assert_error(rig_try_open("bus"), code, "bus", one, other);
        assert_error(rig_try_create("bus", &options), code, "bus", one, other);
    }
    assert_ok(rig_look("bus", &bus, why, sizeof why));
    if (who & 4) {
        ck_assert_uint_eq(bus.state, SHMBUS_STATE_DAMAGED);
        ck_assert_msg(strstr(why, one) != NULL && strstr(why, other) != NULL, "%s", why);
    }
}

static void removable(void)
{
    assert_ok(shmbus_unlink("bus", NULL));
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    make_bus();
    assert_ok(rig_try_join("bus"));
}

START_TEST(feed_of_every_length)
{
    struct feed_header header;
    make_bus();
    rig_read_header("bus", &header);
    const uint64_t edges[] = {0,
                              1,
                              7,
                              8,
                              23,
                              24,
                              sizeof header - 1,
                              sizeof header,
                              4095,
                              4096,
                              header.ring.offset,
                              header.feed_bytes - 4096,
                              header.feed_bytes - 1};
    char wanted[32];
    for (size_t i = sizeof edges / sizeof edges[0]; i-- > 0;) {
        char length[32];
        ck_assert_int_eq(truncate(rig_path("shmbus.bus/feed"), (off_t)edges[i]), 0);
        snprintf(length, sizeof length, "%llu bytes", (unsigned long long)edges[i]);
        snprintf(
            wanted, sizeof wanted, "%llu",
            (unsigned long long)(edges[i] < sizeof header ? sizeof header : header.feed_bytes));
        refused(7, -EBADMSG, length, wanted);
    }
    for (uint64_t length = header.feed_bytes; length > 100; length -= length / 37 + 1) {
        assert_ok(shmbus_unlink("bus", NULL));
        make_bus();
        ck_assert_int_eq(truncate(rig_path("shmbus.bus/feed"), (off_t)length - 1), 0);
        refused(7, -EBADMSG, "too short", "feed");
    }
    removable();
}
END_TEST

START_TEST(control_of_every_length)
{
    struct feed_header header;
    make_bus();
    rig_read_header("bus", &header);
    const uint64_t edges[] = {
        0, 1, 16, 31, 32, 4095, 4096, header.entries_offset, header.control_bytes - 1};
    for (size_t i = sizeof edges / sizeof edges[0]; i-- > 0;) {
        char length[32];
        char wanted[32];
        ck_assert_int_eq(truncate(rig_path("shmbus.bus/control"), (off_t)edges[i]), 0);
        snprintf(length, sizeof length, "%llu bytes", (unsigned long long)edges[i]);
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)header.control_bytes);
        refused(7, -EBADMSG, length, wanted);
    }
    removable();
}
END_TEST

START_TEST(control_of_another_bus)
{
    struct shmbus_bus_options options = rig_small();
    make_bus();
    rig_make("other", &options);
    ck_assert_int_eq(rename(rig_path("shmbus.other/control"), rig_path("shmbus.bus/control")), 0);
    refused(7, -EBADMSG, "control", "not of the same bus");
    assert_ok(shmbus_unlink("other", NULL));
    removable();
}
END_TEST

/* A longer file than the header says does no harm. */
START_TEST(files_too_long)
{
    make_bus();
    ck_assert_int_eq(truncate(rig_path("shmbus.bus/feed"), 1 << 22), 0);
    ck_assert_int_eq(truncate(rig_path("shmbus.bus/control"), 1 << 22), 0);
    assert_ok(rig_try_join("bus"));
    assert_ok(rig_try_open("bus"));
}
END_TEST

START_TEST(files_that_are_missing)
{
    for (int i = 0; i < 3; i++) {
        make_bus();
        ck_assert_int_eq(unlink(rig_path("shmbus.bus/%s", files[i])), 0);
        refused(i == 2 ? 2 : 7, -EBADMSG, files[i], "not there");
        if (i == 2)
            assert_ok(rig_try_join("bus"));
        removable();
        assert_ok(shmbus_unlink("bus", NULL));
    }
}
END_TEST

enum kind { LINK, LINK_TO_NOTHING, FIFO, FOLDER, SOCKET, KINDS };

static void replace(const char *path, enum kind kind)
{
    int result = 0;
    if (kind == LINK)
        result = symlink(rig_path("moved"), path);
    if (kind == LINK_TO_NOTHING)
        result = symlink("nothing", path);
    if (kind == FIFO)
        result = mkfifo(path, 0600);
    if (kind == FOLDER)
        result = mkdir(path, 0700);
    if (kind == SOCKET)
        result = mknod(path, S_IFSOCK | 0600, 0);
    ck_assert_msg(result == 0, "%s: %s", path, strerror(errno));
}

START_TEST(files_of_another_kind)
{
    for (enum kind kind = LINK; kind < KINDS; kind++)
        for (int i = 0; i < 3; i++) {
            make_bus();
            ck_assert_int_eq(rename(rig_path("shmbus.bus/%s", files[i]), rig_path("moved")), 0);
            replace(rig_path("shmbus.bus/%s", files[i]), kind);
            refused(i == 2 ? 2 : 7, -EBADMSG, files[i],
                    kind <= LINK_TO_NOTHING ? "symbolic link" : "not a file");
            assert_ok(shmbus_unlink("bus", NULL));
            /* What a link led to is not touched. */
            ck_assert_int_eq(unlink(rig_path("moved")), 0);
            ck_assert_int_eq(rig_count_names(rig_folder()), 0);
        }
}
END_TEST

START_TEST(a_device)
{
    if (!rig_needs_root("a_device"))
        return;
    for (int i = 0; i < 3; i++) {
        make_bus();
        ck_assert_int_eq(unlink(rig_path("shmbus.bus/%s", files[i])), 0);
        if (mknod(rig_path("shmbus.bus/%s", files[i]), S_IFCHR | 0600, makedev(1, 5)) < 0) {
            rig_skip("a_device", "mknod: %s", strerror(errno));
            return;
        }
        refused(i == 2 ? 2 : 7, -EBADMSG, files[i], "not a file");
        removable();
        assert_ok(shmbus_unlink("bus", NULL));
    }
}
END_TEST

START_TEST(a_folder_of_another_kind)
{
    for (enum kind kind = LINK; kind < KINDS; kind++) {
        if (kind == FOLDER)
            continue;
        make_bus();
        ck_assert_int_eq(rename(rig_path("shmbus.bus"), rig_path("moved")), 0);
        replace(rig_path("shmbus.bus"), kind);
        refused(7, -EBADMSG, "shmbus.bus", "not a folder");
        ck_assert_int_eq(unlink(rig_path("shmbus.bus")), 0);
        rig_remove(rig_path("moved"));
    }
    int file = open(rig_path("shmbus.bus"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(file, 0);
    close(file);
    refused(7, -EBADMSG, "shmbus.bus", "not a folder");
    assert_error(shmbus_unlink("bus", NULL), -EBADMSG, "shmbus.bus", "not a folder");
    ck_assert_int_eq(access(rig_path("shmbus.bus"), F_OK), 0);
}
END_TEST

START_TEST(an_empty_folder)
{
    ck_assert_int_eq(mkdir(rig_path("shmbus.bus"), 0700), 0);
    refused(7, -EBADMSG, "not there", "bus");
    removable();
}
END_TEST

START_TEST(a_folder_that_others_may_write)
{
    static const mode_t modes[] = {0770, 0720, 0707, 0702, 0777};
    make_bus();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char mode[8];
        ck_assert_int_eq(chmod(rig_path("shmbus.bus"), modes[i]), 0);
        snprintf(mode, sizeof mode, "0%o", modes[i]);
        refused(7, -EPERM, "its folder has mode", mode);
    }
    removable();
}
END_TEST

START_TEST(files_of_another_user)
{
    if (!rig_needs_root("files_of_another_user"))
        return;
    for (int i = 0; i < 3; i++) {
        make_bus();
        ck_assert_int_eq(chown(rig_path("shmbus.bus/%s", files[i]), 65534, 65534), 0);
        refused(i == 2 ? 2 : 7, -EPERM, "of user 65534", "bus of user 0");
        removable();
        assert_ok(shmbus_unlink("bus", NULL));
    }
    make_bus();
    ck_assert_int_eq(chown(rig_path("shmbus.bus"), 65534, 65534), 0);
    refused(1 | 4, -EPERM, "of user 0", "bus of user 65534");
    assert_error(rig_try_open("bus"), -EACCES, "of user 65534", "this is user 0");
}
END_TEST

RIG_MAIN("files", feed_of_every_length, control_of_every_length, control_of_another_bus,
         files_too_long, files_that_are_missing, files_of_another_kind, a_device,
         a_folder_of_another_kind, an_empty_folder, a_folder_that_others_may_write,
         files_of_another_user)
