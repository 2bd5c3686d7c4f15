/* SPDX-License-Identifier: MIT */
/*
 * A recording as a table and as objects, by the types that the bus had registered, and its counts.
 * The bus has a gap, two registered types and one that is not, and messages that are not as long as
 * their type says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "recording.h"

static void publish(struct shmbus_producer *producer, uint16_t type, const void *data,
                    size_t length)
{
    ck_assert_int_eq(shmbus_producer_publish(producer, type, 3, data, (uint32_t)length), 0);
}

/* Makes and records the bus; the path of the recording. */
static const char *make_recording(void)
{
    static const struct shmbus_type types[] = {
        {.type = 7, .bytes = 24, .name = "trade", .fields = "price:<i8,qty:<f8,side:u1,note:S7"},
        {.type = 8, .bytes = 7, .name = "odd", .fields = ">big:>u4,ok:?,raw:V2"},
        {.type = 9, .bytes = 0, .name = "text", .fields = "a:(3,)<i4"},
    };
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .capacity = 64,
        .first_sequence = 100,
        .flags = SHMBUS_BUS_TIMESTAMPS,
        .types = types,
        .type_count = 3,
    };
    const struct {
        int64_t price;
        double qty;
        uint8_t side;
        char note[7];
    } trade = {-5, 0.25, 1, "a\"b"};
    struct shmbus_producer *producer = NULL;
    ck_assert_int_eq(shmbus_producer_create("rows", &bus, NULL, &producer), 0);
    publish(producer, 7, &trade, 24);
    publish(producer, 8, "\x01\x02\x03\x04\x01\xfe\xff", 7);
    ck_assert_int_eq(shmbus_producer_skip(producer, 5), 0);
    publish(producer, 9, "line\n\"x\"", 8);
    publish(producer, 7, "short", 5);
    publish(producer, 300, "\xff", 1);
    shmbus_producer_close(producer);
    remove(path_in("rows.lz4"));
    const char *path = record_kept("rows", "rows.lz4", NULL);
    ck_assert_int_eq(shmbus_unlink("rows", NULL), 0);
    return path;
}

/* Takes times, of which nobody knows the digits, out of a text. */
static char *without_times(const char *text, const char *const *names)
{
    char *out = memory(strlen(text) + 1);
    char *to = out;
    while (*text != '\0') {
        for (const char *const *name = names; *name; name++) {
            if (strncmp(text, *name, strlen(*name)) == 0) {
                to = stpcpy(to, *name);
                text += strlen(*name);
                text += strspn(text, "0123456789");
            }
        }
        *to++ = *text++;
    }
    *to = '\0';
    return out;
}

START_TEST(objects)
{
    static const char *const times[] = {"\"publish_ns\":", "\"receive_ns\":", NULL};
    const struct bytes json = dump(make_recording(), ARGUMENTS("--format", "json"));
    ck_assert_str_eq(
        without_times(json.data, times),
        "{\"sequence\":100,\"publish_ns\":,\"receive_ns\":,\"type\":7,\"flags\":3,\"length\":24,"
        "\"name\":\"trade\",\"fields\":{\"price\":-5,\"qty\":0.25,\"side\":1,\"note\":\"a\\\"b\"}}"
        "\n"
        "{\"sequence\":101,\"publish_ns\":,\"receive_ns\":,\"type\":8,\"flags\":3,\"length\":7,"
        "\"name\":\"odd\",\"fields\":{\">big\":16909060,\"ok\":true,\"raw\":\"feff\"}}\n"
        "{\"event\":\"lost\",\"first\":102,\"count\":5}\n"
        "{\"sequence\":107,\"publish_ns\":,\"receive_ns\":,\"type\":9,\"flags\":3,\"length\":8,"
        "\"name\":\"text\",\"data\":\"line\\n\\\"x\\\"\"}\n"
        "{\"sequence\":108,\"publish_ns\":,\"receive_ns\":,\"type\":7,\"flags\":3,\"length\":5,"
        "\"name\":\"trade\",\"data\":\"short\"}\n"
        "{\"sequence\":109,\"publish_ns\":,\"receive_ns\":,\"type\":300,\"flags\":3,\"length\":1,"
        "\"data_base64\":\"/w==\"}\n");
    for (char *line = strtok(json.data, "\n"); line; line = strtok(NULL, "\n")) {
        ck_assert(json_valid(line, strlen(line)));
    }
}
END_TEST

