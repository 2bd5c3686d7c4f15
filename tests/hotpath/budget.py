#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What noise cannot touch: how many instructions each call of the hot path takes, and how many cache
lines of the feed a message stores to.

    budget.py DRIVER [--write]

DRIVER is shmbus-bench-driver, built as a release by the compiler of CI: instructions are held to the
budgets of the file beside this one, within 5 % either way, so that what got cheaper is noted, too.
--write notes what is counted now. A message in a slot stores to its own line alone, but for the tail
and the counts now and then. That more would be found is shown by messages in slabs.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "bench"))
sys.dont_write_bytecode = True
import counts  # noqa: E402 pylint: disable=wrong-import-position

BUDGETS = os.path.join(HERE, "budgets")
WITHIN = 0.05
MESSAGES = 6400
NOW_AND_THEN = 2  # lines that few of the turns store to beside: the tail, and the producer's counts
MODES = ("publish", "claim", "batch", "pooled", "poll", "next", "retain")
INLINE = ("publish", "claim", "batch")
HEADER = """# Instructions a message of each mode of shmbus-bench-driver, by callgrind, within 5 %. gcc 12 on
# x86-64, release. Written anew by: tests/hotpath/budget.py DRIVER --write
"""


def read_budgets():
    """The budgets by mode."""
    budgets = {}
    with open(BUDGETS, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                budgets[words[0]] = float(words[1])
    return budgets


def say(good, name, text):
    print(f"{'PASS' if good else 'FAIL'} {name}: {text}", flush=True)
    return not good


def check_instructions(driver):
    """Each mode against its budget."""
    budgets, failed = read_budgets(), 0
    for mode in MODES:
        spent = counts.instructions(driver, mode, MESSAGES, f"measured_{mode}")
        budget = budgets.get(mode, 0)
        failed += say(abs(spent - budget) <= WITHIN * budget, f"instructions_{mode}",
                      f"{spent:.1f} a message, budget {budget:.1f} (if meant: budget.py --write)")
    return failed


def check_lines(driver):
    """A message's stores go to one line of the feed; a pooled one's to more, which shows the rest."""
    failed = 0
    for mode in INLINE:
        lines = [len(turn) for turn in counts.lines_stored(driver, mode)]
        alone = sum(count == counts.TURN for count in lines)
        good = alone >= len(lines) / 2 and max(lines) <= counts.TURN + NOW_AND_THEN
        failed += say(good, f"lines_{mode}", f"{lines} lines of the feed in turns of {counts.TURN}")
    lines = [len(turn) for turn in counts.lines_stored(driver, "pooled")]
    failed += say(all(count >= 2 * counts.TURN for count in lines), "lines_control",
                  f"{lines} lines in turns of {counts.TURN} pooled messages, more, as must be")
    return failed


def write(driver):
    """Notes what is counted now as the budgets."""
    with open(BUDGETS, "w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for mode in MODES:
            spent = counts.instructions(driver, mode, MESSAGES, f"measured_{mode}")
            stream.write(f"{mode} {spent:.1f}\n")
    return 0


def main():
    """Checks, or writes."""
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--write"]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        if len(sys.argv) == 3:
            return write(sys.argv[1])
        return 1 if check_instructions(sys.argv[1]) + check_lines(sys.argv[1]) else 0
    except counts.Missing as error:
        print(f"SKIP budgets: {error}")
        return 77
    except counts.CountFailed as error:
        print(f"FAIL budgets: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
