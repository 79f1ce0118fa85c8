"""An office without a line: everything travels in files, in any order, some of them lost, some twice."""
import hashlib
import json
import os
import random
import shutil

import pytest

from conftest import MEMBER
from test_attach import CHUNK, opinion, pdf, states
from test_certificates import preload_works, shift  # noqa: F401  (a fixture)
from test_recover import lose

SITE = "431021"


def answer_of(done):
    """What the command says, or the code of its failure."""
    said = json.loads(done.stdout)
    return said if done.returncode == 0 else said["code"]


@pytest.fixture
def carry(city, tmp_path):
    """Bundles with names of their own."""
    count = iter(range(1000))

    class Carrier:
        def export(self, county):
            path = tmp_path / f"up{next(count)}"
            county.run("bundle", "export", path)
            return path

        def take(self, path, **more):
            done = city.run("bundle", "import", path, "--json", **more)
            return answer_of(done)

        def answer(self, site=SITE):
            path = tmp_path / f"down{next(count)}"
            city.run("bundle", "export", "--site", site, path)
            return path

        def give(self, county, path, **more):
            done = county.run("bundle", "import", path, "--json", **more)
            return answer_of(done)

        def round(self, county):
            """There and back: what the computer says at the end."""
            self.take(self.export(county))
            return self.give(county, self.answer())

    return Carrier()


def names(side):
    return sorted(row["fields"]["name"] for row in side.json("ls", "member", "--limit", "500"))


def hashes(side):
    return {s["name"]: s["hash"] for s in side.json("status")["streams"]}


def check_even(city, county):
    theirs = hashes(city)
    assert all(theirs[name] == mine for name, mine in hashes(county).items())
    for side in (city, county):
        side.run("verify")
        side.run("rebuild")
        side.run("verify")


def test_an_office_that_never_has_a_line(city, make_county, carry):
    """Enrolled once at the city: its records arrive, the city's word comes back, 已全部上传 is shown."""
    a = make_county("a").enrol(city, SITE)
    assert carry.round(a)["entries"] > 0
    record = a.settle()
    up = carry.export(a)
    taken = carry.take(up)
    assert taken["taken"] > 0 and taken["refused"] == 0
    city.run("show", record)
    assert a.status()["pending"] > 0 and not a.status()["complete"], "nothing is answered yet"
    down = carry.answer()
    assert carry.give(a, down)["complete"]
    status = a.status()
    assert status["complete"] and status["pending"] == 0
    assert status["bundle_made"] and status["bundle_taken"]
    text = a.run("status").stdout
    assert "已全部上传" in text and "最近导出摆渡包" in text and "最近导入摆渡包" in text
    carry.take(carry.export(a))  # its word that it has everything
    text = city.run("status").stdout
    assert "最近导入摆渡包" in text and "最近导出摆渡包" in text and "已全部上传" in text
    check_even(city, a)


def test_twice_late_and_in_any_order(city, make_county, carry):
    a = make_county("a").enrol(city, SITE)
    up0 = carry.export(a)
    carry.take(up0)
    down0 = carry.answer()
    carry.give(a, down0)
    a.settle()
    up1 = carry.export(a)
    a.add("member", "name=王建军", *MEMBER)
    up2 = carry.export(a)
    assert carry.take(up2)["taken"] > 0
    for path in (up1, up2, up0):
        assert carry.take(path)["taken"] == 0
    assert carry.take(up0)["late"]
    down1 = carry.answer()
    down2 = carry.answer()
    assert carry.give(a, down2)["complete"]
    for path in (down1, down2, down0):
        assert carry.give(a, path)["entries"] == 0
    assert carry.round(a)["complete"]
    check_even(city, a)


def test_a_lost_bundle_does_no_harm(city, make_county, carry):
    a = make_county("a").enrol(city, SITE)
    carry.round(a)
    a.add("member", "name=甲甲", *MEMBER)
    carry.export(a)  # lost
    a.add("member", "name=乙乙", *MEMBER)
    carry.take(carry.export(a))
    carry.answer()  # lost
    a.add("member", "name=丙丙", *MEMBER)
    assert carry.round(a)["complete"]
    assert names(city) == names(a) == ["丙丙", "乙乙", "甲甲"]
    check_even(city, a)


