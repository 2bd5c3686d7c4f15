/* SPDX-License-Identifier: MIT */
/*
 * Makes the corpus of the target `recording`: small files, without anything of the machine or the
 * moment in them. Usage: seed_recording FOLDER.
 */
#include "record/format.h"

#include <errno.h>
#include <fcntl.h>
#include <shmbus/record.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct shmbus_type types[] = {
    {.type = 7, .bytes = 16, .name = "order", .fields = "price:<f8,quantity:<u8"},
    {.type = 9, .name = "text"},
};

struct seed {
    const char *file;
    uint32_t messages;
    uint32_t type_count;
    int has_ranges;
    int is_open;
};

static const struct seed seeds[] = {
    {"empty", 0, 0, 0, 0},  {"some", 5, 2, 0, 0},   {"blocks", 150, 2, 0, 0},
    {"ranges", 9, 0, 1, 0}, {"open", 120, 1, 1, 1},
};

static void must(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "seed: %s: %d: %s\n", what, result, shmbus_record_error_text());
        exit(1);
    }
}

static void put_all(struct shmbus_recorder *recorder, const struct seed *seed)
{
    uint64_t sequence = 100;
    for (uint32_t i = 0; i < seed->messages; i++) {
        static const unsigned char payload[64] = "a message";
        struct shmbus_record record = {
            .kind = SHMBUS_RECORD_MESSAGE,
            .length = i % 3 ? 16 : i % 50,
            .sequence = sequence,
            .count = 1,
            .publish_ns = 1000 + i,
            .receive_ns = 5000 + 10 * (int64_t)i,
            .type = i % 3 ? 7 : 9,
            .data = payload,
        };
        if (seed->has_ranges && i % 4 == 1) {
            record.kind = i % 8 == 1 ? SHMBUS_RECORD_LOST : SHMBUS_RECORD_ABORTED;
            record.length = 0;
            record.count = 3;
        }
        int result;
        while ((result = shmbus_recorder_put(recorder, &record)) == -EAGAIN)
            must(shmbus_recorder_wait(recorder, 1000000000), "wait");
        must(result, "put");
        sequence += record.count;
    }
}

/* Takes machine and moment out of the header, and index and footer off one that is open. */
static void make_lasting(const char *path, const struct seed *seed)
{
    static unsigned char content[FORMAT_HEADER_MAX];
    struct format_skip skip;
    struct format_header header;
    struct format_footer footer;
    int file = open(path, O_RDWR | O_CLOEXEC);
    must(format_read(file, &skip, sizeof skip, 0), "header");
    must(format_read(file, content, skip.bytes, sizeof skip), "header");
    memcpy(&header, content, sizeof header);
    header.begun_ns = 1;
    header.begun_real_ns = 2;
    header.checksum = 0;
    memset(header.boot_id, 0, sizeof header.boot_id);
    memset(header.boot_id, '0', 36);
    memcpy(content, &header, sizeof header);
    header.checksum = format_checksum(content, skip.bytes);
    must(format_write(file, &header, sizeof header, sizeof skip), "header");
    const off_t end = lseek(file, 0, SEEK_END);
    must(format_read(file, &footer, sizeof footer, (uint64_t)end - sizeof footer), "footer");
    must(seed->is_open ? ftruncate(file, (off_t)footer.index_offset) : 0, "cut");
    close(file);
}

static void make(const char *folder, const struct seed *seed)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                           .capacity = 64,
                                           .class_count = 1,
                                           .classes = {{256, 4}},
                                           .types = types,
                                           .type_count = seed->type_count};
    const struct shmbus_recorder_options options = {.struct_bytes = sizeof options,
                                                    .bus_name = "seed",
                                                    .bus = &bus,
                                                    .bus_created_ns = 3,
                                                    .next_sequence = 100,
                                                    .block_bytes = 4096};
    struct shmbus_recorder *recorder = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, seed->file);
    must(shmbus_recorder_open(path, &options, &recorder), path);
    put_all(recorder, seed);
    must(shmbus_recorder_close(recorder), "close");
    make_lasting(path, seed);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "Usage: seed_recording FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
        make(arguments[1], &seeds[i]);
    return 0;
}
