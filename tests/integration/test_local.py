"""The county's commands on one computer, without a network: what is typed, imported and exported."""
import csv
import io
import json
import os
import pathlib
import subprocess
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))
ZTC = pathlib.Path(os.environ.get("ZTC", BUILD / "client" / "ztc"))
MAKE_REPLICA = BUILD / "tests" / "lib" / "make_replica"

MEMBER = ["gender=男", "level=county", "sector_id=经济", "unit_title=某公司经理", "expertise=经济管理",
          "phone=13812345678", "term_id=政协郴州市第五届委员会", "party=中共党员"]
STUDIO = {"工作室名称": "鹿峰工作室", "层级": "县级", "类别": "委员个人", "特色": "界别特色", "界别": "经济",
          "地址": "鹿峰路1号", "负责人": "李建国", "对口委室": "提案委", "公开电话": "0735-4431234",
          "管理主体": "桂阳县政协", "接待时间": "每周一", "批准日期": "2024-5-1", "批准会议": "主席会议",
          "所属届次": "政协郴州市第五届委员会"}
OPINION = ["--set", "studio_id=鹿峰工作室", "--set", "receiver=李建国", "--set", "channel=duty",
           "--set", "category=social"]


class Office:
    """A county's directory and the command that works on it."""

    def __init__(self, path):
        self.dir = path
        subprocess.run([MAKE_REPLICA, path, "431021"], check=True)

    def run(self, *words, expect=0, stdin=None):
        done = subprocess.run([ZTC, "--dir", self.dir, *words], capture_output=True, text=True,
                              input=stdin, check=False)
        assert done.returncode == expect, (words, done.stdout, done.stderr)
        assert "Sanitizer" not in done.stderr
        return done

    def json(self, *words, expect=0):
        return json.loads(self.run(*words, "--json", expect=expect).stdout)

    def add(self, *words):
        return self.run("add", *words, "--quiet").stdout.strip()


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def opinions(n):
    return [{"事由": f"第{i}件事", "反映内容": f"内容{i}\n第二行，“引号”与\"引号\"", "收集时间": f"2025/3/{i % 28 + 1} 9:30",
             "反映人": f"来访人{i}", "匿名": "否", "办理结果": "已办" if i % 2 else "正在办，已说明",
             "办结日期": "2025-04-01"} for i in range(1, n + 1)]


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path / "office")


@pytest.fixture
def studio(office, tmp_path):
    """An office with one member and one studio, which entered as records of old."""
    office.add("member", "name=李建国", *MEMBER)
    office.run("import", "studio", write_csv(tmp_path / "studio.csv", [STUDIO]), "--historic",
               "--set", "state=operating")
    return office


def test_misuse_is_one_line_and_status_2(office):
    for words in ([], ["nothing"], ["ls"], ["ls", "nothing"], ["ls", "opinion", "--wrong"],
                  ["ls", "opinion", "--where", "nothing=1"], ["add", "member", "nothing=1"],
                  ["import", "opinion"], ["log"], ["resolve", "x"], ["add", "member", "name"]):
        done = office.run(*words, expect=2)
        assert done.stderr.startswith("ZT-USAGE ") and done.stderr.count("\n") == 1, words
        assert done.stdout == ""
    assert office.json("nothing", expect=2)["code"] == "ZT-USAGE"


def test_help_and_version_need_no_directory(tmp_path):
    env = {**os.environ, "ZTC_DIR": str(tmp_path / "none")}
    helped = subprocess.run([ZTC, "--help"], capture_output=True, text=True, env=env, check=True)
    names = [line.split()[0] for line in helped.stdout.split("命令：\n")[1].splitlines()
             if line.startswith("  ")]
    assert {"ls", "user", "bundle"} <= set(names)
    for name in names:
        if not name.startswith("-"):
            one = subprocess.run([ZTC, name, "--help"], capture_output=True, text=True, env=env, check=True)
            assert f"用法：ztc {name}" in one.stdout
    assert subprocess.run([ZTC, "--version"], capture_output=True, text=True, env=env,
                          check=True).stdout.startswith("ztc ")
    none = subprocess.run([ZTC, "status"], capture_output=True, text=True, env=env, check=False)
    assert none.returncode == 1 and none.stderr.startswith("ZT-NOT-FOUND ")


