#!/usr/bin/env python3
"""Prints what the last run measured as tables for README.md, and draws docs/peers.svg.

    cargo bench && ./table.py

Reads the medians below target/criterion (CARGO_TARGET_DIR is respected) and the versions from
Cargo.lock. RequiredScopes Python 3.11 and nothing else. `--fastest` takes the fastest sample of each instead of
the median, to see what other load on the machine has added, and draws nothing.
"""

import json
import math
import os
import pathlib
import sys
import tomllib
from typing import NamedTuple
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
if not TARGET.is_absolute():
    TARGET = pathlib.Path.cwd() / TARGET
DRAWING = HERE.parent.parent / "docs" / "peers.svg"
FASTEST = "--fastest" in sys.argv[1:]
ALGORITHMS = ["RS256", "HS256", "ES256", "EdDSA"]



class Row(NamedTuple):
    name: str  # in the benchmark
    crate: str  # whose version is named
    text: str  # in the tables
    short: str  # in the drawing
    verifier: str | None = None  # the crate whose dependency verifies


IN_FRONT_OF_A_SERVICE = [
    Row("tower-http bearer", "tower-http", "tower-http {}, `bearer`: compares with one text",
        "tower-http {}, one static token"),
    Row("tower-bearer cached", "tower-bearer", "**tower-bearer**, the token is in the cache",
        "tower-bearer, from the cache"),
    Row("tower-bearer cold", "tower-bearer", "**tower-bearer**, without cache", "tower-bearer, without cache"),
    Row("tower-http async", "tower-http", "tower-http {}, async layer, by hand", "tower-http {}, by hand",
        "tower-bearer-peers"),
    Row("jwt-authorizer", "jwt-authorizer", "jwt-authorizer {}", "jwt-authorizer {}", "jwt-authorizer"),
    Row("tower-oauth2-resource-server", "tower-oauth2-resource-server", "tower-oauth2-resource-server {}",
        "tower-oauth2-resource-server {}", "tower-oauth2-resource-server"),
    Row("aliri_tower", "aliri_tower", "aliri_tower {}", "aliri_tower {}", "aliri"),
    Row("tower-mcp", "tower-mcp", "tower-mcp {}, `OAuthLayer`", "tower-mcp {}", "tower-mcp"),
]
IN_A_ROUTER = [
    Row("axum tower-bearer cached", "tower-bearer", "**tower-bearer**, the token is in the cache",
        "axum, tower-bearer, from the cache"),
    Row("axum tower-bearer cold", "tower-bearer", "**tower-bearer**, without cache",
        "axum, tower-bearer, without cache"),
    Row("axum from_fn", "axum", "axum {}, `from_fn`, by hand", "axum {}, by hand", "tower-bearer-peers"),
    Row("axum axum-jwt-auth", "axum-jwt-auth", "axum-jwt-auth {}, extractor", "axum, axum-jwt-auth {}",
        "axum-jwt-auth"),
    Row("axum authkestra-axum", "authkestra-axum", "authkestra-axum {}, extractor", "axum, authkestra-axum {}",
        "authkestra-resource"),
]
VERIFIES_NOTHING = {"tower-http bearer"}


class Lock:
    """The versions in Cargo.lock."""

    def __init__(self):
        packages = tomllib.loads((HERE / "Cargo.lock").read_text())["package"]
        self.all = {}
        for package in packages:
            self.all.setdefault(package["name"], []).append(package)

    def direct(self, name):
        """The version of a crate that the benchmark itself depends on, the newest of several."""
        return self.dependency("tower-bearer-peers", name)

    def dependency(self, of, name):
        if name == of:
            return self.all[name][0]["version"]
        found = [self.resolve(text) for text in self.all[of][0]["dependencies"] if text.split()[0] == name]
        return max(found, key=lambda version: [int(part) for part in version.split(".")], default=None)

    def resolve(self, text):
        name, *version = text.split()
        return version[0] if version else self.all[name][0]["version"]

    def verifier(self, of):
        """`(jsonwebtoken 11.1.0)` or the like."""
        if of is None:
            return ""
        for name in ("jsonwebtoken", "ring"):
            version = self.dependency(of, name)
            if version:
                return f" ({name} {version})"
        return ""


