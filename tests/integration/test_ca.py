"""A new CA: told over open sessions and to who comes later, the old one dropped when nobody needs it."""
import shutil

from conftest import wait_until


def test_a_new_ca_reaches_who_is_online_and_who_comes_later(make_city, make_county):
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    b = make_county("b").enrol(city, 431022)
    a.sync()
    b.sync()
    token = city.token(431023)
    cas = (a.dir / "ca.pem").read_bytes()
    a.start()
    assert wait_until(lambda: a.status()["state"] == "up-to-date")
    told = city.json("ca", "rotate")
    assert told["generation"] == 2 and told["waiting"] == 2 and told["unused_tokens"] == 1
    assert "新旧根证书并用" in city.run("status").stdout
    again = city.run("ca", "rotate", expect=None)
    assert again.returncode != 0 and "ZT-EXISTS" in again.stderr
    assert wait_until(lambda: (a.dir / "ca.pem").read_bytes() != cas), "told over the open session"
    a.stop()
    a.sync()

    # A computer that enrols now knows both from the start; a token of the old CA is void.
    c = make_county("c")
    assert c.run("enrol", "-", stdin=token + "\n", expect=None).returncode != 0
    c.enrol(city, 431023).sync()

    # B has not heard of it: the old one stays.
    refused = city.run("ca", "drop-old", expect=None)
    assert refused.returncode != 0 and "ZT-WAITING" in refused.stderr
    assert b.status()["replica"] in refused.stderr and a.status()["replica"] not in refused.stderr
    city.stop()
    city.start()
    b.sync()
    b.sync()
    city.run("ca", "drop-old")
    assert "ZT-NOT-FOUND" in city.run("ca", "drop-old", expect=None).stderr
    for county in (a, b, c):
        county.sync()
        assert (county.dir / "ca.pem").read_text().count("BEGIN") == 1
        county.sync()
    city.stop()
    city.start()
    assert [x["generation"] for x in city.json("status")["authorities"]] == [2]
    assert "根证书" not in city.run("status").stdout
    make_county("d").enrol(city, 431024).sync()
    assert sorted(f.name for f in city.dir.glob("*ca*")) == ["ca-2.key", "ca-2.pem"]


def test_dropped_by_force_who_was_away_must_enrol_anew(make_city, make_county):
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.stop()
    city.run("ca", "rotate")  # without the daemon
    city.run("ca", "drop-old", "--force")
    city.start()
    done = a.sync(expect=None)
    assert done.returncode != 0 and "ZT-AUTH" in done.stderr
    make_county("b").enrol(city, 431021).sync()


def lose(city, backup):
    """The store is gone; settings and keys stay."""
    city.stop()
    for file in city.dir.glob("city.db*"):
        file.unlink()
    city.run("restore", backup)
    return city.start()


def generations(city):
    return [x["generation"] for x in city.json("status")["authorities"]]


def change_ca(city, county):
    city.run("ca", "rotate")
    county.sync()
    county.sync()
    city.run("ca", "drop-old")
    county.sync()


def test_a_dropped_ca_does_not_come_back_with_a_backup(make_city, make_county, tmp_path):
    """Neither out of a directory that held it once, nor out of a copy of before."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    copy, old = tmp_path / "copy", tmp_path / "old"
    city.run("backup", copy)
    city.run("backup", old)
    change_ca(city, a)
    city.run("backup", copy)
    assert not (copy / "ca.pem").exists() and not (copy / "ca.key").exists()
    lose(city, old)
    assert generations(city) == [2]
    a.sync()
    city.stop()
    shutil.rmtree(city.dir)
    city.run("restore", copy)
    city.start()
    assert generations(city) == [2]
    a.sync()


def test_a_newer_ca_of_the_backup_is_taken(make_city, make_county, tmp_path):
    """The server's disk is of before the change, the copy of after it."""
    city = make_city()
    a = make_county("a").enrol(city, 431021)
    a.sync()
    city.stop()
    shutil.copytree(city.dir, tmp_path / "image")
    city.start()
    change_ca(city, a)
    city.run("backup", tmp_path / "copy")
    city.stop()
    shutil.rmtree(city.dir)
    shutil.copytree(tmp_path / "image", city.dir)
    for file in city.dir.glob("city.db*"):
        file.unlink()
    city.run("restore", tmp_path / "copy")
    city.start()
    assert generations(city) == [2] and not (city.dir / "ca.key").exists()
    a.sync()


def test_keys_of_another_city_are_not_mixed(make_city, tmp_path):
    city = make_city()
    city.run("backup", tmp_path / "copy")
    other = make_city("other", start=False)
    (other.dir / "city.db").unlink()
    refused = other.run("restore", tmp_path / "copy", expect=1)
    assert "ZT-EXISTS" in refused.stderr and "移走" in refused.stderr
    assert not (other.dir / "city.db").exists()
    for file in [*other.dir.glob("*.key"), *other.dir.glob("*.pem"), other.dir / "ztcd.ini"]:
        file.unlink()
    other.run("restore", tmp_path / "copy")
