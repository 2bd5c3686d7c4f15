/* SPDX-License-Identifier: MIT */
/* A binary heap of messages by timestamp: see heads.h. */
#include "selector/heads.h"

static int less(const struct head *one, const struct head *other)
{
    return one->timestamp_ns != other->timestamp_ns ? one->timestamp_ns < other->timestamp_ns
                                                    : one->member < other->member;
}

void heads_push(struct heads *heads, int64_t timestamp_ns, uint32_t member)
{
    const struct head head = {.timestamp_ns = timestamp_ns, .member = member};
    uint32_t at = heads->count++;
    while (at > 0 && less(&head, &heads->heap[(at - 1) / 2])) {
        heads->heap[at] = heads->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heads->heap[at] = head;
}

uint32_t heads_pop(struct heads *heads)
{
    const uint32_t least = heads->heap[0].member;
    const struct head last = heads->heap[--heads->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heads->count)
            break;
        if (child + 1 < heads->count && less(&heads->heap[child + 1], &heads->heap[child]))
            child++;
        if (!less(&heads->heap[child], &last))
            break;
        heads->heap[at] = heads->heap[child];
        at = child;
    }
    heads->heap[at] = last;
    return least;
}

void heads_renumber(struct heads *heads, uint32_t removed)
{
    for (uint32_t i = 0; i < heads->count; i++)
        heads->heap[i].member -= heads->heap[i].member > removed;
}
