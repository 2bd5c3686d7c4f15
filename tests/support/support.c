/* SPDX-License-Identifier: MIT */
/* Folders, random numbers, payloads and buses for tests: see support.h. */
#include "support/support.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Some tests look on from a handler for a fault that they have made themselves, at a place that
 * they know: what that calls is safe there. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_signal_unsafe=0";
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

int support_run(Suite *suite)
{
    char folder[] = "/dev/shm/shmbus-test.XXXXXX";
    if (mkdtemp(folder) == NULL || setenv("SHMBUS_DIR", folder, 1) != 0) {
        perror(folder);
        return EXIT_FAILURE;
    }
    SRunner *runner = srunner_create(suite);
    /* Each test is a process of its own, so that this one gets to the removal below. */
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        perror(folder);
        failed++;
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

TCase *support_case(Suite *suite, const char *name, int seconds)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, seconds);
    suite_add_tcase(suite, tcase);
    return tcase;
}

uint64_t support_random(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t support_seed(const char *test)
{
    uint64_t seed = 0;
    const char *given = getenv("SHMBUS_TEST_SEED");
    if (given != NULL)
        seed = strtoull(given, NULL, 0);
    else
        ck_assert_int_eq(getrandom(&seed, sizeof seed, 0), (ssize_t)sizeof seed);
    printf("%s: SHMBUS_TEST_SEED=0x%016" PRIx64 "\n", test, seed);
    fflush(stdout);
    return seed;
}

void support_fill(void *data, size_t length, uint64_t key)
{
    unsigned char *bytes = data;
    uint64_t state = key ^ (uint64_t)length << 48;
    while (length >= 8) {
        uint64_t word = support_random(&state);
        memcpy(bytes, &word, 8);
        bytes += 8;
        length -= 8;
    }
    uint64_t word = support_random(&state);
    memcpy(bytes, &word, length);
}

int support_is(const void *data, size_t length, uint64_t key)
{
    const unsigned char *bytes = data;
    uint64_t state = key ^ (uint64_t)length << 48;
    while (length >= 8) {
        uint64_t word = support_random(&state);
        if (memcmp(bytes, &word, 8) != 0)
            return 0;
        bytes += 8;
        length -= 8;
    }
    uint64_t word = support_random(&state);
    return memcmp(bytes, &word, length) == 0;
}

int support_all(const void *data, size_t length, unsigned char byte)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != byte)
            return 0;
    return 1;
}

int support_says(const char *what)
{
    return strstr(shmbus_error_text(), what) != NULL;
}

struct shmbus_producer *support_create(const char *name, const struct shmbus_bus_options *bus,
                                       const struct shmbus_producer_options *options)
{
    struct shmbus_producer *producer;
    shmbus_unlink(name, NULL);
    int result = shmbus_producer_create(name, bus, options, &producer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    return producer;
}

struct shmbus_consumer *support_join(const char *name, uint32_t from)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .kind = SHMBUS_REQUIRED, .from = from};
    struct shmbus_consumer *consumer;
    int result = shmbus_consumer_open(name, &options, &consumer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    return consumer;
}

struct shmbus_snapshot *support_look(const char *name)
{
    struct shmbus_snapshot *snapshot;
    int result = shmbus_snapshot_open(name, NULL, &snapshot);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    ck_assert_str_eq(shmbus_snapshot_why(snapshot), "");
    return snapshot;
}

struct shmbus_pool_stats support_pool(struct shmbus_producer *producer, uint32_t class_index)
{
    struct shmbus_pool_stats stats;
    ck_assert_int_eq(shmbus_producer_pool_stats(producer, class_index, &stats), 0);
    ck_assert_uint_eq(stats.in_use, stats.acquired - stats.released);
    ck_assert_uint_le(stats.in_use, stats.high_water);
    ck_assert_uint_le(stats.high_water, stats.slab_count);
    ck_assert_uint_le(stats.held, stats.slab_count);
    return stats;
}
