#!/usr/bin/python3
"""A city, its counties and a relay between them, each in a network namespace of its own where the privilege
allows; lines and processes are spoilt at random while people work, each kind of fault at least once. Then
everything is healed, and without anybody's help every computer must have uploaded all and hold the city's chains;
it says so, verifies, and shows what its neighbours show. A witness looks at every file all the while
(tests/lib/causality.py).

    network.py [--seconds N] [--computers N] [--seed N]
"""
import argparse
import collections
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "integration"), str(ROOT / "tests" / "lib")]
from causality import Witness  # noqa: E402
from conftest import MEMBER, ZTC, ZTCD, City, County, wait_until  # noqa: E402

SITES = (431021, 431081, 431002, 431003, 431022, 431023, 431024, 431025, 431026, 431027, 431028)
LINE_FAULTS = {"slow": ("cap", 20000), "very slow": ("cap", 2000), "delay": ("delay", 0.4), "cut": ("cut", 0),
               "up": ("up", 0), "down": ("down", 0), "forget": ("forget", 0), "large": ("large", 0)}
PROCESS_FAULTS = ("kill", "pause", "kill city", "pause city")
WIRE_FAULTS = ("black hole", "unplug")  # of namespaces only
UNAIDED = 420  # seconds; an agent comes again within 300, and begins anew what stalls
CITY_PORT = 7001


def tips(path):
    """Where each stream of a ledger file ends, and with which chain hash."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        return {s: (n, h) for s, n, h in db.execute("SELECT stream, seq, hash FROM stream")}


class Namespace:
    """Lives as long as the process that holds it; nothing of it outlasts that."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stderr=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        if not wait_until(lambda: self.holder.poll() is not None or self.other(own), 5) or self.holder.poll():
            raise PermissionError("no privilege to make a network namespace")
        self.enter = ["nsenter", "-n", "-t", str(self.holder.pid)]
        self.ip("link", "set", "lo", "up")

    def other(self, own):
        try:
            return os.readlink(f"/proc/{self.holder.pid}/ns/net") != own
        except OSError:
            return False

    def ip(self, *words):
        subprocess.run([*self.enter, "ip", *words], check=True, capture_output=True)

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Network:
    """county 10.9.2.2 -- 10.9.2.1 relay 10.9.1.2 -- 10.9.1.1 city; or the loopback for all three."""

    def __init__(self):
        self.spaces, self.why = [], None
        self.enter = {"city": [], "relay": [], "county": []}
        self.city = self.relay = "127.0.0.1"
        try:
            if os.geteuid() != 0:
                raise PermissionError("not root")
            for _ in range(3):
                self.spaces.append(Namespace())
        except PermissionError as fault:
            self.close()
            self.why = str(fault)
            return
        try:
            self.join_all(*self.spaces)
        except BaseException:
            self.close()
            raise

    def join_all(self, city, relay, county):
        self.join(relay, "to-city", "10.9.1.2", city, "10.9.1.1")
        self.join(relay, "to-county", "10.9.2.1", county, "10.9.2.2")
        self.enter = dict(zip(("city", "relay", "county"), (s.enter for s in self.spaces)))
        self.city, self.relay = "10.9.1.1", "10.9.2.1"

    @staticmethod
    def join(a, name, address_a, b, address_b):
        a.ip("link", "add", name, "type", "veth", "peer", "name", "line", "netns", str(b.holder.pid))
        for space, device, address in ((a, name, address_a), (b, "line", address_b)):
            # Frames of one packet each: only then does a device's MTU drop what is too large.
            space.ip("link", "set", "dev", device, "gso_max_segs", "1")
            space.ip("addr", "add", address + "/24", "dev", device)
            space.ip("link", "set", "dev", device, "up")

    def black_hole(self, on):
        """The city's end takes small packets only, and nobody is told: open connections lose their large ones."""
        self.spaces[0].ip("link", "set", "dev", "line", "mtu", "600" if on else "1500")

    def unplug(self, on):
        self.spaces[1].ip("link", "set", "dev", "to-city", "down" if on else "up")

    def close(self):
        for space in self.spaces:
            space.close()
        self.spaces = []


