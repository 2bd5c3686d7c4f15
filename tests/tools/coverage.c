/* SPDX-License-Identifier: MIT */
/* What shmbus-sub --format json printed, checked for gaps: see coverage.h. */
#include "coverage.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"

static void add_line(struct coverage *coverage, const char *line, bool may_repeat)
{
    if (json_at(line, "event")) {
        if (!json_is(line, "event", "\"lost\"")) {
            return;
        }
        ck_assert_uint_eq(json_number(line, "first"), coverage->next);
        coverage->next += json_number(line, "count");
        coverage->lost += json_number(line, "count");
        coverage->ranges++;
        return;
    }
    const uint64_t sequence = json_number(line, "sequence");
    if (may_repeat && sequence < coverage->next) {
        coverage->again++;
        return;
    }
    ck_assert_msg(sequence == coverage->next, "%" PRIu64 " where %" PRIu64 " was to come", sequence,
                  coverage->next);
    coverage->next++;
    coverage->received++;
}

void coverage_add(struct coverage *coverage, const struct bytes *out, bool may_repeat)
{
    const char *at = out->data;
    while (*at != '\0') {
        const char *end = strchr(at, '\n');
        ck_assert_msg(end != NULL, "no newline behind: %s", at);
        const size_t length = (size_t)(end - at);
        char *line = memory(length + 1);
        memcpy(line, at, length);
        ck_assert_msg(json_valid(line, length), "%s", line);
        add_line(coverage, line, may_repeat);
        at = end + 1;
    }
}
