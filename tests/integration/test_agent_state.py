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