/* Reads the table with somebody else's idea of CSV. */
START_TEST(table)
{
    static const char script[] = "import csv, sys\n"
                                 "rows = list(csv.reader(open(sys.argv[1], newline='')))\n"
                                 "assert all(len(row) == len(rows[0]) for row in rows), rows\n"
                                 "for row in rows:\n"
                                 "    print('|'.join(row[:3] + row[5:]).replace('\\n', '~'))\n";
    const char *path = make_recording();
    const struct bytes csv = dump(path, ARGUMENTS("--format", "csv"));
    const char *file = file_make("rows.csv", csv.data, csv.length);
    const struct ending read = tool_run(ARGUMENTS("/usr/bin/python3", "-c", script, file), NULL, 0);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data,
                     "event|sequence|count|type|flags|length|trade.price|trade.qty|trade.side|"
                     "trade.note|odd.>big|odd.ok|odd.raw|data|data_hex\n"
                     "message|100|1|7|3|24|-5|0.25|1|a\"b|||||\n"
                     "message|101|1|8|3|7|||||16909060|true|feff||\n"
                     "lost|102|5||||||||||||\n"
                     "message|107|1|9|3|8||||||||line~\"x\"|\n"
                     "message|108|1|7|3|5||||||||short|\n"
                     "message|109|1|300|3|1|||||||||ff\n");
}
END_TEST

START_TEST(one_type_only)
{
    const char *path = make_recording();
    const struct bytes csv = dump(path, ARGUMENTS("--format", "csv", "--type", "odd"));
    assert_in(csv, "length,odd.>big,odd.ok,odd.raw,data,data_hex\n");
    assert_not_in(csv, "trade");
    assert_in(csv, ",8,3,7,16909060,true,\"feff\",,\n");
    assert_not_in(csv, "message,100");
    const struct bytes lines = dump(path, ARGUMENTS("--type", "300,9"));
    assert_bytes(&lines, "line\n\"x\"\n\xff\n", 11);
    const struct ending unknown = tool_run(ARGUMENTS(DUMP, "--type", "quote", path), NULL, 0);
    assert_code(unknown, 1);
    assert_in(unknown.err, "no type is called 'quote' (there are: trade, odd, text)");
}
END_TEST

START_TEST(stats)
{
    const char *path = make_recording();
    const struct bytes all = dump(path, ARGUMENTS("--stats"));
    assert_in(all, "bus rows\nclosed yes\nsequences 100 to 109\nfrom 20");
    assert_in(all, "\nmessages 5\n");
    assert_in(all, "\npayload_bytes 45\n");
    assert_in(all, "\nlost 5 in 1 ranges\naborted 0\nleft_out 0\n");
    assert_in(all, "\ntype 7 trade messages 2 bytes 29 ");
    assert_in(all, "\ntype 300 - messages 1 bytes 1 ");
    ck_assert_uint_eq(number_after(all.data, "\nfile_bytes "), file_read(path).length);
    /* Six records of 48 bytes, and 24, 8, 0, 8, 8 and 8 of padded payload. */
    ck_assert_uint_eq(number_after(all.data, "\nrecord_bytes "), 6 * 48 + 56);
    const struct bytes some = dump(path, ARGUMENTS("--stats", "--type", "7"));
    assert_in(some, "\nmessages 2\n");
    assert_in(some, "\nleft_out 2\n");
}
END_TEST

int main(void)
{
    return recording_run("recording_rows",
                         (const TTest *const[]){objects, table, one_type_only, stats, NULL});
}
