/* SPDX-License-Identifier: MIT */
/*
 * A memory cgroup: what is left in it is found out before a page is touched, since whoever touches
 * more is killed. Its files as both versions write them; and, where one can be had, a real one.
 */
#include "cgroup/cgroup.h"
#include "support/cgroup.h"
#include "support/support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* A folder of this test's, and a file in it. */
static const char *folder(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/files", getenv("SHMBUS_DIR"));
    ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    return path;
}

static const char *put(const char *name, const char *text)
{
    static char paths[2][512];
    static unsigned next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", folder(), name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static uint64_t left(int version, uint64_t swap)
{
    struct cgroup_room room;
    cgroup_read(folder(), version, swap, &room);
    return room.left;
}

START_TEST(version_2)
{
    put("memory.max", "max\n");
    put("memory.current", "1000000\n");
    put("memory.stat", "anon 1\nfile 500\nactive_file 300\ninactive_file 100\nshmem 700\n"
                       "slab_reclaimable 50\nslab 999\n");
    ck_assert_uint_eq(left(2, 0), UINT64_MAX);
    put("memory.max", "3000000\n");
    ck_assert_uint_eq(left(2, 0), 2000450);
    /* Swap: what the machine has, and no more than the cgroup may. */
    ck_assert_uint_eq(left(2, 1000), 2001450);
    put("memory.swap.max", "700\n");
    put("memory.swap.current", "200\n");
    ck_assert_uint_eq(left(2, 1000), 2000950);
    ck_assert_uint_eq(left(2, 10), 2000460);
    put("memory.swap.current", "900\n");
    ck_assert_uint_eq(left(2, 1000), 2000450);
    put("memory.swap.max", "max\n");
    ck_assert_uint_eq(left(2, 1000), 2001450);
    put("memory.current", "9000000\n");
    ck_assert_uint_eq(left(2, 0), 0);
    put("memory.max", "0\n");
    ck_assert_uint_eq(left(2, 0), 0);
    put("memory.max", "nonsense\n");
    ck_assert_uint_eq(left(2, 0), UINT64_MAX);
}
END_TEST

START_TEST(version_1)
{
    put("memory.limit_in_bytes", "9223372036854771712\n");
    put("memory.usage_in_bytes", "1000000\n");
    put("memory.stat", "active_file 7\ntotal_active_file 300\ntotal_inactive_file 100\n"
                       "total_shmem 900\n");
    ck_assert_uint_eq(left(1, 0), UINT64_MAX);
    put("memory.limit_in_bytes", "3000000\n");
    ck_assert_uint_eq(left(1, 0), 2000400);
    ck_assert_uint_eq(left(1, 5000), 2005400);
    /* Memory and swap together: here all of the swap is beyond it, there some. */
    put("memory.memsw.limit_in_bytes", "3000000\n");
    put("memory.memsw.usage_in_bytes", "1000000\n");
    ck_assert_uint_eq(left(1, 5000), 2000400);
    put("memory.memsw.limit_in_bytes", "3002000\n");
    ck_assert_uint_eq(left(1, 5000), 2002400);
    put("memory.memsw.limit_in_bytes", "9223372036854771712\n");
    ck_assert_uint_eq(left(1, 5000), 2005400);
}
END_TEST

START_TEST(nothing_to_read)
{
    struct cgroup_room room;
    cgroup_read("/nowhere", 1, 0, &room);
    ck_assert_uint_eq(room.left, UINT64_MAX);
    cgroup_read("/nowhere", 2, 0, &room);
    ck_assert_uint_eq(room.left, UINT64_MAX);
}
END_TEST

#define MOUNTS_1                                                                                   \
    "20 1 0:20 / /proc rw - proc proc rw\n"                                                        \
    "33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"                   \
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"          \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define MOUNTS_DOCKER_1                                                                            \
    "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
#define MOUNTS_2       "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw\n"
#define MOUNTS_BELOW_2 "41 31 0:38 /pod /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw\n"

START_TEST(where_it_is)
{
    static const struct {
        const char *cgroup;
        const char *mounts;
        int version;
        const char *folder;
    } cases[] = {
        {"5:cpuset:/\n4:memory:/a/b\n0::/c\n", MOUNTS_1, 1, "/sys/fs/cgroup/memory/a/b"},
        {"4:cpu,memory:/a\n", MOUNTS_1, 1, "/sys/fs/cgroup/memory/a"},
        {"4:memory:/\n", MOUNTS_1, 1, "/sys/fs/cgroup/memory"},
        {"4:memoryless:/x\n", MOUNTS_1, 0, ""},
        {"0::/a\n", MOUNTS_1, 2, "/sys/fs/cgroup/unified/a"},
        {"0::/\n", MOUNTS_2, 2, "/sys/fs/cgroup"},
        {"0::/user.slice/x.scope\n", MOUNTS_2, 2, "/sys/fs/cgroup/user.slice/x.scope"},
        {"0::/user.slice/x:y\n", MOUNTS_2, 2, "/sys/fs/cgroup/user.slice/x:y"},
        {"4:memory:/docker/abc\n", MOUNTS_DOCKER_1, 1, "/sys/fs/cgroup/memory"},
        {"4:memory:/docker/abc/d\n", MOUNTS_DOCKER_1, 1, "/sys/fs/cgroup/memory/d"},
        {"4:memory:/docker/abcd\n", MOUNTS_DOCKER_1, 1, "/sys/fs/cgroup/memory"},
        {"0::/pod/one\n", MOUNTS_BELOW_2, 2, "/sys/fs/cgroup/one"},
        {"0::/../other\n", MOUNTS_2, 2, "/sys/fs/cgroup"},
        {"0::relative\n", MOUNTS_2, 0, ""},
        {"nonsense\n", MOUNTS_2, 0, ""},
        {"", MOUNTS_2, 0, ""},
        {"0::/a\n", "", 0, ""},
        {"0::/a\n", "1 2 3\n - \n", 0, ""},
    };
    char found[CGROUP_PATH_MAX];
    char top[CGROUP_PATH_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *cgroup = put("cgroup", cases[i].cgroup);
        const char *mounts = put("mounts", cases[i].mounts);
        ck_assert_msg(cgroup_find(cgroup, mounts, found, top) == cases[i].version, "case %zu", i);
        if (cases[i].version != 0)
            ck_assert_str_eq(found, cases[i].folder);
    }
    ck_assert_int_eq(cgroup_find("/nowhere", "/nowhere", found, top), 0);
}
END_TEST

/* Buses of all sizes around what is left: each is made or refused, and nobody is killed. Answers
 * how many were made, and how many were not. */
static void fill_it(int line, void *context)
{
    uint64_t limit = *(uint64_t *)context;
    uint64_t made = 0;
    uint64_t refused = 0;
    child_hear(line);
    for (uint64_t bytes = limit / 2; bytes < 2 * limit; bytes += limit / 24) {
        struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                         .capacity = 1024,
                                         .max_consumers = 1,
                                         .class_count = 1,
                                         .classes = {{4096, bytes / 4096}}};
        struct shmbus_producer *producer = NULL;
        int result = shmbus_producer_create("full", &bus, NULL, &producer);
        ck_assert_msg(result == 0 || result == -ENOMEM, "%s", shmbus_error_text());
        made += result == 0;
        refused += result == -ENOMEM && support_says("bytes are needed, memory cgroup /") &&
                   support_says(" left of its ") && support_says("docker run --memory");
        shmbus_producer_close(producer);
        shmbus_unlink("full", NULL);
    }
    child_tell(line, made);
    child_tell(line, refused);
    child_hear(line);
}

