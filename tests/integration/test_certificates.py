"""Certificates: renewed over the open session, renewed when expired, clocks that are wrong."""
import subprocess

import pytest

from conftest import BUILD, ZTC, wait_until

SHIM = BUILD / "tests" / "lib" / "libclock_shift.so"
DAY = 24 * 3600


def preload_works():
    try:
        done = subprocess.run([ZTC, "--version"], env={"LD_PRELOAD": str(SHIM)}, capture_output=True,
                              text=True, check=False, timeout=30)
    except OSError:
        return False
    return SHIM.exists() and done.returncode == 0


pytestmark = pytest.mark.skipif(not preload_works(), reason="a sanitizer's runtime must come first")


@pytest.fixture
def shift(monkeypatch):
    """Programs started from now on have a wall clock that is DAYS off."""
    monkeypatch.setenv("LD_PRELOAD", str(SHIM))

    def to(days):
        monkeypatch.setenv("ZTC_CLOCK_SHIFT", str(days * DAY))

    to(0)
    return to


def later(city, shift, days):
    """The city's daemon some days on; the counties' clocks stay where they are."""
    city.stop()
    shift(days)
    city.start()
    shift(0)


def serial(city, county):
    name = county.status()["replica"]
    return next(r for r in city.json("replica", "list") if r["id"] == name)["serial"]


def test_renewed_when_two_thirds_of_the_life_are_gone(make_city, make_county, shift):
    """At 59 days nothing happens, at 61 a new certificate is there; it is in use with the next session."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    first, file = serial(city, a), (a.dir / "cert.pem").read_bytes()
    later(city, shift, 59)
    a.sync()
    assert (a.dir / "cert.pem").read_bytes() == file
    later(city, shift, 61)
    a.sync()
    renewed = (a.dir / "cert.pem").read_bytes()
    assert renewed != file and (a.dir / "cert.pem").stat().st_mode & 0o777 == 0o600
    a.sync()
    assert (a.dir / "cert.pem").read_bytes() == renewed
    assert serial(city, a) != first
    assert 88 <= a.status()["cert_days_left"] <= 90
    status = city.json("status")
    assert [88 <= r["cert_days_left"] <= 90 for r in status["replicas"]] == [True]


def test_renewed_while_the_agent_runs(make_city, make_county, shift):
    """The session in which it is renewed goes on, and what is written is sent by it."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    first = serial(city, a)
    file = (a.dir / "cert.pem").read_bytes()
    later(city, shift, 61)
    a.start()
    assert wait_until(lambda: (a.dir / "cert.pem").read_bytes() != file)
    a.settle("王建军", "正和工作室")
    assert wait_until(lambda: a.status()["pending"] == 0)
    assert serial(city, a) == first, "the session that renewed it is still the one open"
    a.stop()
    a.sync()
    assert serial(city, a) != first


def test_an_answer_that_was_lost_costs_nothing(make_city, make_county, shift):
    """The former certificate is good until the newer was used; after that it may renew and nothing else."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    file = (a.dir / "cert.pem").read_bytes()
    later(city, shift, 61)
    a.sync()
    (a.dir / "cert.pem").write_bytes(file)  # as if it had not reached the disk
    a.sync()
    newer = (a.dir / "cert.pem").read_bytes()
    assert newer != file
    a.sync()
    (a.dir / "cert.pem").write_bytes(file)  # an old backup
    a.sync()
    assert (a.dir / "cert.pem").read_bytes() not in (file, newer)
    a.sync()


def test_an_expired_certificate_can_renew(make_city, make_county, shift):
    """Offline for a hundred days: one command renews it and sends what waited."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.settle()
    later(city, shift, 100)
    a.sync()
    assert a.status()["pending"] == 0 and a.status()["cert_days_left"] >= 88


def test_an_expired_certificate_of_a_lost_computer_cannot(make_city, make_county, shift):
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.run("replica", "revoke", a.status()["replica"], "--lost")
    later(city, shift, 100)
    done = a.sync(expect=None)
    assert done.returncode != 0 and "ZT-REVOKED" in done.stderr
    file = (a.dir / "cert.pem").read_bytes()
    assert a.sync(expect=None).returncode != 0 and (a.dir / "cert.pem").read_bytes() == file


def test_a_computer_whose_clock_says_2009_works(make_city, make_county, shift):
    city = make_city()
    shift(-17 * 365)
    a = make_county("a").enrol(city, 431021)
    a.sync()
    a.settle()
    a.sync()
    assert a.status()["pending"] == 0 and a.status()["cert_days_left"] >= 88
    b = make_county("b").enrol(city, 431021)
    b.sync()
    assert city.json("status")["replicas"][0]["skew_ms"] < -16 * 365 * DAY * 1000
