"""Tables that are not what the log says: found, repaired, told on both sides."""
import sqlite3

from conftest import ROOT, wait_until

SAMPLE = ROOT / "samples" / "opinions.csv"


def spoil(county, sql, *args):
    """As a bad disk would: behind the program's back."""
    db = sqlite3.connect(county.dir / "replica.db", timeout=20)
    db.execute("PRAGMA busy_timeout = 20000")
    n = db.execute(sql, args).rowcount
    db.commit()
    db.close()
    assert n == 1


def settled(city, make_county):
    """A county whose agent runs no more, everything sent."""
    county = make_county("county").enrol(city, 431021)
    county.sync()
    county.member = county.settle()
    county.sync()
    county.run("verify")
    return county


def repair(county, n=1):
    county.start()
    assert wait_until(lambda: county.status()["repaired"] == n and
                      all(s["differs_since"] is None for s in county.status()["streams"]) and
                      all(r["told"] for r in county.status()["repairs"])), county.status()
    county.stop()
    county.run("verify")
    return county.status()["repairs"]


def of_replica(city):
    return city.json("status")["replicas"][0]


def test_one_flipped_byte_is_repaired_and_told_on_both_sides(city, make_county):
    county = settled(city, make_county)
    before = county.json("show", county.member)
    spoil(county, "UPDATE member SET unit_title = replace(unit_title, '经', '绎')"
                  " WHERE unit_title LIKE '%经%'")
    assert "ZT-DIGEST" in county.run("verify", expect=1).stderr
    said = repair(county)
    assert [r["kind"] for r in said] == ["member"] and said[0]["how"] == 1
    assert county.json("show", county.member) == before
    assert of_replica(city)["repairs"] == 1 and of_replica(city)["repairs_against_us"] == 0
    assert "已按市级改正" in county.run("status").stdout
    assert "核对修复 1 条" in city.run("status").stdout


def test_an_office_that_only_syncs_is_repaired_too(city, make_county):
    """What verify found is compared by the next sync; once a day sync counts by itself."""
    county = settled(city, make_county)
    for i, find in enumerate((lambda: county.run("verify", expect=1), lambda: spoil(
            county, "UPDATE meta SET value = 1 WHERE name = 'agent_counted'"))):
        spoil(county, "UPDATE member SET unit_title = unit_title || ?1", str(i))
        find()
        county.sync()
        assert county.status()["repaired"] == i + 1
        county.run("verify")
    assert wait_until(lambda: of_replica(city)["repairs"] == 2)


def test_a_lost_row_and_one_too_many(city, make_county):
    county = settled(city, make_county)
    spoil(county, "DELETE FROM studio")
    spoil(county, "INSERT INTO opinion (rid, stream, created_seq, seq, created_at, created_by, updated_at,"
                  " updated_by, pending) VALUES (?1, 431021, 1, 1, 1, ?1, 1, ?1, 0)", bytes(range(16)))
    assert sorted((r["kind"], r["how"]) for r in repair(county, 2)) == [("opinion", 3), ("studio", 2)]


def test_a_sealed_value_that_cannot_be_opened(city, make_county):
    county = settled(city, make_county)
    spoil(county, "UPDATE member SET phone = CAST(x'80' || randomblob(40) AS BLOB)")
    assert [(r["kind"], r["how"]) for r in repair(county)] == [("member", 1)]


def test_entries_are_taken_in_over_a_lost_row(city, make_county):
    """The stream goes on; what cannot be applied is repaired."""
    county, other = settled(city, make_county), make_county("other").enrol(city, 431021)
    other.sync()
    spoil(county, "DELETE FROM member")
    other.run("set", county.member, "unit_title=某厂厂长")
    other.sync()
    assert [(r["kind"], r["how"]) for r in repair(county)] == [("member", 2)]
    assert county.json("show", county.member) == other.json("show", county.member)


def test_the_city_is_told_when_its_own_row_is_wrong(make_city, make_county):
    """The county's log speaks for its row: the fault is not spread."""
    city = make_city()
    county = settled(city, make_county)
    before = county.json("show", county.member)
    city.stop()
    db = sqlite3.connect(city.dir / "city.db")
    db.execute("UPDATE member SET unit_title = '别的' WHERE stream = 431021")
    db.execute("DELETE FROM meta WHERE name = 'digest'")  # counted when it is opened
    db.commit()
    db.close()
    city.start()
    county.start()
    assert wait_until(lambda: of_replica(city)["repairs_against_us"] == 1), of_replica(city)
    county.stop()
    assert county.json("show", county.member) == before
    assert county.status()["repairs"][0]["how"] == 4
    city.stop()
    city.run("rebuild")
    city.start()
    county.sync()
    assert all(s["differs_since"] is None for s in county.status()["streams"])


def test_wrong_rows_among_many(city, make_county, tmp_path):
    """Told part by part; only what differs is repaired."""
    county = settled(city, make_county)
    sheet = tmp_path / "opinions.csv"
    with open(SAMPLE, encoding="utf-8-sig") as f:
        head, *rows = f.read().splitlines()
    sheet.write_text("\n".join([head, *rows, *rows, *rows]) + "\n", encoding="utf-8")
    studio = county.json("ls", "studio")[0]["id"]
    county.run("import", "opinion", sheet, "--set", f"studio_id={studio}", "--set", f"receiver={county.member}")
    county.sync()
    before = county.json("ls", "opinion")
    assert len(before) > 700
    ids = [bytes.fromhex(row["id"].replace("-", "")) for row in sorted(before, key=lambda row: row["id"])]
    for at in (3, 400):
        spoil(county, "UPDATE opinion SET title = title || '改' WHERE rid = ?1", ids[at])
    spoil(county, "DELETE FROM opinion WHERE rid = ?1", ids[-2])
    assert sorted(r["how"] for r in repair(county, 3)) == [1, 1, 2]
    assert county.json("ls", "opinion") == before
