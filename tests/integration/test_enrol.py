"""A computer becomes a replica by a token, once; whatever is wrong is refused with a code and counted."""
import json
import stat
import time

from conftest import ZTCD, City, run


def test_token_makes_a_replica(city, make_county):
    county = make_county("a")
    told = json.loads(county.run("enrol", "--json", "-", stdin=city.token(431021)).stdout)
    assert (told["site"], told["k"], told["account"]) == ("431021", 1, "clerk")
    assert make_county("b").enrol(city, 431021).status()["site"] == "431021"
    replicas = city.json("status")["replicas"]
    assert [r["k"] for r in replicas if r["site"] == 431021] == [1, 2]
    assert told["replica"] in [r["id"] for r in replicas]


def test_init_refuses_a_directory_without_room_for_its_socket(tmp_path):
    long = tmp_path / ("x" * (108 - len(str(tmp_path)) - len("//control.sock")))
    assert run(ZTCD, long, "init", expect=1).stderr.startswith("ZT-INVALID 目录名太长")
    assert not long.exists()
    run(ZTCD, long.with_name(long.name[1:]), "init")


def test_no_token_names_every_interface(tmp_path, make_county):
    run(ZTCD, tmp_path / "city", "init", "--listen", "0.0.0.0:0", "--enrol-listen", "0.0.0.0:0")
    city = City(tmp_path / "city", made=True).start()
    refused = city.run("enrol", "--site", "431021", expect=1)
    assert refused.stderr.startswith("ZT-INVALID ") and "advertise" in refused.stderr
    city.stop()
    settings = city.dir / "ztcd.ini"
    settings.write_text(settings.read_text().replace("advertise = ", "advertise = 127.0.0.1"))
    city.start()
    make_county("a").enrol(city, 431021).sync()
    city.stop()


def test_secrets_are_the_owners_alone(city, make_county):
    county = make_county("a").enrol(city, 431021)
    assert stat.S_IMODE(county.dir.stat().st_mode) == 0o700
    for file in [*city.dir.iterdir(), *county.dir.iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_socket() or file.is_dir() else 0o600), file
    assert (county.dir / "site.key").exists()
    assert not (make_county("b").enrol(city, 431021).dir / "site.key").exists()


def test_a_token_works_once(city, make_county):
    token = city.token(431021)
    make_county("a").run("enrol", token)
    refused = make_county("b").run("enrol", token, expect=1)
    assert refused.stderr.startswith("ZT-TOKEN ")
    assert not (make_county("b").dir / "replica.db").exists()
    assert city.json("status")["enrolments_refused"]["ZT-TOKEN"] == 1


def test_an_expired_token_is_refused(city, make_county):
    token = city.token(431021, "--ttl", "1s")
    time.sleep(1.2)
    assert make_county("a").run("enrol", token, expect=1).stderr.startswith("ZT-TOKEN ")


def test_a_damaged_token_is_refused_before_anybody_is_asked(city, make_county):
    token = city.token(431021)
    for bad in (token[:-9], token[5:], "ztc1.", token.replace("ztc1.", "ztc2.")):
        assert make_county("a").run("enrol", bad, expect=1).stderr.startswith("ZT-TOKEN "), bad
    assert city.json("status")["enrolments_refused"] == {}


def test_an_enrolled_directory_is_left_alone(city, make_county):
    county = make_county("a").enrol(city, 431021)
    assert county.run("enrol", city.token(431081), expect=1).stderr.startswith("ZT-EXISTS ")
    assert county.status()["site"] == "431021"


def test_no_city_no_replica(make_city, make_county):
    city = make_city(start=False)
    assert make_county("a").run("enrol", city.token(431021), expect=3).stderr.startswith("ZT-UNREACHABLE ")
    assert not (make_county("a").dir / "replica.db").exists()


def test_a_token_of_another_city_does_not_fit(make_city, make_county):
    """The other city listens where the token points: its CA is not the one the token names."""
    first, second = make_city("first"), make_city("second", start=False)
    token = first.token(431021)
    first.stop()
    settings = (first.dir / "ztcd.ini").read_text(encoding="utf-8")
    (second.dir / "ztcd.ini").write_text(settings, encoding="utf-8")
    second.start()
    refused = make_county("a").run("enrol", token, expect=1)
    assert refused.stderr.startswith("ZT-AUTH ")
    assert not (make_county("a").dir / "replica.db").exists()


def test_unknown_site_is_misuse(city):
    assert city.run("enrol", "--site", "999999", expect=2).stderr.startswith("ZT-USAGE ")
    assert city.run("enrol", expect=2).stderr.startswith("ZT-USAGE ")
