"""What an agent says of itself follows what it does."""
from conftest import MEMBER, wait_until


def running(city, make_county):
    county = make_county("a").enrol(city, 431021)
    county.sync()
    county.start()
    assert wait_until(lambda: county.status()["state"] == "up-to-date"), county.status()
    return county


def test_up_to_date_again_after_the_city_was_away(city, make_county):
    county = running(city, make_county)
    city.stop()
    assert wait_until(lambda: county.status()["state"] == "waiting"), county.status()
    county.add("member", "name=甲乙", *MEMBER)
    city.start()
    assert wait_until(lambda: county.status()["acked_n"] == 1)
    assert wait_until(lambda: county.status()["state"] == "up-to-date"), county.status()
    assert (county.status()["pending"], county.status()["cause"]) == (0, None)


def session_of(city, county):
    replica = county.status()["replica"]
    row = next(r for r in city.json("status")["replicas"] if r["id"] == replica)
    return row["session"], row["last_end"]


def test_both_sides_say_since_when_and_what_moved_last(city, make_county):
    county = running(city, make_county)
    status = county.status()
    assert status["since"] and status["progress_at"] and status["next_try"] is None
    session, _ = session_of(city, county)
    assert (session["state"], session["cause"]) == ("serving", None)
    before = session["progress_at"]
    assert session["since"] <= before
    county.add("member", "name=甲乙", *MEMBER)
    assert wait_until(lambda: session_of(city, county)[0]["progress_at"] > before)
    assert "在线，自 " in city.run("status").stdout and "最近进展" in county.run("status").stdout


def test_both_sides_say_why_there_is_no_session(city, make_county):
    county = running(city, make_county)
    city.run("replica", "revoke", county.status()["replica"], "--lost")
    assert wait_until(lambda: county.status()["cause"] == "ZT-REVOKED"), county.status()
    status = county.status()
    assert status["state"] == "waiting" and status["next_try"] and status["why"].startswith("市级：")
    assert wait_until(lambda: session_of(city, county)[0] is None)
    _, end = session_of(city, county)
    assert end["cause"] == "ZT-REVOKED" and end["why"] and end["at"] > 0
    assert "，ZT-REVOKED " in city.run("status").stdout and "下次连接" in county.run("status").stdout


def test_a_city_that_began_anew_says_who_has_not_come(city, make_county):
    county = running(city, make_county)
    county.stop()
    city.stop()
    city.start()
    assert "    未连接，服务 " in city.run("status").stdout
    county.start()
    assert wait_until(lambda: "    在线，自 " in city.run("status").stdout)


def test_an_agent_that_was_killed_says_nothing_for_itself(city, make_county):
    county = running(city, make_county)
    agent, county.agent = county.agent, None
    agent.kill()
    assert (county.status()["state"], county.status()["since"]) == ("stopped", None)
    assert county.status()["next_try"] is None
    assert wait_until(lambda: session_of(city, county)[0] is None)
