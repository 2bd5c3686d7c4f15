/* SPDX-License-Identifier: MIT */
/* Where a thread runs: on the CPUs next to the bus's memory, real-time if that is permitted. */
#include "example.h"

#include <errno.h>

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-affinity");
    struct shmbus_settle_options wish = {
        .struct_bytes = sizeof(wish),
        .cpus = SHMBUS_CPUS_BUS,            /* of the node that the bus's pages are on */
        .fifo_priority = 1,                 /* SCHED_FIFO */
        .flags = SHMBUS_SETTLE_BEST_EFFORT, /* what cannot be had is reported */
    };
    struct shmbus_settled settled;

    must(shmbus_producer_settle(producer, &wish, &settled), "settle");
    printf("CPUs %s, %u of them isolated; policy %u, priority %u\n", settled.cpus,
           (unsigned)settled.isolated, (unsigned)settled.policy, (unsigned)settled.priority);
    if (settled.missed != 0)
        printf("not had: %s\n", settled.why);
    expect(settled.cpu_count > 0, "the kernel said where this thread runs");

    wish.flags = 0;
    wish.cpus = SHMBUS_CPUS_ONE;
    wish.cpu = SHMBUS_CPUS_MAX - 1;
    int error = shmbus_producer_settle(producer, &wish, NULL);
    printf("%s\n", shmbus_error_text());
    expect(error == -ENXIO, "without best effort a CPU that is not there is an error");
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-affinity", NULL), "unlink");
    return 0;
}
