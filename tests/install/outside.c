/* SPDX-License-Identifier: MIT */
/*
 * A program outside of the project: what a user writes against the installed library. Publishes one
 * message in the ring and one in the pool, reads both back, and leaves nothing behind.
 */
#include <shmbus/shmbus.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int check(int result, const char *what)
{
    if (result < 0)
        fprintf(stderr, "outside: %s: %s (%s)\n", what, shmbus_strerror(result),
                shmbus_error_text());
    return result < 0;
}

static int read_back(struct shmbus_consumer *consumer, const char *expected, uint32_t length)
{
    struct shmbus_message message;
    if (check(shmbus_consumer_wait(consumer, 10000000000), "wait"))
        return 1;
    if (shmbus_consumer_next(consumer, &message) != 1 || message.length != length ||
        memcmp(message.data, expected, length) != 0) {
        fprintf(stderr, "outside: a message came back changed\n");
        return 1;
    }
    return 0;
}

int main(void)
{
    static const char small[] = "hello";
    static const char large[1000] = "a payload that does not fit a slot";
    char name[SHMBUS_NAME_MAX];
    snprintf(name, sizeof(name), "install-test-%ld", (long)getpid());

    struct shmbus_producer *producer = NULL;
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_options options = {.struct_bytes = sizeof(options),
                                              .kind = SHMBUS_REQUIRED};
    int failed = check(shmbus_producer_create(name, NULL, NULL, &producer), "create");
    if (!failed) {
        failed = check(shmbus_consumer_open(name, &options, &consumer), "open") ||
                 check(shmbus_producer_publish(producer, 1, 0, small, sizeof(small)), "publish") ||
                 check(shmbus_producer_publish(producer, 2, 0, large, sizeof(large)), "publish") ||
                 read_back(consumer, small, sizeof(small)) ||
                 read_back(consumer, large, sizeof(large));
        shmbus_consumer_close(consumer);
        shmbus_producer_close(producer);
        failed |= check(shmbus_unlink(name, NULL), "unlink");
    }
    if (!failed)
        printf("outside: two messages, library %s\n", shmbus_version());
    return failed;
}
