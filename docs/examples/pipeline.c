/* SPDX-License-Identifier: MIT */
/* A strategy that never sees what the recorder has not passed, and what becomes of it without. */
#include "example.h"

#include <errno.h>

static const char *const after[] = {"recorder"};
static uint32_t told_gone;

static void on_event(void *context, const struct shmbus_event *event)
{
    (void)context;
    if (event->kind == SHMBUS_EVENT_AFTER_GONE) {
        printf("%s is not there\n", after[event->first]);
        told_gone++;
    }
}

static int count(const struct shmbus_message *message, void *context)
{
    (void)message;
    ++*(uint32_t *)context;
    return 0;
}

int main(void)
{
    static const char *const after_itself[] = {"strategy"};
    struct shmbus_producer *producer = example_producer("example-pipeline");
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options), .kind = SHMBUS_REQUIRED, .name = "recorder"};
    struct shmbus_consumer *recorder;
    struct shmbus_consumer *strategy;
    uint32_t recorded = 0;
    uint32_t seen = 0;
    must(shmbus_consumer_open("example-pipeline", &options, &recorder),
         "open"); /* in any process */

    options = (struct shmbus_consumer_options){
        .struct_bytes = sizeof(options),
        .kind = SHMBUS_REQUIRED,
        .name = "strategy",
        .after = after, /* sees a message once the recorder has passed it */
        .after_count = 1,
        .after_gone = SHMBUS_AFTER_GO_ON, /* and goes on without it, should it die */
        .on_event = on_event,
    };
    must(shmbus_consumer_open("example-pipeline", &options, &strategy), "open");

    for (int i = 0; i < 5; i++)
        must(shmbus_producer_publish(producer, 0, 0, &i, sizeof(i)), "publish");
    must(shmbus_consumer_poll(strategy, count, &seen, 100), "poll");
    expect(seen == 0, "nothing is recorded, so the strategy sees nothing");
    must(shmbus_consumer_poll(recorder, count, &recorded, 3), "poll");
    must(shmbus_consumer_poll(strategy, count, &seen, 100), "poll");
    expect(recorded == 3 && seen == 3, "what is recorded, it sees");

    struct shmbus_consumer *circle;
    options = (struct shmbus_consumer_options){.struct_bytes = sizeof(options),
                                               .kind = SHMBUS_REQUIRED,
                                               .name = "recorder",
                                               .after = after_itself,
                                               .after_count = 1};
    expect(shmbus_consumer_open("example-pipeline", &options, &circle) == -ELOOP,
           "a recorder that runs after the strategy would run after itself");
    printf("%s\n", shmbus_error_text());

    shmbus_consumer_close(recorder);
    must(shmbus_consumer_poll(strategy, count, &seen, 100), "poll");
    expect(seen == 5 && told_gone == 1, "without a recorder it goes on, and was told");

    shmbus_consumer_close(strategy);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-pipeline", NULL), "unlink");
    return 0;
}
