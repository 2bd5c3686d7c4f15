/* SPDX-License-Identifier: MIT */
/* Many who create and remove one name at once, and creators that are killed in the middle of it. */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CREATORS 50

static void *share(size_t bytes)
{
    void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    return shared;
}

/* Waits for the start, creates, says how it went, and keeps the bus until the end. */
static void create_once(int start, int end, int *out_result)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer = NULL;
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(start, &byte, 1) != 0)
        _exit(1);
    *out_result = shmbus_producer_create("bus", &options, NULL, &producer);
    if (*out_result != 0 && *out_result != -EBUSY)
        printf("%d: %s\n", *out_result, shmbus_error_text());
    fflush(stdout);
    while (read(end, &byte, 1) > 0)
        ;
    shmbus_producer_close(producer);
    _exit(0);
}

static void race_once(void)
{
    int *results = share(CREATORS * sizeof *results);
    pid_t children[CREATORS];
    int start[2];
    int end[2];
    int won = 0;
    ck_assert_int_eq(pipe(start), 0);
    ck_assert_int_eq(pipe(end), 0);
    for (int i = 0; i < CREATORS; i++) {
        results[i] = 1;
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            close(start[1]);
            close(end[1]);
            create_once(start[0], end[0], &results[i]);
        }
    }
    close(start[1]);
    /* All have an answer before anybody lets go. */
    for (int i = 0; i < CREATORS; i++)
        while (*(volatile int *)&results[i] == 1)
            sched_yield();
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
    ck_assert_int_eq(rig_count_names(rig_path("shmbus.bus")), 3);
    close(end[1]);
    for (int i = 0; i < CREATORS; i++) {
        ck_assert_int_eq(waitpid(children[i], NULL, 0), children[i]);
        ck_assert_msg(results[i] == 0 || results[i] == -EBUSY, "%d", results[i]);
        won += results[i] == 0;
    }
    close(start[0]);
    close(end[0]);
    ck_assert_int_eq(won, 1);
    assert_ok(shmbus_unlink("bus", NULL));
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    munmap(results, CREATORS * sizeof *results);
}

START_TEST(fifty_create_one_name)
{
    for (int round = 0; round < 5; round++)
        race_once();
}
END_TEST

static void create_and_unlink(int rounds)
{
    struct shmbus_bus_options options = rig_small();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < rounds; i++) {
        int result = rig_try_create("bus", &options);
        if (result != 0 && result != -EBUSY) {
            printf("create: %d: %s\n", result, shmbus_error_text());
            fflush(stdout);
            _exit(1);
        }
        result = shmbus_unlink("bus", NULL);
        if (result != 0 && result != -EBUSY && result != -ENOENT) {
            printf("unlink: %d: %s\n", result, shmbus_error_text());
            fflush(stdout);
            _exit(2);
        }
    }
    _exit(0);
}

START_TEST(creating_and_unlinking_at_once)
{
    pid_t children[8];
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            create_and_unlink(200);
    }
    for (int i = 0; i < 8; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_msg(status == 0, "status 0x%x", (unsigned)status);
    }
    int result = shmbus_unlink("bus", NULL);
    ck_assert(result == 0 || result == -ENOENT);
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}
END_TEST

/* Lives as an owner while others try to unlink a bus of that name which comes and goes. */
START_TEST(a_living_bus_is_never_unlinked)
{
    struct shmbus_bus_options options = rig_small();
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            for (;;)
                shmbus_unlink("bus", NULL);
    }
    for (int round = 0; round < 300; round++) {
        struct shmbus_producer *producer;
        int result = shmbus_producer_create("bus", &options, NULL, &producer);
        if (result == -EBUSY)
            continue;
        ck_assert_int_eq(result, 0);
        for (int look = 0; look < 20; look++) {
            ck_assert_int_eq(access(rig_path("shmbus.bus/feed"), F_OK), 0);
            sched_yield();
        }
        shmbus_producer_close(producer);
    }
    for (int i = 0; i < 3; i++) {
        kill(children[i], SIGKILL);
        ck_assert_int_eq(waitpid(children[i], NULL, 0), children[i]);
    }
}
END_TEST

