#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks at the machine code of the hot path, as objdump shows it: no locked instruction, no fence, no
exchange with memory, no system call, and no call to anything but itself, the slow paths below and a
few functions of libc.

Usage: hot_code.py LIBRARY. The library must be a release build with its symbols.
"""
import re
import subprocess
import sys

HOT = """shmbus_producer_publish shmbus_producer_publish_batch shmbus_producer_claim
shmbus_producer_commit shmbus_producer_abort shmbus_producer_slab_acquire
shmbus_producer_slab_publish shmbus_producer_slab_release shmbus_consumer_poll
shmbus_consumer_next shmbus_consumer_retain shmbus_consumer_copy shmbus_consumer_held
shmbus_consumer_release""".split()

# Where the hot path ends, each with the reason for which it may be left.
SLOW = {
    "producer_make_room": "the ring is full by the floor as last raised, or the call is refused",
    "producer_more_room": "a batch needs a higher floor",
    "producer_need_slabs": "the class's free list is empty",
    "consumer_lend_copy": "optional consumers and observers: copies that are checked, holds",
    "among_publish": "among many producers: claims by compare-and-swap",
    "among_publish_run": "among many producers",
    "among_publish_slab": "among many producers",
    "among_claim": "among many producers",
    "among_commit": "among many producers",
    "among_abort": "among many producers",
    "among_store_tail": "among many producers",
    "parts_need_slabs": "among many producers",
    "consumer_steps_over": "among many producers: a hole, and whether its producer is dead",
    "after_raise": "one that runs after others is at its limit",
    "consumer_event_arm": "nothing is there, and a descriptor is to say so",
    "after_watch": "one that runs after others is held back: whether they live",
    "producer_wake": "consumers are parked, or the kernel has no membarrier for this process",
    "consumer_wake": "others are parked, or the kernel has no membarrier for this process",
    "producer_refuse": "the call is refused",
    "error_set": "the call is refused",
    "error_constant": "the call is refused",
}
# Of libc: neither allocates, nor calls the kernel (the clock is read through the vDSO).
LIBC = {"memcpy", "memset", "clock_gettime", "memmove"}

FORBIDDEN = re.compile(
    r"^(lock\b|[mls]fence\b|syscall\b|int\b|xchg\w*\s.*\(|cmpxchg|xadd|xacquire|xrelease)")
START = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
# "call" or a jump, direct, to another function: by its name and without an offset.
EDGE = re.compile(r"^(?:bnd )?(call|j\w+)\s+[0-9a-f]+ <([^>+]+)(\+0x[0-9a-f]+)?>")


def functions(library):
    """The instructions of each function, by name; several of one name stand together."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    code, name = {}, None
    for line in text.splitlines():
        start = START.match(line)
        if start:
            name = start.group(1)
            code.setdefault(name, [])
        elif name and "\t" in line:
            code[name].append(line.split("\t", 1)[1].strip())
    return code


def plain(name):
    """A function's name without what the compiler put behind it for its parts and clones."""
    return re.sub(r"\.(part|constprop|isra|cold|llvm)\b.*$", "", name)


def follow(code):
    """All that can be reached from the hot functions, with what is wrong there."""
    seen, wrong, left = set(), [], list(HOT)
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in code:
            wrong.append(f"{name}: not in the library")
            continue
        for instruction in code[name]:
            if FORBIDDEN.match(instruction):
                wrong.append(f"{name}: {instruction}")
            edge = EDGE.match(instruction)
            if not edge or plain(edge.group(2)) in SLOW or edge.group(2) == name:
                continue
            target = edge.group(2)
            if target.endswith("@plt"):
                called = target.split("@")[0]
                if called not in LIBC and plain(called) not in HOT:
                    wrong.append(f"{name} calls {called}")
            else:
                left.append(target)
    return seen, wrong


def main():
    """Checks one library."""
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    code = functions(sys.argv[1])
    seen, wrong = follow(code)
    # The pattern itself must find what the library is known to have, or the check shows nothing.
    known = [name for name in code
             if plain(name) not in HOT and any(FORBIDDEN.match(line) for line in code[name])]
    if wrong:
        print("FAIL hot_code: " + "; ".join(wrong[:8]))
        return 1
    print(f"PASS hot_code: {len(seen)} functions, {sum(len(code[name]) for name in seen)} "
          "instructions, none locked, no fence, no system call")
    if not known:
        print("FAIL hot_code_control: no fence in the whole library, where pool_reclaim has one")
        return 1
    print(f"PASS hot_code_control: {len(known)} other functions have them: "
          + ", ".join(sorted(known)[:4]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
