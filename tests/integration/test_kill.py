"""kill -9 of the daemon and of agents under load: nothing acknowledged is lost, nothing is doubled."""
import csv
import os
import random
import threading
import time

import pytest

from conftest import MEMBER, wait_until

ROUNDS = int(os.environ.get("ZTC_KILL_ROUNDS", "20"))
SEED = int(os.environ.get("ZTC_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
BULK = 50
OPINION = ["--set", "studio_id=鹿峰工作室", "--set", "receiver=李建国", "--set", "channel=duty",
           "--set", "category=social", "--set", "anonymous=是"]


class Writer(threading.Thread):
    """Works at one computer until told to stop, and remembers what it was told is kept."""

    def __init__(self, county, name, seed):
        super().__init__(daemon=True)
        self.county, self.name_ = county, name
        self.random = random.Random(seed)
        self.done = threading.Event()
        self.members = {}  # id -> [name, expertise]
        self.titles = set()
        self.fault = None
        self.n = 0

    def add(self):
        self.n += 1
        name = f"委员{self.name_}{self.n}"
        self.members[self.county.add("member", f"name={name}", *MEMBER)] = [name, "经济管理"]

    def set(self):
        record = self.random.choice(list(self.members))
        expertise = f"专长{self.n}"
        self.county.run("set", record, f"expertise={expertise}", "--quiet")
        self.members[record][1] = expertise

    def bulk(self):
        self.n += 1
        titles = [f"{self.name_}第{self.n}批第{i}件" for i in range(BULK)]
        sheet = self.county.dir.parent / f"{self.name_}.csv"
        with open(sheet, "w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([["事由", "反映内容", "收集时间"]] +
                                      [[t, t + "的内容", "2026-03-05 9:30"] for t in titles])
        self.county.run("import", "opinion", sheet, *OPINION)
        self.titles.update(titles)

    def run(self):
        try:
            self.add()
            while not self.done.is_set():
                self.random.choice([self.add, self.set, self.bulk])()
                self.done.wait(self.random.uniform(0, 0.1))
        except Exception as fault:  # the test's own thread tells it
            self.fault = fault

    def finish(self):
        self.done.set()
        self.join(60)
        assert self.fault is None and not self.is_alive(), self.fault


def pending(counties):
    return [c.status()["pending"] for c in counties]


def are_back(city, counties, opened):
    """Every agent has a session, one of them one that is younger than the kill."""
    status = city.json("status")
    return status["serving"] == len(counties) and status["sessions_opened"] > opened


def kill_one(city, counties, chance):
    """One round. Whether changes waited for an answer just before the kill is the return value."""
    victim = chance.choice([None, None, *counties])
    time.sleep(chance.uniform(0, 0.4))
    opened = city.json("status")["sessions_opened"] if victim else 0
    if not wait_until(lambda: any(pending([victim] if victim else counties)), seconds=10):
        return False
    if victim is None:
        city.daemon.kill()
        city.start()
    else:
        victim.agent.kill()
        victim.start()
    assert wait_until(lambda: are_back(city, counties, opened), seconds=30), "no way back"
    return True


def settled(city, make_county):
    a, b = (make_county(name).enrol(city, 431021) for name in "ab")
    c = make_county("c").enrol(city, 431081)
    for county in (a, c):
        county.sync()
        county.settle()
        county.sync()
    b.sync()
    return a, b, c


def export(county, kind):
    path = county.dir.parent / f"{county.dir.name}-{kind}-out.csv"
    county.run("export", kind, path)
    return path.read_bytes()


@pytest.mark.kill
def test_killed_at_any_moment(city, make_county):
    print(f"ZTC_KILL_SEED={SEED}")
    chance = random.Random(SEED)
    counties = settled(city, make_county)
    for county in counties:
        county.start()
    writers = [Writer(county, county.dir.name, chance.random()) for county in counties]
    for writer in writers:
        writer.start()
    counted, tries = 0, 0
    while counted < ROUNDS and not any(w.fault for w in writers):
        tries += 1
        assert tries <= 3 * ROUNDS, "the load is too light"
        counted += kill_one(city, counties, chance)
    for writer in writers:
        writer.finish()
    print(f"{counted} rounds of {tries}, {sum(len(w.members) for w in writers)} members, "
          f"{sum(len(w.titles) for w in writers)} opinions")

    for county in (*counties, *counties):
        county.sync()
    members = {m["id"]: m["fields"] for m in city.json("ls", "member")}
    titles = [o["fields"]["title"] for o in city.json("ls", "opinion")]
    assert sorted(titles) == sorted(t for w in writers for t in w.titles)
    assert len(members) == 2 + sum(len(w.members) for w in writers)
    for writer in writers:
        for record, (name, expertise) in writer.members.items():
            assert (members[record]["name"], members[record]["expertise"]) == (name, expertise)
    for county in counties:
        status = county.status()
        assert (status["pending"], status["refused"], status["conflicts"]) == (0, 0, 0)
        assert status["local_n"] == status["acked_n"]
    for side in (city, *counties):
        side.run("verify")
    for kind in ("member", "opinion", "studio"):
        assert export(counties[0], kind) == export(counties[1], kind)
        of_city = city.json("ls", kind)
        for county in counties:
            own = county.json("ls", kind)
            assert own == [r for r in of_city if r["site"] == own[0]["site"]]