def test_two_computers_of_an_office(city, make_county, carry, tmp_path):
    """Each has a file of its own, which only it can read; each gets what the other made."""
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, SITE)
    carry.round(a)
    a.add("member", "name=甲甲", *MEMBER)
    carry.take(carry.export(a))
    carry.take(carry.export(b))
    down = carry.answer()
    files = [down.parent / f"{down.name}.{k}" for k in (1, 2)]
    assert not down.exists() and all(f.exists() for f in files)
    assert "ZT-DENIED" in carry.give(a, files[1], expect=1)
    assert carry.give(a, files[0])["complete"] and carry.give(b, files[1])["complete"]
    assert names(a) == names(b) == ["甲甲"]


def test_now_a_line_now_a_file(city, make_county, carry):
    """What was answered over the line is passed over in files, and the other way round."""
    a = make_county("a").enrol(city, SITE)
    a.sync()
    a.add("member", "name=甲甲", *MEMBER)
    old = carry.export(a)
    a.sync()
    a.add("member", "name=乙乙", *MEMBER)
    a.sync()
    assert carry.take(old)["taken"] == 0
    assert carry.give(a, carry.answer())["complete"], "the answer to an old one"
    a.add("member", "name=丙丙", *MEMBER)
    carry.take(carry.export(a))
    a.sync()
    assert a.status()["complete"] and names(city) == ["丙丙", "乙乙", "甲甲"]
    check_even(city, a)


def test_with_the_agent_running(city, make_county, carry):
    """The web page's process stays; what the file brings is there for it."""
    a = make_county("a").enrol(city, SITE)
    carry.round(a)
    city.stop()
    a.start()
    a.add("member", "name=甲甲", *MEMBER)
    assert carry.round(a)["complete"]
    a.add("member", "name=乙乙", *MEMBER)
    assert carry.round(a)["complete"]
    a.stop()
    city.start()
    a.sync()
    check_even(city, a)


def test_a_refusal_and_its_acknowledgement(city, make_county, carry):
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, SITE)
    a.sync()
    member = a.add("member", "name=甲乙", *MEMBER)
    a.sync()
    b.sync()
    a.run("do", "作废", member, "void_reason=重复登记")
    b.run("do", "作废", member, "void_reason=录错了人")
    a.sync()
    assert carry.take(carry.export(b))["refused"] == 1
    down = carry.answer()
    said = carry.give(b, down)
    assert said["refused"] == 1 and not said["complete"]
    row, = b.json("refused")
    assert row["changes"][0]["fields"]["void_reason"] == "录错了人"
    again = b.add("member", "name=丙丁", *MEMBER)
    carry.take(carry.export(b))  # the acknowledgement goes before what was made after it
    carry.give(b, down)
    assert carry.give(b, carry.answer())["refused"] == 0, "it was acknowledged"
    city.run("show", again)
    assert len(b.json("refused")) == 1
    b.run("refused", "--done", str(row["first_n"]))
    assert b.status()["complete"]


def test_revoked_computers(city, make_county, carry):
    """A lost one is refused; what a retired one hands in is kept aside, and it receives nothing."""
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, SITE)
    a.sync()
    b.sync()
    a.add("member", "name=甲甲", *MEMBER)
    b.add("member", "name=乙乙", *MEMBER)
    city.run("replica", "revoke", a.status()["replica"], "--lost")
    assert "ZT-REVOKED" in carry.take(carry.export(a), expect=1)
    city.run("replica", "revoke", b.status()["replica"], "--retired")
    carry.take(carry.export(b))
    assert len(city.json("quarantine", "list")) == 1 and names(city) == []
    said = carry.give(b, carry.answer())
    assert said["entries"] == 0 and said["refused"] == 1


def test_nobody_else_reads_or_changes_it(city, make_county, carry, tmp_path):
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, 431022)
    carry.round(a)
    a.settle()
    up = carry.export(a)
    assert "李建国".encode() not in up.read_bytes()
    for path, way in ((up, carry.take), ):
        for bad in broken(path, tmp_path):
            assert way(bad, expect=1).startswith("ZT-"), bad
    carry.take(up)
    down = carry.answer()
    assert carry.give(b, down, expect=1) == "ZT-DENIED"
    assert carry.take(down, expect=1) == "ZT-DENIED"
    assert carry.give(a, up, expect=1) == "ZT-DENIED"
    before = hashes(a)
    for bad in broken(down, tmp_path):
        assert carry.give(a, bad, expect=1).startswith("ZT-"), bad
    assert hashes(a) == before
    carry.give(a, down)
    for path in (tmp_path, tmp_path / "nothing"):
        assert carry.give(a, path, expect=1).startswith("ZT-")


