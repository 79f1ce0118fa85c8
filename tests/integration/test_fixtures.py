"""Stores that earlier versions wrote are opened, understood, brought up to date, and go on."""
import json
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time

import pytest

from conftest import BUILD, ROOT, ZTC, City, County

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import kept  # noqa: E402

SHIM = BUILD / "tests" / "lib" / "libclock_shift.so"
VERSIONS = kept.versions()
DAY = 24 * 3600


def preload_works():
    done = subprocess.run([ZTC, "--version"], env={"LD_PRELOAD": str(SHIM)}, capture_output=True, check=False,
                          timeout=30)
    return SHIM.exists() and done.returncode == 0


class World:
    """Copies of a version's city and computers, and what they answered then."""

    def __init__(self, version, folder):
        with tarfile.open(version / "stores-with-test-keys.tar.xz") as tar:
            tar.extractall(folder)
        self.city = City(folder / "city", made=True)
        self.a, self.b = County(folder / "a"), County(folder / "b")
        self.shown = json.loads((version / "shown.json").read_text(encoding="utf-8"))

    def listen(self):
        """The daemon on ports that are free here."""
        with socket.socket() as one, socket.socket() as two:
            for port in (one, two):
                port.bind(("127.0.0.1", 0))
            sync, enrol = (f"127.0.0.1:{port.getsockname()[1]}" for port in (one, two))
        rewrite(self.city.dir / "ztcd.ini", {"listen": sync, "enrol_listen": enrol})
        for county in (self.a, self.b):
            rewrite(county.dir / "ztc.ini", {"addresses": sync})
        return self.city.start()


def rewrite(ini, values):
    lines = [f"{name} = {values[name]}" if (name := line.split(" = ")[0]) in values else line
             for line in ini.read_text(encoding="utf-8").splitlines()]
    ini.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def world(request, tmp_path):
    made = World(request.param, tmp_path)
    yield made
    made.city.stop()


def assert_same(kept_answers, now):
    assert kept.difference(kept_answers, now) is None


def steps_of(path):
    with sqlite3.connect(path) as db:
        return {name for name, in db.execute("SELECT name FROM schema_step")}


def steps_shipped(*folders):
    return {path.rsplit("/", 1)[1].removesuffix(".sql") for path in kept.schema_steps()
            if path.split("/schema/")[0] in folders}


def test_everything_answers_as_it_did(world):
    """Records, histories, refusals, conflicts and sheets; once more after the tables were built anew."""
    for verb in ("verify", "rebuild"):
        for side in (world.city, world.a, world.b):
            side.run(verb)
        assert_same(world.shown["city"], kept.look_city(world.city))
        assert_same(world.shown["a"], kept.look_county(world.a))
        assert_same(world.shown["b"], kept.look_county(world.b))


def test_steps_of_the_schema_that_came_since_are_applied(world):
    for side in (world.city, world.a, world.b):
        side.run("rebuild")
    assert steps_of(world.city.dir / "city.db") == steps_shipped("common/ledger", "server/store")
    for county in (world.a, world.b):
        assert steps_of(county.dir / "replica.db") == steps_shipped("common/ledger", "client/store")


def test_the_reader_reads_what_was_written_then(world):
    subprocess.run([sys.executable, "-B", ROOT / "tests" / "lib" / "ledger_reader.py", "--vault-key",
                    world.city.dir / "vault.key", world.city.dir / "city.db"], check=True, capture_output=True,
                   timeout=120)


@pytest.mark.skipif(not preload_works(), reason="a sanitizer's runtime must come first")
def test_what_waited_then_arrives_now(world, monkeypatch, tmp_path):
    """The day after, so that the certificates are what they were."""
    monkeypatch.setenv("LD_PRELOAD", str(SHIM))
    monkeypatch.setenv("ZTC_CLOCK_SHIFT", str(world.shown["made_at"] + DAY - int(time.time())))
    waiting = [row["id"] for row in world.shown["b"]["ls member"] if row["seq"] == 0]
    file, = (row["id"] for row in world.shown["b"]["ls attachment"] if row["seq"] == 0)
    assert waiting and world.shown["b"]["status"]["pending"] > 0

    world.listen()
    world.b.sync(expect=1)  # its refusal still waits for a person
    number = world.b.json("refused")[0]["first_n"]
    world.b.run("refused", "--done", str(number))
    for county in (world.b, world.a):
        county.sync()
    for kind in kept.EXPORTED:
        assert kept.export(world.a, kind) == kept.export(world.b, kind)
    for side in (world.city, world.a):
        assert set(waiting) <= {row["id"] for row in side.json("ls", "member")}
        side.run("fetch", file, "--out", tmp_path / "out")
        assert (tmp_path / "out").read_bytes().startswith(b"%PDF")

    held = world.city.json("quarantine", "list")
    world.city.run("replica", "release", held[0]["replica"])
    conflict = world.a.json("conflicts")[0]["id"]
    world.a.run("resolve", conflict, "--take", "later")
    for county in (world.a, world.b):
        county.sync()
    assert world.b.json("conflicts") == [] and held[0]["record"] in {r["id"] for r in world.b.json("ls", "member")}
    world.city.stop()
    for side in (world.city, world.a, world.b):
        side.run("verify")


def test_a_step_of_the_schema_is_never_edited_once_shipped():
    """A store that has taken a step never takes it again: an edit would reach new stores only."""
    now = kept.schema_steps()
    for version in VERSIONS:
        for line in (version / "steps.txt").read_text(encoding="ascii").splitlines():
            path, digest = line.split()
            assert now.get(path) == digest, f"{path} was shipped with {version.name}: add a step, leave this one"


def test_versions_are_numbered_without_holes():
    assert [v.name for v in VERSIONS] == [f"v{i + 1}" for i in range(len(VERSIONS))] and VERSIONS
