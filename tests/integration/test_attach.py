"""Attachments: files with records, up in chunks, verified before they count, down to who may read them."""
import contextlib
import json
import random
import sqlite3

from conftest import wait_until
from test_forms import DUE, TODAY, World

CHUNK = 256 * 1024


def pdf(path, size, seed=1):
    path.write_bytes(b"%PDF-1.7\n" + random.Random(seed).randbytes(size - 9))
    return path


def pair(city, make_county, site=431021):
    both = make_county("a").enrol(city, site), make_county("b").enrol(city, site)
    for county in both:
        county.sync()
    return both


def opinion(county):
    county.settle()
    return county.add("opinion", "studio_id=鹿峰工作室", "channel=cppcc_cloud", "received_at=2026-03-05", "receiver=李建国",
                      "title=路灯", "content=坏了", "category=social", "anonymous=是")


def states(side, record):
    return [a["state"] for a in side.json("show", record).get("attachments", [])]


def claimed(county, record, file):
    """An attachment of whose bytes its computer knows nothing, as one whose disk went back may have it."""
    attachment = county.run("attach", record, file, "--quiet").stdout.strip()
    with contextlib.closing(sqlite3.connect(county.dir / "replica.db", isolation_level=None)) as db:
        assert db.execute("DELETE FROM blob WHERE hex(attachment) = ?",
                          (attachment.replace("-", "").upper(),)).rowcount == 1
    for whole in (county.dir / "blobs").glob("??/*"):
        whole.unlink()
    return attachment


def part_size(city):
    return sum(p.stat().st_size for p in (city.dir / "blobs" / "part").glob("4*"))