def broken(path, tmp_path):
    """The file with a bit turned at many places, cut short, and drawn out."""
    whole = path.read_bytes()
    bad = tmp_path / "bad"
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        yield bad
    for cut in (0, 1, 15, 16, 200, len(whole) - 74, len(whole) - 1):
        bad.write_bytes(whole[:cut])
        yield bad
    bad.write_bytes(whole + b"\0")
    yield bad


def test_another_city(make_city, city, make_county, carry, tmp_path):
    a = make_county("a").enrol(city, SITE)
    other = make_city("other")
    up = carry.export(a)
    assert "ZT-DENIED" in other.run("bundle", "import", up, expect=1).stderr
    assert "ZT-NOT-FOUND" in other.run("bundle", "export", "--site", SITE, tmp_path / "x", expect=1).stderr
    assert "ZT-USAGE" in city.run("bundle", "export", tmp_path / "x", expect=2).stderr


@pytest.mark.parametrize("first", [1, 3])
def test_a_copied_disk_is_found_out(city, make_county, carry, first):
    """Both copies write; the second is told so, and nothing of it is taken in."""
    a = make_county("a").enrol(city, SITE)
    carry.round(a)
    a.add("member", "name=共有", *MEMBER)
    b = make_county("b")
    shutil.copytree(a.dir, b.dir)
    for i in range(first):
        a.add("member", f"name=甲{i}", *MEMBER)
    for i in range(2):
        b.add("member", f"name=乙{i}", *MEMBER)
    carry.take(carry.export(a))
    before = names(city)
    assert "ZT-FORK" in carry.take(carry.export(b), expect=1)
    assert names(city) == before
    assert "ZT-FORK" in carry.give(b, carry.answer(), expect=1)
    b.sync(expect=None)  # over a line it becomes another computer, and what it made arrives
    b.sync()
    assert {"乙0", "乙1"} <= set(names(city)) and b.status()["complete"]


def test_a_missing_part_is_named(city, make_county, carry):
    """The city went by a place that this computer, set back since, does not have."""
    a = make_county("a").enrol(city, SITE)
    carry.round(a)
    a.add("member", "name=甲甲", *MEMBER)
    carry.take(carry.export(a))
    down = carry.answer()
    old = {f.name: f.read_bytes() for f in a.dir.glob("replica.db*")}
    carry.give(a, down)
    carry.take(carry.export(a))
    b = make_county("b").enrol(city, SITE)
    b.sync()
    b.add("member", "name=乙乙", *MEMBER)
    b.sync()
    later = carry.answer()
    for f in a.dir.glob("replica.db*"):
        f.unlink()
    for name, content in old.items():
        (a.dir / name).write_bytes(content)
    assert "ZT-BUNDLE-GAP" in carry.give(a, later, expect=1)
    assert carry.round(a)["complete"]
    check_even(city, a)


def test_enrolled_by_an_older_version(city, make_county, carry, tmp_path):
    """It learns whom to seal to with its next session."""
    a = make_county("a").enrol(city, SITE)
    (a.dir / "city.pem").unlink()
    assert "ZT-NOT-FOUND" in a.run("bundle", "export", tmp_path / "up", expect=1).stderr
    a.sync()
    assert carry.round(a)["complete"]


@pytest.mark.skipif(not preload_works(), reason="a sanitizer's runtime must come first")
def test_a_certificate_is_renewed(city, make_county, carry, shift):  # noqa: F811
    """At 61 days the bundle asks for it and the answer brings it; an expired one may do that and no more."""
    a = make_county("a").enrol(city, SITE)
    carry.round(a)
    first = (a.dir / "cert.pem").read_bytes()
    city.stop()
    shift(61)
    carry.take(carry.export(a))
    carry.answer()  # lost; the same certificate comes again
    carry.take(carry.export(a))
    assert carry.give(a, carry.answer())["renewed"]
    second = (a.dir / "cert.pem").read_bytes()
    assert second != first and a.status()["cert_days_left"] > 80
    a.add("member", "name=甲甲", *MEMBER)
    assert carry.round(a)["complete"]
    shift(61 + 95)
    a.add("member", "name=乙乙", *MEMBER)
    taken = carry.take(carry.export(a))
    assert taken["renew_only"] and taken["taken"] == 0
    said = carry.give(a, carry.answer())
    assert said["renewed"] and said["renew_only"]
    assert carry.round(a)["complete"] and names(city) == ["乙乙", "甲甲"]


