# SPDX-License-Identifier: MIT
"""Counts what shmbus-bench-driver does, where time plays no part: instructions by callgrind, stores
to cache lines of the feed by lackey, system calls by strace. Each function raises Missing where its
tool is not installed, and CountFailed where it gave no count."""
import os
import re
import shutil
import subprocess
import tempfile

LINE_BYTES = 64
TURN = 64  # messages between two marks of the driver


class Missing(Exception):
    """A tool that is not installed."""


class CountFailed(Exception):
    """A tool that ran and gave no count."""


def need(tool):
    if shutil.which(tool) is None:
        raise Missing(f"{tool} is not installed (.ci/packages.sh bench)")


def run(command):
    """A command's standard output and standard error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise CountFailed(f"{' '.join(command)}: exits with {done.returncode}: "
                          + done.stderr.strip()[-400:])
    return done.stdout, done.stderr


def instructions(driver, mode, value, function):
    """Instructions a message that are spent in the function of that name and below it."""
    need("valgrind")
    output, report = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                          f"--toggle-collect={function}", driver, mode, str(value)])
    collected = re.search(r"Collected : (\d+)", report)
    messages = re.search(r"^messages (\d+)", output, re.M)
    if collected is None or messages is None or int(collected.group(1)) == 0:
        raise CountFailed(f"callgrind counted nothing in {function}")
    return int(collected.group(1)) / int(messages.group(1))


def lines_stored(driver, mode):
    """Which lines of the feed each of the last turns of a mode stored to: a list of sets."""
    need("valgrind")
    output, trace = run(["valgrind", "--tool=lackey", "--trace-mem=yes", driver, mode, str(8 * TURN)])
    feed = re.search(r"^feed ([0-9a-f]+)-([0-9a-f]+)", output, re.M)
    mark = re.search(r"^mark 0x([0-9a-f]+)", output, re.M)
    if feed is None or mark is None:
        raise CountFailed("the driver does not say where its feed and its mark are")
    first, end, mark = int(feed.group(1), 16), int(feed.group(2), 16), int(mark.group(1), 16)
    turns, inside = [], False
    for kind, address, size in re.findall(r"^ ([SM]) ([0-9a-f]+),(\d+)$", trace, re.M):
        address = int(address, 16)
        if address == mark:
            inside = not inside
            if inside:
                turns.append(set())
        elif inside and first <= address < end:
            turns[-1].update(range(address // LINE_BYTES,
                                   (address + int(size) - 1) // LINE_BYTES + 1))
    if len(turns) != 8 or inside or not all(turns):
        raise CountFailed(f"lackey saw {len(turns)} turns with stores, not 8")
    return turns


def system_calls(driver, messages):
    """What a producer calls while a consumer parks: how often by name, and how often that waited."""
    need("strace")
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace")
        output, _ = run(["strace", "-o", trace, driver, "park", str(messages)])
        with open(trace, encoding="utf-8", errors="replace") as lines:
            names = [line.split("(")[0] for line in lines if re.match(r"\w+\(", line)]
    waits = re.search(r"^waits (\d+)", output, re.M)
    marks = [i for i, name in enumerate(names) if name == "getppid"]
    if len(marks) != 2 or waits is None:
        raise CountFailed(f"strace saw {len(marks)} marks, not 2")
    calls = {}
    for name in names[marks[0] + 1:marks[1]]:
        calls[name] = calls.get(name, 0) + 1
    return calls, int(waits.group(1))
