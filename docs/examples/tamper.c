/* SPDX-License-Identifier: MIT */
/* Somebody writes into another consumer's words. It finds out, and joins again. */
#include "example.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* As anybody can who may consume: control is a file that they may write. Where the first consumer's
 * cursor stands in it is said in docs/layout.md. */
static void forge_cursor(uint64_t cursor)
{
    const char *folder = getenv("SHMBUS_DIR");
    char path[256];
    snprintf(path, sizeof path, "%s/shmbus.example-tamper/control",
             folder != NULL ? folder : "/dev/shm");
    int control = open(path, O_RDWR | O_CLOEXEC);
    expect(control >= 0 && pwrite(control, &cursor, sizeof cursor, 8192 + 16) == sizeof cursor,
           "the cursor was forged");
    close(control);
}

int main(void)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus), .capacity = 16};
    struct shmbus_producer *producer;
    struct shmbus_message message;
    must(shmbus_producer_create("example-tamper", &bus, NULL, &producer), "create");
    struct shmbus_consumer *consumer = example_consumer("example-tamper");
    for (int i = 0; i < 3; i++)
        must(shmbus_producer_publish(producer, 1, 0, "tick", 4), "publish");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(shmbus_consumer_valid(consumer, &message) == 1, "its words are as it left them");

    forge_cursor(1000); /* as if it had read what is not even published */
    expect(shmbus_consumer_valid(consumer, &message) == 0, "what was read may be overwritten now");
    int result = 1;
    while (result == 1) /* it looks at its words before its cursor moves on */
        result = shmbus_consumer_next(consumer, &message);
    expect(result == -ESTALE, "it finds out");
    printf("%s\n", shmbus_error_text()); /* which messages not to trust */

    expect(shmbus_producer_required(producer, NULL) == 0, "such a cursor evicts its owner");
    must(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_OLDEST, 0), "rejoin");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(message.sequence == 0, "every message is still there");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-tamper", NULL), "unlink");
    return 0;
}
