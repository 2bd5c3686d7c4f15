#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says why lines of the library are not covered: explain.py REPORT, where REPORT is gcovr's table.

`reasons`, beside this, has one rule a line: a pattern for files, a pattern for a line's text, how many
lines it explains at most, and the reason, with tabs between them. The first rule that fits, and has
some left, counts. A rule that fits no line of the sources is stale, and fails; so do uncovered lines
without a reason, when they are more than a few: some lines are run or not as a race goes.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FEW = 20


def read_rules():
    """The rules, with how many lines each explains."""
    rules = []
    with open(os.path.join(HERE, "reasons"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                file, text, most, reason = line.rstrip("\n").split("\t")
                rules.append([re.compile(file), re.compile(text), reason, 0, int(most)])
    return rules


def read_sources():
    """The lines of each source of the library, by its path."""
    sources = {}
    for folder, _, names in os.walk(os.path.join(ROOT, "libshmbus", "src")):
        for name in names:
            if name.endswith((".c", ".h")):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as lines:
                    sources[os.path.relpath(path, ROOT)] = [line.strip() for line in lines]
    return sources


def uncovered(report, sources):
    """File, number and text of each line that was not run. A table's row may go on below it."""
    file = None
    with open(report, encoding="utf-8") as lines:
        for line in lines:
            row = re.match(r"(libshmbus/src/\S+)?\s*(?:(\d+\s+\d+\s+\d+%)\s*)?([\d,-]*)\s*$", line)
            if not row or line.startswith("-"):
                continue
            file = row.group(1) or file
            for part in filter(None, row.group(3).split(",")) if file else ():
                first, _, last = part.partition("-")
                for number in range(int(first), int(last or first) + 1):
                    yield file, number, sources[file][number - 1]


def main():
    """Prints each reason with its count, and what has none."""
    rules, sources, bare = read_rules(), read_sources(), []
    for file, number, text in uncovered(sys.argv[1], sources):
        for rule in rules:
            if rule[3] < rule[4] and rule[0].search(file) and rule[1].search(text):
                rule[3] += 1
                break
        else:
            bare.append(f"{file}:{number}: {text}")
    counts = {}
    for rule in rules:
        counts[rule[2]] = counts.get(rule[2], 0) + rule[3]
    for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:5} lines: {reason}")
    print(f"{len(bare):5} lines without a reason" + "".join(f"\n      {line}" for line in bare))
    stale = [rule for rule in rules
             if not any(rule[0].search(file) and any(rule[1].search(line) for line in lines)
                        for file, lines in sources.items())]
    for rule in stale:
        print(f"FAIL coverage_reasons: no line fits {rule[0].pattern}, {rule[1].pattern} (take it out)")
    if len(bare) > FEW:
        print(f"FAIL coverage_reasons: {len(bare)} lines that are not covered have no reason, more than "
              f"{FEW} (test them, or say in tests/coverage/reasons why not)")
    elif not stale:
        print(f"PASS coverage_reasons: {sum(counts.values())} lines with a reason, {len(bare)} without")
    sys.exit(bool(stale) or len(bare) > FEW)


main()
