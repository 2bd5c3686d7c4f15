/* SPDX-License-Identifier: MIT */
/* One thread that reads two buses: in turn, and merged by the time of publishing. */
#include "example.h"

#include <errno.h>

static struct shmbus_producer *producer_of(const char *name)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus), .flags = SHMBUS_BUS_TIMESTAMPS};
    struct shmbus_producer *producer;
    must(shmbus_producer_create(name, &bus, NULL, &producer), "create");
    return producer;
}

int main(void)
{
    struct shmbus_producer *trades = producer_of("example-trades");
    struct shmbus_producer *quotes = producer_of("example-quotes");
    struct shmbus_consumer *consumers[] = {example_consumer("example-trades"),
                                           example_consumer("example-quotes")};
    must(shmbus_producer_publish(quotes, 1, 0, "first", 6), "publish");
    must(shmbus_producer_publish(trades, 1, 0, "second", 7), "publish");
    must(shmbus_producer_publish(quotes, 1, 0, "third", 6), "publish");
    shmbus_producer_close(trades);
    shmbus_producer_close(quotes);

    struct shmbus_selector_options options = {
        .struct_bytes = sizeof(options),
        .order = SHMBUS_SELECT_MERGED, /* by timestamp, over all buses */
        .hold_ns = 1000000,            /* a bus that is silent is waited for so long */
    };
    struct shmbus_selector *selector;
    must(shmbus_selector_open(&options, &selector), "selector");
    for (int i = 0; i < 2; i++)
        must(shmbus_selector_add(selector, consumers[i], NULL), "add");

    struct shmbus_selected selected;
    int result;
    while ((result = shmbus_selector_wait(selector, SHMBUS_FOREVER)) == 0)
        while (shmbus_selector_next(selector, &selected) == 1)
            if (selected.result == 0) /* else this consumer has ended: it says why */
                printf("%s\n", (const char *)selected.message.data);
    expect(result == -EPIPE, "every bus was read to its end");

    shmbus_selector_close(selector);
    for (int i = 0; i < 2; i++)
        shmbus_consumer_close(consumers[i]);
    must(shmbus_unlink("example-trades", NULL), "unlink");
    must(shmbus_unlink("example-quotes", NULL), "unlink");
    return 0;
}