/* Creates and removes for as long as it lives, and counts. */
static void create_for_ever(_Atomic int *out_rounds)
{
    struct shmbus_bus_options options = rig_small();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    options.max_consumers = 64;
    for (;;) {
        if (rig_try_create("bus", &options) != 0)
            _exit(1);
        if (shmbus_unlink("bus", NULL) != 0)
            _exit(2);
        (*out_rounds)++;
    }
}

/* Does nobody's mapping keep the lock on a folder's owner file? */
static int is_released(const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int owner = open(rig_path("%s/owner", name), O_RDWR | O_CLOEXEC);
    if (owner < 0)
        return 1;
    ck_assert_int_eq(fcntl(owner, F_OFD_GETLK, &lock), 0);
    close(owner);
    return lock.l_type == F_UNLCK;
}

/* Whoever reads /proc/PID/maps of a process, as monitors do, keeps its mappings, and its locks with
 * them, until the read is over: that long one that was killed and waited for looks alive. */
static void await_release(void)
{
    DIR *folder = opendir(rig_folder());
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder))
        while (!is_released(found->d_name))
            sched_yield();
    closedir(folder);
}

START_TEST(creators_that_are_killed)
{
    const char *given = getenv("SHMBUS_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    _Atomic int *rounds = share(sizeof *rounds);
    struct shmbus_bus_options options = rig_small();
    int temporaries = 0;
    int named = 0;
    printf("seed %u (again: SHMBUS_TEST_SEED=%u)\n", seed, seed);
    srandom(seed);
    for (int i = 0; i < 300; i++) {
        struct timespec pause = {.tv_nsec = random() % 400000};
        int before = *rounds;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            create_for_ever(rounds);
        while (*rounds == before)
            sched_yield();
        nanosleep(&pause, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFSIGNALED(status), "it ended by itself with 0x%x", (unsigned)status);
        await_release();

        int there = access(rig_path("shmbus.bus"), F_OK) == 0;
        temporaries += rig_count_names(rig_folder()) - there;
        named += there;
        /* What has the name is whole. */
        struct shmbus_bus_info bus;
        if (there) {
            assert_ok(rig_look("bus", &bus, NULL, 0));
            ck_assert_uint_ne(bus.state, SHMBUS_STATE_DAMAGED);
            assert_ok(rig_try_open("bus"));
        }
        rig_make("next", &options);
        ck_assert_int_eq(rig_count_names(rig_folder()), 1 + there);
        assert_ok(shmbus_unlink("next", NULL));
        if (there)
            assert_ok(shmbus_unlink("bus", NULL));
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    }
    printf("killed 300 times: %d temporary folders swept, %d buses found\n", temporaries, named);
    ck_assert_int_gt(temporaries, 0);
}
END_TEST

START_TEST(sweeping_spares_the_living_and_others)
{
    struct shmbus_bus_options options = rig_small();
    FILE *file = fopen(rig_path(".shmbus-tmp.file"), "we");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_assert_int_eq(mkdir(rig_path(".other"), 0700), 0);
    /* One whose maker lives: the owner file of a living bus is in it too. */
    struct shmbus_producer *producer = rig_create("bus", &options);
    ck_assert_int_eq(mkdir(rig_path(".shmbus-tmp.alive"), 0700), 0);
    ck_assert_int_eq(link(rig_path("shmbus.bus/owner"), rig_path(".shmbus-tmp.alive/owner")), 0);
    ck_assert_int_eq(mkdir(rig_path(".shmbus-tmp.dead"), 0700), 0);
    rig_make("sweeps", &options);
    ck_assert_int_ne(access(rig_path(".shmbus-tmp.dead"), F_OK), 0);
    ck_assert_int_eq(access(rig_path(".shmbus-tmp.alive"), F_OK), 0);
    ck_assert_int_eq(access(rig_path(".shmbus-tmp.file"), F_OK), 0);
    ck_assert_int_eq(access(rig_path(".other"), F_OK), 0);
    shmbus_producer_close(producer);
    rig_make("again", &options);
    ck_assert_int_ne(access(rig_path(".shmbus-tmp.alive"), F_OK), 0);
}
END_TEST

RIG_MAIN("races", fifty_create_one_name, creating_and_unlinking_at_once,
         a_living_bus_is_never_unlinked, creators_that_are_killed,
         sweeping_spares_the_living_and_others)
