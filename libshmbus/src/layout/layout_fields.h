/* SPDX-License-Identifier: MIT */
/*
 * The fields of every shared struct, once: LAYOUT_FIELDS(F) gives F(struct, field, offset, bytes).
 * The asserts below hold the structs to it, and tests/unit prints docs/layout.md's tables from it.
 */
#ifndef SHMBUS_LAYOUT_FIELDS_H
#define SHMBUS_LAYOUT_FIELDS_H

#define LAYOUT_FIELDS(F)                                                                           \
    F(feed_header, magic, 0, 8)                                                                    \
    F(feed_header, byte_order, 8, 4)                                                               \
    F(feed_header, layout_major, 12, 2)                                                            \
    F(feed_header, layout_minor, 14, 2)                                                            \
    F(feed_header, checksum, 16, 8)                                                                \
    F(feed_header, header_bytes, 24, 4)                                                            \
    F(feed_header, flags, 28, 4)                                                                   \
    F(feed_header, segment_id, 32, 16)                                                             \
    F(feed_header, boot_id, 48, 16)                                                                \
    F(feed_header, created_realtime_ns, 64, 8)                                                     \
    F(feed_header, created_monotonic_ns, 72, 8)                                                    \
    F(feed_header, features_required, 80, 8)                                                       \
    F(feed_header, features_optional, 88, 8)                                                       \
    F(feed_header, feed_bytes, 96, 8)                                                              \
    F(feed_header, control_bytes, 104, 8)                                                          \
    F(feed_header, capacity, 112, 8)                                                               \
    F(feed_header, first_sequence, 120, 8)                                                         \
    F(feed_header, slot_bytes, 128, 4)                                                             \
    F(feed_header, max_consumers, 132, 4)                                                          \
    F(feed_header, max_producers, 136, 4)                                                          \
    F(feed_header, class_count, 140, 4)                                                            \
    F(feed_header, entry_bytes, 144, 4)                                                            \
    F(feed_header, numa, 148, 4)                                                                   \
    F(feed_header, numa_node, 152, 4)                                                              \
    F(feed_header, pages, 156, 4)                                                                  \
    F(feed_header, entries_offset, 160, 8)                                                         \
    F(feed_header, state, 168, 16)                                                                 \
    F(feed_header, producers, 184, 16)                                                             \
    F(feed_header, verdicts, 200, 16)                                                              \
    F(feed_header, types, 216, 16)                                                                 \
    F(feed_header, names, 232, 16)                                                                 \
    F(feed_header, generations, 248, 16)                                                           \
    F(feed_header, ring, 264, 16)                                                                  \
    F(feed_header, slabs, 280, 16)                                                                 \
    F(feed_header, classes, 296, 256)                                                              \
    F(feed_header, name, 552, 72)                                                                  \
    F(feed_header, history, 624, 8)                                                                \
    F(feed_header, stall_ns, 632, 8)                                                               \
    F(feed_header, required_rule, 640, 4)                                                          \
    F(feed_header, type_count, 644, 4)                                                             \
    F(feed_header, name_count, 648, 4)                                                             \
    F(feed_header, unused, 652, 4)                                                                 \
    F(feed_header, tables_checksum, 656, 8)                                                        \
    F(feed_header, features, 664, 512)                                                             \
    F(layout_type, type, 0, 2)                                                                     \
    F(layout_type, unused, 2, 2)                                                                   \
    F(layout_type, bytes, 4, 4)                                                                    \
    F(layout_type, name, 8, 72)                                                                    \
    F(layout_type, fields, 80, 944)                                                                \
    F(layout_name, name, 0, 72)                                                                    \
    F(layout_verdict, evicted, 0, 8)                                                               \
    F(layout_verdict, stalled_epoch, 8, 8)                                                         \
    F(feed_locator, magic, 0, 8)                                                                   \
    F(feed_locator, byte_order, 8, 4)                                                              \
    F(feed_locator, layout_major, 12, 2)                                                           \
    F(feed_locator, layout_minor, 14, 2)                                                           \
    F(feed_locator, segment_id, 16, 16)                                                            \
    F(feed_locator, path, 32, 480)                                                                 \
    F(layout_class, slab_bytes, 0, 8)                                                              \
    F(layout_class, slab_count, 8, 8)                                                              \
    F(layout_class, slabs_offset, 16, 8)                                                           \
    F(layout_class, first_slab, 24, 8)                                                             \
    F(feed_state, bus_state, 0, 4)                                                                 \
    F(feed_state, tail, 128, 8)                                                                    \
    F(feed_state, wake_consumers, 256, 4)                                                          \
    F(feed_state, parked_producers, 384, 8)                                                        \
    F(producer_entry, state, 0, 4)                                                                 \
    F(producer_entry, pid, 4, 4)                                                                   \
    F(producer_entry, epoch, 8, 8)                                                                 \
    F(producer_entry, published, 16, 8)                                                            \
    F(producer_entry, blocked, 24, 8)                                                              \
    F(producer_entry, exhausted, 32, 8)                                                            \
    F(producer_entry, evicted, 40, 8)                                                              \
    F(producer_entry, history_yielded, 48, 8)                                                      \
    F(producer_entry, skipped, 56, 8)                                                              \
    F(producer_entry, waiting, 64, 4)                                                              \
    F(producer_entry, part_wanted, 68, 4)                                                          \
    F(producer_entry, waits_for, 72, 8)                                                            \
    F(producer_entry, floor, 128, 8)                                                               \
    F(producer_entry, classes, 256, 256)                                                           \
    F(producer_entry, part_owner, 512, 4)                                                          \
    F(producer_class, acquired, 0, 8)                                                              \
    F(producer_class, released, 8, 8)                                                              \
    F(producer_class, high_water, 16, 8)                                                           \
    F(producer_class, exhausted, 24, 8)                                                            \
    F(slot_header, stamp, 0, 8)                                                                    \
    F(slot_header, meta, 8, 8)                                                                     \
    F(control_header, magic, 0, 8)                                                                 \
    F(control_header, byte_order, 8, 4)                                                            \
    F(control_header, layout_major, 12, 2)                                                         \
    F(control_header, layout_minor, 14, 2)                                                         \
    F(control_header, segment_id, 16, 16)                                                          \
    F(control_header, control_bytes, 32, 8)                                                        \
    F(control_header, entries_offset, 40, 8)                                                       \
    F(control_header, entry_bytes, 48, 4)                                                          \
    F(control_header, max_consumers, 52, 4)                                                        \
    F(control_shared, entries_used, 0, 4)                                                          \
    F(control_shared, parked, 128, 4)                                                              \
    F(control_shared, wake_producers, 256, 4)                                                      \
    F(control_shared, parked_behind, 384, 4)                                                       \
    F(control_shared, wake_behind, 512, 4)                                                         \
    F(control_entry, state, 0, 4)                                                                  \
    F(control_entry, kind, 4, 4)                                                                   \
    F(control_entry, epoch, 8, 8)                                                                  \
    F(control_entry, cursor, 16, 8)                                                                \
    F(control_entry, holding, 24, 8)                                                               \
    F(control_entry, received, 32, 8)                                                              \
    F(control_entry, lost, 40, 8)                                                                  \
    F(control_entry, filtered, 48, 8)                                                              \
    F(control_entry, aborted, 56, 8)                                                               \
    F(control_entry, waiting, 64, 4)                                                               \
    F(control_entry, pid, 128, 4)                                                                  \
    F(control_entry, uid, 132, 4)                                                                  \
    F(control_entry, joined_ns, 136, 8)                                                            \
    F(control_entry, grace_ns, 144, 8)                                                             \
    F(control_entry, name, 152, 72)                                                                \
    F(control_entry, grace_until_ns, 224, 8)                                                       \
    F(control_entry, after_gone, 232, 4)                                                           \
    F(control_entry, after_count, 236, 4)                                                          \
    F(control_entry, after, 240, 576)                                                              \
    F(control_entry, died_epoch, 816, 8)

#define LAYOUT_ASSERT_FIELD(type, field, at, bytes)                                                \
    _Static_assert(offsetof(struct type, field) == (at), #type "." #field " moved");               \
    _Static_assert(sizeof(((struct type *)0)->field) == (bytes), #type "." #field " resized");

LAYOUT_FIELDS(LAYOUT_ASSERT_FIELD)

_Static_assert(sizeof(struct feed_header) >= LAYOUT_HEADER_LEAST &&
                   sizeof(struct feed_header) <= LAYOUT_PAGE && sizeof(struct feed_header) % 8 == 0,
               "feed_header resized");
_Static_assert(sizeof(struct feed_locator) == 512, "feed_locator resized");
_Static_assert(sizeof(struct feed_state) == 512, "feed_state resized");
_Static_assert(sizeof(struct producer_entry) == 640, "producer_entry resized");
_Static_assert(sizeof(struct slot_header) == LAYOUT_SLOT_HEADER, "slot_header resized");
_Static_assert(offsetof(struct control_entry, holds) == 896, "control_entry.holds moved");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2,
               "64-bit atomics must be plain words");

#endif
