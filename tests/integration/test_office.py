"""What each office still has to hand in: the city says the same numbers as the office's own computers."""
from conftest import MEMBER, wait_until

NUMBERS = ("acked_n", "waiting", "refused", "attachments")


def said_of(city, county):
    replica = county.status()["replica"]
    return next(r for r in city.json("status")["replicas"] if r["id"] == replica)["said"]


def same_numbers(city, county):
    said, own = said_of(city, county), county.status()
    return said["n"] == own["local_n"] and all(said[k] == own[k] for k in NUMBERS)


def office(city, site="431021"):
    return next(s for s in city.json("status")["sites"] if s["code"] == site)


def line(city, name="桂阳县"):
    return next(x for x in city.run("status").stdout.splitlines() if x.startswith(name))


def test_an_office_is_complete_when_all_its_computers_said_so(city, make_county):
    assert (office(city)["computers"], office(city)["complete"]) == (0, None)
    a, b = (make_county(name).enrol(city, 431021) for name in "ab")
    assert said_of(city, a) is None and office(city)["complete"] is False
    a.sync()
    a.add("member", "name=甲乙", *MEMBER)
    a.sync()
    assert same_numbers(city, a) and said_of(city, a)["complete"]
    assert (office(city)["complete"], office(city)["why"]) == (False, "第2台从未报告")
    assert line(city) == "桂阳县政协（431021）：尚未全部上传（第2台从未报告）"
    b.sync()
    assert same_numbers(city, b)
    assert (office(city)["complete"], office(city)["why"]) == (True, None)
    assert line(city) == "桂阳县政协（431021）：已全部上传"
    assert "已全部上传" in a.run("status").stdout


def test_what_is_refused_keeps_an_office_open_until_somebody_sees_to_it(city, make_county):
    a, b = (make_county(name).enrol(city, 431021) for name in "ab")
    a.sync()
    member = a.add("member", "name=甲乙", *MEMBER)
    a.sync()
    b.sync()
    a.run("do", "作废", member, "void_reason=重复登记")
    b.run("do", "作废", member, "void_reason=录错了人")
    a.sync()
    b.sync(expect=1)
    assert same_numbers(city, b) and said_of(city, b)["refused"] == 1
    assert office(city)["why"] == "第2台有 1 项更改未被接受"
    b.run("refused", "--done", str(b.json("refused")[0]["first_n"]))
    b.sync()
    assert same_numbers(city, b) and office(city)["complete"] is True


def test_a_retired_computer_keeps_no_office_open(city, make_county):
    a, b = (make_county(name).enrol(city, 431021) for name in "ab")
    a.sync()
    assert office(city)["complete"] is False
    city.run("replica", "revoke", b.status()["replica"], "--lost")
    assert wait_until(lambda: office(city)["complete"] is True), city.run("status").stdout
