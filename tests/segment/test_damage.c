/* SPDX-License-Identifier: MIT */
/*
 * Headers that cannot be believed: each kind of damage has its own error, which names both sides,
 * whoever opens; a snapshot shows it; and no value of any field makes anybody crash.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct feed_header whole;

static void make_whole(void)
{
    struct shmbus_bus_options options = rig_small();
    rig_make("bus", &options);
    rig_read_header("bus", &whole);
}

/* Everybody refuses the bus with this code and these texts; it is shown as damaged. */
static void refused(int code, const char *one, const char *other)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    char why[512];
    assert_error(rig_try_join("bus"), code, "bus", one, other);
    assert_error(rig_try_open("bus"), code, "bus", one, other);
    assert_error(rig_try_create("bus", &options), code, "bus", one, other);
    assert_ok(rig_look("bus", &bus, why, sizeof why));
    ck_assert_uint_eq(bus.state, SHMBUS_STATE_DAMAGED);
    ck_assert_msg(strstr(why, one) != NULL && strstr(why, other) != NULL, "%s", why);
}

START_TEST(another_magic)
{
    make_whole();
    struct feed_header header = whole;
    header.magic ^= 1;
    rig_write_header("bus", &header, 1);
    refused(-EPROTO, "0x0a0d7375626d6872", "0x0a0d7375626d6873");
    memset(&header, 0, sizeof header);
    rig_write_header("bus", &header, 0);
    refused(-EPROTO, "0x0000000000000000", "0x0a0d7375626d6873");
}
END_TEST

START_TEST(another_byte_order)
{
    make_whole();
    struct feed_header header = whole;
    header.magic = __builtin_bswap64(whole.magic);
    header.byte_order = __builtin_bswap32(whole.byte_order);
    rig_write_header("bus", &header, 0);
    refused(-EPROTO, "0x04030201", "0x01020304");
    header.magic = whole.magic;
    rig_write_header("bus", &header, 1);
    refused(-EPROTO, "0x04030201", "0x01020304");
}
END_TEST

START_TEST(another_layout_version)
{
    make_whole();
    struct feed_header header = whole;
    char had[16];
    header.layout_major = LAYOUT_MAJOR + 1;
    header.layout_minor = 7;
    rig_write_header("bus", &header, 1);
    snprintf(had, sizeof had, "reads %d.%d", LAYOUT_MAJOR, LAYOUT_MINOR);
    refused(-EPROTONOSUPPORT, "layout version 2.7", had);
    header.layout_major = 0;
    rig_write_header("bus", &header, 1);
    refused(-EPROTONOSUPPORT, "layout version 0.7", had);
    /* Another minor version is to be read. */
    header.layout_major = LAYOUT_MAJOR;
    rig_write_header("bus", &header, 1);
    assert_ok(rig_try_join("bus"));
}
END_TEST

START_TEST(unknown_features)
{
    make_whole();
    for (int bit = 0; bit < 64; bit++) {
        struct feed_header header = whole;
        char unknown[48];
        header.features_required |= UINT64_C(1) << bit;
        rig_write_header("bus", &header, 1);
        if (LAYOUT_REQUIRES_KNOWN & UINT64_C(1) << bit)
            continue;
        snprintf(unknown, sizeof unknown, "not know 0x%llx (use", 1ull << bit);
        refused(-EPROTONOSUPPORT, "needs features", unknown);
    }
    for (int bit = 0; bit < 64; bit++) {
        struct feed_header header = whole;
        header.features_optional |= UINT64_C(1) << bit;
        rig_write_header("bus", &header, 1);
        assert_ok(rig_try_join("bus"));
    }
}
END_TEST

/* A feature that is not known is named as the creator named it, whatever stands there: bounded, and
 * nothing that a terminal would heed. */
START_TEST(names_of_features)
{
    static const struct {
        const char *names;
        const char *said;
    } cases[] = {
        {"pool sealed", "not know sealed (0x8) ("},
        {"pool sealed ", "not know sealed (0x8) ("},
        {"pool SEALED", "not know ?????? (0x8) ("},
        {"pool \033[2J\n", "not know ??2?? (0x8) ("},
        {"pool", "not know 0x8 ("},
        {"pool ", "not know 0x8 ("},
        {"", "not know 0x8 ("},
        {" ", "not know 0x8 ("},
        {"pool  sealed", "not know 0x8 ("},
    };
    make_whole();
    struct feed_header header = whole;
    header.features_required = LAYOUT_REQUIRES_POOL | 0x8;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(header.features, 0, sizeof header.features);
        memcpy(header.features, cases[i].names, strlen(cases[i].names));
        rig_write_header("bus", &header, 1);
        refused(-EPROTONOSUPPORT, cases[i].said, "needs features 0xa");
    }
    /* No end, one endless name; and all 64 at once, which do not fit the text. */
    memset(header.features, 'x', sizeof header.features);
    rig_write_header("bus", &header, 1);
    refused(-EPROTONOSUPPORT, "not know 0x8 (", "use a newer");
    header.features_required = UINT64_MAX;
    for (int byte = 0; byte < 256; byte++) {
        memset(header.features, byte, sizeof header.features);
        rig_write_header("bus", &header, 1);
        refused(-EPROTONOSUPPORT, "bus", "not know ");
    }
    for (size_t i = 0; i < sizeof header.features; i++)
        header.features[i] = i % 8 == 7 ? ' ' : 'y';
    rig_write_header("bus", &header, 1);
    refused(-EPROTONOSUPPORT, "yyyyyyy (0x8), yyyyyyy (0x10), ", "not know ");
}
END_TEST

