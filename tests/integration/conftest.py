"""A city and county computers made of the real binaries, over real TLS, on ports of their own."""
import csv
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))


def binary(name, *folders):
    """Where the build puts it."""
    for folder in ("", *folders):
        if (BUILD / folder / name).exists():
            return BUILD / folder / name
    return BUILD / name


ZTCD = binary("ztcd", "server")
ZTC = binary("ztc", "client")

MEMBER = ["gender=男", "level=county", "sector_id=经济", "unit_title=某公司经理", "expertise=经济管理",
          "phone=13812345678", "term_id=政协郴州市第五届委员会", "party=中共党员", "status=active"]
STUDIO = {"层级": "县级", "类别": "委员个人", "特色": "界别特色", "界别": "经济", "地址": "鹿峰路1号",
          "对口委室": "提案委", "公开电话": "0735-4431234", "管理主体": "桂阳县政协", "接待时间": "每周一",
          "状态": "运行中", "批准日期": "2020-5-1", "批准会议": "主席会议", "所属届次": "政协郴州市第五届委员会"}


NOTES = []


def note(text):
    """A line that is told at the end of the run, whatever the outcome."""
    NOTES.append(text)


def pytest_terminal_summary(terminalreporter):
    for text in NOTES:
        terminalreporter.write_line(text)


def pytest_configure(config):
    config.addinivalue_line("markers", "kill: kill -9 rounds, run by ./check kill")


def run(program, directory, *words, expect=0, stdin=None, timeout=120):
    done = subprocess.run([program, "--dir", directory, *words], capture_output=True, text=True,
                          input=stdin, check=False, timeout=timeout)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert expect is None or done.returncode == expect, (words, done.stdout, done.stderr)
    return done


def wait_until(what, seconds=20):
    """The truth of `what` within some seconds; its last value is returned."""
    until = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > until:
            return value
        time.sleep(0.02)


class Process:
    """A long-running one; its end must be clean."""

    def __init__(self, program, directory, log):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([program, "--dir", directory, "run"], stdout=out, stderr=out)

    def alive(self):
        return self.process.poll() is None

    def stop(self, how=signal.SIGTERM, within=15):
        if self.alive():
            self.process.send_signal(how)
        status = self.process.wait(timeout=within)
        text = self.log.read_text(encoding="utf-8", errors="replace")
        assert "Sanitizer" not in text and "runtime error" not in text, text
        assert status == (0 if how != signal.SIGKILL else -signal.SIGKILL), (status, text)

    def kill(self):
        self.stop(signal.SIGKILL)


class City:
    """A city's directory, its commands and its daemon."""

    def __init__(self, path, made=False):
        self.dir = path
        self.daemon = None
        if not made:
            self.run("init")

    def run(self, *words, **more):
        return run(ZTCD, self.dir, *words, **more)

    def json(self, *words, **more):
        return json.loads(self.run(*words, "--json", **more).stdout)

    def start(self):
        self.daemon = Process(ZTCD, self.dir, self.dir.parent / (self.dir.name + ".log"))
        assert wait_until(lambda: self.run("status", expect=None).returncode == 0), "it does not serve"
        return self

    def stop(self, **more):
        daemon, self.daemon = self.daemon, None
        if daemon is not None:
            daemon.stop(**more)

    def token(self, site, *more):
        return self.run("enrol", "--site", str(site), *more).stdout.strip()


class County:
    """A county computer's directory, its commands and its agent."""

    def __init__(self, path):
        self.dir = path
        self.agent = None

    def run(self, *words, **more):
        return run(ZTC, self.dir, *words, **more)

    def json(self, *words, **more):
        return json.loads(self.run(*words, "--json", **more).stdout)

    def enrol(self, city, site):
        self.run("enrol", "-", stdin=city.token(site) + "\n")
        return self

    def add(self, *words):
        return self.run("add", *words, "--quiet").stdout.strip()

    def settle(self, member="李建国", studio="鹿峰工作室"):
        """A member, and a studio that was there before the system."""
        row = dict(STUDIO, 工作室名称=studio, 负责人=member)
        sheet = self.dir.parent / (self.dir.name + "-studio.csv")
        with open(sheet, "w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([row.keys(), row.values()])
        record = self.add("member", f"name={member}", *MEMBER)
        self.run("import", "studio", sheet, "--historic")
        return record

    def sync(self, expect=0):
        return self.run("sync", expect=expect)

    def status(self):
        return self.json("status")

    def start(self):
        self.agent = Process(ZTC, self.dir, self.dir.parent / (self.dir.name + ".log"))
        return self

    def stop(self):
        agent, self.agent = self.agent, None
        if agent is not None:
            agent.stop()


@pytest.fixture
def make_city(tmp_path):
    cities = []

    def make(name="city", start=True):
        city = City(tmp_path / name)
        cities.append(city)
        return city.start() if start else city

    yield make
    for city in cities:
        city.stop()


@pytest.fixture
def city(make_city):
    return make_city()


@pytest.fixture
def make_county(tmp_path):
    counties = []

    def make(name):
        county = County(tmp_path / name)
        counties.append(county)
        return county

    yield make
    for county in counties:
        county.stop()