def test_three_files_up_and_down(city, make_county, tmp_path):
    a, b = pair(city, make_county)
    record = opinion(a)
    files = [pdf(tmp_path / f"扫描{i}.pdf", size, i) for i, size in enumerate((1000, CHUNK, 3 * CHUNK + 5))]
    ids = a.run("attach", record, *files, "--quiet").stdout.split()
    assert states(a, record) == ["pending"] * 3
    assert "附件 3 个，3 个待上传" in a.run("show", record).stdout
    assert a.status()["blobs_pending"] == 3
    a.sync()
    assert states(a, record) == ["uploaded"] * 3 == states(city, record)
    assert a.status()["blobs_pending"] == 0 and city.json("status")["blobs_pending"] == 0
    b.sync()
    assert states(b, record) == ["elsewhere"] * 3
    for side in (b, city):
        for file, attachment in zip(files, ids):
            side.run("fetch", attachment, "--out", tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == file.read_bytes()
    assert states(b, record) == ["here"] * 3
    for side in (a, b, city):
        side.run("verify")


def test_a_hash_alone_fetches_nothing(city, make_county, tmp_path):
    a, _ = pair(city, make_county)
    other = make_county("other").enrol(city, 431081)
    other.sync()
    file = pdf(tmp_path / "机密.pdf", 5000)
    attachment = a.run("attach", opinion(a), file, "--quiet").stdout.strip()
    a.sync()
    assert other.run("fetch", attachment, expect=1).stderr.startswith("ZT-NOT-FOUND ")
    # A record that names the hash, made without the bytes.
    record = opinion(other)
    claim = claimed(other, record, file)
    other.sync()
    assert other.run("fetch", claim, expect=1).stderr.startswith("ZT-BLOB-WAIT ")
    assert states(city, record) == ["pending"]
    assert city.run("fetch", claim, expect=1).stderr.startswith("ZT-BLOB-WAIT ")
    # With the bytes it is another matter: they are kept once, and count for this county from now on.
    again = other.run("attach", record, file, "--quiet").stdout.strip()
    other.sync()
    assert states(city, record) == ["uploaded", "uploaded"]
    city.run("fetch", again, "--out", tmp_path / "out")
    assert len([p for p in (city.dir / "blobs").glob("??/*")]) == 1


def test_what_is_refused_at_once(city, make_county, tmp_path):
    a, _ = pair(city, make_county)
    record = opinion(a)
    big = pdf(tmp_path / "big.pdf", 20 * 1024 * 1024 + 1)
    assert a.run("attach", record, big, expect=1).stderr.startswith("ZT-TOO-BIG ")
    program = tmp_path / "工具.pdf"
    program.write_bytes(b"MZ\x90\0")
    assert "类型" in a.run("attach", record, program, expect=1).stderr
    assert "附件" not in a.run("show", record).stdout
    assert a.json("ls", "attachment") == []
    named = tmp_path / "a\u202egpj.exe"
    named.write_bytes(b"\xff\xd8\xff\xe0 picture")
    assert a.json("attach", record, named)[0]["file_name"] == "agpj.exe.jpg"


def test_a_record_of_a_file_alone_is_not_made(city, make_county, tmp_path):
    """Nobody could ever bring its bytes: the city would wait for them for ever, and the county know of nothing."""
    a, _ = pair(city, make_county)
    record = opinion(a)
    fields = {"target_kind": "opinion", "target_id": record, "file_name": "x.pdf", "mime": "application/pdf",
              "size": "5000", "hash": "1" * 64}
    refused = a.run("add", "attachment", *(f"{k}={v}" for k, v in fields.items()), expect=2).stderr
    assert refused.startswith("ZT-USAGE ") and "ztc attach" in refused
    sheet = tmp_path / "附件.csv"
    sheet.write_text(",".join(fields) + "\n" + ",".join(fields.values()) + "\n", encoding="utf-8")
    assert a.run("import", "attachment", sheet, expect=2).stderr.startswith("ZT-USAGE ")
    assert a.json("ls", "attachment") == []


def test_killed_in_mid_upload_it_goes_on(city, make_county, tmp_path):
    a, b = pair(city, make_county)
    record = opinion(a)
    a.sync()
    file = pdf(tmp_path / "大.pdf", 20 * 1024 * 1024)
    attachment = a.run("attach", record, file, "--quiet").stdout.strip()
    a.start()
    assert wait_until(lambda: part_size(city) > 0 or states(city, record) == ["uploaded"])
    a.agent.kill()
    a.agent = None
    assert states(city, record) == ["pending"]
    assert wait_until(lambda: city.json("status")["serving"] == 0)
    had = part_size(city)
    assert had > 0
    a.start()
    assert wait_until(lambda: states(city, record) == ["uploaded"])
    assert wait_until(lambda: a.status()["blob_bytes"] == file.stat().st_size - had), (a.status(), had)
    assert wait_until(lambda: states(a, record) == ["uploaded"])
    b.start()
    assert wait_until(lambda: b.run("show", attachment, expect=None).returncode == 0)
    b.run("fetch", attachment, "--out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == file.read_bytes()
    assert part_size(city) == 0


def test_the_city_is_killed_in_mid_upload(city, make_county, tmp_path):
    a, _ = pair(city, make_county)
    record = opinion(a)
    a.sync()
    file = pdf(tmp_path / "大.pdf", 20 * 1024 * 1024)
    a.run("attach", record, file)
    a.start()
    assert wait_until(lambda: part_size(city) > 0)
    city.daemon.kill()
    city.daemon = None
    city.start()
    a.sync()
    assert states(city, record) == ["uploaded"]
    city.run("fetch", city.json("ls", "attachment")[0]["id"], "--out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == file.read_bytes()


def test_text_does_not_wait_and_people_do(city, make_county, tmp_path):
    world = World(city, make_county)
    record = world.draft("public_opinion", "关于修复路灯")
    files = [pdf(tmp_path / f"{i}.pdf", 2000, i) for i in range(5)]
    world.county.run("attach", record, *files[:3])
    world.county.sync()
    world.county.run("attach", record, *files[3:])
    world.approve(record)
    blobs = city.dir / "blobs"
    blobs.rename(city.dir / "away")  # as a disk that fails
    blobs.write_bytes(b"")
    assert world.county.run("sync", "--timeout", "3", expect=None).stderr.startswith("ZT-WAITING ")
    seen = city.json("show", record)
    assert seen["state"] == "submitted" and len(seen["fields"]["attachments"]) == 5
    assert "附件 5 个，2 个待上传" in city.run("show", record).stdout
    assert city.json("status")["blobs_pending"] == 2
    refused = city.run("do", "签收", record, "received_by=周联络", "--as", "xue", expect=1).stderr
    assert refused.startswith("ZT-BLOB-WAIT 还有 2 个附件未上传完")
    blobs.unlink()
    (city.dir / "away").rename(blobs)
    world.county.sync()
    world.act("xue", "签收", record, "received_by=周联络")
    assert city.json("attachments") == []


def test_lost_is_listed_and_holds_up_nothing(city, make_county, tmp_path):
    world = World(city, make_county)
    record = world.draft("public_opinion", "关于修复路灯")
    file = pdf(tmp_path / "1.pdf", 2000)
    attachment = world.county.run("attach", record, file, "--quiet").stdout.strip()
    world.approve(record)
    for whole in (world.county.dir / "blobs").glob("??/*"):
        whole.unlink()
    assert "附件" in world.county.sync(expect=1).stderr
    assert states(world.county, record) == ["lost"]
    assert [m["id"] for m in city.json("attachments", "--lost", "--site", "431021")] == [attachment]
    assert city.json("status")["blobs_lost"] == 1
    assert city.run("fetch", attachment, expect=1).stderr.startswith("ZT-BLOB-LOST ")
    world.act("xue", "签收", record, "received_by=周联络")


def test_a_revoked_computer_takes_its_bytes_along(city, make_county, tmp_path):
    a, _ = pair(city, make_county)
    record = opinion(a)
    claim = claimed(a, record, pdf(tmp_path / "x.pdf", 5000))
    a.sync()
    assert [m["state"] for m in city.json("attachments")] == ["pending"]
    assert city.json("attachments", "--lost") == []
    city.run("replica", "revoke", a.status()["replica"], "--lost")
    assert [m["id"] for m in city.json("attachments", "--lost")] == [claim]


def test_the_city_attaches_too(city, make_county, tmp_path):
    city.run("user", "add", "xue", "--role", "liaison")
    a, _ = pair(city, make_county)
    record = opinion(a)
    a.sync()
    file = pdf(tmp_path / "复文.pdf", 700000)
    attachment = city.run("attach", record, file, "--quiet").stdout.strip()
    a.sync()
    assert states(a, record) == ["elsewhere"]
    out = json.loads(a.run("fetch", attachment, "--out", tmp_path / "out", "--json").stdout)
    assert out == {"ok": True} and (tmp_path / "out").read_bytes() == file.read_bytes()
    assert a.run("fetch", record, expect=2).stderr.startswith("ZT-USAGE ")
    # A record of a file alone, which nobody could ever fetch, is not made.
    named = city.run("add", "attachment", "target_kind=opinion", f"target_id={record}", "--as", "xue", expect=2)
    assert named.stderr.startswith("ZT-USAGE ") and "ztcd attach" in named.stderr
    # Whoever attached it may void it, and nobody else.
    mine = a.run("attach", record, file, "--quiet").stdout.strip()
    a.sync()
    assert a.run("do", "作废", attachment, "void_reason=错", expect=1).stderr.startswith("ZT-OWNER ")
    assert city.run("do", "作废", mine, "void_reason=错", expect=1).stderr.startswith("ZT-OWNER ")
    city.run("do", "作废", attachment, "void_reason=错")
    a.sync()
    assert states(a, record) == ["uploaded"]


def test_more_than_a_site_may_have(city, make_county, tmp_path):
    city.run("user", "add", "xue", "--role", "liaison")
    a, _ = pair(city, make_county)
    record = opinion(a)
    small, big = pdf(tmp_path / "小.pdf", 1000), pdf(tmp_path / "大.pdf", 2 << 20, 2)
    ids = a.run("attach", record, small, big, "--quiet").stdout.split()
    city.run("setting", "set", "site_attachment_bytes=1048576", "--site", "431021", "--as", "xue")
    assert a.sync(expect=1).stderr.startswith("ZT-WAITING ")
    assert dict(zip(ids, states(a, record))) == {ids[0]: "uploaded", ids[1]: "refused"}
    assert part_size(city) == 0
    assert a.run("attach", record, big, expect=1).stderr.startswith("ZT-QUOTA ")
    a.run("do", "作废", ids[1], "void_reason=太大")
    a.sync()
    assert a.status()["blobs_refused"] == 0


def test_both_sides_count_a_file_once_and_what_was_voided(city, make_county, tmp_path):
    city.run("user", "add", "xue", "--role", "liaison")
    a, _ = pair(city, make_county)
    record = opinion(a)
    first, second = (pdf(tmp_path / f"{i}.pdf", 600000, i) for i in range(2))
    city.run("setting", "set", "site_attachment_bytes=1048576", "--site", "431021", "--as", "xue")
    a.sync()
    attachment = a.run("attach", record, first, "--quiet").stdout.strip()
    a.sync()
    a.run("do", "作废", attachment, "void_reason=错")
    a.sync()
    # Its bytes are at the city still: there is room for the same file, and for no other.
    assert a.run("attach", record, second, expect=1).stderr.startswith("ZT-QUOTA ")
    a.run("attach", record, first)
    a.sync()
    assert states(a, record) == ["uploaded"] == states(city, record)


def test_the_citys_own_limit_is_the_setting(city, make_county, tmp_path):
    city.run("user", "add", "xue", "--role", "liaison")
    a, _ = pair(city, make_county)
    record = opinion(a)
    a.sync()
    city.run("setting", "set", "attachment_bytes=1000000", "--site", "431021", "--as", "xue")
    refused = city.run("attach", record, pdf(tmp_path / "1.pdf", 1000001), expect=1).stderr
    assert refused.startswith("ZT-TOO-BIG ") and "1000000" in refused
    assert [p for p in (city.dir / "blobs").glob("??/*")] == []
    city.run("setting", "set", "attachment_bytes=25000000", "--site", "431021", "--as", "xue")
    attachment = city.run("attach", record, pdf(tmp_path / "2.pdf", 21 << 20), "--quiet").stdout.strip()
    a.sync()
    a.run("fetch", attachment, "--out", tmp_path / "out")


def test_what_was_too_much_goes_up_when_there_is_room(city, make_county, tmp_path):
    city.run("user", "add", "xue", "--role", "liaison")
    a, _ = pair(city, make_county)
    record = opinion(a)
    a.run("attach", record, pdf(tmp_path / "大.pdf", 2 << 20))
    city.run("setting", "set", "site_attachment_bytes=1048576", "--site", "431021", "--as", "xue")
    a.sync(expect=1)
    assert states(a, record) == ["refused"]
    assert "市级未接受：ZT-QUOTA 附件总量超过上限" in a.run("show", record).stdout
    a.sync(expect=1)
    assert states(a, record) == ["refused"]
    city.run("setting", "set", "site_attachment_bytes=21474836480", "--site", "431021", "--as", "xue")
    a.sync()
    assert states(a, record) == ["uploaded"] == states(city, record)


def test_what_the_city_has_lost_is_found_by_verify(city, make_county, tmp_path):
    a, b = pair(city, make_county)
    attachment = a.run("attach", opinion(a), pdf(tmp_path / "1.pdf", 5000), "--quiet").stdout.strip()
    a.sync()
    b.sync()
    city.run("verify")
    whole, = (city.dir / "blobs").glob("??/*")
    was = whole.read_bytes()
    whole.write_bytes(was[:-1] + b"?")
    found = city.run("verify", expect=1).stderr
    assert found.startswith("ZT-CORRUPT 1 个附件的文件不在或已损坏") and attachment in found
    assert city.run("fetch", attachment, "--out", tmp_path / "out", expect=1).stderr.startswith("ZT-CORRUPT ")
    whole.unlink()
    assert city.run("verify", expect=1).stderr.startswith("ZT-CORRUPT 1 个附件的文件不在或已损坏")
    assert city.run("fetch", attachment, "--out", tmp_path / "out", expect=1).stderr.startswith("ZT-BLOB-LOST ")
    assert b.run("fetch", attachment, "--out", tmp_path / "out", expect=1).stderr.startswith("ZT-BLOB-LOST ")
    whole.write_bytes(was)
    city.run("verify")
    b.run("fetch", attachment, "--out", tmp_path / "out")


def test_an_answer_brings_its_files(city, make_county, tmp_path):
    world = World(city, make_county)
    record = world.forward("micro_suggestion")
    case = world.transfer(record)
    world.act("ban", "初审", case)
    task = world.assign("ban", "info_case", case)
    world.act("ban", "直接转办", case, f"due_on={DUE}")
    world.act("ban", "签收", task, f"signed_on={TODAY}", "signed_by=代录")
    world.act("ban", "开始办理", task, "contact_person=李科长")
    reply = city.run("add", "reply", f"task_id={task}", f"reply_on={TODAY}", "signer=陈局长", "contact_mode=phone",
                     "result_class=A", "body=已经修复。", "is_implemented=1", "public_reply=1", "review_result=通过",
                     "--as", "ban", "--quiet").stdout.strip()
    file = pdf(tmp_path / "复文.pdf", 400000)
    original = city.run("attach", reply, file, "--as", "ban", "--quiet").stdout.strip()
    world.act("ban", "报送答复", task)
    world.act("ban", "审查通过", task)
    world.county.sync()
    answer = world.of_submission("answer", record)[0]
    copies = answer["fields"]["attachment"]
    assert len(copies) == 1 and copies != [original]
    world.county.run("fetch", copies[0], "--out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == file.read_bytes()
    # The original lies in a stream that never leaves the city, the copy in one county's.
    for county, attachment in ((world.county, original), (world.other, copies[0])):
        assert county.run("fetch", attachment, expect=1).stderr.startswith("ZT-NOT-FOUND ")
