/* SPDX-License-Identifier: MIT */
/* A block of records that is being filled. */
#ifndef SHMBUS_SRC_RECORD_BLOCK_H
#define SHMBUS_SRC_RECORD_BLOCK_H

#include "record/format.h"

#include <shmbus/record.h>

struct block {
    char *plain;
    size_t room;
    struct format_head head; /* what is in it so far */
};

/* Has room for so many bytes afterwards. Returns 0, or -ENOMEM with its text. */
int block_make_room(struct block *block, uint64_t bytes);

/* Copies a record behind the others; there is room. */
void block_add(struct block *block, const struct shmbus_record *record);

/* Takes out the records from a sequence on. Returns how many of them are messages. */
uint64_t block_cut(struct block *block, uint64_t sequence);

#endif
