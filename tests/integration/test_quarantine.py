"""What is kept aside until a person at the city decides: a retired computer's queue, a switched-off account's."""
import subprocess
import sys

from conftest import ROOT, wait_until


def read(*words):
    """By the independent reader."""
    subprocess.run([sys.executable, "-B", ROOT / "tests" / "lib" / "ledger_reader.py", *words], check=True,
                   capture_output=True, timeout=120)


def replica_of(county):
    return county.status()["replica"]


def kept(city):
    return city.json("quarantine", "list")


def members(county):
    return county.run("ls", "member").stdout


def two(city, make_county):
    """Two computers of one county; the second has written something that waits."""
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.settle()
    a.sync()
    b = make_county("b").enrol(city, 431021)
    b.sync()
    record = b.add("member", "name=王小明", "gender=男", "level=county", "sector_id=经济",
                   "unit_title=某公司经理", "expertise=经济管理", "phone=13912345678",
                   "term_id=政协郴州市第五届委员会", "party=中共党员", "status=active")
    return a, b, record


def test_a_retired_computer_hands_in_and_receives_nothing(city, make_county):
    a, b, record = two(city, make_county)
    city.run("replica", "revoke", replica_of(b), "--retired")
    a.settle("李四", "城南工作室")
    a.sync()
    cursors = [s["cursor"] for s in b.status()["streams"]]
    done = b.sync(expect=None)
    assert done.returncode != 0 and "ZT-REVOKED" in done.stderr
    status = b.status()
    assert [s["cursor"] for s in status["streams"]] == cursors, "it receives nothing"
    assert status["pending"] == 0 and status["refused"] == 1
    assert "ZT-QUARANTINE" in b.run("refused").stdout
    [item] = kept(city)
    assert item["replica"] == replica_of(b) and item["kind"] == "member" and item["who"]
    assert item["record"] == record and item["why"] and item["made_at"] > 0
    assert city.json("status")["kept_aside"] == 1
    assert "暂存待核准：1 次操作" in city.run("status").stdout
    a.sync()
    assert "王小明" not in members(a)

    # Nothing left to hand in: it is told so at once.
    assert "ZT-REVOKED" in b.sync(expect=None).stderr

    city.run("replica", "release", replica_of(b)[:13])
    assert kept(city) == []
    a.sync()
    assert "王小明" in members(a)
    read("--vault-key", city.dir / "vault.key", city.dir / "city.db")
    city.run("verify")
    a.run("verify")


def test_retired_while_connected(city, make_county):
    """The open session ends, the agent comes back by itself and hands in what is written afterwards."""
    a, b, _ = two(city, make_county)
    b.start()
    assert wait_until(lambda: b.status()["state"] == "up-to-date" and b.status()["pending"] == 0)
    city.run("replica", "revoke", replica_of(b), "--retired")
    assert wait_until(lambda: b.status()["state"] == "waiting" and b.run("status").stdout.count("ZT-REVOKED"))
    b.settle("钱七", "城北工作室")
    assert "ZT-REVOKED" in b.sync(expect=None).stderr
    assert wait_until(lambda: len(kept(city)) > 0)
    assert b.status()["pending"] == 0
    b.stop()


def test_a_lost_computer_gets_no_session(city, make_county):
    _, b, _ = two(city, make_county)
    city.run("replica", "revoke", replica_of(b), "--lost")
    assert "ZT-REVOKED" in b.sync(expect=None).stderr
    assert b.status()["pending"] == 1 and kept(city) == []


def switched_off(city, make_county):
    """B wrote as clerk; A had switched that account off meanwhile, and has another."""
    a, b, record = two(city, make_county)
    a.run("add", "user_account", "login=zhang", "name=张三", "role=county_clerk,county_lead", "active=是")
    a.sync()
    clerk = next(u["id"] for u in a.json("ls", "user_account") if u["fields"]["login"] == "clerk")
    a.run("set", clerk, "active=否", "--as", "zhang")
    a.sync()
    assert b.sync(expect=None).returncode == 1
    return a, b, record


def test_a_released_change_closes_the_refusal_by_itself(city, make_county):
    a, b, record = switched_off(city, make_county)
    assert b.status()["refused"] == 1 and "ZT-QUARANTINE" in b.run("refused").stdout
    [item] = kept(city)
    b.start()
    assert wait_until(lambda: b.status()["state"] == "up-to-date")
    assert city.json("replica", "release", replica_of(b), str(item["n"])) == {"released": 1}
    assert wait_until(lambda: b.status()["refused"] == 0)
    b.stop()
    assert "王小明" in b.run("ls", "member").stdout
    b.sync()
    b.run("verify")
    b.run("rebuild")
    a.sync()
    assert "王小明" in members(a)
    again = city.run("replica", "release", replica_of(b), str(item["n"]), expect=None)
    assert again.returncode != 0 and "ZT-NOT-FOUND" in again.stderr


def test_a_dropped_change_is_refused_for_good(city, make_county):
    _, b, _ = switched_off(city, make_county)
    [item] = kept(city)
    b.start()
    assert wait_until(lambda: b.status()["state"] == "up-to-date")
    assert city.json("replica", "drop", replica_of(b)) == {"dropped": 1}
    assert wait_until(lambda: "ZT-DENIED" in b.run("refused").stdout), "told over the open session"
    b.stop()
    assert b.status()["refused"] == 1 and kept(city) == []
    again = city.run("replica", "release", replica_of(b), str(item["n"]), expect=None)
    assert again.returncode != 0 and "ZT-NOT-FOUND" in again.stderr
    b.sync(expect=1)
    city.stop()
    assert city.run("replica", "drop", replica_of(b)).returncode == 0  # nothing to drop, without a daemon


def test_misuse(city, make_county):
    _, b, _ = two(city, make_county)
    for words in (("release", replica_of(b), "zwei"), ("drop", replica_of(b), "0"), ("release",)):
        assert city.run("replica", *words, expect=None).returncode == 2, words
    assert "ZT-NOT-FOUND" in city.run("replica", "release", "ffffffff", expect=None).stderr
