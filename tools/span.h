/* SPDX-License-Identifier: MIT */
/*
 * A part of a recording, as --from and --to give it: by sequence (12000), by the time since the
 * recording's first message (+90.5, in seconds), or by the time of day in UTC
 * (2026-11-27T13:45:00.5). Both ends are inclusive.
 */
#ifndef SHMBUS_TOOLS_SPAN_H
#define SHMBUS_TOOLS_SPAN_H

#include <stdbool.h>
#include <stdint.h>

enum span_unit {
    SPAN_OPEN,     /* not given: the recording's own end */
    SPAN_SEQUENCE, /* `sequence` */
    SPAN_SINCE,    /* `ns` since the first message */
    SPAN_UTC,      /* `ns` since 1970 */
};

struct span_end {
    enum span_unit unit;
    uint64_t sequence;
    int64_t ns;
};

struct span {
    struct span_end from;
    struct span_end to;
};

/* Reads what was given with the option of that name; CLI_OK or CLI_USAGE. */
int span_read(const char *option, const char *text, struct span_end *out_end);

/* Is that before the end, that is, outside of a span that begins with it? `utc_ns` is when it was
 * received, `begun_ns` when the first message was. */
bool span_before(const struct span_end *end, uint64_t sequence, int64_t utc_ns, int64_t begun_ns);

/* Is that behind the end, that is, outside of a span that ends with it? */
bool span_behind(const struct span_end *end, uint64_t sequence, int64_t utc_ns, int64_t begun_ns);

#endif
