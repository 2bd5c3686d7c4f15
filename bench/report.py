#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes one self-contained page of pictures out of the results of shmbus-bench.

    report.py RESULTS.json >report.html

Latency by percentile on an axis of nines, throughput against size, and cost against consumers and
producers, each as SVG with its figures in a table below; whatever tests there are in the results is
shown, and the rest is not. The page follows the reader's choice of dark or light.
"""
import html
import json
import math
import re
import statistics
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 360, 76, 190, 16, 46
SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
COLOURS = 10  # of the page's style, c0 to c9

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2530; --soft: #5b6675; --rule: #dde2e8;
  --c0: #0b62c4; --c1: #c2410c; --c2: #15803d; --c3: #8b3fbf; --c4: #a16207; --c5: #be185d;
  --c6: #0f766e; --c7: #64748b; --c8: #4d7c0f; --c9: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181e; --ink: #e6eaf0; --soft: #9aa6b5;
  --rule: #313a46; --c0: #6cb2ff; --c1: #ff9b66; --c2: #6fd58f; --c3: #cf9bff; --c4: #e5c155;
  --c5: #ff8fc0; --c6: #5ed3c6; --c7: #a9b6c6; --c8: #b3d764; --c9: #ff8a80; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 900px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin: 2.2em 0 .3em; }
p, caption { color: var(--soft); text-align: left; margin: .2em 0 .8em; }
.loaded { color: var(--c9); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--rule); padding: .2em .6em .2em 0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--soft); } .rule { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
.floor { stroke-dasharray: 5 4; }
""" + "".join(f".c{i} {{ stroke: var(--c{i}); }} svg .t{i}, .d{i} {{ fill: var(--c{i}); }}\n"
              for i in range(COLOURS))


def escape(text):
    return html.escape(str(text))


def tidy(number):
    """A figure with three digits and its thousands in words."""
    if number is None or math.isnan(number):
        return ""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.3g}"


def sized(count):
    """Bytes, in the units that are whole."""
    for limit, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= limit and count % limit == 0:
            return f"{count // limit} {unit}"
    return str(count)


def good(result):
    return [run for run in result["runs"] if run["ok"]]


def median(result, key):
    found = [run[key] for run in good(result)]
    return statistics.median(found) if found else None


def ticks(low, high):
    """Powers of ten that enclose a range, and those between."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** power for power in range(first, max(last, first + 1) + 1)]


class Chart:
    """Lines over an axis of named places or of logarithms; upwards a logarithm."""

    def __init__(self, series, places, across, up):
        """series: (name, is_floor, points), a point is a place's index and a figure."""
        self.series = [one for one in series if one[2]]
        self.places, self.across, self.up = places, across, up
        figures = [figure for _, _, points in self.series for _, figure in points]
        self.marks = ticks(min(figures), max(figures))

    def x(self, index):
        span = WIDTH - LEFT - RIGHT
        return LEFT + span * (index + 0.5) / len(self.places)

    def y(self, figure):
        low, high = math.log10(self.marks[0]), math.log10(self.marks[-1])
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(figure) - low) / (high - low)

    def axes(self):
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for mark in self.marks:
            y = self.y(mark)
            yield f'<line class="rule" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tidy(mark)}</text>'
        for index, place in enumerate(self.places):
            yield (f'<text x="{self.x(index):.1f}" y="{bottom + 18}" '
                   f'text-anchor="middle">{escape(place)}</text>')
        yield (f'<text x="{(LEFT + right) / 2:.1f}" y="{HEIGHT - 8}" '
               f'text-anchor="middle">{escape(self.across)}</text>')
        yield (f'<text transform="translate(14 {(TOP + bottom) / 2:.1f}) rotate(-90)" '
               f'text-anchor="middle">{escape(self.up)}</text>')

    def lines(self):
        """Each line, and its name at the right edge, moved down where names would meet."""
        taken = -100.0
        order = sorted(range(len(self.series)), key=lambda i: self.y(self.series[i][2][-1][1]))
        for i in order:
            name, is_floor, points = self.series[i]
            colour = i % COLOURS
            path = " ".join(f"{self.x(at):.1f},{self.y(figure):.1f}" for at, figure in points)
            yield (f'<polyline class="line c{colour}{" floor" if is_floor else ""}" '
                   f'points="{path}"/>')
            for at, figure in points:
                yield (f'<circle class="d{colour}" cx="{self.x(at):.1f}" '
                       f'cy="{self.y(figure):.1f}" r="3"><title>{escape(name)}, '
                       f'{escape(self.places[at])}: {tidy(figure)}</title></circle>')
            taken = max(taken + 15, self.y(points[-1][1]))
            yield (f'<text class="t{colour}" x="{WIDTH - RIGHT + 6}" y="{taken + 4:.1f}">'
                   f'{escape(name)}{" (floor)" if is_floor else ""}</text>')

    def svg(self):
        body = "\n".join([*self.axes(), *self.lines()])
        return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
                f'aria-label="{escape(self.up)} by {escape(self.across)}">\n{body}\n</svg>')


def table(head, rows):
    cells = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    cells += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(cells) + "\n</table>"


