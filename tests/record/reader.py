#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints a recording line by line, reading it by nothing but what docs/recording.md says and LZ4's
published frame format. Every checksum is computed; the first thing that is not as the page says ends
it with 1 and a line on standard error.

    reader.py FILE
"""
import struct
import sys

HEADER, HEAD, INDEX, FOOTER = range(0x184D2A50, 0x184D2A54)
FRAME = 0x184D2204
MAGIC = b"SMBUBSRC"
KINDS = {1: "message", 2: "lost", 3: "aborted"}


class Wrong(Exception):
    """Something is not as the page says."""


def insist(good, text):
    if not good:
        raise Wrong(text)


def fnv1a(data):
    total = 0xCBF29CE484222325
    for byte in data:
        total = ((total ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return total


def frame_sum(data):
    """The checksum of a frame in its head."""
    mask, prime = 0xFFFFFFFFFFFFFFFF, 0x100000001B3
    sums = [0xCBF29CE484222325] * 4
    padded = data + bytes(32 - len(data) % 32)
    for words in struct.iter_unpack("<4Q", padded):
        sums = [(total ^ word) * prime & mask for total, word in zip(sums, words)]
        sums = [(total << 29 | total >> 35) & mask for total in sums]
    total = 0xCBF29CE484222325
    for word in sums + [len(data)]:
        total = (total ^ word) * prime & mask
    return total


def xxh32(data):
    """xxHash of 32 bits with seed 0, which LZ4's frames are checked with."""
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    mask = 0xFFFFFFFF

    def turned(word, by):
        return (word << by | word >> (32 - by)) & mask

    at, length = 0, len(data)
    if length >= 16:
        lanes = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        for words in struct.iter_unpack("<4I", data[: length // 16 * 16]):
            lanes = [turned((lane + word * p2) & mask, 13) * p1 & mask
                     for lane, word in zip(lanes, words)]
        at = length // 16 * 16
        total = sum(turned(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18))) & mask
    else:
        total = p5
    total = (total + length) & mask
    while at + 4 <= length:
        total = (total + struct.unpack_from("<I", data, at)[0] * p3) & mask
        total = turned(total, 17) * p4 & mask
        at += 4
    for byte in data[at:]:
        total = turned((total + byte * p5) & mask, 11) * p1 & mask
    total = (total ^ total >> 15) * p2 & mask
    total = (total ^ total >> 13) * p3 & mask
    return total ^ total >> 16


def lz4_block(data, out):
    """Adds an unpacked block to out, whose end it may refer to."""
    at = 0

    def more(length, at):
        while True:
            length += data[at]
            at += 1
            if data[at - 1] != 255:
                return length, at

    while at < len(data):
        token = data[at]
        at += 1
        literals = token >> 4
        if literals == 15:
            literals, at = more(literals, at)
        out += data[at:at + literals]
        at += literals
        if at >= len(data):
            break
        back = struct.unpack_from("<H", data, at)[0]
        at += 2
        length = token & 15
        if length == 15:
            length, at = more(length, at)
        insist(0 < back <= len(out), "a match before the beginning")
        for _ in range(length + 4):
            out.append(out[-back])


def lz4_frame(data):
    """A whole frame, unpacked."""
    flags = data[4]
    insist(flags >> 6 == 1 and flags & 3 == 0, "another LZ4 frame than of version 1")
    insist(flags & 0x14 == 0x04, "a frame with checksums of blocks, or without one of the content")
    size_at, at = 6, 6 + (8 if flags & 8 else 0)
    insist(xxh32(data[4:at]) >> 8 & 255 == data[at], "checksum of a frame's head")
    at += 1
    out = bytearray()
    while True:
        word = struct.unpack_from("<I", data, at)[0]
        at += 4
        if word == 0:
            break
        block = data[at:at + (word & 0x7FFFFFFF)]
        at += len(block)
        if word >> 31:
            out += block
        else:
            lz4_block(block, out)
    insist(xxh32(bytes(out)) == struct.unpack_from("<I", data, at)[0], "checksum of the content")
    insist(at + 4 == len(data), "a frame of another length than its head says")
    if flags & 8:
        insist(struct.unpack_from("<Q", data, size_at)[0] == len(out), "content size")
    return bytes(out)


def cut(data):
    """A string up to its NUL."""
    return data.split(b"\0", 1)[0].decode()


def print_header(content):
    magic, version, types, checksum = struct.unpack_from("<8sIIQ", content)
    insist(magic == MAGIC and version == 1, "magic or version")
    insist(fnv1a(content[:16] + bytes(8) + content[24:]) == checksum, "checksum of the header")
    name, boot = cut(content[24:96]), cut(content[96:136])
    (made, _, _, capacity, first, following, history, stall, slot, consumers, producers, flags,
     classes, zero) = struct.unpack_from("<3q4Qq6I", content, 136)
    insist(len(boot) == 36 and zero == 0, "boot id or padding")
    print(f"bus {name} made {made} capacity {capacity} first {first} next {following} "
          f"history {history} stall {stall} slot {slot} consumers {consumers} "
          f"producers {producers} flags {flags}")
    for i in range(classes):
        print("class %d %d" % struct.unpack_from("<QQ", content, 224 + i * 16))
    at = 224 + 8 * 16
    for _ in range(types):
        number, name_bytes, size, field_bytes = struct.unpack_from("<HHII", content, at)
        at += 12
        name = content[at:at + name_bytes]
        fields = content[at + name_bytes:at + name_bytes + field_bytes]
        insist(name[-1:] == b"\0" and fields[-1:] == b"\0", "a type's strings")
        at += name_bytes + field_bytes
        print(f"type {number} {size} {cut(name)} {cut(fields)}")
    insist(at == len(content), "something behind the types")


def print_records(plain, head):
    """The records of a block, which have to be what its head says."""
    count, following, seen, receive = 0, None, None, []
    at = 0
    while at < len(plain):
        (length, kind, sequence, many, publish, received, kind_of, flags,
         zero) = struct.unpack_from("<IIQQqqHHI", plain, at)
        payload = plain[at + 48:at + 48 + length]
        padded = (length + 7) // 8 * 8
        insist(kind in KINDS and zero == 0 and len(payload) == length, "a record")
        insist(not any(plain[at + 48 + length:at + 48 + padded]), "padding that is not 0")
        print(f"{KINDS[kind]} {sequence} {many} {publish} {received} {kind_of} {flags} "
              f"{payload.hex()}")
        seen = sequence if seen is None else seen
        following = sequence + many
        receive.append(received)
        count += 1
        at += 48 + padded
    insist((count, seen, following, receive[0]) == (head[4], head[5], head[6], head[7]),
           "a block's records are not what its head says")
    return max(receive)


def read(data):
    at, heads, latest, block = 0, [], None, None
    while at < len(data):
        magic = struct.unpack_from("<I", data, at)[0]
        if magic == FRAME:
            insist(block is not None and block[1] == at, "a block without a head")
            frame = data[at:at + block[2]]
            insist(frame_sum(frame) == block[9], "checksum of a frame")
            plain = lz4_frame(frame)
            insist(len(plain) == block[3], "a block of another length than its head says")
            newest = print_records(plain, block)
            latest = newest if latest is None else max(latest, newest)
            insist(latest == block[8], "latest receive time")
            at += block[2]
            block = None
            continue
        length = struct.unpack_from("<I", data, at + 4)[0]
        content = data[at + 8:at + 8 + length]
        insist(block is None and len(content) == length, "a head without a block")
        if magic == HEADER:
            insist(at == 0, "a second header")
            print_header(content)
        elif magic == HEAD:
            insist(length == 80, "length of a head")
            block = struct.unpack("<7Q2qQ", content)
            insist(fnv1a(content[8:]) == block[0], "checksum of a head")
            heads.append(content)
        elif magic == INDEX:
            insist(content == b"".join(heads), "the index is not a copy of the heads")
            index = at
        elif magic == FOOTER:
            insist(length == 40 and at + 48 == len(data), "the footer is not the end")
            own, text, place, count, checksum = struct.unpack("<Q8sQQQ", content)
            insist(fnv1a(content[8:]) == own and text == MAGIC, "checksum or magic of the footer")
            insist((place, count, checksum) == (index, len(heads), fnv1a(b"".join(heads))),
                   "the footer's words of the index")
            print(f"whole {count}")
            return
        else:
            raise Wrong(f"magic {magic:#x} at {at}")
        at += 8 + length
    print("open")


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        read(data)
    except (Wrong, struct.error, IndexError) as why:
        print(f"{sys.argv[1]}: {why}", file=sys.stderr)
        sys.exit(1)


main()
