"""What the city sets is judged by at the county that it is for, offline too, and nowhere else."""
import csv

import pytest

DRAFT = ["form=micro_suggestion", "title=增设路灯", "category=社会建设", "situation=路灯坏了。",
         "suggestion=修好它。", "urgency=normal", "no_secret=1", "lead_member=李建国"]
OPINION = ["--set", "studio_id=鹿峰工作室", "--set", "receiver=李建国", "--set", "channel=duty",
           "--set", "category=social", "--set", "state=handled"]


@pytest.fixture
def world(city, make_county):
    city.run("user", "add", "xue", "--role", "liaison")
    city.run("user", "add", "ban", "--role", "office")
    gy = make_county("gy").enrol(city, 431021)
    zx = make_county("zx").enrol(city, 431081)
    for county in (gy, zx):
        county.sync()
        county.settle()
        county.sync()
    return city, gy, zx


def put(city, *words, expect=0):
    return city.run("setting", "set", *words, "--as", "xue", "--quiet", expect=expect).stdout.strip()


def in_force(side, name, *more):
    words = ["setting", "list", *more] if hasattr(side, "daemon") else ["settings"]
    return [(s["value"], s["text"], s["from"], s["site"]) for s in side.json(*words) if s["name"] == name]


def test_review_is_switched_off_for_one_county(world):
    city, gy, zx = world
    drafts = {c: c.add("submission", "studio_id=鹿峰工作室", *DRAFT) for c in (gy, zx)}
    for county, record in drafts.items():
        assert "须先经县级审核" in county.run("do", "直接上报", record, expect=1).stderr
    setting = put(city, "county_review=否", "--site", "431021", "--note", "试点县")
    for county in (gy, zx):
        county.sync()
    city.stop()  # offline
    gy.run("do", "直接上报", drafts[gy])
    assert "须先经县级审核" in zx.run("do", "直接上报", drafts[zx], expect=1).stderr
    city.start()
    gy.sync()
    assert city.json("show", drafts[gy])["state"] == "submitted"
    assert in_force(gy, "county_review") == [(0, "否", "site", "431021")]
    assert in_force(zx, "county_review") == [(1, "是", "preset", None)]
    assert in_force(city, "county_review") == [(1, "是", "preset", None), (0, "否", "site", "431021")]
    assert in_force(city, "county_review", "--site", "431021") == [(0, "否", "site", "431021")]

    assert put(city, "县级审核(一级审核)=是", "--site", "431021") == setting  # the same record
    assert [e["user"] for e in city.json("log", setting)] == ["xue", "xue"]
    gy.sync()
    assert city.json("show", drafts[gy])["state"] == "submitted"  # what was judged stays
    again = gy.add("submission", "studio_id=鹿峰工作室", *DRAFT)
    gy.run("do", "直接上报", again, expect=1)
    for side in (city, gy, zx):
        before = side.json("ls", "setting")
        side.run("rebuild")
        side.run("verify")
        assert side.json("ls", "setting") == before and len(before) == 1


def test_history_is_dated_before_the_go_live_day(world, tmp_path):
    city, gy, zx = world
    sheet = tmp_path / "old.csv"
    with open(sheet, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["事由", "反映内容", "收集时间", "匿名", "办理结果", "办结日期"],
                                   ["旧事", "内容", "2026-01-05 09:00", "是", "已办", "2026-01-06"]])
    words = ["import", "opinion", sheet, *OPINION, "--historic"]
    assert gy.json(*words, "--dry-run")["added"] == 1
    put(city, "go_live=2026-1-5")
    put(city, "go_live=20260201", "--site", "431081")
    assert in_force(city, "go_live") == [(20260105, "2026-01-05", "general", None),
                                         (20260201, "2026-02-01", "site", "431081")]
    assert gy.json(*words, "--dry-run")["added"] == 1  # it has not heard of it
    for county in (gy, zx):
        county.sync()
    assert "启用日期" in gy.run(*words, expect=1).stdout
    assert zx.json(*words)["added"] == 1
    assert "2026-02-01" in zx.run("settings").stdout


def test_who_may_set_what(world):
    city, gy, _ = world
    for wrong in (["no_such=1"], ["county_review=2"], ["go_live=20260231"], ["sign_days=-1"], ["sign_days=两天"],
                  ["sign_days=5", "--site", "439999"]):
        city.run("setting", "set", *wrong, "--as", "xue", expect=None)
    assert city.json("ls", "setting") == []
    assert city.run("setting", "set", "sign_days=5", "--as", "ban", expect=1).stderr.startswith("ZT-ROLE")
    assert city.run("setting", "set", "no_such=1", "--as", "xue", expect=2).stderr.startswith("ZT-USAGE")
    first = put(city, "sign_days=5")
    city.run("add", "setting", "name=sign_days", "value=6", "--as", "xue", expect=1)
    assert gy.run("add", "setting", "name=sign_days", "value=6", expect=1).stderr.startswith("ZT-")
    city.run("do", "作废", first, "void_reason=恢复预设", "--as", "xue")
    assert in_force(city, "sign_days") == [(3, "3 工作日", "preset", None)]
    assert put(city, "sign_days=4") != first
