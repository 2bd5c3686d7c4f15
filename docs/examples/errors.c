/* SPDX-License-Identifier: MIT */
/* What a failing call tells: a code to act on, and a text for whoever reads the log. */
#include "example.h"

#include <errno.h>
#include <string.h>

int main(void)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus), .capacity = 1000};
    struct shmbus_producer *producer = NULL;

    int error = shmbus_producer_create("example-errors", &bus, NULL, &producer);
    printf("%s\n%s\n", shmbus_strerror(error), shmbus_error_text());
    expect(error == -EINVAL && strstr(shmbus_error_text(), "1000") != NULL,
           "the text names the value that was wrong");
    expect(producer == NULL, "out-parameters are written only on success");

    struct shmbus_consumer_options attach = {.struct_bytes = sizeof(attach),
                                             .kind = SHMBUS_REQUIRED};
    struct shmbus_consumer *consumer;
    error = shmbus_consumer_open("example-errors", &attach, &consumer);
    printf("%s\n%s\n", shmbus_strerror(error), shmbus_error_text());
    expect(error == -ENOENT, "there is no such bus");
    return 0;
}
