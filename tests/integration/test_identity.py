"""Two computers with one identity: a copied disk, and one that was restored from an old copy."""
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import MEMBER, ZTC, wait_until
from test_office import office


def start(city, make_county):
    a = make_county("a").enrol(city, 431021)
    a.sync()
    return a


def copy(county, make_county, name):
    twin = make_county(name)
    shutil.copytree(county.dir, twin.dir)
    return twin


def names(side):
    return sorted(row["fields"]["name"] for row in side.json("ls", "member", "--limit", "500"))


def export(county):
    path = county.dir.parent / f"{county.dir.name}-out.csv"
    county.run("export", "member", path)
    return path.read_bytes()


def read(path):
    """By the reader that knows docs/ledger.md only."""
    reader = pathlib.Path(__file__).resolve().parents[1] / "lib" / "ledger_reader.py"
    done = subprocess.run([sys.executable, "-B", reader, path], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def check_even(city, counties, expected):
    """Everything is at the city once, and the same everywhere."""
    for county in counties + counties:
        assert county.sync().stdout == "已全部上传\n"
    assert names(city) == sorted(expected)
    assert len({export(county) for county in counties}) == 1 and names(counties[0]) == sorted(expected)
    for side in (city, *counties):
        side.run("verify")
        side.run("rebuild")
        side.run("verify")
    read(city.dir / "city.db")
    for county in counties:
        read(county.dir / "replica.db")
        status = county.status()
        assert status["complete"] and status["pending"] == 0 and status["refused"] == 0, status


@pytest.mark.parametrize("first", [1, 3, 5])
def test_a_copied_disk(city, make_county, first):
    """Work that both copies hold arrives once; what each made afterwards arrives too."""
    a = start(city, make_county)
    common = [a.add("member", f"name=共有{i}", *MEMBER) for i in range(3)]
    a.run("set", common[0], "expertise=甲")
    b = copy(a, make_county, "b")
    for i in range(first):
        a.add("member", f"name=甲{i}", *MEMBER)
    a.run("set", common[1], "expertise=乙")
    for i in range(3):
        b.add("member", f"name=乙{i}", *MEMBER)
    b.run("set", common[2], "expertise=丙")
    a.sync()
    old = a.status()["replica"]
    b.sync()
    status = b.status()
    assert status["replica"] != old and status["predecessor"] == old and status["remade"] == 4
    assert a.status()["predecessor"] is None and a.status()["replica"] == old
    assert "本机与另一台电脑使用了同一身份" in b.run("status").stdout
    assert "4 项未上传的更改已重新登记" in b.run("status").stdout
    check_even(city, [a, b], [f"共有{i}" for i in range(3)] + [f"甲{i}" for i in range(first)] +
               [f"乙{i}" for i in range(3)])
    assert [b.json("show", c)["fields"]["expertise"] for c in common] == ["甲", "乙", "丙"]
    rows = {r["id"]: r for r in city.json("replica", "list")}
    assert rows[status["replica"]]["predecessor"] == old and rows[old]["predecessor"] is None
    assert rows[status["replica"]]["k"] == 2
    assert f"由 {old} 换身份而来" in city.run("replica", "list").stdout
    assert oct((b.dir / "key.pem").stat().st_mode & 0o777) == "0o600"
    assert not list(b.dir.glob("*.next"))


def test_nothing_was_waiting(city, make_county):
    a = start(city, make_county)
    b = copy(a, make_county, "b")
    a.add("member", "name=甲方", *MEMBER)
    a.sync()
    b.sync()
    assert b.status()["remade"] == 0
    b.add("member", "name=乙方", *MEMBER)
    check_even(city, [a, b], ["甲方", "乙方"])


def test_a_successor_is_copied_too(city, make_county):
    a = start(city, make_county)
    a.add("member", "name=共有", *MEMBER)
    everyone, expected = [a], ["共有"]
    for name in "bcd":
        everyone.append(copy(everyone[-1], make_county, name))
        for i, county in enumerate(everyone):
            county.add("member", f"name={name}{i}", *MEMBER)
            expected.append(f"{name}{i}")
        for county in everyone:
            county.sync()
    check_even(city, everyone, expected)
    assert len({c.status()["replica"] for c in everyone}) == 4


@pytest.mark.parametrize("after", [1, 2, 4])
def test_an_old_copy_is_restored(city, make_county, after):
    a = start(city, make_county)
    a.add("member", "name=旧的", *MEMBER)
    a.sync()
    a.add("member", "name=未传", *MEMBER)
    b = copy(a, make_county, "b")
    a.add("member", "name=新1", *MEMBER)
    a.sync()
    a.add("member", "name=新2", *MEMBER)
    a.sync()
    for i in range(after):
        b.add("member", f"name=恢复后{i}", *MEMBER)
    check_even(city, [b], ["旧的", "未传", "新1", "新2"] + [f"恢复后{i}" for i in range(after)])


def test_agents_of_both_run(city, make_county):
    a = start(city, make_county)
    b = copy(a, make_county, "b")
    a.start()
    b.start()
    for i in range(5):
        a.add("member", f"name=甲{i}", *MEMBER)
        b.add("member", f"name=乙{i}", *MEMBER)
    assert wait_until(lambda: len({a.status()["replica"], b.status()["replica"]}) == 2, seconds=60)
    assert wait_until(lambda: names(a) == names(b) and len(names(a)) == 10, seconds=60)
    a.stop()
    b.stop()
    check_even(city, [a, b], [f"甲{i}" for i in range(5)] + [f"乙{i}" for i in range(5)])


def test_twins_that_are_still_alike_are_named(city, make_county):
    """Nothing tells them apart yet, but one that is put out by the other says why."""
    a = start(city, make_county)
    b = copy(a, make_county, "b")
    a.start()
    assert wait_until(lambda: a.status()["state"] == "up-to-date")
    b.start()
    assert wait_until(lambda: a.status()["cause"] == "ZT-TWIN"), a.status()
    assert "另一台电脑正以本机的身份联机" in a.run("status").stdout
    b.add("member", "name=乙方", *MEMBER)
    assert wait_until(lambda: a.status()["predecessor"] == b.status()["replica"], seconds=60)
    a.stop()
    b.stop()
    check_even(city, [a, b], ["乙方"])


def test_revocation_reaches_the_successor(city, make_county):
    a = start(city, make_county)
    b = copy(a, make_county, "b")
    a.add("member", "name=甲方", *MEMBER)
    a.sync()
    b.sync()
    b.start()
    assert wait_until(lambda: b.status()["state"] == "up-to-date")
    city.run("replica", "revoke", a.status()["replica"], "--lost")
    assert wait_until(lambda: b.status()["cause"] == "ZT-REVOKED")
    assert a.sync(expect=1).stderr.startswith("ZT-REVOKED ")


def test_an_identity_nobody_has_any_more(city, make_county):
    """Restored from an old backup: the old identity is retired by itself, and the office is complete again."""
    a = start(city, make_county)
    b = copy(a, make_county, "b")
    a.add("member", "name=甲方", *MEMBER)
    a.sync()
    old = a.status()["replica"]
    b.add("member", "name=乙方", *MEMBER)
    b.sync()
    assert not office(city)["complete"]
    for words in (("--only",), ("--lost", "--only")):
        assert "ZT-USAGE" in city.run("replica", "revoke", old, *words, expect=2).stderr
    city.run("replica", "revoke", old, "--retired", "--only")
    assert {r["state"] for r in city.json("replica", "list") if r["id"] == old} == {"retired"}
    b.add("member", "name=丙方", *MEMBER)
    b.sync()
    assert office(city)["complete"] and "丙方" in names(city)
    assert "ZT-REVOKED" in a.sync(expect=1).stderr


@pytest.mark.kill
@pytest.mark.parametrize("delay", range(12))
def test_killed_while_it_changes(city, make_county, delay):
    a = start(city, make_county)
    a.add("member", "name=共有", *MEMBER)
    b = copy(a, make_county, "b")
    a.add("member", "name=甲方", *MEMBER)
    a.sync()
    b.add("member", "name=乙方", *MEMBER)
    with subprocess.Popen([ZTC, "--dir", b.dir, "sync"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(timeout=0.02 + delay * 0.01)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    check_even(city, [a, b], ["共有", "甲方", "乙方"])
    assert len(city.json("replica", "list")) == 2  # nobody is left over