def test_a_city_that_was_restored(city, make_county, carry, tmp_path):
    """What it had acknowledged comes back by file, and the county goes on with it."""
    a = make_county("a").enrol(city, SITE)
    city.run("user", "add", "wang", "--name", "王秘书", "--role", "liaison")
    carry.round(a)
    a.add("member", "name=甲甲", *MEMBER)
    assert carry.round(a)["complete"]
    city.run("backup", tmp_path / "copy")
    a.add("member", "name=乙乙", *MEMBER)
    assert carry.round(a)["complete"]
    lose(city, tmp_path / "copy")
    assert names(city) == ["甲甲"]
    a.add("member", "name=丙丙", *MEMBER)
    assert carry.take(carry.export(a))["refilling"]
    assert carry.give(a, carry.answer())["asked"]
    assert carry.take(carry.export(a))["refilling"]
    assert names(city) == ["乙乙", "甲甲"]
    assert "ZT-RECOVERING" in carry.take(carry.export(a), expect=1)
    city.run("recover", "--close", "--as", "wang")
    for _ in range(3):
        said = carry.round(a)
    assert said["complete"] and names(city) == names(a) == ["丙丙", "乙乙", "甲甲"]
    city.start()
    check_even(city, a)


def test_attachments_travel_in_files(city, make_county, carry, tmp_path):
    """Up with their record in one bundle, down when asked for; 已全部上传 only when the city has them."""
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, SITE)
    carry.round(a)
    record = opinion(a)
    files = [pdf(tmp_path / f"扫描{i}.pdf", size, i) for i, size in enumerate((1000, CHUNK, 3 * CHUNK + 5))]
    ids = a.run("attach", record, *files, "--quiet").stdout.split()
    up = carry.export(a)
    assert carry.take(up)["attachments"] == 3
    assert states(city, record) == ["uploaded"] * 3
    assert not a.status()["complete"], "nothing is answered yet"
    assert carry.take(up)["attachments"] == 0, "they are here already"
    said = carry.give(a, carry.answer())
    assert said["complete"] and said["attachments"] == 3
    assert states(a, record) == ["uploaded"] * 3

    b.sync()
    city.stop()  # no line
    assert "摆渡包" in b.run("fetch", ids[2], "--out", tmp_path / "out", expect=3).stderr
    assert json.loads(b.run("bundle", "export", tmp_path / "b.up", "--json").stdout)["attachments_asked"] == 1
    carry.take(tmp_path / "b.up")
    down = carry.answer()
    said = carry.give(b, down.parent / f"{down.name}.2")
    assert said["attachments_fetched"] == 1
    b.run("fetch", ids[2], "--out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == files[2].read_bytes()
    for side in (a, b, city):
        side.run("verify")


def test_an_attachment_that_is_gone(city, make_county, carry, tmp_path):
    """It is told, and holds up nothing else."""
    a = make_county("a").enrol(city, SITE)
    carry.round(a)
    record = opinion(a)
    gone, kept = (pdf(tmp_path / f"{name}.pdf", 2000, i) for i, name in enumerate(("甲", "乙")))
    a.run("attach", record, gone)
    for whole in (a.dir / "blobs").glob("??/*"):
        whole.unlink()
    a.run("attach", record, kept)
    assert carry.take(carry.export(a))["attachments"] == 1
    assert city.json("status")["blobs_lost"] == 1
    said = carry.give(a, carry.answer())
    assert said["attachments"] == 1
    assert sorted(states(a, record)) == ["lost", "uploaded"]
    assert a.status()["blobs_pending"] == 0 and a.status()["blobs_lost"] == 1


def test_a_large_attachment_goes_on_after_a_lost_answer(city, make_county, carry, tmp_path):
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, SITE)
    carry.round(a)
    attachment = a.run("attach", opinion(a), pdf(tmp_path / "大.pdf", 5 * CHUNK + 7), "--quiet").stdout.strip()
    carry.take(carry.export(a))
    b.sync()
    city.stop()
    b.run("fetch", attachment, "--out", tmp_path / "out", expect=3)
    carry.take(carry.export(b))
    carry.answer()  # lost
    carry.take(carry.export(b))
    down = carry.answer()
    down = down.parent / f"{down.name}.2"
    assert carry.give(b, down)["attachments_fetched"] == 1
    assert carry.give(b, down)["attachments_fetched"] == 0, "it is here already"
    b.run("fetch", attachment, "--out", tmp_path / "out")
    assert hashlib.sha256((tmp_path / "out").read_bytes()).digest() == \
        hashlib.sha256((tmp_path / "大.pdf").read_bytes()).digest()


