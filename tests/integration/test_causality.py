"""The witness that watches ledger files (tests/lib/causality.py) sees what it must never see: each of its rules,
broken in a copy of a store that it takes for sound."""
import contextlib
import sqlite3
import sys
import tarfile

import pytest

from conftest import MEMBER, ROOT

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import kept  # noqa: E402
import ledger_reader  # noqa: E402
from causality import BASE, MORE, SHARED, Backwards, Witness  # noqa: E402

SITE = 431021
LOG = "SELECT pos, verdict, hash, bytes FROM log WHERE pos BETWEEN ? AND ? ORDER BY pos"


@pytest.fixture(name="path")
def sound_store(tmp_path):
    with tarfile.open(kept.versions()[-1] / "stores-with-test-keys.tar.xz") as tar:
        tar.extract("a/replica.db", tmp_path)
    return tmp_path / "a" / "replica.db"


@contextlib.contextmanager
def store(path):
    db = sqlite3.connect(path)
    with contextlib.closing(db), db:
        yield db


def change(path, *statements):
    with store(path) as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0, statement


def log(path, stream):
    """(seq, verdict, hash, change) of every entry."""
    with store(path) as db:
        return [(pos - stream * BASE, ledger_reader.Verdict(verdict), chain, ledger_reader.Change(data, None))
                for pos, verdict, chain, data in db.execute(LOG, (stream * BASE, (stream + 1) * BASE - 1))]


def end_at(path, stream, seq):
    """The stream as if it had come up to SEQ only, and nothing of it had been applied behind that."""
    chain = next(chain for n, _, chain, _ in log(path, stream) if n == seq)
    with store(path) as db:
        db.execute("DELETE FROM log WHERE pos > ? AND pos < ?", (stream * BASE + seq, (stream + 1) * BASE))
        db.execute("UPDATE stream SET seq = ?, hash = ? WHERE stream = ?", (seq, chain, stream))


def sees(path, text, seen=None):
    with pytest.raises(Backwards, match=text):
        (seen or Witness(path)).look()


def test_a_sound_store_is_taken_for_one(path):
    seen = Witness(path)
    assert seen.look() and seen.look()
    assert seen.looks == 2 and seen.entries == len(log(path, SHARED)) + len(log(path, SITE))


def test_a_file_that_is_not_there_is_no_look(tmp_path):
    assert not Witness(tmp_path / "none.db").look()


def test_a_stream_that_goes_back(path):
    seen = Witness(path)
    seen.look()
    end_at(path, SITE, len(log(path, SITE)) - 1)
    sees(path, "went back", seen)


def test_an_entry_that_is_another(path):
    seen = Witness(path)
    seen.look()
    change(path, f"UPDATE log SET hash = zeroblob(32) WHERE pos = {SITE * BASE + len(log(path, SITE))}")
    sees(path, "has another entry", seen)


def test_a_hole(path):
    change(path, f"DELETE FROM log WHERE pos = {SITE * BASE + 3}")
    sees(path, "has a hole at 3")


def test_a_log_above_its_cursor(path):
    change(path, f"UPDATE stream SET seq = seq - 1 WHERE stream = {SITE}")
    sees(path, "its log ends at")


def test_a_cursor_with_another_hash(path):
    change(path, f"UPDATE stream SET hash = zeroblob(32) WHERE stream = {SITE}")
    sees(path, "its log ends at")


def test_what_stands_on_shared_records_that_are_not_here(path):
    named = max(verdict.shared_seq for _, verdict, _, _ in log(path, SITE))
    end_at(path, SHARED, named - 1)
    sees(path, f"names shared {named}")


def test_the_rules_answer_to_an_act_is_missing(path):
    seq = max(seq for seq, verdict, _, _ in log(path, SITE) if verdict.flags & MORE)
    end_at(path, SITE, seq)
    sees(path, "inside an act")


def test_a_part_of_a_county_s_act_is_missing(city, make_county, tmp_path):
    county = make_county("county").enrol(city, SITE)
    county.sync()
    files = [tmp_path / name for name in ("一.pdf", "二.pdf")]
    for file in files:
        file.write_bytes(b"%PDF-1.4\n" + file.name.encode())
    county.run("attach", county.add("member", "name=李建国", *MEMBER), *files)
    county.sync()
    path = county.dir / "replica.db"
    assert Witness(path).look()
    first = next(seq for seq, _, _, c in log(path, SITE) if c.act_len > 1 and c.act_pos == 0)
    end_at(path, SITE, first)
    sees(path, "inside an act")


def test_a_record_ahead_of_the_log(path):
    change(path, "UPDATE member SET seq = 1000")
    sees(path, "is not here")


def test_a_record_that_goes_back(path):
    seen = Witness(path)
    seen.look()
    change(path, "UPDATE member SET seq = seq - 1")
    sees(path, "showed seq", seen)


def test_an_answer_without_its_submission(path):
    change(path, "DELETE FROM submission")
    sees(path, "before its submission")


@pytest.mark.parametrize("own", ["UPDATE own SET n = n + 1", "UPDATE own SET n = n - 1"])
def test_an_own_change_in_no_place_or_in_two(path, own):
    change(path, own)
    sees(path, "own changes")
