"""A city put back from a backup: what it had acknowledged since comes back from the counties, once."""
import contextlib
import shutil
import sqlite3
import subprocess
import time

from conftest import ZTCD, wait_until
from test_attach import opinion, pdf, states

MEMBER = ["gender=男", "level=county", "sector_id=经济", "unit_title=某公司经理", "expertise=经济管理",
          "phone=13812345678", "term_id=政协郴州市第五届委员会", "party=中共党员"]
UNIT = ["org_unit", "name=市住建局", "unit_type=gov", "is_undertaker=1", "is_counterpart=0", "active=1"]


def names(side):
    return sorted(row["fields"]["name"] for row in side.json("ls", "member"))


def seqs(city):
    return {s["name"]: s["seq"] for s in city.json("status")["streams"]}


def lose(city, backup):
    """The store is gone, and with it everything since the backup; the directory stays."""
    city.daemon.kill()
    city.daemon = None
    for file in city.dir.glob("city.db*"):
        file.unlink()
    city.run("restore", backup)


def stored(directory):
    """Where the streams of the store in that directory stand."""
    with contextlib.closing(sqlite3.connect(f"file:{directory}/city.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT * FROM stream ORDER BY 1").fetchall()


def replica(county):
    return county.status()["replica"]


def up(county):
    return wait_until(lambda: county.status()["state"] == "up-to-date")


def test_a_backup_is_whole_and_private(city, make_county, tmp_path):
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.add("member", "name=李建国", *MEMBER)
    a.sync()
    assert city.json("status")["backup_age_s"] is None
    city.run("backup", tmp_path / "copy")
    assert city.json("status")["backup_age_s"] < 60
    for file in (tmp_path / "copy").iterdir():
        assert file.is_dir() or file.stat().st_mode & 0o077 == 0, file
    city.stop()
    again = city.run("restore", tmp_path / "copy", expect=None)
    assert again.returncode == 1 and "ZT-EXISTS" in again.stderr


def test_the_log_of_a_store_that_is_gone_is_in_the_way(city, make_county, tmp_path):
    """SQLite would lay it over whatever city.db comes next."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.run("backup", tmp_path / "copy")
    a.add("member", "name=李建国", *MEMBER)
    a.sync()
    city.daemon.kill()
    city.daemon = None
    (city.dir / "city.db").unlink()
    for words in (("restore", tmp_path / "copy"), ("init",)):
        refused = city.run(*words, expect=1)
        assert "ZT-EXISTS" in refused.stderr and "city.db-wal" in refused.stderr
    assert not (city.dir / "city.db").exists()
    for file in city.dir.glob("city.db-*"):
        file.unlink()
    city.run("restore", tmp_path / "copy")
    city.start()
    a.start()
    assert up(a) and wait_until(lambda: names(city) == ["李建国"])


def test_what_was_acknowledged_comes_back(city, make_county, tmp_path):
    """Two counties refill, a third stays away until after the close: its work comes as recovered."""
    a, b = make_county("a").enrol(city, 431021), make_county("b").enrol(city, 431022)
    late = make_county("late").enrol(city, 431023)
    city.run("user", "add", "wang", "--name", "王秘书", "--role", "liaison")
    for county, name in ((a, "甲一"), (b, "乙一"), (late, "丙一")):
        county.sync()
        county.add("member", f"name={name}", *MEMBER)
        county.sync()
    city.run("backup", tmp_path / "copy")
    for county, name in ((a, "甲二"), (b, "乙二"), (late, "丙二")):
        county.add("member", f"name={name}", *MEMBER)
        county.sync()
    before = seqs(city)
    lose(city, tmp_path / "copy")
    city.start()
    state = city.json("recover")
    assert state["recovering"] and state["silent"] == 3 and state["missing"] == 3
    assert "ZT-RECOVERING" in city.run("add", *UNIT, "--as", "wang", expect=1).stderr

    a.start()
    b.start()
    assert up(a) and up(b)
    a.add("member", "name=甲三", *MEMBER)
    assert wait_until(lambda: a.status()["cause"] == "ZT-RECOVERING"), a.status()
    assert "正在恢复" in a.run("status").stdout
    state = city.json("recover")
    assert state["silent"] == 1 and state["missing"] == 1 and state["taken"] == 2, state
    now = seqs(city)
    assert now["431021"] == before["431021"] and now["431022"] == before["431022"]
    assert "缺第" in city.run("recover").stdout
    assert a.status()["pending"] == 1 and names(city) == ["丙一", "乙一", "乙二", "甲一", "甲二"]

    city.run("recover", "--close", "--as", "wang")
    assert "ZT-STATE" in city.run("recover", "--close", "--as", "wang", expect=1).stderr
    assert wait_until(lambda: a.status()["pending"] == 0)
    late.add("member", "name=丙三", *MEMBER)
    late.start()
    assert wait_until(lambda: late.status()["pending"] == 0 and late.status()["state"] == "up-to-date")
    assert city.json("recover")["late"] == 1
    assert names(city) == ["丙一", "丙三", "丙二", "乙一", "乙二", "甲一", "甲三", "甲二"]
    for county in (a, b, late):
        county.stop()
        county.sync()
        assert names(county) == [n for n in names(city) if n[0] == names(county)[0][0]]
        mine = {s["name"]: s["hash"] for s in county.status()["streams"]}
        theirs = {s["name"]: s["hash"] for s in city.json("status")["streams"]}
        assert all(theirs[name] == mine[name] for name in mine)
        county.run("verify")
    city.run("verify")
    city.run("rebuild")


def test_a_copy_knows_what_it_has_not(make_city, make_county, tmp_path):
    """The whole directory is gone, and nobody has the city's own entries: the heads beside the copy count them."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.run("backup", tmp_path / "copy")
    city.run("user", "add", "wang", "--role", "liaison")
    city.run("user", "add", "li", "--role", "office")
    shutil.copy(city.dir / "heads", tmp_path / "copy" / "heads")  # as --follow does between two copies
    city.stop()
    shutil.rmtree(city.dir)
    city.run("restore", tmp_path / "copy")
    city.start()
    a.sync()
    state = city.json("recover")
    assert state["missing"] == 2 and "city 已有 0 条，曾有 2 条，缺第 1–2 条" in city.run("recover").stdout, state
    city.run("recover", "--close")
    city.stop()
    city.start()
    assert not city.json("recover")["recovering"]


def test_a_sync_goes_on_where_it_went_back(city, make_county, tmp_path):
    """Closed before anybody was heard: the first sync by command hands back, goes back and sends."""
    city.run("user", "add", "wang", "--role", "liaison")
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.run("backup", tmp_path / "copy")
    a.add("member", "name=甲二", *MEMBER)
    a.sync()
    lose(city, tmp_path / "copy")
    city.start()
    city.run("recover", "--close", "--as", "wang")
    a.add("member", "name=甲三", *MEMBER)
    assert a.sync().stdout == "已全部上传\n"
    assert names(city) == ["甲三", "甲二"]


def hand_in(county, title):
    record = county.add("submission", "studio_id=李建国工作室", "form=public_opinion", f"title={title}",
                        "category=社会建设", "situation=部分路段路灯损坏已久。", "suggestion=明确管护单位。",
                        "urgency=normal", "no_secret=1", "lead_member=李建国")
    county.run("do", "送审", record)
    county.run("do", "审核通过并上报", record, "county_reviewer=clerk")
    return record


def test_numbers_go_on_above(city, make_county, tmp_path):
    """A submission's receipt number that came back is not given out again."""
    city.run("user", "add", "xue", "--role", "liaison")
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.settle("李建国", "李建国工作室")
    a.sync()
    records = [hand_in(a, "第一件")]
    a.sync()
    city.run("backup", tmp_path / "copy")
    records += [hand_in(a, "第二件"), hand_in(a, "第三件")]
    a.sync()
    lose(city, tmp_path / "copy")
    city.start()
    a.start()
    assert up(a)
    assert wait_until(lambda: city.json("recover")["missing"] == 0), city.json("recover")
    city.run("recover", "--close", "--as", "xue")
    records.append(hand_in(a, "第四件"))
    assert wait_until(lambda: a.status()["pending"] == 0 and a.status()["state"] == "up-to-date")
    numbers = [a.json("show", record)["fields"]["receipt_no"] for record in records]
    assert len(set(numbers)) == 4 and numbers == sorted(numbers), numbers


def test_a_store_put_back_behind_its_back(city, make_county, tmp_path):
    """The heads file knows; without it a county's signed head does."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.add("member", "name=甲一", *MEMBER)
    a.sync()
    city.stop()
    shutil.copy(city.dir / "city.db", tmp_path / "old.db")
    city.start()
    life = city.json("status")["incarnation"]
    a.add("member", "name=甲二", *MEMBER)
    a.sync()
    for heads in (True, False):
        city.stop()
        for file in city.dir.glob("city.db*"):
            file.unlink()
        shutil.copy(tmp_path / "old.db", city.dir / "city.db")
        if not heads:
            (city.dir / "heads").unlink()
        city.start()
        assert city.json("status")["recovering"] is heads
        a.start()
        assert wait_until(lambda: names(city) == ["甲一", "甲二"]), city.json("recover")
        status = city.json("status")
        assert status["recovering"] and status["incarnation"] != life
        a.stop()


@contextlib.contextmanager
def follower(city, copy):
    """Killed at the end of the block."""
    with subprocess.Popen([ZTCD, "--dir", city.dir, "backup", copy, "--follow"]) as process:
        try:
            yield
        finally:
            process.kill()


def test_a_backup_that_follows(city, make_county, tmp_path):
    """What was acknowledged reaches the copy by itself, and by the log alone; the copy alone restores to it."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    copy = tmp_path / "copy"
    log = copy / "city.db-wal"
    with follower(city, copy):
        assert wait_until(lambda: log.exists() and city.json("status")["backup_age_s"] is not None)
        first, had = (copy / "city.db").stat(), log.stat().st_size
        a.add("member", "name=甲一", *MEMBER)
        a.sync()
        assert wait_until(lambda: log.stat().st_size > had)
        assert (copy / "city.db").stat().st_mtime_ns == first.st_mtime_ns
        assert log.stat().st_mode & 0o077 == 0
        assert wait_until(lambda: (copy / "heads").read_bytes() == (city.dir / "heads").read_bytes())
    lose(city, copy)
    city.start()
    assert names(city) == ["甲一"] and city.json("recover")["missing"] == 0


def last_entry(copy, scratch):
    """How far the store in COPY goes; its pages are whole."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("city.db", "city.db-wal"):
        if (copy / name).exists():
            shutil.copy(copy / name, scratch)
    db = sqlite3.connect(scratch / "city.db")
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return db.execute("SELECT count(*) FROM log").fetchone()[0]
    finally:
        db.close()


def test_a_follower_may_die_at_any_moment(city, make_county, tmp_path):
    """Killed while it copies and while it carries, again and again: what it leaves is whole, and never less."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.start()
    copy, before, made = tmp_path / "copy", 0, 0
    for i in range(8):
        with follower(city, copy):
            until = time.monotonic() + 0.05 * (3 * i) ** 1.3
            while time.monotonic() < until or (i == 7 and made < 20):
                made += 1
                a.add("member", f"name=甲{made}", *MEMBER)
        if (copy / "city.db").exists():
            now = last_entry(copy, tmp_path / "scratch")
            assert now >= before
            before = now
    assert wait_until(lambda: len(names(city)) == made)
    whole, now_ms = last_entry(city.dir, tmp_path / "scratch"), time.time() * 1000
    with follower(city, copy):
        assert wait_until(lambda: int((city.dir / "backup").read_text().split()[0]) > now_ms)
    assert last_entry(copy, tmp_path / "scratch") == whole
    a.stop()
    lose(city, copy)
    city.start()
    assert len(names(city)) == made
    city.run("verify")
def test_a_follower_sees_that_the_store_is_another(city, make_county, tmp_path):
    """After a restore it copies the store that is there now, and never an older one over a newer copy."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.run("user", "add", "wang", "--role", "liaison")
    old, copy = tmp_path / "old", tmp_path / "copy"
    city.run("backup", old)
    errors = tmp_path / "errors"
    with open(errors, "wb") as out, \
            subprocess.Popen([ZTCD, "--dir", city.dir, "backup", copy, "--follow"], stderr=out) as follower:
        try:
            a.add("member", "name=甲一", *MEMBER)
            a.sync()
            copied = lambda: (copy / "city.db").exists() and stored(copy) == stored(city.dir)
            assert wait_until(copied)
            lose(city, copy)
            city.start()
            city.run("recover", "--close", "--as", "wang")
            city.run("user", "add", "li", "--role", "office")
            assert wait_until(copied), "it follows the store that was put back"
            newest = stored(copy)
            lose(city, old)
            city.start()
            assert wait_until(lambda: "ZT-EXISTS" in errors.read_text(encoding="utf-8"))
            assert stored(copy) == newest
        finally:
            follower.terminate()
    assert "没有覆盖" in city.run("backup", copy, expect=1).stderr
    city.run("backup", tmp_path / "third")


def test_the_keys_of_a_store_that_is_gone_are_not_made_anew(city, make_county, tmp_path):
    """They are what a restore needs: without them no county comes in, and nothing it has is proved."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.run("backup", tmp_path / "copy")
    a.add("member", "name=李建国", *MEMBER)
    a.sync()
    city.stop()
    (city.dir / "city.db").unlink()
    before = {file.name: file.read_bytes() for file in city.dir.iterdir() if file.suffix in (".key", ".pem")}
    refused = city.run("init", expect=1)
    assert "ZT-EXISTS" in refused.stderr and "ztcd restore" in refused.stderr
    assert all((city.dir / name).read_bytes() == data for name, data in before.items())
    city.run("restore", tmp_path / "copy")
    city.start()
    a.start()
    assert up(a) and wait_until(lambda: names(city) == ["李建国"])


def test_a_city_is_not_copied_onto_itself(city):
    for more in ((), ("--follow",)):
        assert "ZT-USAGE" in city.run("backup", city.dir, *more, expect=2).stderr


def test_files_come_back_too(city, make_county, tmp_path):
    """What was handed in since the backup is handed in again, without anybody's doing."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    record = opinion(a)
    city.run("user", "add", "wang", "--name", "王秘书", "--role", "liaison")
    a.run("attach", record, pdf(tmp_path / "前.pdf", 3000, 1))
    a.sync()
    city.run("backup", tmp_path / "copy")
    a.run("attach", record, pdf(tmp_path / "后.pdf", 5000, 2))
    a.sync()
    assert states(city, record) == ["uploaded"] * 2
    shutil.rmtree(city.dir / "blobs")
    lose(city, tmp_path / "copy")
    city.start()
    a.start()
    assert wait_until(lambda: city.json("recover")["missing"] == 0)
    city.run("recover", "--close", "--as", "wang")
    assert wait_until(lambda: states(city, record) == ["uploaded"] * 2), states(city, record)
    assert states(a, record) == ["uploaded"] * 2


def test_a_store_without_accounts_is_closed_by_who_may_enter(make_city, tmp_path):
    """A copy from before the first account: nobody can be added before the close, so nobody need be named."""
    city = make_city()
    city.run("backup", tmp_path / "copy")
    city.run("user", "add", "wang", "--role", "liaison")
    lose(city, tmp_path / "copy")
    city.start()
    assert "ZT-RECOVERING" in city.run("user", "add", "wang", "--role", "liaison", expect=1).stderr
    city.run("recover", "--close")
    assert not city.json("recover")["recovering"]
    city.run("user", "add", "wang", "--role", "liaison")
