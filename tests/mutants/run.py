#!/usr/bin/python3
"""Mutants: every line of list.tsv is a fault of one line, and one of the tests it names must fail.

The sources are copied to build/mutants/1 and 2; in each, one fault at a time is put in, the tests are built
and run, and the fault is taken out again. A fault whose old text does not stand exactly once, or that does
not compile, is an error of the list. `run.py [TEXT]` takes only the faults whose file holds TEXT;
`run.py --list` runs nothing and only asks whether each old text stands where the list says.
"""

import os
import queue
import shutil
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = os.path.join(ROOT, "tests/mutants/list.tsv")
TREES = os.path.join(ROOT, "build/mutants")
AT_ONCE = 2
FEWEST = 40  # in a whole list
BUILD_SECONDS = 900
TEST_SECONDS = 300


class Mutant:
    def __init__(self, line, number):
        columns = line.rstrip("\n").split("\t")
        if len(columns) != 5:
            sys.exit(f"list.tsv:{number}: five columns are wanted, there are {len(columns)}")
        self.number = number
        self.file, self.old, self.new, tests, self.why = columns
        self.old = self.old.replace("\\n", "\n")
        self.new = self.new.replace("\\n", "\n")
        self.tests = tests.split()

    def applied(self, text):
        count = text.count(self.old)
        if count != 1:
            sys.exit(f"list.tsv:{self.number}: the old text stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


def read_list(only):
    with open(LIST, encoding="utf-8") as f:
        mutants = [Mutant(line, i) for i, line in enumerate(f, 1) if not line.startswith("#")]
    if len(mutants) < FEWEST:
        sys.exit(f"list.tsv holds {len(mutants)} mutants, {FEWEST} are wanted")
    for m in mutants:
        with open(os.path.join(ROOT, m.file), encoding="utf-8") as f:
            m.applied(f.read())
    return [m for m in mutants if only in m.file]


def copy_sources(tree):
    """What git knows or would add. A file that is as it was keeps its time, so that little is built."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source, copy = os.path.join(ROOT, name), os.path.join(tree, name)
        if not os.path.isfile(source):
            continue
        with open(source, "rb") as f:
            data = f.read()
        if os.path.isfile(copy):
            with open(copy, "rb") as f:
                if f.read() == data:
                    continue
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        with open(copy, "wb") as f:
            f.write(data)
        shutil.copymode(source, copy)


def target_of(test):
    return "sim" if test.startswith("sim:") else test


def build(tree, tests):
    targets = sorted({target_of(t) for t in tests})
    return subprocess.run(
        ["cmake", "--build", "--preset", "dev", "--target", *targets],
        cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_SECONDS)


def run(tree, test):
    """passed, failed or timeout"""
    if test.startswith("sim:"):
        command = ["build/dev/tests/sim/sim", "--seeds", test[4:], "--from", "1"]
    else:
        command = ["ctest", "--preset", "dev", "-R", f"^{test}$", "--no-tests=error"]
    try:
        done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TEST_SECONDS)
    except subprocess.TimeoutExpired:
        return "timeout"
    return "passed" if done.returncode == 0 else "failed"


def prepare(tree, tests):
    os.makedirs(tree, exist_ok=True)
    copy_sources(tree)
    subprocess.run(["cmake", "--preset", "dev"], cwd=tree, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    done = build(tree, tests)
    if done.returncode != 0:
        sys.exit(f"the sources do not build in {tree}:\n{done.stdout[-4000:]}")


def try_mutant(tree, m):
    """What became of it, and by which test."""
    path = os.path.join(tree, m.file)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    try:
        with open(path, "w", encoding="utf-8") as f:
            f.write(m.applied(text))
        done = build(tree, m.tests)
        if done.returncode != 0:
            return "does not compile", done.stdout[-2000:]
        for test in m.tests:
            word = run(tree, test)
            if word != "passed":
                return "caught" if word == "failed" else word, test
        return "SURVIVED", " ".join(m.tests)
    finally:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def work(tree, todo, counts, lock):
    while True:
        try:
            m = todo.get_nowait()
        except queue.Empty:
            return
        try:
            word, by = try_mutant(tree, m)
        except Exception as e:  # a thread that died must not look like success
            word, by = "error", repr(e)
        with lock:
            counts[word] = counts.get(word, 0) + 1
            print(f"{word:16} {m.file}: {m.why} ({by})", flush=True)


def main():
    started = time.monotonic()
    if sys.argv[1:] == ["--list"]:
        print(f"{len(read_list(''))} mutants, each in its place")
        return
    mutants = read_list(sys.argv[1] if len(sys.argv) > 1 else "")
    tests = sorted({t for m in mutants for t in m.tests})
    trees = [os.path.join(TREES, str(i + 1)) for i in range(AT_ONCE)]
    for tree in trees:
        prepare(tree, tests)
    for test in tests:
        if run(trees[0], test) != "passed":
            sys.exit(f"{test} does not pass without a mutant")

    todo, counts, lock = queue.Queue(), {}, threading.Lock()
    for m in mutants:
        todo.put(m)
    threads = [threading.Thread(target=work, args=(t, todo, counts, lock)) for t in trees]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    words = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    print(f"{len(mutants)} mutants: {words}; {(time.monotonic() - started) / 60:.1f} minutes")
    caught = counts.get("caught", 0) + counts.get("timeout", 0)
    sys.exit(0 if caught == len(mutants) > 0 else 1)


if __name__ == "__main__":
    main()
