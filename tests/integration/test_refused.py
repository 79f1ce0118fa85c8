"""Whoever is not what he claims is refused with a code, and it is counted: at the handshake, at the first
frame, at the merge."""
import shutil
import socket
import ssl
import subprocess
import time

from conftest import MEMBER, ZTC, ZTCD, run, wait_until

IDENTITY = ("key.pem", "cert.pem")


def refusals(city):
    return city.json("status")["refused"]


def enrolments_refused(city):
    return city.json("status")["enrolments_refused"]


def settings(path):
    return dict(line.split(" = ", 1) for line in path.read_text(encoding="utf-8").splitlines() if " = " in line)


def point_to(county, city):
    """The county's directory with another city's address."""
    ini = county.dir / "ztc.ini"
    address = settings(city.dir / "ztcd.ini")["listen"]
    lines = [f"addresses = {address}" if line.startswith("addresses") else line
             for line in ini.read_text(encoding="utf-8").splitlines()]
    ini.write_text("\n".join(lines) + "\n", encoding="utf-8")


def told(done, *codes):
    """One line, which begins with the code."""
    assert done.stdout == "" and done.stderr.startswith(tuple(c + " " for c in codes)), done
    assert done.stderr.count("\n") == 1
    return done.stderr.split(" ", 1)[0]


def test_a_county_of_another_city_is_refused(make_city, make_county):
    first, second = make_city("first"), make_city("second")
    county = make_county("a").enrol(first, 431021)
    point_to(county, second)
    told(county.sync(expect=1), "ZT-AUTH")
    assert wait_until(lambda: sum(refusals(second).values()) >= 1)
    assert refusals(first) == {}
    # It trusts the other city's CA as little as that city trusts its certificate.
    shutil.copy(second.dir / "ca.pem", county.dir / "ca.pem")
    told(county.sync(expect=1), "ZT-AUTH")
    assert second.json("status")["serving"] == 0
    assert second.json("ls", "member") == []


def test_the_identity_of_another_site_is_refused(city, make_county):
    a, other = make_county("a").enrol(city, 431021), make_county("b").enrol(city, 431081)
    other.sync()
    other.settle()
    before = city.json("status")["streams"]
    for name in IDENTITY:
        shutil.copy(a.dir / name, other.dir / name)
    told(other.sync(expect=1), "ZT-AUTH", "ZT-DENIED")
    assert wait_until(lambda: sum(refusals(city).values()) == 1)
    assert city.json("status")["streams"] == before and other.status()["pending"] == 4


def knock(city, version):
    """A handshake without a certificate. The refusal, or what the city said."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(city.dir / "ca.pem")
    tls.minimum_version = tls.maximum_version = version
    host, port = settings(city.dir / "ztcd.ini")["listen"].rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), 10) as line, tls.wrap_socket(line) as secure:
            return secure.recv(1)
    except ssl.SSLError as refusal:
        return refusal.reason


def test_without_a_certificate_nobody_is_served(city, make_county):
    county = make_county("a").enrol(city, 431021)
    assert knock(city, ssl.TLSVersion.TLSv1_3) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert knock(city, ssl.TLSVersion.TLSv1_2) == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert wait_until(lambda: sum(refusals(city).values()) == 2)
    county.sync()


def test_a_revoked_computer_is_refused_at_once_and_for_good(city, make_county):
    a, b = make_county("a").enrol(city, 431021), make_county("b").enrol(city, 431021)
    for county in (a, b):
        county.sync()
    a.settle()
    a.sync()
    a.start()
    assert wait_until(lambda: a.status()["state"] == "up-to-date")
    city.run("replica", "revoke", a.status()["replica"], "--lost")
    assert wait_until(lambda: a.status()["cause"] == "ZT-REVOKED")
    assert city.json("status")["serving"] == 0
    a.stop()
    record = a.add("member", "name=丁一", *MEMBER)
    told(a.sync(expect=1), "ZT-REVOKED")
    city.stop()
    city.start()
    told(a.sync(expect=1), "ZT-REVOKED")
    assert refusals(city) == {"ZT-REVOKED": 1}
    assert city.run("show", record, expect=1).stderr.startswith("ZT-NOT-FOUND ")
    b.sync()
    assert [m["fields"]["name"] for m in b.json("ls", "member")] == ["李建国"]
    replicas = {r["id"]: r["state"] for r in city.json("replica", "list")}
    assert sorted(replicas.values()) == ["active", "lost"]


def test_tokens_that_are_no_good(city, make_county):
    token = city.token(431021)
    make_county("a").enrol(city, 431021)
    used = city.token(431021)
    make_county("b").run("enrol", used)
    told(make_county("c").run("enrol", used, expect=1), "ZT-TOKEN")
    short = city.token(431021, "--ttl", "1s")
    time.sleep(1.2)
    told(make_county("c").run("enrol", short, expect=1), "ZT-TOKEN")
    for garbage in ("x", "ztc1.", "ztc1.AAAA", token[:-1], token + "A", "ztc1." + "A" * 5000):
        told(make_county("c").run("enrol", "-", stdin=garbage + "\n", expect=1), "ZT-TOKEN")
    told(make_county("c").run("enrol", "-", stdin="", expect=2), "ZT-USAGE")
    told(make_county("c").run("enrol", expect=2), "ZT-USAGE")
    assert not (make_county("c").dir / "replica.db").exists()
    assert enrolments_refused(city)["ZT-TOKEN"] >= 1
    # None of this spoilt the good one.
    make_county("c").run("enrol", token)
    told(make_county("d").run("enrol", token, expect=1), "ZT-TOKEN")


def test_one_daemon_and_one_agent_a_directory(city, make_county):
    told_last = city.run("run", expect=1).stderr.splitlines()[-1]
    assert told_last.startswith("ZT-BUSY ")
    assert city.run("init", expect=1).stderr.startswith("ZT-BUSY ")
    county = make_county("a").enrol(city, 431021)
    county.start()
    assert wait_until(lambda: county.status()["state"] == "up-to-date")
    assert county.run("run", expect=1).stderr.splitlines()[-1].startswith("ZT-BUSY ")
    assert county.run("enrol", city.token(431021), expect=1).stderr.startswith("ZT-EXISTS ")
    assert county.agent.alive() and city.daemon.alive()
    county.sync()


def test_bytes_that_are_no_tls_are_nobodys_business(city, make_county):
    county = make_county("a").enrol(city, 431021)
    county.start()
    assert wait_until(lambda: city.json("status")["serving"] == 1)
    for listener in ("listen", "enrol_listen"):
        host, port = settings(city.dir / "ztcd.ini")[listener].rsplit(":", 1)
        for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 64, b"\x16\x03\x01\xff\xff", b""):
            subprocess.run(["timeout", "2", "bash", "-c", f"cat > /dev/tcp/{host}/{port}"], input=junk,
                           capture_output=True, check=False)
    assert city.json("status")["serving"] == 1
    county.sync()


def test_a_directory_that_is_none(tmp_path):
    for program in (ZTC, ZTCD):
        told(run(program, tmp_path / "none", "status", expect=None), "ZT-NOT-FOUND", "ZT-UNREACHABLE")
        told(run(program, tmp_path / "none", "run", expect=1), "ZT-NOT-FOUND")
        assert not (tmp_path / "none").exists()
