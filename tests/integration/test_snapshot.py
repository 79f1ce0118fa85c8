"""A new computer of an office with history takes the records as they stand first, then what led to them."""
import contextlib
import re
import shutil
import sqlite3
import time

from conftest import ZTC, run, wait_until

KINDS = ("opinion", "member", "studio", "site", "sector", "term", "user_account")
ABOVE = 20
OPINION = [x for pair in ("studio_id=鹿峰工作室", "receiver=李建国", "received_at=2026-01-05 09:30", "channel=visit",
                          "anonymous=1", "category=social") for x in ("--set", pair)]


def snapshot_above(county, n):
    ini = county.dir / "ztc.ini"
    ini.write_text(re.sub(r"^snapshot_above = .*$", f"snapshot_above = {n}", ini.read_text(encoding="utf-8"),
                          flags=re.M), encoding="utf-8")
    assert f"snapshot_above = {n}" in ini.read_text(encoding="utf-8")


def exported(county, kind, path):
    county.run("export", kind, path)
    return path.read_bytes()


def streams(county):
    return {s["name"]: s for s in county.status()["streams"]}


def same_ledger(a, b, tmp_path):
    for kind in KINDS:
        assert exported(a, kind, tmp_path / "a.csv") == exported(b, kind, tmp_path / "b.csv"), kind
    for name, stream in streams(a).items():
        assert streams(b)[name]["hash"] == stream["hash"]


def opinions(county, n, first=0):
    sheet = county.dir.parent / "opinions.csv"
    rows = ["标题,内容"] + [f"第{i}件,村口的路灯坏了{i}次" for i in range(first, first + n)]
    sheet.write_text("\n".join(rows) + "\n", encoding="utf-8")
    county.run("import", "opinion", sheet, *OPINION)


def settled(city, make_county, n):
    """An office whose first computer has brought N opinions and edited some."""
    first = make_county("first").enrol(city, 431021)
    first.sync()
    first.settle()
    opinions(first, n)
    for record in first.json("ls", "opinion")[:5]:
        first.run("set", record["id"], "keywords=路灯")
    first.sync()
    return first


def test_snapshot_then_history(city, make_county, tmp_path):
    first = settled(city, make_county, 300)
    second = make_county("second").enrol(city, 431021)
    snapshot_above(second, ABOVE)
    second.sync()
    same_ledger(first, second, tmp_path)
    assert not any(s["loading"] or "history" in s for s in streams(second).values())
    assert second.json("log", "--stream", "431021", "--raw") == first.json("log", "--stream", "431021", "--raw")
    second.run("verify")
    second.run("rebuild")
    same_ledger(first, second, tmp_path)
    # And it works on from there.
    second.run("set", second.json("ls", "opinion")[0]["id"], "keywords=照明")
    second.sync()
    first.sync()
    same_ledger(first, second, tmp_path)


def test_killed_again_and_again_while_it_loads(city, make_county, tmp_path):
    first = settled(city, make_county, 6000)
    second = make_county("second").enrol(city, 431021)
    snapshot_above(second, ABOVE)
    seen = set()

    def state():
        with contextlib.closing(sqlite3.connect(f"file:{second.dir / 'replica.db'}?mode=ro", uri=True)) as db:
            return db.execute("SELECT stream, loaded, history_seq, hex(place) FROM snapshot").fetchall()

    for _ in range(40):
        second.start()
        before = state()
        until = time.monotonic() + 20
        while state() == before and time.monotonic() < until:
            pass  # as soon as it can be
        agent, second.agent = second.agent, None
        agent.kill()
        seen.add(str(state()))
        if not state():
            break
    assert len(seen) >= 3, seen
    second.sync()
    same_ledger(first, second, tmp_path)
    second.run("verify")


def test_records_change_while_it_loads(city, make_county, tmp_path):
    """The copy of the second computer's directory is the third: cut at some slice, it goes on while others write."""
    first = settled(city, make_county, 6000)
    second = make_county("second").enrol(city, 431021)
    snapshot_above(second, ABOVE)
    second.start()

    def loading():
        with contextlib.closing(sqlite3.connect(f"file:{second.dir / 'replica.db'}?mode=ro", uri=True)) as db:
            return db.execute("SELECT 1 FROM snapshot WHERE stream = 431021 AND loaded = 0").fetchall()

    wait_until(loading, 20)
    agent, second.agent = second.agent, None
    agent.kill()
    for record in first.json("ls", "opinion")[::50]:
        first.run("set", record["id"], "keywords=改过")
    opinions(first, 50)
    first.sync()
    if loading():
        assert streams(second)["431021"]["loading"]
        assert "正在载入" in second.run("status").stdout
        assert run(ZTC, second.dir, "rebuild", expect=1).stderr.startswith("ZT-WAITING ")
    second.sync()
    same_ledger(first, second, tmp_path)
    second.run("verify")
    second.run("rebuild")
    same_ledger(first, second, tmp_path)


def test_a_forged_history_is_dropped(city, make_county):
    """Older entries that do not lead to the signed head: noticed at its end, dropped, and asked for again."""
    settled(city, make_county, 100)
    second = make_county("second").enrol(city, 431021)
    snapshot_above(second, ABOVE)
    city.stop()
    kept = city.dir.parent / "kept.db"
    shutil.copy(city.dir / "city.db", kept)
    with contextlib.closing(sqlite3.connect(city.dir / "city.db")) as db:
        assert db.execute("UPDATE log SET received_at = received_at + 1 WHERE pos = (431021 << 40) + 10").rowcount == 1
        db.commit()
    city.start()
    assert "ZT-CORRUPT" in run(ZTC, second.dir, "sync", expect=1).stderr
    assert streams(second)["431021"]["history"] == 0
    assert len(second.json("ls", "opinion")) == 100
    city.stop()
    shutil.copy(kept, city.dir / "city.db")
    city.start()
    second.sync()
    second.run("verify")