START_TEST(a_memory_cgroup)
{
    struct cgroup cgroup;
    char why[700] = "needs root";
    char text[32];
    uint64_t limit = 24 * MIB;
    uint64_t made = 0;
    uint64_t refused = 0;
    if (geteuid() != 0 || cgroup_make("memory", &cgroup, why, sizeof why) < 0) {
        printf("SKIP a_memory_cgroup: %s\n", why);
        return;
    }
    struct child child = child_start(fill_it, &limit);
    snprintf(text, sizeof text, "%llu", (unsigned long long)limit);
    int in = cgroup_set(&cgroup, cgroup.version == 1 ? "memory.limit_in_bytes" : "memory.max",
                        text) == 0 &&
             cgroup_enter(&cgroup, child.pid) == 0;
    int number = errno;
    if (in) {
        child_tell(child.line, 1);
        /* Whatever becomes of it, the cgroup is removed before that is judged. */
        recv(child.line, &made, sizeof made, MSG_WAITALL);
        recv(child.line, &refused, sizeof refused, MSG_WAITALL);
    }
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
    cgroup_remove(&cgroup);
    if (!in) {
        printf("SKIP a_memory_cgroup: %s\n", strerror(number));
        return;
    }
    ck_assert_uint_ge(made, 5);
    ck_assert_uint_ge(refused, 5);
    ck_assert_uint_eq(made + refused, 36);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("containers memory");
    TCase *tcase = support_case(suite, "memory", 60);
    tcase_add_test(tcase, version_2);
    tcase_add_test(tcase, version_1);
    tcase_add_test(tcase, nothing_to_read);
    tcase_add_test(tcase, where_it_is);
    tcase_add_test(tcase, a_memory_cgroup);
    return support_run(suite);
}
