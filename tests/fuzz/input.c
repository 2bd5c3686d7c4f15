/* SPDX-License-Identifier: MIT */
/*
 * Target: what shmbus-pub reads, cut into records in every way, and what shmbus-sub writes of them
 * in every format. The records must be those that are in the input, and text what it stands for.
 */
#include "bed.h"

#include "format.h"
#include "framing.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int nowhere = -1;
static int source = -1;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    source = memfd_create("input", MFD_CLOEXEC);
    if (nowhere < 0 || source < 0)
        bed_fail("no files");
    return 0;
}

static void check_base64(const unsigned char *data, size_t size, const char *text, size_t length)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *found = text[i + j] == '=' ? letters : strchr(letters, text[i + j]);
            if (found == NULL)
                bed_fail("no base64");
            bits = bits << 6 | (uint32_t)(found - letters);
        }
        for (size_t j = 0; j < 3 && at < size; j++)
            if ((bits >> (16 - 8 * j) & 0xff) != data[at++])
                bed_fail("base64 of something else");
    }
    if (at != size || length != TEXT_BASE64_BYTES(size))
        bed_fail("base64 of another length");
}

/* JSON and printable text have no control characters and no quote that is not escaped. */
static void check_text(const unsigned char *data, size_t size)
{
    char *json = malloc(size * TEXT_JSON_GROWTH + 1);
    char *base64 = malloc(TEXT_BASE64_BYTES(size) + 1);
    char *hex = malloc(size * TEXT_HEX_GROWTH + 1);
    if (json == NULL || base64 == NULL || hex == NULL)
        bed_fail("no memory");
    check_base64(data, size, base64, text_base64(data, size, base64));
    if (text_hex(data, size, hex) != 2 * size)
        bed_fail("hex of another length");
    if (text_is_utf8(data, size)) {
        size_t length = text_json(data, size, json);
        int escaped = 0;
        for (size_t i = 0; i < length; i++) {
            if ((unsigned char)json[i] < 32 || (json[i] == '"' && !escaped))
                bed_fail("JSON that ends its string");
            escaped = json[i] == '\\' && !escaped;
        }
        if (escaped || !text_is_utf8(json, length))
            bed_fail("JSON that is cut, or not UTF-8");
    }
    free(json);
    free(base64);
    free(hex);
}

static void check_printable(const unsigned char *data, size_t size)
{
    struct bed_input input = {data, size};
    char *string = bed_string(&input);
    char *out = malloc(strlen(string) * TEXT_PRINTABLE_GROWTH + 1);
    if (out == NULL)
        bed_fail("no memory");
    text_printable(string, out);
    for (size_t i = 0; out[i] != 0; i++)
        if ((unsigned char)out[i] < 32 || out[i] == 127)
            bed_fail("a control character that is printed");
    free(out);
    free(string);
}

static void write_record(const struct framing_record *record, struct output *output)
{
    const struct shmbus_message message = {
        .data = record->data, .length = (uint32_t)record->size, .sequence = UINT64_MAX};
    for (enum format format = FORMAT_LINES; format <= FORMAT_JSON; format++)
        if (format_message(format, &message, output) != 0)
            bed_fail("a format that fails");
}

/* What comes between the records of an input: nothing, a newline, or four bytes of length. */
static size_t around(enum framing_kind kind)
{
    return kind == FRAMING_LEN32 ? 4 : kind == FRAMING_LINES ? 1 : 0;
}

static void cut(const uint8_t *input, size_t size, enum framing_kind kind, uint64_t limit)
{
    static struct output output;
    struct framing framing;
    struct framing_record record;
    enum framing_result result;
    size_t seen = 0;
    lseek(source, 0, SEEK_SET);
    output_begin(&output, nowhere);
    if (framing_begin(&framing, kind, 1 + limit % 97, limit) != 0)
        bed_fail("no memory");
    do {
        result = framing_next(&framing, &record);
        if (result == FRAMING_MORE && framing_fill(&framing, source) < 0)
            bed_fail("a read that failed");
        if (result != FRAMING_RECORD)
            continue;
        if (record.size > limit)
            bed_fail("a record beyond the limit");
        size_t at = seen + (kind == FRAMING_LEN32 ? 4 : 0);
        if (at + record.size > size || memcmp(record.data, input + at, record.size) != 0)
            bed_fail("a record that is not in the input");
        seen += record.size + around(kind);
        write_record(&record, &output);
    } while (result == FRAMING_RECORD || result == FRAMING_MORE);
    if (result == FRAMING_END && seen != size && seen != size + 1)
        bed_fail("an end that is not the end");
    framing_end(&framing);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct bed_input head = {input, size};
    uint64_t limit = 97 + bed_take(&head, 2);
    if (ftruncate(source, 0) != 0 || pwrite(source, head.at, head.left, 0) != (ssize_t)head.left)
        bed_fail("no input");
    for (enum framing_kind kind = FRAMING_LINES; kind <= FRAMING_LEN32; kind++)
        cut(head.at, head.left, kind, limit);
    check_text(head.at, head.left);
    check_printable(head.at, head.left);
    return 0;
}