class Running:
    """A process inside a namespace: killed, paused, started again."""

    def __init__(self, enter, program, directory):
        self.words = [*enter, program, "--dir", directory, "run"]
        self.log = directory.parent / (directory.name + ".log")
        self.start()

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.words, stdout=out, stderr=out)

    def alive(self):
        return self.process.poll() is None

    def send(self, how):
        self.process.send_signal(how)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.alive():
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        assert status == 0, (self.words, status, self.log.read_text(errors="replace")[-2000:])


class World:
    def __init__(self, folder, network, options):
        self.folder, self.network = folder, network
        self.chance = random.Random(options.seed)
        self.counts = collections.Counter()
        self.kinds = (*LINE_FAULTS, *PROCESS_FAULTS, *(WIRE_FAULTS if network.spaces else ()))
        self.deck = []
        self.done = threading.Event()
        self.faults = []
        self.kept = {}  # record -> (computer, name)
        self.processes = []
        port = CITY_PORT if network.spaces else 0
        self.city = City(folder / "city", made=True)
        self.city.run("init", "--listen", f"{network.city}:{port}", "--enrol-listen",
                      f"{network.city}:{port and port + 1}")
        self.daemon = self.begin("city", ZTCD, self.city.dir)
        assert wait_until(lambda: self.city.run("status", expect=None).returncode == 0), "the city does not serve"
        address = re.search(r"^listen = (.*)$", (self.city.dir / "ztcd.ini").read_text(), re.M)[1]
        self.relay = subprocess.Popen(
            [*network.enter["relay"], sys.executable, "-B", ROOT / "tests/lib/relay.py", network.relay, address,
             str(options.computers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.relay.stdout.readline())
        sites = SITES[:max(2, options.computers // 3)]
        self.counties = [self.enrol(i, sites[i % len(sites)]) for i in range(options.computers)]
        self.city.run("user", "add", "xue", "--role", "liaison")
        self.agents = [self.begin("county", ZTC, c.dir) for c in self.counties]

    def begin(self, where, program, directory):
        self.processes.append(Running(self.network.enter[where], program, directory))
        return self.processes[-1]

    def enrol(self, i, site):
        """At the city's own place; from then on only the relay leads there."""
        county = County(self.folder / f"c{i}")
        subprocess.run([*self.network.enter["city"], ZTC, "--dir", county.dir, "enrol", "-"], check=True,
                       input=self.city.token(site) + "\n", text=True, capture_output=True)
        ini = county.dir / "ztc.ini"
        text, n = re.subn(r"^addresses = .*$", f"addresses = {self.network.relay}:{self.ports[i]}",
                          ini.read_text(encoding="utf-8"), flags=re.M)
        assert n == 1
        ini.write_text(text, encoding="utf-8")
        county.site = site
        self.sync(county)
        if i < len(SITES) and not any(c.site == site for c in getattr(self, "counties", [])):
            county.member = f"李{i}"
            county.settle(member=county.member, studio=f"工作室{i}")
            self.sync(county)
        return county

    def sync(self, county):
        return subprocess.run([*self.network.enter["county"], ZTC, "--dir", county.dir, "sync"],
                              capture_output=True, text=True, check=False, timeout=300)

    # ---- people ----

    def word(self, county, *words):
        """A busy file is told to the person, and nothing was written; every other refusal is a fault."""
        done = county.run(*words, expect=None)
        if done.returncode != 0 and not done.stderr.startswith("ZT-BUSY "):
            raise AssertionError((county.dir.name, words, done.stderr))
        self.counts["deeds" if done.returncode == 0 else "busy"] += 1
        return done.stdout.strip() if done.returncode == 0 else None

    def person(self, i, chance):
        """Adds members, edits one of its own, forwards submissions."""
        county, own = self.counties[i], []
        for n in itertools.count():
            if self.done.wait(chance.uniform(0.2, 1.5)):
                return
            name = f"委员{i}之{n}"
            if own and chance.random() < 0.4:
                self.word(county, "set", chance.choice(own), f"expertise=专长{n}", "--quiet")
            elif hasattr(county, "member") and chance.random() < 0.4:
                self.forward(county, i, n)
            else:
                record = self.word(county, "add", "member", f"name={name}", *MEMBER, "--quiet")
                if record:
                    own.append(record)
                    self.kept[record] = (i, name)

    def forward(self, county, i, n):
        record = self.word(county, "add", "submission", f"studio_id=工作室{i}", "form=微建议", f"title=路灯{n}",
                           "category=社会建设", "situation=路灯已坏多日", "analysis=没有人管护", "suggestion=请尽快修复",
                           f"lead_member={county.member}", "urgency=normal", "no_secret=1", "--quiet")
        if record and self.word(county, "do", "送审", record, "--quiet") is not None and \
                self.word(county, "do", "审核通过并上报", record, "county_reviewer=clerk", "--quiet") is not None:
            self.counts["submissions"] += 1

    def committee(self, _, chance):
        """Signs for what has come."""
        while not self.done.wait(chance.uniform(1, 2)):
            found = self.city.run("ls", "submission", "--where", "state=submitted", "--json", expect=None)
            for row in json.loads(found.stdout) if found.returncode == 0 else ():
                done = self.city.run("do", "签收", row["id"], "received_by=周联络", "--as", "xue", expect=None)
                self.counts["signed for"] += done.returncode == 0

    def witness(self, paths, _):
        """Goes round until everything has healed and is judged."""
        seen = [Witness(p) for p in paths]
        while not self.judged.wait(0.1):
            for w in seen:
                w.look()
        self.counts["looks"] += sum(w.looks for w in seen)
        self.counts["entries seen"] += sum(w.entries for w in seen)
        for w in seen:
            assert w.looks > 0, f"{w.path} was never read"

    def guard(self, work, *args):
        try:
            work(*args)
        except BaseException as fault:  # told by the main thread
            self.faults.append(fault)
            self.done.set()

    # ---- faults ----

    def spoil(self, line, fault, value=0):
        self.relay.stdin.write(json.dumps({"line": line, "fault": fault, "value": value}) + "\n")
        self.relay.stdin.flush()

    def draw(self, kinds):
        """The next of the shuffled deck that is of KINDS: all come up before one comes again."""
        if not any(k in kinds for k in self.deck):
            self.deck += self.chance.sample(self.kinds, len(self.kinds))
        kind = next(k for k in self.deck if k in kinds)
        self.deck.remove(kind)
        self.counts[kind] += 1
        return kind

    def one_fault(self, kinds):
        """What heals it is the return value."""
        kind = self.draw(kinds)
        i = self.chance.randrange(len(self.counties))
        if kind in LINE_FAULTS:
            self.spoil(i, *LINE_FAULTS[kind])
            return lambda: self.spoil(i, "none")
        if kind in WIRE_FAULTS:
            change = self.network.black_hole if kind == "black hole" else self.network.unplug
            change(True)
            return lambda: change(False)
        process = self.daemon if kind.endswith("city") else self.agents[i]
        if kind.startswith("kill"):
            process.kill()
            return process.start
        process.send(signal.SIGSTOP)
        return lambda: process.send(signal.SIGCONT)

    def trouble(self, seconds):
        """Up to two faults at a time, of which one is a line's; until each kind has come."""
        until, open_faults = time.monotonic() + seconds, []
        while (time.monotonic() < until or not all(self.counts[k] for k in self.kinds)) and not self.faults:
            for heal in open_faults:
                heal()
            open_faults = [self.one_fault(self.kinds)]
            if self.chance.random() < 0.7:
                open_faults.append(self.one_fault(LINE_FAULTS))
            self.done.wait(self.chance.uniform(1, 6))
        for heal in open_faults:
            heal()
        for line in range(len(self.counties)):
            self.spoil(line, "none")

    # ---- after healing ----

    def converged(self):
        time.sleep(0.5)
        heads = tips(self.city.dir / "city.db")
        for county in self.counties:
            with contextlib.closing(sqlite3.connect(f"file:{county.dir / 'replica.db'}?mode=ro", uri=True,
                                                    timeout=5)) as db:
                pending = db.execute("SELECT count(*) FROM pending").fetchone()[0]
            own = tips(county.dir / "replica.db")
            if pending or any(heads[stream] != tip for stream, tip in own.items()):
                return False
        return True

    def upload(self, county):
        done = self.sync(county)
        assert done.returncode == 0 and done.stdout == "已全部上传\n", (county.dir.name, done.stdout, done.stderr,
                                                                      county.status())

    def export(self, county, kind):
        path = self.folder / f"{county.dir.name}-{kind}.csv"
        county.run("export", kind, path)
        return path.read_bytes()

    def judge(self):
        began = time.monotonic()
        assert wait_until(self.converged, UNAIDED), [(c.dir.name, c.status()) for c in self.counties]
        self.counts["seconds until all was everywhere"] = round(time.monotonic() - began)
        for county in self.counties:
            self.upload(county)
        heads = tips(self.city.dir / "city.db")
        members = {m["id"]: m["fields"]["name"] for m in self.city.json("ls", "member")}
        for record, (i, name) in self.kept.items():
            assert members.get(record) == name, f"{name} of computer {i} was kept and is not at the city"
        first = {}
        for county in self.counties:
            for stream, tip in tips(county.dir / "replica.db").items():
                assert heads[stream] == tip, (county.dir.name, stream, tip, heads[stream])
            county.run("verify")
            for kind in ("member", "submission", "tracking"):
                out = self.export(county, kind)
                assert first.setdefault((county.site, kind), out) == out, (county.dir.name, kind)
        self.city.run("verify")

    def run(self, seconds):
        self.judged = threading.Event()
        paths = [self.city.dir / "city.db", *(c.dir / "replica.db" for c in self.counties)]
        people = [threading.Thread(target=self.guard, args=(self.person, i, random.Random(self.chance.random())))
                  for i in range(len(self.counties))]
        people.append(threading.Thread(target=self.guard, args=(self.committee, 0, random.Random(1))))
        watch = threading.Thread(target=self.guard, args=(self.witness, paths, None))
        for thread in (*people, watch):
            thread.start()
        try:
            self.trouble(seconds)
            self.done.set()
            for thread in people:
                thread.join()
            if not self.faults:
                self.judge()
        finally:
            self.done.set()
            self.judged.set()
            watch.join()
        if self.faults:
            raise self.faults[0]

    def close(self):
        for process in reversed(self.processes):
            process.kill()
        self.relay.kill()
        self.relay.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--computers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"network: --seed {options.seed}, {options.computers} computers, {options.seconds} s of trouble", flush=True)
    network = Network()
    if network.why:
        print(f"network: namespaces skipped, the relay works on loopback: {network.why}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ztc-network-") as folder:
        world = None
        try:
            world = World(pathlib.Path(folder), network, options)
            world.run(options.seconds)
            for process in reversed(world.processes):
                process.stop()
        finally:
            if world is not None:
                world.close()
            network.close()
    print("network: " + ", ".join(f"{k} {n}" for k, n in sorted(world.counts.items())))
    missing = [k for k in (*world.kinds, "deeds", "submissions", "signed for", "entries seen") if not world.counts[k]]
    assert not missing, f"never happened: {missing}"


if __name__ == "__main__":
    main()
