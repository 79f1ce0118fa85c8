"""Speed beside raw SQLite: every figure is a ratio to a baseline run in the same invocation, in turn.

bench.py --build DIR --output FILE [--quick] writes a list of
{name, ours, baseline, unit, ratio, goal, met, runs, spread}; met is true, false, "advice" or "skipped".
Nothing here fails for being slow; it fails when something does not work.
"""
import argparse
import contextlib
import csv
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "samples/opinions.csv"
SITE = "431021"
RESULTS = []
FILES, FILE_BYTES = 5, 20 << 20  # 100 MB of attachments


def median(values):
    return statistics.median(values)


def spread(values):
    """Of the ratios: (largest - smallest) / median."""
    return round((max(values) - min(values)) / median(values), 3) if len(values) > 1 else 0.0


def note(name, ours, baseline, unit, goal=None, *, at_most=False, ratio=None):
    """OURS and BASELINE: one value a run, in turn. GOAL None: advice."""
    ratios = ratio or [o / b for o, b in zip(ours, baseline)]
    middle = median(ratios)
    met = "advice" if goal is None else (middle <= goal if at_most else middle >= goal)
    RESULTS.append({"name": name, "ours": round(median(ours), 3),
                    "baseline": round(median(baseline), 3) if baseline else None, "unit": unit,
                    "ratio": round(middle, 3), "goal": goal, "met": met, "runs": len(ratios),
                    "spread": spread(ratios)})
    show(RESULTS[-1])


def skip(name, unit, goal, why):
    RESULTS.append({"name": name, "ours": None, "baseline": None, "unit": unit, "ratio": None,
                    "goal": goal, "met": "skipped", "runs": 0, "spread": 0.0, "why": why})
    show(RESULTS[-1])


def show(r):
    goal = "" if r["goal"] is None else f" goal {r['goal']}"
    ratio = "" if r["ratio"] is None else f"{r['ratio']:.3f}"
    print(f"{r['name']:44} {ratio:>9}{goal:12} {r['met']!s:8} runs {r['runs']}"
          f" spread {r['spread']:.2f}{' ' + r['why'] if 'why' in r else ''}", flush=True)