def name_of(result):
    return result["peer"] + (" (floor)" if result["is_floor"] else "")


def latency(test, results):
    """One test's percentile curves."""
    series, rows = [], []
    for result in results:
        runs = good(result)
        if not runs:
            continue
        curve = [statistics.median(run["curve_ns"][i] for run in runs) for i in range(len(SHARES))]
        samples = min(run["messages"] for run in runs)
        points = [(i, max(figure, 1.0)) for i, figure in enumerate(curve)
                  if samples * (1 - SHARES[i]) >= 1]  # a share that no sample stands for is left out
        series.append((result["peer"], result["is_floor"], points))
        rows.append([name_of(result), *(tidy(curve[i]) if i < len(points) else ""
                                        for i in range(len(SHARES))),
                     tidy(median(result, "max_ns")),
                     f"{result['ratio']:.2f}" if result["ratio"] is not None else ""])
    if not series:
        return ""
    places = ["50 %"] + [f"{share * 100:g} %" for share in SHARES[1:]]
    chart = Chart(series, places, "share of the messages", "nanoseconds")
    floor = next((result["floor"] for result in results if result["floor"]), None)
    head = ["ns", *places, "max", f"p50 / {floor}" if floor else ""]
    return (f"<h2>{escape(test)}: {escape(results[0]['title'])}</h2>\n" + chart.svg()
            + table(head, rows))


def throughput(test, results):
    """One test's messages a second, as a table."""
    rows = []
    for result in results:
        runs = [run["msgs_per_s"] for run in good(result)]
        rows.append([name_of(result), tidy(statistics.median(runs)) if runs else "no good run",
                     f"{tidy(min(runs))} .. {tidy(max(runs))}" if runs else "",
                     tidy(statistics.median(runs) * result["size"]) if runs else "",
                     f"{result['ratio']:.3f}" if result["ratio"] is not None else ""])
    floor = next((result["floor"] for result in results if result["floor"]), "floor")
    head = ["", "messages/s", "least .. most", "bytes/s", f"/ {floor}"]
    return f"<h2>{escape(test)}: {escape(results[0]['title'])}</h2>\n" + table(head, rows)


def against(results, key, family, title, across):
    """Throughput over sizes, consumers or producers, of the tests whose names begin so."""
    lines = {}
    for result in results:
        rate = median(result, "msgs_per_s") if result["msgs_per_s"] is not None else None
        if result["test"].startswith(family) and rate:
            name = re.sub(r"-\d+$", "", result["peer"])
            lines.setdefault((name, result["is_floor"]), {})[result[key]] = rate
    values = sorted({value for points in lines.values() for value in points})
    if len(values) < 2:
        return ""
    series = [(name, is_floor, [(values.index(value), rate) for value, rate in sorted(points.items())])
              for (name, is_floor), points in lines.items()]
    places = [sized(value) if key == "size" else tidy(value) for value in values]
    return f"<h2>{escape(title)}</h2>\n" + Chart(series, places, across, "messages a second").svg()


def machine_words(results):
    """What a reader has to know before a figure means anything."""
    machine = results[0]["machine"]
    pinning = machine["pinning"]
    loaded = any(result["machine"]["loaded"] for result in results)
    words = (f"shmbus {results[0]['version']}; {machine['processor']}, {machine['processors']} of them"
             f"{', under a hypervisor' if machine['hypervisor'] else ''}; {machine['kernel']}; "
             f"{machine['compiler']}; pinned to {pinning['cpus'][0]} and {pinning['cpus'][1]}, "
             f"{pinning['kind']}, NUMA nodes {pinning['numa_nodes']}; pages of "
             f"{machine['page_bytes']} bytes; {results[0]['repeats']} pairs; {machine['started']}; load "
             f"{machine['load_before']} before, {machine['load_after']} after, others used "
             f"{machine['others_percent']} % of the processors.")
    note = ('<p class="loaded">The machine was loaded: only the ratios of pairs mean something.</p>'
            if loaded else "")
    return f"<p>{escape(words)}</p>{note}"


def main():
    """Writes the page to standard output."""
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as stream:
        results = json.load(stream)
    parts, tests = [], {}
    for result in results:
        tests.setdefault(result["test"], []).append(result)
    for test, group in tests.items():
        if any(run["curve_ns"] for result in group for run in result["runs"]):
            parts.append(latency(test, group))
    for key, family, title, across in (
            ("size", "bulk-", "Throughput against size, pooled", "bytes a message"),
            ("consumers", "consumers-", "Throughput against consumers, read by turns", "consumers"),
            ("producers", "producers", "Throughput against producers, by turns", "producers")):
        parts.append(against(results, key, family, title, across))
    for test, group in tests.items():
        if any(result["msgs_per_s"] is not None for result in group):
            parts.append(throughput(test, group))
    print("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width\"><title>shmbus: benchmark</title>"
          f"<style>{STYLE}</style></head><body>\n<h1>shmbus: benchmark</h1>"
          + machine_words(results) + "\n".join(parts) + "\n</body></html>")
    return 0


if __name__ == "__main__":
    sys.exit(main())
