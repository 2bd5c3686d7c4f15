/* SPDX-License-Identifier: MIT */
/* A part of a recording: see span.h. */
#include "span.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define SECOND_NS INT64_C(1000000000)

/* Reads the time of day; -1 if it is none. */
static int read_utc(const char *text, int64_t *out_ns)
{
    struct tm parts = {0};
    int64_t fraction_ns = 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest && *rest == '.') {
        int64_t weight_ns = SECOND_NS / 10;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++) {
            fraction_ns += (*rest - '0') * weight_ns;
            weight_ns /= 10;
        }
    }
    if (!rest || strcmp(rest, *rest == 'Z' ? "Z" : "") != 0) {
        return -1;
    }
    const time_t seconds = timegm(&parts);
    if (seconds < 0 || seconds > INT64_MAX / SECOND_NS - 1) {
        return -1;
    }
    *out_ns = seconds * SECOND_NS + fraction_ns;
    return 0;
}

int span_read(const char *option, const char *text, struct span_end *out_end)
{
    if (text[0] == '+') {
        out_end->unit = SPAN_SINCE;
        return cli_seconds(option, text + 1, &out_end->ns);
    }
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
        out_end->unit = SPAN_SEQUENCE;
        return cli_number(option, text, 0, UINT64_MAX, &out_end->sequence);
    }
    out_end->unit = SPAN_UTC;
    if (read_utc(text, &out_end->ns) != 0) {
        return cli_usage("%s: '%s' is none of a sequence, seconds since the first message (+90.5), "
                         "a time in UTC (2026-11-27T13:45:00)",
                         option, text);
    }
    return CLI_OK;
}

/* Negative when the message comes before the end, positive when it comes behind it. */
static int compare(const struct span_end *end, uint64_t sequence, int64_t utc_ns, int64_t begun_ns)
{
    int64_t left_ns = 0;
    switch (end->unit) {
    case SPAN_SEQUENCE:
        return (sequence > end->sequence) - (sequence < end->sequence);
    case SPAN_SINCE:
        left_ns = utc_ns - begun_ns - end->ns;
        break;
    case SPAN_UTC:
        left_ns = utc_ns - end->ns;
        break;
    case SPAN_OPEN:
        break;
    }
    return (left_ns > 0) - (left_ns < 0);
}

bool span_before(const struct span_end *end, uint64_t sequence, int64_t utc_ns, int64_t begun_ns)
{
    return compare(end, sequence, utc_ns, begun_ns) < 0;
}

bool span_behind(const struct span_end *end, uint64_t sequence, int64_t utc_ns, int64_t begun_ns)
{
    return compare(end, sequence, utc_ns, begun_ns) > 0;
}