def peak(process):
    """The most memory it had at a time, MiB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


def usable(replica):
    """The records of the site are whole: the last slice is here and the entries behind it."""
    with contextlib.closing(sqlite3.connect(f"file:{replica}?mode=ro", uri=True)) as db:
        return db.execute("SELECT 1 FROM stream s LEFT JOIN snapshot p ON p.stream = s.stream WHERE s.stream = 431002"
                          " AND s.seq > 0 AND (p.stream IS NULL OR p.loaded = 1 AND s.seq >= p.last_seq)").fetchone()


class Bench:
    def __init__(self, build, scratch, quick):
        self.build, self.scratch, self.quick = build, scratch, quick
        self.rows = 10_000 if quick else 100_000
        self.runs = 3
        self.city_no = 0

    # --- programs ---

    def program(self, name):
        return str({"ztc": self.build / "client/ztc", "ztcd": self.build / "server/ztcd"}
                   .get(name, self.build / "tests/bench" / name))

    def run(self, name, *args, env=None, within=600):
        done = subprocess.run([self.program(name), *map(str, args)], capture_output=True, text=True,
                              env={**os.environ, **(env or {})}, timeout=within)
        if done.returncode != 0:
            raise SystemExit(f"{name} {' '.join(map(str, args))}: {done.returncode}\n"
                             f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def measure(self, name, *args, **kw):
        return json.loads(self.run(name, *args, **kw).strip().splitlines()[-1])

    @contextlib.contextmanager
    def folder(self, name):
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def process(self, *args, env):
        log = open(self.scratch / f"{args[0]}.log", "ab")
        p = subprocess.Popen([self.program(args[0]), *args[1:]], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL, env={**os.environ, **env})
        try:
            yield p
        finally:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(60)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            log.close()

    @contextlib.contextmanager
    def city(self, folder, replicas, sites):
        """A daemon that serves, with a prepared crew: its directory, address, environment, process."""
        home = folder / "city"
        env = {"ZTCD_DIR": str(home)}
        self.run("ztcd", "init", env=env)
        self.run("bench_prepare", home, replicas, sites)
        with self.process("ztcd", "run", env=env) as p:
            for _ in range(300):
                if subprocess.run([self.program("ztcd"), "status"], capture_output=True,
                                  env={**os.environ, **env}).returncode == 0:
                    break
                time.sleep(0.1)
            address = re.search(r"(?m)^listen *= *(\S+)", (home / "ztcd.ini").read_text())[1]
            yield home, address, env, p

    # --- figures ---

    def raw(self):
        with self.folder("raw") as d:
            r = self.measure("bench_store", "raw", d, self.rows)
        return r["rows"] / r["wall"]

    def merge(self):
        with self.folder("merge") as d:
            r = self.measure("bench_store", "merge", d, self.rows)
        return r["rows"] / r["wall"]

    def push(self):
        """Rows a second through the daemon, bytes a row, and a second computer's catching up."""
        with self.folder("push") as d, self.city(d, 8, 8) as (home, address, env, _):
            r = self.measure("bench_push", home, address, self.rows, 8)
            pushed = r["rows"] / r["wall"], r["bytes"] / r["rows"]
        return pushed

    def catch_up(self):
        """All rows are one site's. A computer enrolled afterwards takes them in by `ztc sync`, as entries; another
        until its records are whole from a snapshot, the older entries to come. Rows a second of either, and the most
        memory in MiB that the computer and the city needed until then."""
        with self.folder("catch") as d, self.city(d, 1, 1) as (home, address, env, daemon):
            self.measure("bench_push", home, address, self.rows, 1)
            entries = self.fresh(d / "entries", env, 1000000000)
            start = time.monotonic()
            self.run("ztc", "sync", env=entries)
            whole = time.monotonic() - start
            snapshot = self.fresh(d / "snapshot", env, 0)
            start = time.monotonic()
            with self.process("ztc", "run", env=snapshot) as agent:
                while not usable(d / "snapshot" / "replica.db"):
                    time.sleep(0.005)
                loaded = time.monotonic() - start
                return self.rows / whole, self.rows / loaded, peak(agent), peak(daemon)

    def fresh(self, folder, env, snapshot_above):
        token = self.run("ztcd", "enrol", "--site", "431002", env=env).strip()
        fresh = {"ZTC_DIR": str(folder)}
        self.run("ztc", "enrol", token, env=fresh)
        ini = folder / "ztc.ini"
        ini.write_text(re.sub(r"^snapshot_above = .*$", f"snapshot_above = {snapshot_above}",
                              ini.read_text(encoding="utf-8"), flags=re.M), encoding="utf-8")
        return fresh

    def edits(self, n, upload=False):
        """With UPLOAD while the agent of A sends 100 MB of attachments; how much of them waits at the end."""
        with self.folder("edits") as d, self.city(d, 11, 11) as (home, address, env, _):
            envs = []
            for name in "ab":
                token = self.run("ztcd", "enrol", "--site", SITE, env=env).strip()
                envs.append({"ZTC_DIR": str(d / name)})
                self.run("ztc", "enrol", token, env=envs[-1])
                self.run("ztc", "sync", env=envs[-1])
            with self.process("ztc", "run", env=envs[0]), self.process("ztc", "run", env=envs[1]):
                time.sleep(1)
                if upload:
                    self.attach(d, envs[0])
                r = self.measure("bench_edit", d / "a", d / "b", d, n)
                r["waiting"] = json.loads(self.run("ztc", "status", "--json", env=envs[0]))["blobs_pending"]
                return r

    def attach(self, folder, env):
        studio = json.loads(self.run("ztc", "ls", "studio", "--json", env=env))[0]["id"]
        for i in range(FILES):
            (folder / f"{i}.pdf").write_bytes(b"%PDF-1.7\n" + os.urandom(FILE_BYTES - 9))
        self.run("ztc", "attach", studio, *(folder / f"{i}.pdf" for i in range(FILES)), env=env)

    def imported(self):
        """Rows a second of `ztc import` from a sheet (.csv)."""
        with self.folder("import") as d, self.city(d, 11, 11) as (home, address, env, _):
            mine = {"ZTC_DIR": str(d / "a")}
            self.run("ztc", "enrol", self.run("ztcd", "enrol", "--site", SITE, env=env).strip(),
                     env=mine)
            self.run("ztc", "sync", env=mine)
            first = {kind: json.loads(self.run("ztc", "ls", kind, "--json", env=mine))[0]["id"]
                     for kind in ("studio", "member")}
            sheet(d / "sheet.csv", self.rows)
            start = time.monotonic()
            self.run("ztc", "import", "opinion", d / "sheet.csv", "--set", "anonymous=1",
                     "--set", f"studio_id={first['studio']}", "--set", f"receiver={first['member']}",
                     env=mine)
            return self.rows / (time.monotonic() - start)

    def idle(self, n):
        with self.folder("idle") as d, self.city(d, n, 11) as (home, address, env, p):
            return self.measure("bench_idle", home, address, n, p.pid)


