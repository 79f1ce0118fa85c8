"""Two computers of one county edit one field: both values are kept until a person decides."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))
ZTC, ZTCD = BUILD / "client" / "ztc", BUILD / "server" / "ztcd"
MEMBER = ["name=李建国", "gender=男", "level=county", "sector_id=经济", "unit_title=某公司经理", "expertise=经济管理",
          "phone=13812345678", "term_id=政协郴州市第五届委员会", "party=中共党员"]


def run(*words, expect=0, **more):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False,
                          timeout=60, **more)
    assert done.returncode == expect, (words, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def counties(tmp_path):
    """A city at work, and two enrolled computers of 桂阳县, each as a function of its words."""
    city = tmp_path / "city"
    run(ZTCD, "--dir", city, "init")
    with open(tmp_path / "city.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen([ZTCD, "--dir", city, "run"], stdout=log, stderr=log)
    try:
        for _ in range(200):
            if subprocess.run([ZTCD, "--dir", city, "status"], capture_output=True,
                              check=False).returncode == 0:
                break
        offices = []
        for name in ("first", "second"):
            token = run(ZTCD, "--dir", city, "enrol", "--site", "431021")
            run(ZTC, "--dir", tmp_path / name, "enrol", "-", input=token)
            offices.append(lambda *w, d=tmp_path / name, **k: run(ZTC, "--dir", d, *w, **k))
            offices[-1]("sync")
        yield offices
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0, (tmp_path / "city.log").read_text(encoding="utf-8")


def open_conflict(first, second):
    serial = first("add", "member", *MEMBER).split()[1]
    for office in (first, second):
        office("sync")
    first("set", serial, "expertise=农业")
    second("set", serial, "expertise=教育")
    for office in (first, second, first):
        office("sync")
    conflicts = json.loads(first("conflicts", "--json"))
    assert [(c["field"], c["stands"]["value"], c["later"]["value"]) for c in conflicts] == [
        ("expertise", "农业", "教育")]
    return serial, conflicts[0]["id"]


@pytest.mark.parametrize("take, value, winner", [
    ("stands", "农业", "stands"), ("later", "教育", "later"), ("value=卫生", "卫生", "edited")])
def test_one_person_decides_for_both(counties, take, value, winner):
    first, second = counties
    serial, conflict = open_conflict(first, second)
    first("resolve", conflict, "--take", "nothing", expect=2)
    first("resolve", conflict, "--take", take)
    first("resolve", conflict, "--take", take, expect=1)
    for office in (first, second):
        office("sync")
        assert json.loads(office("show", serial, "--json"))["fields"]["expertise"] == value
        assert json.loads(office("conflicts", "--json")) == []
        decided = json.loads(office("show", conflict, "--json"))
        assert (decided["state"], decided["fields"]["winner"]) == ("resolved", winner)
        assert decided["fields"]["resolved_by"] == "clerk"
        office("verify")
    log = json.loads(second("log", serial, "--json"))
    assert [e["verdict"]["withheld"] for e in log if e["fields"].get("expertise") == "教育"][0] == [
        "expertise"]


def test_sync_brings_the_same_sheet_to_both(counties, tmp_path):
    first, second = counties
    first("add", "member", *MEMBER)
    first("sync")
    second("sync")
    for name, office in (("a", first), ("b", second)):
        office("export", "member", tmp_path / f"{name}.xlsx")
        office("export", "member", tmp_path / f"{name}.csv")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    status = json.loads(second("status", "--json"))
    assert status["pending"] == 0 and status["local_n"] == status["acked_n"]


def test_without_the_city_sync_cannot_reach(counties, tmp_path):
    first, _ = counties
    ini = (tmp_path / "first" / "ztc.ini")
    lines = [line if not line.startswith("addresses") else "addresses = 127.0.0.1:1"
             for line in ini.read_text(encoding="utf-8").splitlines()]
    ini.write_text("\n".join(lines) + "\n", encoding="utf-8")
    first("add", "member", *MEMBER)
    first("sync", "--timeout", "2", expect=3)
    assert json.loads(first("status", "--json"))["pending"] == 1