class Course:
    """Two computers of an office for a while: they work, and make bundles and take them as it happens."""

    def __init__(self, city, computers, tmp_path, seed):
        self.city, self.computers, self.dir = city, computers, tmp_path
        self.random = random.Random(seed)
        self.up, self.down = [], {c: [] for c in computers}
        self.typed, self.members = [], []
        self.done = {}

    def work(self, computer):
        known = [m for m in self.members if m[0] is computer]
        if known and self.random.random() < 0.4:
            computer.run("set", self.random.choice(known)[1], f"unit_title=第{len(self.done)}厂{self.random.random()}",
                         expect=None)  # it may be known no more, where it was refused
            return
        name = "王" + chr(0x4e00 + len(self.typed)) + chr(0x5e00 + len(self.typed))
        self.members.append((computer, computer.add("member", f"name={name}", *MEMBER)))
        self.typed.append(name)

    def export(self, computer):
        path = self.dir / f"up{len(self.up)}"
        computer.run("bundle", "export", path)
        self.up.append(path)

    def take(self, _):
        """Any of them, the newest most often; it may be an old one, and come again."""
        if self.up:
            path = self.up[-1] if self.random.random() < 0.5 else self.random.choice(self.up)
            self.city.run("bundle", "import", path)

    def answer(self, _):
        path = self.dir / f"down{sum(map(len, self.down.values()))}"
        self.city.run("bundle", "export", "--site", SITE, path)
        for k, computer in enumerate(self.computers, 1):
            self.down[computer].append(path.with_name(f"{path.name}.{k}"))

    def give(self, computer):
        files = [f for f in self.down[computer] if f.exists()]
        if files:
            path = files[-1] if self.random.random() < 0.5 else self.random.choice(files)
            done = computer.run("bundle", "import", path, expect=None)
            assert done.returncode == 0 or done.stderr.startswith("ZT-BUNDLE-GAP "), done.stderr

    def lose(self, computer):
        files = self.up if self.random.random() < 0.5 else self.down[computer]
        if files:
            files.remove(self.random.choice(files))

    def line(self, computer):
        computer.run("sync", expect=None)  # 1: something waits for an answer that is in a file

    def go(self, steps):
        deeds = [self.work] * 6 + [self.export] * 4 + [self.take] * 4 + [self.answer] * 3 + [self.give] * 4 + \
            [self.lose, self.line]
        for _ in range(steps):
            deed = self.random.choice(deeds)
            self.done[deed.__name__] = self.done.get(deed.__name__, 0) + 1
            deed(self.random.choice(self.computers))


@pytest.mark.parametrize("seed", range(1, int(os.environ.get("BUNDLE_SEEDS", "3")) + 1))
def test_any_course(city, make_county, carry, tmp_path, seed):
    """Whatever is lost, comes twice or in another order: in the end everything is everywhere, once."""
    a, b = make_county("a").enrol(city, SITE), make_county("b").enrol(city, SITE)
    course = Course(city, (a, b), tmp_path, seed)
    for computer in (a, b):
        carry.take(carry.export(computer))
    for computer in (a, b):
        computer.sync()
    course.go(80)
    for _ in range(3):
        for computer in (a, b):
            carry.take(carry.export(computer))
        down = carry.answer()
        for k, computer in enumerate((a, b), 1):
            said = carry.give(computer, down.with_name(f"{down.name}.{k}"))
    assert said["complete"], course.done
    assert names(city) == names(a) == names(b) == sorted(course.typed), course.done
    check_even(city, a)
    check_even(city, b)
