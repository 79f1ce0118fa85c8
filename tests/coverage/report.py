#!/usr/bin/python3
"""Branch coverage of what synchronises, from the counts in a build folder of the preset `coverage`.

Counted is every branch that gcov sees in the .c files of the folders below, those taken when an
allocation fails included. Left out are the branches of the lines of an assert, whose other way ends
the program, and generated code. A folder below its floor is a failure: a floor is what was reached
when it was last set, rounded down, and only ever rises. The goal is 90 % everywhere.
"""

import argparse
import collections
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOAL = 90
FLOORS = {
    "common/ledger": 91,
    "common/wire": 97,
    "client/core": 92,
    "server/core": 90,
    "client/store": 92,
    "server/store": 95,
}


def counts_of(build, folder):
    """Every object of the folder, as gcov tells it."""
    where = os.path.join(build, folder)
    for directory, _, names in os.walk(where):
        for name in sorted(names):
            if name.endswith(".gcno"):
                done = subprocess.run(
                    ["gcov", "--branch-probabilities", "--json-format", "--stdout",
                     os.path.join(directory, name)],
                    cwd=where, check=True, capture_output=True, text=True)
                for line in done.stdout.splitlines():
                    yield from json.loads(line)["files"]


def assert_lines(path):
    """The lines from an assert( to the end of its statement."""
    lines, inside = set(), False
    with open(path, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            inside = inside or text.lstrip().startswith("assert(")
            if inside:
                lines.add(number)
                inside = not text.rstrip().endswith(";")
    return lines


def branches(build, folder):
    """{file: [taken, all, [(line, not taken, of)]]}"""
    files = collections.defaultdict(lambda: [0, 0, []])
    for f in counts_of(build, folder):
        name = os.path.relpath(os.path.join(build, f["file"]), ROOT)
        if os.path.dirname(name) != folder or not name.endswith(".c"):
            continue
        skipped = assert_lines(os.path.join(ROOT, name))
        for line in f["lines"]:
            if line["line_number"] in skipped:
                continue
            taken = sum(b["count"] > 0 for b in line["branches"])
            files[name][0] += taken
            files[name][1] += len(line["branches"])
            if taken < len(line["branches"]):
                files[name][2].append((line["line_number"], len(line["branches"]) - taken))
    return files


def percent(taken, total):
    return 100 * taken / total


def show_missing(name, missing):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        text = f.read().split("\n")
    for number, n in missing:
        print(f"        {number:4} {n:2} not taken: {text[number - 1].strip()}")


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    args.add_argument("build")
    args.add_argument("--missing", metavar="PREFIX", help="show the branches not taken in these files")
    args = args.parse_args()
    build = os.path.abspath(args.build)
    low = []
    for folder, floor in FLOORS.items():
        files = branches(build, folder)
        taken, total = (sum(c[i] for c in files.values()) for i in (0, 1))
        if total == 0:
            sys.exit(f"{folder}: gcov counted nothing")
        reached = percent(taken, total)
        print(f"{folder:16} {taken:6} of {total:6} branches  {reached:5.1f} %  floor {floor}, goal {GOAL}")
        for name, (t, n, missing) in sorted(files.items()):
            if n > 0:
                print(f"    {name:40} {t:6} of {n:6}  {percent(t, n):5.1f} %")
            if args.missing is not None and name.startswith(args.missing):
                show_missing(name, missing)
        if reached < floor:
            low.append(folder)
    if low:
        sys.exit("below the floor: " + ", ".join(low))


if __name__ == "__main__":
    main()