def test_add_set_do_show(studio, tmp_path):
    (tmp_path / "content.txt").write_text("路灯不亮。\n已经三天。\n", encoding="utf-8")
    done = studio.run("add", "opinion", "title=路灯", f"content=@{tmp_path}/content.txt",
                      "channel=值班接待", "receiver=李建国", "received_at=2026-03-05 9:30",
                      "studio_id=鹿峰工作室", "category=社会建设", "person_name=张三")
    record, serial = done.stdout.split()
    assert serial.startswith("GY-MY-")
    shown = studio.json("show", serial)
    assert shown["id"] == record and shown["state"] == "collected" and shown["pending"]
    assert shown["fields"]["content"] == "路灯不亮。\n已经三天。"
    assert shown["fields"]["received_at"] == "2026-03-05T09:30:00+08:00"
    assert "张三" not in json.dumps(shown, ensure_ascii=False)
    assert studio.run("set", record[:30], "title=路灯坏了", "--quiet").stdout.strip() == record
    assert studio.json("show", record)["fields"]["title"] == "路灯坏了"
    studio.run("do", "核实", serial)
    log = studio.json("log", serial)
    assert [(e["seq"], e["action"], e["user"]) for e in log] == [
        (None, "新建", "clerk"), (None, "修改", "clerk"), (None, "核实", "clerk")]
    assert log[1]["fields"] == {"title": "路灯坏了"} and log[1]["verdict"] is None
    assert studio.json("show", serial)["state"] == "verifying"
    assert studio.run("do", "closed", serial, expect=1).stderr.startswith("ZT-STATE ")
    assert studio.json("ls", "opinion", "--where", "state=verifying", "--where",
                       "title=路灯坏了")[0]["serial"] == serial
    assert studio.json("ls", "opinion", "--where", "title=路灯") == []
    assert "路灯坏了" in studio.run("ls", "opinion").stdout
    studio.run("do", "作废", serial, expect=1)
    studio.run("do", "作废", serial, "void_reason=重复登记")
    assert studio.json("show", serial)["voided"]


def test_several_accounts_need_as(studio):
    studio.run("user", "add", "wang", "name=王芳", "--role", "县级经办员")
    assert [u["fields"]["login"] for u in studio.json("user", "list")] == ["clerk", "wang"]
    done = studio.run("add", "member", "name=赵六", *MEMBER, expect=2)
    assert "clerk" in done.stderr and "wang" in done.stderr
    studio.run("add", "member", "name=赵六", *MEMBER, "--as", "wang")
    studio.run("user", "add", "li", "role=county_clerk", "--as", "wang", expect=1)
    studio.run("add", "member", "name=钱七", *MEMBER, "--as", "nobody", expect=1)


def test_import_names_the_columns_it_did_not_know(studio, tmp_path):
    rows = [dict(row, 题目="", 备注2="") for row in opinions(2)]
    for row in rows:
        row["题目"] = row.pop("事由")
    words = ["import", "opinion", write_csv(tmp_path / "s.csv", rows), *OPINION, "--historic", "--set", "state=handled"]
    failed = studio.run(*words, expect=1)
    assert failed.stderr.startswith("未识别的列（没有取用）：题目、备注2；用 --map ")
    assert studio.json(*words, expect=1)["ignored"] == "题目、备注2"
    done = studio.run(*words, "--map", "题目=事由").stdout
    assert "已导入 2 行" in done and "未识别的列（没有取用）：备注2；" in done
    again = studio.run(*words, "--map", "题目=事由", "--map", "备注2=", "--dry-run")
    assert "未识别" not in again.stdout + again.stderr


def test_import_is_all_or_nothing_and_lists_every_problem(studio, tmp_path):
    rows = opinions(20)
    rows[4]["收集时间"] = "不是时间"
    rows[9]["事由"] = "长" * 61
    rows[9]["反映内容"] = ""
    sheet = write_csv(tmp_path / "bad.csv", rows)
    failed = studio.json("import", "opinion", sheet, *OPINION, "--historic", "--set",
                         "state=handled", expect=1)
    assert failed["code"] == "ZT-INVALID"
    assert [(p["row"], p["column"]) for p in failed["problems"]][:2] == [(6, "收集时间"), (11, "事由")]
    assert studio.json("ls", "opinion") == []
    people = studio.run("import", "opinion", sheet, *OPINION, "--historic", "--set",
                        "state=handled", expect=1)
    assert "第6行 收集时间 " in people.stdout
    assert studio.json("status")["local_n"] == 4  # member, studio, and the studio's file twice


