#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the library's ordered accesses are.

    tests/race/places.py SITE[:late]...

For each site, as docs/memory-model.md names them: FILE:FROM:TO[:late], the lines of the statement
that follows its label ORDER(SITE)."""
import pathlib
import re
import sys

FOLDER = pathlib.Path("libshmbus/src")


def find(site):
    for path in sorted(FOLDER.glob("*/*.[ch]")):
        lines = path.read_text().split("\n")
        for number, line in enumerate(lines, 1):
            if f"ORDER({site})" not in line:
                continue
            first = number
            while "*/" not in lines[first - 1]:
                first += 1
            last = first + 1
            while not re.search(r"[;{]\s*$", lines[last - 1]):
                last += 1
            return f"{path.relative_to(FOLDER)}:{first + 1}:{last}"
    sys.exit(f"places.py: {site}: no such site")


for wanted in sys.argv[1:]:
    late = ":late" if wanted.endswith(":late") else ""
    print(find(wanted.removesuffix(":late")) + late)
