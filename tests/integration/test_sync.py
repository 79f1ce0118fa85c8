"""Two computers of a county and the city between them."""
import fcntl
import shutil
import signal
import threading

from conftest import wait_until

MEMBER = ["gender=男", "level=county", "sector_id=经济", "unit_title=某公司经理", "expertise=经济管理",
          "phone=13812345678", "term_id=政协郴州市第五届委员会", "party=中共党员"]


def pair(city, make_county, site=431021):
    both = make_county("a").enrol(city, site), make_county("b").enrol(city, site)
    for county in both:
        county.sync()  # members refer to sectors and terms, which come from the city
    return both


def test_written_on_one_read_on_the_other(city, make_county):
    a, b = pair(city, make_county)
    for i in range(5):
        a.add("member", f"name=委员{i}", *MEMBER)
    assert a.status()["pending"] == 5
    assert a.sync().stdout == "已全部上传\n"
    b.sync()
    assert a.json("ls", "member") == b.json("ls", "member") and len(b.json("ls", "member")) == 5
    status = a.status()
    assert (status["local_n"], status["acked_n"], status["pending"]) == (5, 5, 0)
    assert [s["hash"] for s in status["streams"]] == [s["hash"] for s in b.status()["streams"]]
    for side in (city, a, b):
        side.run("verify")


def test_sync_again_changes_nothing(city, make_county):
    a, _ = pair(city, make_county)
    a.add("member", "name=甲乙", *MEMBER)
    a.sync()
    before = city.json("status")["streams"]
    a.sync()
    assert city.json("status")["streams"] == before


def test_agents_push_at_once(city, make_county):
    a, b = pair(city, make_county)
    a.start()
    b.start()
    record = a.add("member", "name=甲乙", *MEMBER)
    assert wait_until(lambda: b.run("show", record, expect=None).returncode == 0)
    a.sync()
    b.sync()
    assert a.json("ls", "member") == b.json("ls", "member")
    assert city.json("status")["serving"] == 2
    assert a.run("run", expect=1).stderr.splitlines()[-1].startswith("ZT-BUSY ")


def test_offline_work_waits_for_the_city(city, make_county):
    a, b = pair(city, make_county)
    city.stop()
    a.start()
    record = a.add("member", "name=甲乙", *MEMBER)
    assert a.sync(expect=3).stderr.startswith("ZT-UNREACHABLE ")
    assert b.sync(expect=3).stderr.startswith("ZT-UNREACHABLE ")
    assert a.status()["pending"] == 1
    city.start()
    a.sync()
    b.sync()
    assert b.json("show", record)["fields"]["name"] == "甲乙"


def test_a_revoked_computer_is_refused(city, make_county):
    a, b = pair(city, make_county)
    b.start()
    assert wait_until(lambda: b.status()["state"] == "up-to-date")
    city.run("replica", "revoke", b.status()["replica"], "--lost")
    assert wait_until(lambda: b.status()["cause"] == "ZT-REVOKED")
    assert b.sync(expect=1).stderr.startswith("ZT-REVOKED ")
    a.sync()
    assert city.json("status")["refused"].get("ZT-REVOKED", 0) >= 1


def test_a_certificate_of_another_ca_is_refused(make_city, make_county):
    first, second = make_city("first"), make_city("second")
    a = make_county("a").enrol(first, 431021)
    other = make_county("b").enrol(second, 431021)
    for name in ("key.pem", "cert.pem"):
        shutil.copy(other.dir / name, a.dir / name)
    assert a.sync(expect=1).stderr.startswith("ZT-AUTH ")
    assert sum(first.json("status")["refused"].values()) >= 1


def test_anothers_identity_is_refused(city, make_county):
    """A replica that shows the certificate of another site's."""
    a, other = make_county("a").enrol(city, 431021), make_county("b").enrol(city, 431081)
    for name in ("key.pem", "cert.pem"):
        shutil.copy(other.dir / name, a.dir / name)
    assert a.sync(expect=1).stderr.startswith(("ZT-AUTH ", "ZT-DENIED "))


def test_sigterm_drains(city, make_county):
    a, _ = pair(city, make_county)
    a.start()
    assert wait_until(lambda: city.json("status")["serving"] == 1)
    city.stop()
    assert city.run("status", expect=3).stderr.startswith("ZT-UNREACHABLE ")
    city.start()
    city.run("stop")
    assert wait_until(lambda: not city.daemon.alive())
    assert a.agent.alive()


def test_a_second_daemon_is_refused(city):
    assert city.run("run", expect=1).stderr.startswith("ZT-BUSY ")


def test_a_daemon_waits_for_a_short_command(make_city):
    city = make_city(start=False)
    with open(city.dir / "ztcd.lock", "w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.5, fcntl.flock, (held, fcntl.LOCK_UN)).start()
        city.start()


def test_commands_without_the_daemon(make_city, make_county):
    city = make_city(start=False)
    city.run("user", "add", "li", "--name", "李", "--role", "liaison")
    city.start()
    city.run("user", "add", "wang", "--role", "liaison,proposal_committee")
    make_county("own").enrol(city, 431000).sync()  # its clerk is of the same office, yet of another stream
    assert {u["fields"]["login"] for u in city.json("user", "list")} == {"li", "wang"}
    assert city.run("user", "list", "--limit", "1").stdout.endswith("\n显示前 1 条，共 2 条账户\n")
    assert city.run("ls", "site", "--limit", "3").stdout.endswith("\n显示前 3 条，共 12 条县市区(单位)\n")
    assert city.run("ls", "site", "--limit", "12").stdout.endswith("\n共 12 条县市区(单位)\n")
    city.run("rebuild")
    city.run("verify")


def test_killed_daemon_lost_nothing(city, make_county):
    a, b = pair(city, make_county)
    a.start()
    for i in range(3):
        a.add("member", f"name=委员{i}", *MEMBER)
        city.daemon.stop(how=signal.SIGKILL)
        city.start()
    a.sync()
    b.sync()
    assert len(b.json("ls", "member")) == 3
    city.run("verify")
