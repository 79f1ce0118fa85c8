"""Records of old count nowhere until 学联委 has confirmed their file, once and by one entry."""
import csv

import pytest

N = 60
OPINION = ["--set", "studio_id=鹿峰工作室", "--set", "receiver=李建国", "--set", "channel=duty",
           "--set", "category=social", "--set", "state=handled", "--historic"]


@pytest.fixture
def office(city, make_county):
    city.run("user", "add", "xue", "--role", "liaison")
    city.run("user", "add", "ban", "--role", "office")
    county = make_county("gy").enrol(city, 431021)
    county.sync()
    county.settle()
    county.sync()
    return county


def sheet_of(path, name, n=N):
    with open(path / name, "w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["事由", "反映内容", "收集时间", "匿名", "办理结果", "办结日期"])
        rows.writerows([f"{name}第{i}件", "内容", "2020-01-05 09:00", "是", "已办", "2020-01-06"] for i in range(n))
    return path / name


def said(side, kind="opinion"):
    return [r.get("historic") for r in side.json("ls", kind)]


def total(side):
    return side.run("ls", "opinion").stdout.splitlines()[-1]


def site_seq(city):
    return next(s["seq"] for s in city.json("status")["streams"] if s["name"] == "431021")


def confirm(city, file, *more, user="xue", expect=0):
    return city.run("historic", "confirm", file, "--as", user, *more, expect=expect)


def file_of(city, name):
    found = city.json("historic", "list", "--where", f"file_name={name}")
    assert len(found) == 1
    return found[0]


def test_one_entry_confirms_a_file(city, office, tmp_path):
    done = office.run("import", "opinion", sheet_of(tmp_path, "甲.csv"), *OPINION)
    assert "，待学联委确认" in done.stdout
    second = office.json("import", "opinion", sheet_of(tmp_path, "乙.csv", 2), *OPINION)["historic_file"]
    office.add("opinion", "title=今天的事", "content=内容", "received_at=2026-03-05 09:00", "anonymous=1",
               "studio_id=鹿峰工作室", "receiver=李建国", "channel=duty", "category=social")
    assert total(office) == f"共 1 条社情民意收集和办理反馈台账，另有未确认的历史补录 {N + 2} 条"
    office.sync()
    for side in (city, office):
        assert said(side) == ["unconfirmed"] * (N + 2) + [None]
        assert total(side).endswith(f"另有未确认的历史补录 {N + 2} 条")
        assert side.run("ls", "opinion").stdout.count("（补录未确认）") == N + 2
    first = file_of(city, "甲.csv")
    assert (first["state"], first["fields"]["row_count"], first["fields"]["target_kind"]) == ("unconfirmed", N, "opinion")
    assert first["serial"] in city.run("historic", "list").stdout

    assert confirm(city, first["serial"], user="ban", expect=1).stderr.startswith("ZT-ROLE")
    before = site_seq(city)
    confirm(city, first["serial"], "--note", "与纸质台账一致")
    assert site_seq(city) == before + 1
    assert confirm(city, first["serial"], expect=1).stderr.startswith("ZT-STATE")
    office.sync()
    for side in (city, office):
        assert said(side) == ["confirmed"] * N + ["unconfirmed"] * 2 + [None]
        assert total(side) == f"共 {N + 1} 条社情民意收集和办理反馈台账，另有未确认的历史补录 2 条"
        record = side.json("ls", "opinion")[0]["id"]
        assert "补录确认：" in side.run("show", record).stdout and "已确认\n" in side.run("show", record).stdout
        assert side.json("log", first["id"])[-1]["action"] == "确认补录"
    report = tmp_path / "report.csv"
    office.run("export", "opinion", report, "--report")
    assert f"{N + 1} 条，另有未确认的历史补录 2 条" in report.read_text(encoding="utf-8-sig").splitlines()[-1]

    confirm(city, second)
    office.sync()
    assert total(office) == total(city) == f"共 {N + 3} 条社情民意收集和办理反馈台账"
    assert office.run("set", first["id"], "row_count=1", expect=1).stderr.startswith("ZT-STATE")
    for side in (city, office):
        listed = side.json("ls", "opinion")
        side.run("rebuild")
        side.run("verify")
        assert side.json("ls", "opinion") == listed


def test_a_refused_sheet_leaves_no_file(city, office, tmp_path):
    before = len(office.json("ls", "historic_file"))
    bad = sheet_of(tmp_path, "坏.csv", 3)
    bad.write_text(bad.read_text(encoding="utf-8").replace("2020-01-05 09:00", "不是时间", 1), encoding="utf-8")
    office.run("import", "opinion", bad, *OPINION, expect=1)
    office.run("import", "opinion", sheet_of(tmp_path, "好.csv", 3), *OPINION, "--dry-run")
    out = tmp_path / "out.csv"
    office.run("export", "studio", out)
    again = office.json("import", "studio", out, "--historic")  # nothing new: nothing to confirm
    assert (again["added"], again["historic_file"]) == (0, None)
    assert len(office.json("ls", "historic_file")) == before
    assert said(office, "studio") == ["unconfirmed"]
    office.sync()
    confirm(city, file_of(city, "gy-studio.csv")["id"])
    assert said(city, "studio") == ["confirmed"]