def sheet(path, rows):
    """Opinions as a county types them: phrases of the shipped sample, shuffled by a seed."""
    chance = random.Random(1)
    with open(SAMPLE, encoding="utf-8-sig", newline="") as f:
        sample = list(csv.DictReader(f))
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        out.writerow(["收集时间", "收集渠道", "所在乡镇", "事由", "反映内容", "内容分类"])
        for i in range(rows):
            a, b, c = (chance.choice(sample) for _ in range(3))
            out.writerow([f"2026-01-{i % 28 + 1:02} 09:30", "走访", a["所在乡镇"], a["事由"],
                          (a["反映内容"] + b["反映内容"] + c["反映内容"])[:200], "社会建设"])


def files_limit(wanted):
    """Raise RLIMIT_NOFILE for us and what we start; the limit that holds."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hard), max(wanted, hard)))
    with contextlib.suppress(ValueError, OSError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def throughput(b):
    raws, merges, pushes, catches, snapshots, sizes, computers, cities = [], [], [], [], [], [], [], []
    for _ in range(b.runs):
        raws.append(b.raw())
        merges.append(b.merge())
        raws.append(b.raw())
        rate, size = b.push()
        pushes.append(rate)
        sizes.append(size)
        raws.append(b.raw())
        caught, loaded, computer, city = b.catch_up()
        catches.append(caught)
        snapshots.append(loaded)
        computers.append(computer)
        cities.append(city)
    # each beside the two baselines around it
    around = [(raws[i] + raws[min(i + 1, len(raws) - 1)]) / 2 for i in range(len(raws))]
    note("import of a sheet", [b.imported()], [raws[-1]], "rows/s")
    note("merge without network", merges, around[0::3], "rows/s")
    note("merged through TLS, 8 replicas", pushes, around[1::3], "rows/s", 0.30)
    note("catch-up of a fresh replica", catches, around[2::3], "rows/s", 0.30)
    note("records of a fresh replica by snapshot", snapshots, around[2::3], "rows/s", 0.60)
    note("most memory of a computer in a snapshot", computers, [1.0] * len(computers), "MiB", 160, at_most=True)
    note("most memory of the city until then", cities, [1.0] * len(cities), "MiB", 256, at_most=True)
    note("wire bytes a new record", sizes, [300.0] * len(sizes), "bytes")


def latency(b):
    runs = [b.edits(30 if b.quick else 200) for _ in range(b.runs)]
    least = [r["commit_ms"] + r["trip_ms"] for r in runs]
    note("edit at A visible at B, p50", [r["p50_ms"] for r in runs], least, "ms", 3.0, at_most=True)
    note("edit at A visible at B, p99", [r["p99_ms"] for r in runs], least, "ms")
    note("local write, p50", [r["write_ms"] for r in runs], [r["commit_ms"] for r in runs], "ms")


def upload(b):
    """The same edits while attachments go up from A: nothing of the upload may be felt."""
    n = 20
    for _ in range(5):
        alone, beside = b.edits(n), b.edits(n, upload=True)
        if beside["waiting"] > 0:
            note("edit during an upload of 100 MB, p50", [beside["p50_ms"]], [alone["p50_ms"]], "ms")
            note("edit during an upload of 100 MB, p99", [beside["p99_ms"]], [alone["p99_ms"]], "ms")
            return
        n //= 2
    skip("edit during an upload of 100 MB, p50", "ms", None, "the upload was over first")


def connections(b):
    n = 1200 if b.quick else 5000
    limit = files_limit(n + 1000)
    many = f"{n} connected, one edit arrives"
    if limit < n + 200:
        skip("idle connection", "KiB", 40, f"RLIMIT_NOFILE is {limit}")
        skip(many, "ms", n, f"RLIMIT_NOFILE is {limit}")
        return
    r = b.idle(n)
    note("idle connection, of 1,000", [r["kib_first"]], [1.0], "KiB", 40, at_most=True)
    note(f"idle connection, of {n}", [r["kib_all"]], [1.0], "KiB", 40, at_most=True)
    note(many, [float(r["connected"])], [1.0], "replicas", n)
    note(f"that edit, with {n} connected", [r["arrived_ms"]], [1.0], "ms")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", type=pathlib.Path, required=True)
    p.add_argument("--output", type=pathlib.Path, required=True)
    p.add_argument("--quick", action="store_true", help="a tenth of the rows, fewer connections")
    a = p.parse_args()
    # beside the build: the same file system for ours and the baseline
    with tempfile.TemporaryDirectory(prefix="bench-", dir=a.build) as scratch:
        b = Bench(a.build.resolve(), pathlib.Path(scratch).resolve(), a.quick)
        throughput(b)
        latency(b)
        upload(b)
        connections(b)
    a.output.write_text(json.dumps(RESULTS, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