def test_dry_run_writes_nothing(studio, tmp_path):
    sheet = write_csv(tmp_path / "good.csv", opinions(5))
    done = studio.json("import", "opinion", sheet, *OPINION, "--dry-run")
    assert (done["added"], done["dry_run"]) == (5, True)
    assert studio.json("ls", "opinion") == []


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_export_and_import_again(studio, tmp_path, suffix):
    studio.run("import", "opinion", write_csv(tmp_path / "good.csv", opinions(30)), *OPINION,
               "--historic", "--set", "state=handled")
    first = tmp_path / f"first.{suffix}"
    studio.run("export", "opinion", first)
    again = studio.json("import", "opinion", first)
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 30)
    studio.run("rebuild")
    second = tmp_path / f"second.{suffix}"
    studio.run("export", "opinion", second)
    assert first.read_bytes() == second.read_bytes()
    studio.run("verify")
    texts = [o["fields"]["title"] for o in studio.json("ls", "opinion")]
    assert texts == [f"第{i}件事" for i in range(1, 31)]  # in the order of the sheet


def test_a_corrected_sheet_changes_only_what_differs(studio, tmp_path):
    studio.run("import", "opinion", write_csv(tmp_path / "good.csv", opinions(3)), *OPINION,
               "--historic", "--set", "state=handled")
    before = studio.json("status")["local_n"]
    out = tmp_path / "out.csv"
    studio.run("export", "opinion", out)
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8-sig"))))
    rows[1]["事由"] = "改过的事由"
    done = studio.json("import", "opinion", write_csv(out, rows))
    assert (done["changed"], done["unchanged"]) == (1, 2)
    assert studio.json("status")["local_n"] == before + 1
    assert studio.json("ls", "opinion")[1]["fields"]["title"] == "改过的事由"


def test_report_has_title_and_totals(studio, tmp_path):
    studio.run("import", "opinion", write_csv(tmp_path / "good.csv", opinions(3)), *OPINION)
    report = tmp_path / "report.xlsx"
    studio.run("export", "opinion", report, "--report")
    with zipfile.ZipFile(report) as z:
        text = "".join(z.read(n).decode() for n in z.namelist() if n.endswith(".xml"))
    for word in ("填报单位", "桂阳县政协", "导出时间", "合计", "3 条"):
        assert word in text
    assert studio.json("import", "opinion", report)["unchanged"] == 3


def test_status_has_the_promised_shape(studio):
    status = studio.json("status")
    assert set(status) >= {"site", "replica", "state", "cause", "since", "local_n", "acked_n",
                           "pending", "refused", "conflicts", "streams"}  # others came later
    assert status["site"] == "431021" and status["pending"] == status["local_n"] == 4
    assert {s["name"] for s in status["streams"]} == {"shared", "431021"}
    for stream in status["streams"]:
        assert set(stream) >= {"name", "cursor", "head", "hash"}
        assert stream["cursor"] == stream["head"] and len(bytes.fromhex(stream["hash"])) == 32


def test_log_raw_is_the_chain(office):
    entries = office.json("log", "--stream", "shared", "--raw")
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    stream = next(s for s in office.json("status")["streams"] if s["name"] == "shared")
    assert entries[-1]["hash"] == stream["hash"]
    lines = office.run("log", "--stream", "shared", "--raw").stdout.splitlines()
    assert lines[0].split("\t") == [str(entries[0][k]) for k in
                                    ("seq", "received_at", "verdict", "bytes", "hash")]
    site = office.json("ls", "site")[0]["id"]
    assert office.json("log", site)[0]["action"] == "新建"


def test_nothing_to_decide(office):
    assert office.json("conflicts") == []
    assert office.json("refused") == []
    assert office.run("conflicts").stdout == "没有未处理的冲突\n"
