#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what shmbus has promised to reach, and says for each of ten rows what was asked, what
was measured, and whether it holds. bench/run.sh --gate runs it.

    gate.py FOLDER [--pairs N] [--json FILE] [OPTION]...

FOLDER has shmbus-bench and shmbus-bench-driver. Exits with 0 when every row was measured, whether it
holds or not; with 1 when one could not be, which is said. Other options go to shmbus-bench. The file
has the rows and every result that they come from, floors and bad runs too.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the tree stays clean
import counts  # noqa: E402 pylint: disable=wrong-import-position

BULKS = ("bulk-1k", "bulk-8k", "bulk-64k")
PARK_MESSAGES = 500
OTHERS_PERCENT = 3
ATTACH_NS = 1e6


class Bench:
    """Runs tests of shmbus-bench and keeps their results."""

    def __init__(self, folder, pairs, options):
        self.binary = os.path.join(folder, "shmbus-bench")
        self.driver = os.path.join(folder, "shmbus-bench-driver")
        self.pairs, self.options, self.results = pairs, options, []

    def test(self, name, *more, pairs=None):
        """The results of one test, by the runner's name. Ours and the floors' runs must be good."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            subprocess.run([self.binary, "--only", name, "--pairs",
                            str(pairs or self.pairs), "--json", file.name, *more, *self.options],
                           stdout=subprocess.DEVNULL, check=False)
            try:
                with open(file.name, encoding="utf-8") as stream:
                    results = json.load(stream)
            except json.JSONDecodeError as error:
                raise counts.CountFailed(f"{name}: shmbus-bench gave no results: {error}") from error
        self.results += results
        for result in results:
            bad = [run for run in result["runs"] if not run["ok"]]
            if bad and not result["is_peer"]:
                raise counts.CountFailed(f"{name}, {result['peer']}: {len(bad)} runs failed, one "
                                         f"of them: {bad[0]['why']}")
        return {result["peer"]: result for result in results}


def value(run):
    return run["p50_ns"] if run["p50_ns"] is not None else run["msgs_per_s"]


def ratios(subject, floor):
    """Pair by pair, where both runs were good."""
    return [value(one) / value(other) for one, other in zip(subject["runs"], floor["runs"])
            if one["ok"] and other["ok"]]


def ratio(subject, floor):
    found = ratios(subject, floor)
    return statistics.median(found) if found else float("nan")


def spread(found):
    return f"{statistics.median(found):.3f} ({min(found):.2f}..{max(found):.2f})"


def ours(results):
    return [result for name, result in results.items() if name.startswith("shmbus")]


def peers(results):
    """The peers that were measured, and what to say of those whose runs failed."""
    all_peers = [result for result in results.values() if result["is_peer"]]
    measured = [result for result in all_peers if any(run["ok"] for run in result["runs"])]
    failed = [result["peer"] for result in all_peers if result not in measured]
    return measured, f"; no run of {', '.join(failed)} was good" if failed else ""


def figure(result, key):
    found = [run[key] for run in result["runs"] if run["ok"]]
    return statistics.median(found) if found else float("nan")


def row_round_trip(bench):
    """round trip, 48 B inline, spinning | p50 at most 1.1 x the minimal ring's, ahead of all peers"""
    results = bench.test("roundtrip-48")
    ring = results["ring"]
    best = min(ours(results), key=lambda result: ratio(result, ring))
    others, failed = peers(results)
    nearest = min(others, key=lambda result: figure(result, "p50_ns"), default=None)
    ahead = all(ratio(best, other) < 1 for other in others)
    tails = ", ".join(f"{name} {figure(best, key):.0f} (ring {figure(ring, key):.0f})" for name, key
                      in (("p99", "p99_ns"), ("p99.9", "p999_ns"), ("max", "max_ns")))
    text = (f"{best['peer']} {figure(best, 'p50_ns'):.0f} ns, {spread(ratios(best, ring))} of the "
            f"ring; {tails}; " + said_of(nearest, "p50_ns", "{:.0f} ns", others) + failed)
    return ratio(best, ring) <= 1.1 and ahead and bool(others), text


def said_of(nearest, key, form, others):
    if nearest is None:
        return "no peer is installed"
    return f"nearest of {len(others)} peers: {nearest['peer']} {form.format(figure(nearest, key))}"


def row_batch(bench):
    """throughput, 48 B, batches of 64 | at least 0.95 x bare streaming of as many lines"""
    results = bench.test("batch-48", "--no-peers")
    stream = results["stream"]
    batch = max(ours(results), key=lambda result: ratio(result, stream))
    text = (f"{batch['peer']} {figure(batch, 'msgs_per_s') / 1e6:.0f} M/s, {spread(ratios(batch, stream))} of "
            f"stream's {figure(stream, 'msgs_per_s') / 1e6:.0f}")
    return ratio(batch, stream) >= 0.95, text


def row_single(bench):
    """throughput, 48 B, one at a time | at least 0.7 x bare streaming, above all peers, slowest run \
at least 0.7 x the median"""
    results = bench.test("single-48")
    stream = results["stream"]
    best = max(ours(results), key=lambda result: ratio(result, stream))
    others, failed = peers(results)
    nearest = max(others, key=lambda result: figure(result, "msgs_per_s"), default=None)
    above = all(ratio(best, other) > 1 for other in others)
    runs = [value(run) for run in best["runs"]]
    steady = min(runs) / statistics.median(runs)
    text = (f"{best['peer']} {statistics.median(runs) / 1e6:.0f} M/s, {spread(ratios(best, stream))} "
            f"of stream's {figure(stream, 'msgs_per_s') / 1e6:.0f}; slowest of {len(runs)} runs "
            f"{steady:.2f} of their median; "
            + said_of(nearest, "msgs_per_s", "{:.4g}/s", others) + failed)
    return (ratio(best, stream) >= 0.7 and steady >= 0.7 and above and bool(others)), text


