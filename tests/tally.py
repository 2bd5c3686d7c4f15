#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds up what the tests of one run said, judges the skips, and prints the closing line.

Reads from the results folder ctest.json and ctest.xml (ctest's list of tests and its JUnit file) and
NAME.log with NAME.status (a script rig's output and exit code). A libcheck program counts by its cases, a script by its PASS, FAIL and
SKIP lines, anything else as one test by its exit code.
"""
import argparse
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

CHECKS = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)
LINE = re.compile(r"^(PASS|FAIL|SKIP) ([^\s:]+)(?:: *(.*))?$", re.M)


class Program:
    """One program's or script's counts."""

    def __init__(self, name, state, output):
        self.name, self.state = name, state
        lines = LINE.findall(output)
        checks = [tuple(map(int, row)) for row in CHECKS.findall(output)]
        self.skips = [(case, why) for word, case, why in lines if word == "SKIP"]
        self.failed = sum(failures + errors for _, failures, errors in checks)
        self.passed = sum(row[0] for row in checks) - self.failed
        self.notes = [f"{case}: {why}" for word, case, why in lines if word == "FAIL"]
        if checks:
            # libcheck has no word for a skipped case and counts it as passed.
            self.passed -= min(len(self.skips), self.passed)
        self.passed += sum(word == "PASS" for word, _, _ in lines)
        self.failed += len(self.notes)
        counted = bool(checks or self.passed or self.failed)
        if state == "skipped" and not counted:
            self.skips = self.skips or [(name, "no reason given")]
        elif state == "failed" and not self.failed:
            self.failed = 1
            self.notes.append("ended with an error, or was ended")
        elif checks and not self.passed and not self.failed and not self.skips:
            self.failed = 1
            self.notes.append("has no test case")
        elif state == "passed" and not counted and not self.skips:
            self.passed = 1


def labels_of(path):
    """The labels of each of ctest's tests; the first is its rig."""
    rigs = {}
    for test in json.loads(path.read_text())["tests"]:
        for entry in test.get("properties", []):
            if entry["name"] == "LABELS":
                rigs[test["name"]] = entry["value"]
    return rigs


def from_ctest(results):
    """The programs that ctest ran."""
    rigs = labels_of(results / "ctest.json")
    for case in xml.etree.ElementTree.parse(results / "ctest.xml").getroot().iter("testcase"):
        state = {"run": "passed", "fail": "failed"}.get(case.get("status"), "failed")
        if case.find("skipped") is not None:
            why = case.find("skipped").get("message", "")
            state = "skipped" if "SKIP_RETURN_CODE" in why or "isabled" in why else "failed"
        labels = rigs.get(case.get("name"), ["?"])
        name = f"{labels[0]}/{case.get('name')}"
        yield labels, Program(name, state, case.findtext("system-out") or "")


def from_log(path):
    """A script rig."""
    state = {"0": "passed", "77": "skipped"}.get(path.with_suffix(".status").read_text().strip())
    return Program(path.stem, state or "failed", path.read_text(errors="replace"))


def read_skips(path):
    """The names that may be skipped, each with its reason."""
    allowed = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, colon, why = line.partition(":")
            if not colon or not why.strip():
                sys.exit(f"tally.py: {path}:{number}: no reason (write NAME: why)")
            allowed[name.strip()] = why.strip()
    return allowed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--skips", type=pathlib.Path, required=True)
    parser.add_argument("--labels", default="", help="rigs that ctest was to run, parted by |")
    parser.add_argument("results", type=pathlib.Path)
    options = parser.parse_args()

    programs, seen = [], set()
    if (options.results / "ctest.xml").exists():
        for labels, program in from_ctest(options.results):
            seen.update(labels)
            programs.append(program)
    programs.sort(key=lambda program: program.name)
    for rig in filter(None, options.labels.split("|")):
        if rig not in seen:
            programs.append(Program(rig, "failed", f"FAIL {rig}: the rig ran no test"))
    programs += [from_log(log) for log in sorted(options.results.glob("*.log"))]

    allowed = read_skips(options.skips)
    passed = failed = skipped = 0
    print()
    for program in programs:
        unlisted = [f"{name}: skipped, and not listed in {options.skips} ({why})"
                    for name, why in program.skips if name not in allowed]
        listed = len(program.skips) - len(unlisted)
        bad = program.failed + len(unlisted)
        print(f"{'FAIL' if bad else 'ok  '} {program.name}: {program.passed} passed"
              + (f", {bad} failed" if bad else "") + (f", {listed} skipped" if listed else ""))
        for note in program.notes + unlisted:
            print(f"     {note}")
        for name, why in program.skips:
            if name in allowed:
                print(f"     {name} skipped: {why or allowed[name]}")
        passed, failed, skipped = passed + program.passed, failed + bad, skipped + listed
    if passed + failed + skipped == 0:
        print("tally.py: no test ran")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
