"""`ztc receipt`: the proof that the city keeps a record, made at the county and checked without the city."""
from test_snapshot import opinions


def test_receipt(city, make_county, tmp_path):
    county = make_county("a").enrol(city, 431021)
    county.sync()
    county.settle()
    member = county.add("member", "name=王芳", "gender=女", "level=county", "sector_id=经济",
                        "unit_title=某公司", "expertise=经济", "phone=13812345678",
                        "term_id=政协郴州市第五届委员会", "party=中共党员", "status=active")

    # Nothing is proved of what the city has not got.
    assert "ZT-WAITING" in county.run("receipt", member, expect=1).stderr
    county.sync()
    city.stop()

    proof = tmp_path / "proof.ztcr"
    said = county.json("receipt", member, "--out", str(proof))
    assert said["id"] == member and said["stream"] == "431021"
    entries = county.json("log", member)
    assert said["seq"] == entries[-1]["seq"] and said["hash"] == entries[-1]["hash"]
    assert county.json("receipt", "--check", str(proof)) == said
    assert "验证通过" in county.run("receipt", "--check", str(proof)).stdout
    assert "13812345678".encode() not in proof.read_bytes()

    # An existing file is not overwritten; a changed one proves nothing.
    assert "ZT-EXISTS" in county.run("receipt", member, "--out", str(proof), expect=1).stderr
    bad = bytearray(proof.read_bytes())
    bad[-40] ^= 1
    (tmp_path / "bad.ztcr").write_bytes(bad)
    county.run("receipt", "--check", str(tmp_path / "bad.ztcr"), expect=1)
    (tmp_path / "empty").write_bytes(b"")
    assert "ZT-MALFORMED" in county.run("receipt", "--check", str(tmp_path / "empty"), expect=1).stderr
    county.run("receipt", expect=2)


def test_a_receipt_does_not_grow_with_the_ledger(city, make_county, tmp_path):
    """A signed head of every 4,096 places is kept: behind it nothing is needed to prove an old record."""
    county = make_county("a").enrol(city, 431021)
    county.sync()
    member = county.settle()
    proofs = []
    for i in range(2):
        opinions(county, 5000, first=5000 * i)
        county.sync()
        proofs.append(tmp_path / f"{i}.ztcr")
        county.run("receipt", member, "--out", proofs[i])
        assert county.json("receipt", "--check", proofs[i])["id"] == member
    assert proofs[0].read_bytes() == proofs[1].read_bytes()