def row_bulk(bench):
    """throughput, 1 KiB to 64 KiB | at least 0.9 x bare memcpy through as many buffers"""
    holds, words = True, []
    for name in BULKS:
        results = bench.test(name)
        found = ratios(results["shmbus-claim-pool"], results["memcpy"])
        holds = holds and statistics.median(found) >= 0.9
        words.append(f"{name[5:]} {spread(found)}")
    return holds, ", ".join(words)


def row_way(bench):
    """1 MiB in a slab, commit to pointer | p50 at most 1.5 x the one-way figure of 48 B"""
    results = bench.test("oneway")
    large, small = results["shmbus-1m"], results["shmbus-48"]
    text = (f"{figure(large, 'p50_ns'):.0f} ns, {spread(ratios(large, small))} of "
            f"{figure(small, 'p50_ns'):.0f} ns; bare ring, 48 B: "
            f"{figure(results['ring-48'], 'p50_ns'):.0f} ns")
    return ratio(large, small) <= 1.5, text


def row_consumers(bench):
    """publish with 64 required consumers caught up, capacity 65,536 | at most 1.1 x the \
instructions with 1, over a lap"""
    one, many = (counts.instructions(bench.driver, "consumers", count, "measured_publish")
                 for count in (1, 64))
    return many <= 1.1 * one, f"{many / one:.3f}: {many:.1f} a message, {one:.1f} with 1"


def row_reclaim(bench):
    """reclaim with 65,536 slabs against 64 | at most 1.1 x the instructions a message"""
    few, many = (counts.instructions(bench.driver, "reclaim", count, "measured_pooled")
                 for count in (64, 65536))
    return many <= 1.1 * few, f"{many / few:.3f}: {many:.1f} a message, {few:.1f} with 64"


def row_park(bench):
    """publish while a consumer parks and wakes | no system call but the wakes themselves"""
    calls, waits = counts.system_calls(bench.driver, PARK_MESSAGES)
    wakes = calls.get("futex", 0)
    others = {name: count for name, count in calls.items() if name != "futex"}
    text = (f"{PARK_MESSAGES} messages, the consumer waited {waits} times: {wakes} futex calls, "
            + (f"and {others}" if others else "no other call"))
    if wakes == 0:
        raise counts.CountFailed("the consumer never parked: " + text)
    return not others and wakes <= waits, text


def row_beside(bench):
    """one slow optional consumer attached | producer's throughput at least 0.97 x without"""
    results = bench.test("beside")
    found = ratios(results["slow-optional"], results["alone"])
    text = f"{spread(found)} of {figure(results['alone'], 'msgs_per_s') / 1e6:.0f} M/s"
    return statistics.median(found) >= 0.97, text


def row_attach(bench):
    """attach to a 1 GiB bus | under 1 ms without prefault, and stated with"""
    results = bench.test("attach-1g", pairs=5)  # of ten calls each
    plain, filled = results["shmbus-attach"], results["shmbus-attach-prefault"]
    text = (f"{figure(plain, 'p50_ns') / 1e6:.3f} ms (p99 {figure(plain, 'p99_ns') / 1e6:.3f}); with "
            f"prefault {figure(filled, 'p50_ns') / 1e6:.1f} ms; open and map alone "
            f"{figure(results['open-and-map'], 'p50_ns') / 1e6:.3f} ms")
    return figure(plain, "p50_ns") < ATTACH_NS, text


ROWS = (row_round_trip, row_batch, row_single, row_bulk, row_way, row_consumers, row_reclaim,
        row_park, row_beside, row_attach)


def measure(bench, number, row):
    """One row, printed and as it is kept."""
    what, target = (part.strip() for part in row.__doc__.split("|"))
    try:
        holds, text = row(bench)
        verdict = "holds" if holds else "does not hold"
    except (counts.Missing, counts.CountFailed, subprocess.TimeoutExpired) as error:
        holds, text, verdict = None, str(error), "NOT MEASURED"
    print(f"{number:2}. {what}\n    target: {target}\n    figure: {text}\n    {verdict}", flush=True)
    return {"row": number, "what": what, "target": target, "figure": text, "holds": holds}


def print_machine(bench):
    if not bench.results:
        return
    machine = bench.results[-1]["machine"]
    # The load average before any but the first test is that of the test before.
    others = max(result["machine"]["others_percent"] + result["machine"]["stolen_percent"]
                 for result in bench.results)
    loaded = bench.results[0]["machine"]["loaded"] or others > OTHERS_PERCENT
    print(f"{machine['processor']}, {machine['kernel']}, {machine['compiler']}; pinned to "
          f"{machine['pinning']['cpus']}, {machine['pinning']['kind']}; load "
          f"{bench.results[0]['machine']['load_before']} before, {machine['load_after']} after"
          f"; others and the hypervisor took {others:.1f} % at most"
          + ("; THE MACHINE WAS LOADED" if loaded else ""))


def main():
    """Measures all rows."""
    parser = argparse.ArgumentParser(prog="run.sh --gate", description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--json")
    arguments, options = parser.parse_known_args()
    bench = Bench(arguments.folder, arguments.pairs, options)
    rows = [measure(bench, number, row) for number, row in enumerate(ROWS, 1)]
    print_machine(bench)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as stream:
            json.dump({"rows": rows, "results": bench.results}, stream, indent=1)
    print(f"gate: {sum(row['holds'] is True for row in rows)} of {len(rows)} hold")
    return 1 if any(row["holds"] is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
