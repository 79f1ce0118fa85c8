"""What the city refused stays in sight until a person is through with it, and in the file for ever."""
from conftest import MEMBER


def refused_void(city, make_county):
    """Two computers void one member; the second is refused."""
    a, b = make_county("a").enrol(city, 431021), make_county("b").enrol(city, 431021)
    a.sync()
    member = a.add("member", "name=甲乙", *MEMBER)
    a.sync()
    b.sync()
    a.run("do", "作废", member, "void_reason=重复登记")
    b.run("do", "作废", member, "void_reason=录错了人")
    a.sync()
    assert b.sync(expect=1).stderr.startswith("ZT-WAITING ")
    return b, member


def test_a_refusal_is_closed_by_a_person(city, make_county):
    county, member = refused_void(city, make_county)
    shown = county.run("refused").stdout
    assert "作废 政协委员" in shown and county.json("show", member)["serial"] in shown and "录错了人" in shown
    row, = county.json("refused")
    assert row["done_at"] is None and row["changes"][0]["record"] == member
    assert row["changes"][0]["fields"]["void_reason"] == "录错了人"
    number = str(row["first_n"])
    assert county.run("refused", "--done", "9999", expect=1).stderr.startswith("ZT-NOT-FOUND ")
    assert county.run("refused", "--done", "0", expect=2).stderr.startswith("ZT-USAGE ")
    county.run("refused", "--done", number)
    assert county.run("refused").stdout == "没有未接受的更改\n"
    assert county.status()["refused"] == 0 and "已全部上传" in county.run("status").stdout
    county.sync()
    assert county.run("refused", "--done", number, expect=1).stderr.startswith("ZT-NOT-FOUND ")
    kept, = county.json("refused", "--all")
    assert kept["done_by"] == "clerk" and kept["done_at"]
    assert "已了结（clerk，" in county.run("refused", "--all").stdout
    county.run("rebuild")
    county.run("verify")
    assert county.json("refused", "--all") == [kept]
