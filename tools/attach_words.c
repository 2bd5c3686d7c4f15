/* SPDX-License-Identifier: MIT */
/* The words that say how to attach: see attach_words.h. */
#include "attach_words.h"

#include <string.h>

#include "cli.h"

int attach_read_from(const char *text, struct shmbus_consumer_options *consumer)
{
    if (strcmp(text, "tail") == 0) {
        consumer->from = SHMBUS_FROM_TAIL;
        return CLI_OK;
    }
    if (strcmp(text, "oldest") == 0) {
        consumer->from = SHMBUS_FROM_OLDEST;
        return CLI_OK;
    }
    if (text[0] < '0' || text[0] > '9') {
        return cli_usage("--from: '%s' is none of tail, oldest, a sequence", text);
    }
    consumer->from = SHMBUS_FROM_SEQUENCE;
    return cli_number("--from", text, 0, UINT64_MAX, &consumer->from_sequence);
}

int attach_read_kind(enum shmbus_kind kind, struct shmbus_consumer_options *consumer)
{
    if (consumer->kind != SHMBUS_OPTIONAL && consumer->kind != (uint32_t)kind) {
        return cli_usage("--required and --observe: a consumer is one of the two");
    }
    consumer->kind = kind;
    return CLI_OK;
}

int attach_check_from(const struct shmbus_consumer_options *consumer)
{
    if ((consumer->flags & SHMBUS_JOIN_MOVE_UP) && consumer->from != SHMBUS_FROM_SEQUENCE) {
        return cli_usage("--move-up: there is no sequence to move up from (give --from SEQ)");
    }
    return CLI_OK;
}