/* A header of a later minor version is longer, and what is in it is covered by the checksum. */
START_TEST(a_longer_header)
{
    make_whole();
    struct feed_header header = whole;
    header.layout_minor = LAYOUT_MINOR + 1;
    header.features_optional |= UINT64_C(1) << 63;
    for (uint32_t bytes = sizeof header; bytes <= LAYOUT_PAGE; bytes += 8) {
        header.header_bytes = bytes;
        rig_write_header("bus", &header, 1);
        assert_ok(rig_try_join("bus"));
        if (bytes == LAYOUT_PAGE)
            break;
    }
    int feed = open(rig_path("shmbus.bus/feed"), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(feed, 0);
    ck_assert_int_eq(pwrite(feed, "x", 1, LAYOUT_PAGE - 1), 1);
    close(feed);
    assert_error(rig_try_join("bus"), -EBADMSG, "checksum");
    for (uint32_t bytes = sizeof header + 1; bytes < sizeof header + 8; bytes++) {
        header.header_bytes = bytes;
        rig_write_header("bus", &header, 1);
        assert_error(rig_try_join("bus"), -EBADMSG, "header_bytes");
    }
    /* Only a library that knows it all may publish. */
    header.header_bytes = sizeof header;
    rig_write_header("bus", &header, 1);
    struct shmbus_bus_options options = rig_small();
    char both[64];
    snprintf(both, sizeof both, "layout version %d.%d, and this library", LAYOUT_MAJOR,
             LAYOUT_MINOR + 1);
    assert_error(rig_try_open("bus"), -EPROTONOSUPPORT, "bus", both, "publish with a newer");
    assert_error(rig_try_create("bus", &options), -EPROTONOSUPPORT, "bus", both);
    assert_ok(rig_try_join("bus"));
}
END_TEST

START_TEST(every_bit_of_the_header)
{
    make_whole();
    for (size_t i = 0; i < sizeof whole; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct feed_header header = whole;
            struct shmbus_bus_info bus;
            ((unsigned char *)&header)[i] ^= (unsigned char)(1 << bit);
            rig_write_header("bus", &header, 0);
            int result = rig_try_join("bus");
            ck_assert_msg(result == -EBADMSG || result == -EPROTO || result == -EPROTONOSUPPORT,
                          "byte %zu bit %d: %d", i, bit, result);
            ck_assert_int_eq(rig_try_open("bus"), result);
            assert_ok(rig_look("bus", &bus, NULL, 0));
            ck_assert_uint_eq(bus.state, SHMBUS_STATE_DAMAGED);
        }
    struct feed_header header = whole;
    header.created_realtime_ns++;
    rig_write_header("bus", &header, 0);
    refused(-EBADMSG, "checksum is 0x", "bytes give 0x");
}
END_TEST

START_TEST(an_earlier_boot)
{
    make_whole();
    struct feed_header header = whole;
    header.boot_id[3] ^= 0x10;
    rig_write_header("bus", &header, 1);
    refused(-ESTALE, "before this machine's last boot", "remove");
    assert_ok(shmbus_unlink("bus", NULL));
}
END_TEST

/* Fields that no value but their own makes sense for: any other is named. */
struct guarded {
    const char *name;
    size_t offset;
    size_t bytes;
    uint64_t least; /* values that may be: from least to most, whatever else they must be */
    uint64_t most;
};

#define GUARDED(field, least, most)                                                                \
    {                                                                                              \
#field, offsetof(struct feed_header, field), sizeof(((struct feed_header *)0)->field),     \
            least, most                                                                            \
    }

static const struct guarded guarded[] = {
    GUARDED(header_bytes, LAYOUT_HEADER_LEAST, LAYOUT_PAGE),
    GUARDED(capacity, SHMBUS_CAPACITY_MIN, SHMBUS_CAPACITY_MAX),
    GUARDED(slot_bytes, SHMBUS_SLOT_BYTES_MIN, SHMBUS_SLOT_BYTES_MAX),
    GUARDED(first_sequence, 0, SHMBUS_FIRST_SEQUENCE_MAX),
    GUARDED(max_consumers, 1, SHMBUS_CONSUMERS_MAX),
    GUARDED(max_producers, 1, SHMBUS_PRODUCERS_MAX),
    GUARDED(class_count, 0, SHMBUS_CLASSES_MAX),
    GUARDED(feed_bytes, 1, UINT32_MAX),
    GUARDED(control_bytes, 1, UINT32_MAX),
    GUARDED(entry_bytes, 4096, UINT32_MAX),
    GUARDED(entries_offset, 8192, 8192),
    GUARDED(state.offset, 4096, UINT32_MAX),
    GUARDED(state.length, sizeof(struct feed_state), UINT32_MAX),
    GUARDED(producers.offset, 4096, UINT32_MAX),
    GUARDED(producers.length, sizeof(struct producer_entry), UINT32_MAX),
    GUARDED(verdicts.offset, 4096, UINT32_MAX),
    GUARDED(verdicts.length, 8, UINT32_MAX),
    GUARDED(types.offset, 4096, UINT32_MAX),
    GUARDED(names.offset, 4096, UINT32_MAX),
    GUARDED(type_count, 0, 0),
    GUARDED(name_count, 0, 0),
    GUARDED(required_rule, 0, SHMBUS_REQUIRED_NAMED),
    GUARDED(history, 0, SHMBUS_CAPACITY_MAX - 1),
    GUARDED(stall_ns, 1, INT64_MAX),
    GUARDED(tables_checksum, 0, UINT64_MAX),
    GUARDED(generations.offset, 4096, UINT32_MAX),
    GUARDED(generations.length, 4, UINT32_MAX),
    GUARDED(ring.offset, 4096, UINT32_MAX),
    GUARDED(ring.length, 16 * 32, UINT32_MAX),
    GUARDED(classes[0].slab_bytes, 64, SHMBUS_SLAB_BYTES_MAX),
    GUARDED(classes[0].slab_count, 1, SHMBUS_SLABS_MAX),
    GUARDED(classes[0].slabs_offset, 4096, UINT32_MAX),
    GUARDED(classes[0].first_slab, 0, 0),
    GUARDED(classes[1].slab_bytes, 64, SHMBUS_SLAB_BYTES_MAX),
    GUARDED(classes[1].slab_count, 1, SHMBUS_SLABS_MAX),
    GUARDED(classes[1].slabs_offset, 4096, UINT32_MAX),
    GUARDED(classes[1].first_slab, 8, 8),
};
#define GUARDED_COUNT (sizeof guarded / sizeof guarded[0])

static void put(struct feed_header *header, size_t offset, size_t bytes, uint64_t value)
{
    memcpy((unsigned char *)header + offset, &value, bytes);
}

/* Whoever opens it: an answer, whatever it is, and no crash. */
static int all_answer(void)
{
    struct shmbus_bus_info bus;
    int result = rig_try_join("bus");
    rig_try_open("bus");
    assert_ok(rig_look("bus", &bus, NULL, 0));
    return result;
}

START_TEST(every_field_at_every_edge)
{
    make_whole();
    for (size_t i = 0; i < GUARDED_COUNT; i++) {
        const struct guarded *field = &guarded[i];
        for (int shift = 0; shift < (int)field->bytes * 8; shift++)
            for (int near = -1; near <= 1; near++) {
                struct feed_header header = whole;
                uint64_t value = (UINT64_C(1) << shift) + (uint64_t)(int64_t)near;
                if (field->bytes == 4)
                    value &= UINT32_MAX;
                put(&header, field->offset, field->bytes, value);
                rig_write_header("bus", &header, 1);
                int result = all_answer();
                if (value < field->least || value > field->most)
                    ck_assert_msg(result == -EBADMSG, "%s %llu: %d", field->name,
                                  (unsigned long long)value, result);
            }
    }
}
END_TEST

START_TEST(random_fields)
{
    static const uint64_t edges[] = {
        0, 1, 63, 64, 4096, 8192, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 63, INT64_MAX};
    const char *given = getenv("SHMBUS_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u (again: SHMBUS_TEST_SEED=%u)\n", seed, seed);
    srandom(seed);
    make_whole();
    for (int round = 0; round < 3000; round++) {
        struct feed_header header = whole;
        for (long changes = 1 + random() % 3; changes > 0; changes--) {
            const struct guarded *field = &guarded[(size_t)random() % GUARDED_COUNT];
            uint64_t value = edges[(size_t)random() % (sizeof edges / sizeof edges[0])];
            if (random() % 2)
                value = (uint64_t)random() << (random() % 34);
            put(&header, field->offset, field->bytes, value + (uint64_t)(random() % 3) - 1);
        }
        rig_write_header("bus", &header, 1);
        all_answer();
    }
}
END_TEST

/* Fields that are only shown. */
START_TEST(fields_that_may_be_anything)
{
    static const size_t offsets[] = {
        offsetof(struct feed_header, numa), offsetof(struct feed_header, numa_node),
        offsetof(struct feed_header, pages), offsetof(struct feed_header, flags)};
    make_whole();
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct feed_header header = whole;
        put(&header, offsets[i], 4, UINT32_MAX);
        rig_write_header("bus", &header, 1);
        all_answer();
    }
    struct feed_header header = whole;
    memset(header.name, 'x', sizeof header.name);
    rig_write_header("bus", &header, 1);
    refused(-EBADMSG, "name", "damaged header");
}
END_TEST

RIG_MAIN("damage", another_magic, another_byte_order, another_layout_version, unknown_features,
         names_of_features, a_longer_header, every_bit_of_the_header, an_earlier_boot,
         every_field_at_every_edge, random_fields, fields_that_may_be_anything)
