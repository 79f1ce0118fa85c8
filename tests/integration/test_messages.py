"""The real input: citizens' messages go in at one computer and come out, to the byte, at another."""
import os
import pathlib
import re

import pytest

from conftest import ROOT, wait_until

openpyxl = pytest.importorskip("openpyxl")

SHEET = pathlib.Path(os.environ.get("ZTC_MESSAGES", ROOT.parent / "shared" / "data" / "messages.xlsx"))
COLUMNS = {"留言编号": "", "留言用户": "", "留言主题": "title", "留言时间": "received_at", "留言详情": "content",
           "答复意见": "result", "答复时间": "handled_on"}
CONSTANTS = ["channel=cppcc_cloud", "receiver=李建国", "studio_id=鹿峰工作室", "category=social", "anonymous=是",
             "state=handled"]

pytestmark = pytest.mark.skipif(not SHEET.exists(), reason=f"no {SHEET}; ZTC_MESSAGES names another place")


def two(numbers):
    return "-".join(f"{int(n):02}" for n in numbers)


def as_date(value):
    """2019/4/25 of a text or of a real date; four digits are long enough for a year."""
    return value.strftime("%Y-%m-%d") if hasattr(value, "strftime") else two(value.split()[0].split("/"))


def as_time(value):
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%dT%H:%M:%S+08:00")
    clock = value.split()[1].split(":")
    return f"{as_date(value)}T{two(clock).replace('-', ':')}+08:00"


def as_text(value):
    """What a cell says, by the rules of an import: line ends are LF, blanks at both ends go."""
    text = str(value).replace("_x000D_", "\r").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"\A[\s\u200b\ufeff]+|[\s\u200b\ufeff]+\Z", "", text)


def messages():
    rows = openpyxl.load_workbook(SHEET, read_only=True).worksheets[0].values
    names = next(rows)
    for row in rows:
        cell = dict(zip(names, row))
        yield (as_text(cell["留言主题"]), as_text(cell["留言详情"]), as_text(cell["答复意见"]),
               as_time(cell["留言时间"]), as_date(cell["答复时间"]))


def told(opinions):
    return sorted(tuple(o["fields"][f] for f in ("title", "content", "result", "received_at", "handled_on"))
                  for o in opinions)


def exports(county):
    made = []
    for form in ("xlsx", "csv"):
        path = county.dir.parent / f"{county.dir.name}-out.{form}"
        path.unlink(missing_ok=True)
        county.run("export", "opinion", path)
        made.append(path.read_bytes())
    return made


def everything(side):
    return {kind: side.json("ls", kind) for kind in ("opinion", "member", "studio")}


def what_the_city_heard(city, replica):
    known = [r for r in city.json("status")["replicas"] if r["id"] == replica]
    said = known[0]["said"]
    return known[0]["accepted_n"], said["n"], said["waiting"]


def check_upkeep_changes_nothing(side):
    before = everything(side)
    side.run("verify")
    side.run("rebuild")
    side.run("verify")
    assert everything(side) == before


def import_all(county):
    words = [w for column, field in COLUMNS.items() for w in ("--map", f"{column}={field}")]
    words += [w for constant in CONSTANTS for w in ("--set", constant)]
    county.run("import", "opinion", SHEET, "--historic", "--dry-run", *words)
    assert county.json("ls", "opinion") == []
    county.run("import", "opinion", SHEET, "--historic", *words)


def test_every_message_arrives_unharmed(city, make_county):
    first = make_county("first").enrol(city, 431021)
    first.sync()
    first.settle()
    import_all(first)
    sheet = sorted(messages())
    assert len(sheet) == 2816
    assert told(first.json("ls", "opinion")) == sheet
    made = 2816 + 4 + 2  # member and studio and its file, the messages and theirs
    assert first.status()["pending"] == made
    assert first.sync().stdout == "已全部上传\n"

    second = make_county("second").enrol(city, 431021)
    second.sync()
    status = first.status()
    assert (status["local_n"], status["acked_n"], status["pending"], status["refused"]) == (made, made, 0, 0)
    assert f"已全部上传（本机 {made}，市级已答复 {made}）" in first.run("status").stdout
    assert wait_until(lambda: what_the_city_heard(city, status["replica"]) == (made, made, 0))

    assert "另有未确认的历史补录 2816 条" in city.run("ls", "opinion", "--limit", "1").stdout
    city.run("user", "add", "xue", "--role", "liaison")
    file = city.json("historic", "list", "--where", "target_kind=opinion")[0]
    before = [s["seq"] for s in city.json("status")["streams"]]
    city.run("historic", "confirm", file["id"], "--as", "xue")
    assert sum(s["seq"] for s in city.json("status")["streams"]) == sum(before) + 1
    for side in (first, second):
        side.sync()

    arrived = city.json("ls", "opinion")
    assert told(arrived) == sheet
    assert [o["id"] for o in arrived] == [o["id"] for o in first.json("ls", "opinion")]
    assert everything(first) == everything(second)
    assert exports(first) == exports(second)
    same = exports(first)
    for side in (city, first, second):
        check_upkeep_changes_nothing(side)
    assert exports(first) == same and exports(second) == same