class Run:
    """What the last run left behind."""

    def __init__(self):
        report = TARGET / "tmp" / "peers.tsv"
        if not report.exists():
            sys.exit("run first: cargo bench")
        self.began = report.stat().st_mtime
        self.measured, self.notes, self.unsupported, self.stale = set(), {}, {}, set()
        for line in report.read_text().splitlines():
            algorithm, name, state, note = line.split("\t")
            if state == "measured":
                self.measured.add((algorithm, name))
                if note:
                    self.notes.setdefault(name, []).append(note)
            else:
                self.unsupported[algorithm, name] = note

    def median(self, algorithm, case, name):
        """In nanoseconds, or None where the peer cannot take part."""
        if name != "raw" and (algorithm, name) not in self.measured:
            return None
        group = f"{algorithm} {case}"
        path = TARGET / "criterion" / group / name / "new" / ("sample.json" if FASTEST else "estimates.json")
        if not path.exists():
            sys.exit(f"not measured: {group}/{name}; run first: cargo bench")
        if path.stat().st_mtime < self.began:
            self.stale.add(f"{group}/{name}")
        found = json.loads(path.read_text())
        if FASTEST:
            return min(time / count for time, count in zip(found["times"], found["iters"]))
        return found["median"]["point_estimate"]


class Footnotes:
    def __init__(self):
        self.texts = []

    def mark(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return f"<sup>{self.texts.index(text) + 1}</sup>"

    def print(self):
        for number, text in enumerate(self.texts, 1):
            print(f"<sup>{number}</sup> {text}<br>")


def ratio(a, b):
    value = a / b
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def bare_of(name):
    return "axum bare" if name.startswith("axum ") else "bare"


def label(lock, row):
    return row.text.format(lock.direct(row.crate)) + lock.verifier(row.verifier)


def cell(run, footnotes, algorithm, case, name):
    time = run.median(algorithm, case, name)
    if time is None:
        return "–" + footnotes.mark(f"{name.removeprefix('axum ')}: {run.unsupported[algorithm, name]}.")
    return ratio(time, run.median(algorithm, case, bare_of(name)))


def print_table(run, lock, footnotes, title, columns):
    """`columns` are (heading, algorithm, case)."""
    print(f"| {title} | {' | '.join(heading for heading, _, _ in columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    sections = [
        ("*against the bare `service_fn`*", IN_FRONT_OF_A_SERVICE),
        (f"*against the bare router of axum {lock.direct('axum')}*", IN_A_ROUTER),
    ]
    for heading, rows in sections:
        print(f"| {heading} |" + " |" * len(columns))
        if rows is IN_FRONT_OF_A_SERVICE and columns[0][2] == "allowed":
            floor = [cell(run, footnotes, algorithm, case, "raw") for _, algorithm, case in columns]
            print(f"| the signature alone, by aws-lc-rs {lock.direct('aws-lc-rs')} | {' | '.join(floor)} |")
        for row in rows:
            name = row.name
            marks = "".join(footnotes.mark(f"It {note}.") for note in dict.fromkeys(run.notes.get(name, [])))
            cells = [cell(run, footnotes, algorithm, case, name) for _, algorithm, case in columns]
            print(f"| {label(lock, row)}{marks} | {' | '.join(cells)} |")


def best_peer(run, lock, algorithm, case, rows):
    """The fastest that verifies the token."""
    times = [
        (run.median(algorithm, case, row.name), label(lock, row))
        for row in rows
        if row.crate != "tower-bearer" and row.name not in VERIFIES_NOTHING and (algorithm, row.name) in run.measured
    ]
    return min(times)


def print_aims(run, lock):
    def against_peers(algorithm, case, kind):
        for prefix, rows in (("", IN_FRONT_OF_A_SERVICE), ("axum ", IN_A_ROUTER)):
            best, name = best_peer(run, lock, algorithm, case, rows)
            ours = run.median(algorithm, case, f"{prefix}tower-bearer {kind}")
            where = "in a router" if prefix else "in front of a service"
            print(
                f"{algorithm} {case}, {kind}, {where}: {ours:.0f} ns, best peer {name} {best:.0f} ns, "
                f"factor {best / ours:.2f}"
            )

    against_peers("RS256", "allowed", "cached")
    against_peers("HS256", "allowed", "cold")
    for algorithm in ("RS256", "ES256", "EdDSA"):
        raw = run.median(algorithm, "allowed", "raw")
        ours = run.median(algorithm, "allowed", "tower-bearer cold")
        print(f"{algorithm} allowed, cold, to the signature: {ours:.0f} ns, {raw:.0f} ns, factor {ours / raw:.3f}")
    for algorithm in ALGORITHMS:
        for kind in ("cold", "cached"):
            against_peers(algorithm, "bad signature", kind)
    for kind in ("cold", "cached"):
        for prefix in ("", "axum "):
            ours = run.median("RS256", "garbage", f"{prefix}tower-bearer {kind}")
            bare = run.median("RS256", "garbage", f"{prefix}bare")
            print(f"garbage, {kind}, to {prefix}bare: {ours:.0f} ns, {bare:.0f} ns, factor {ours / bare:.2f}")


STYLE = """
  .back { fill: #ffffff } .text { fill: #1f2328 } .muted { fill: #59636e }
  .grid { stroke: #d1d9e0 } .peer { fill: #8c959f } .bare { fill: #b6bfc8 } .own { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #f0f6fc } .muted { fill: #9198a1 }
    .grid { stroke: #3d444d } .peer { fill: #7d8590 } .bare { fill: #565e68 } .own { fill: #4493f8 }
  }
"""


def draw(run, lock):
    """Bars of an allowed RS256 request. One unit for all, so that the bars can be compared."""
    unit = run.median("RS256", "allowed", "bare")
    bars = [
        ("bare service", "bare", "bare"),
        (f"axum {lock.direct('axum')}, bare router", "axum bare", "bare"),
        ("the signature alone, by aws-lc-rs", "raw", "bare"),
    ]
    for row in IN_FRONT_OF_A_SERVICE + IN_A_ROUTER:
        kind = "own" if row.crate == "tower-bearer" else "peer"
        bars.append((row.short.format(lock.direct(row.crate)), row.name, kind))
    bars = [(text, run.median("RS256", "allowed", name), kind) for text, name, kind in bars]
    bars = sorted((time / unit, text, kind) for text, time, kind in bars if time is not None)

    left, width, top, step = 318, 420, 74, 25
    right, height = left + width + 62, top + step * len(bars) + 56
    decades = math.ceil(math.log10(bars[-1][0]))
    x = lambda value: left + width * math.log10(max(value, 1)) / decades
    bottom = top + step * len(bars) + 4
    title = "Time of an allowed request with an RS256 token"
    described = "; ".join(f"{text}: {value:.3g}" for value, text, _ in bars)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {height}" width="{right}" height="{height}" '
        'role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="13">',
        f'<title id="title">{title}</title>',
        f'<desc id="desc">Horizontal bars on a logarithmic scale, in multiples of the bare service. '
        f"{escape(described)}.</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{right}" height="{height}" rx="8"/>',
        f'<text class="text" x="20" y="32" font-size="17" font-weight="600">{title}</text>',
        '<text class="muted" x="20" y="53">The shorter, the better. Each step of the grid is ten times the one before.</text>',
    ]
    for decade in range(decades + 1):
        at = x(10**decade)
        out.append(f'<line class="grid" x1="{at:.1f}" y1="{top - 6}" x2="{at:.1f}" y2="{bottom}"/>')
        out.append(f'<text class="muted" x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{10**decade}</text>')
    for row, (value, text, kind) in enumerate(bars):
        y = top + step * row
        weight = ' font-weight="600"' if kind == "own" else ""
        end = max(x(value), left + 2)
        out.append(f'<text class="text" x="{left - 10}" y="{y + 13}" text-anchor="end"{weight}>{escape(text)}</text>')
        out.append(f'<rect class="{kind}" x="{left}" y="{y + 1}" width="{end - left:.1f}" height="16" rx="2"/>')
        out.append(f'<text class="text" x="{end + 6:.1f}" y="{y + 13}"{weight}>{ratio(value, 1)}</text>')
    out.append(
        f'<text class="muted" x="{left + width / 2}" y="{bottom + 38}" text-anchor="middle">'
        "multiples of the time of the bare service (logarithmic)</text>"
    )
    out.append("</svg>")
    DRAWING.write_text("\n".join(out) + "\n")


def main():
    run, lock, footnotes = Run(), Lock(), Footnotes()
    allowed = [(algorithm, algorithm, "allowed") for algorithm in ALGORITHMS]
    print_table(run, lock, footnotes, "allowed", allowed)
    print()
    refused = [(f"{algorithm}, bad signature", algorithm, "bad signature") for algorithm in ALGORITHMS]
    print_table(run, lock, footnotes, "refused", [*refused, ("no JWT at all", "RS256", "garbage")])
    print()
    footnotes.print()
    print()
    print_aims(run, lock)
    if not FASTEST:
        draw(run, lock)
    if run.stale:
        print(f"{len(run.stale)} figures are of an earlier run, among them {min(run.stale)}", file=sys.stderr)


main()
