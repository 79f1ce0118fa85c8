"""What a reader of a ledger file may see while others write it. Every look is one read transaction, so it
sees what a user's page could have shown at that moment.

 - a cursor never goes back, and what was read at a seq stays what it was;
 - the log is a prefix: no hole, nothing above the cursor;
 - acts are whole: no last entry with MORE, no act of which a part is missing;
 - `shared` is there up to what a verdict names;
 - a record never shows an older seq than it showed before;
 - a tracking row, a case card or an answer is never there without its submission;
 - every own change of a replica is in exactly one place.
"""
import pathlib
import sqlite3

import ledger_reader

MORE = 1
BASE = 1 << 40
SHARED, CITY = 1, 2
WATCHED = ("member", "submission", "tracking")
ANSWERS = ("tracking", "case_card", "answer")


class Backwards(AssertionError):
    """Somebody saw what nobody may see."""


class Witness:
    """Looks at one file again and again, and remembers what it saw."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.cursors = {}  # stream -> (seq, hash)
        self.records = {}  # record -> seq
        self.own = set()   # own changes met in the log
        self.looks = self.entries = 0

    def fail(self, text, *args):
        raise Backwards(f"{self.path}: " + text % args)

    def look(self):
        """False: the file could not be read just now (its writer was killed and has not been back)."""
        try:
            db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5, isolation_level=None)
            try:
                db.execute("BEGIN")
                streams = db.execute("SELECT stream, seq, hash FROM stream").fetchall()
                self.see(db, dict((s, (n, h)) for s, n, h in streams))
            finally:
                db.close()
        except sqlite3.OperationalError:
            return False
        self.looks += 1
        return True

    def see(self, db, now):
        own = db.execute("SELECT replica, n FROM own").fetchone() if SHARED in now and CITY not in now else None
        for stream in sorted(now):
            self.see_stream(db, stream, now, own)
        for kind in WATCHED:
            self.see_records(db, kind, now)
        for kind in ANSWERS:
            self.see_answers(db, kind)
        if own is not None:
            self.see_own(db, own[1])

    def see_stream(self, db, stream, now, own):
        seq, tip = now[stream]
        was, before = self.cursors.get(stream, (0, None))
        if seq < was:
            self.fail("stream %d went back from %d to %d", stream, was, seq)
        if was and db.execute("SELECT hash FROM log WHERE pos = ?", (stream * BASE + was,)).fetchone()[0] != before:
            self.fail("stream %d has another entry at %d", stream, was)
        expected, more, rest = was, False, None
        for pos, verdict, chain, data in db.execute(
                "SELECT pos, verdict, hash, bytes FROM log WHERE pos > ? AND pos < ? ORDER BY pos",
                (stream * BASE + was, (stream + 1) * BASE)):
            expected += 1
            if pos != stream * BASE + expected:
                self.fail("stream %d has a hole at %d", stream, expected)
            c, v = ledger_reader.Change(data, None), ledger_reader.Verdict(verdict)
            if v.shared_seq > now[SHARED][0]:
                self.fail("%d/%d names shared %d, which is not here", stream, expected, v.shared_seq)
            more, rest = bool(v.flags & MORE), self.see_act(stream, expected, c, more, rest)
            if own is not None and c.replica == own[0]:
                self.own.add(c.n)
        if expected != seq or (seq > was and chain != tip):
            self.fail("stream %d says it ends at %d, its log ends at %d", stream, seq, expected)
        if more or rest:
            self.fail("stream %d ends at %d inside an act", stream, seq)
        self.entries += seq - was
        self.cursors[stream] = (seq, tip)

    def see_act(self, stream, seq, c, more, rest):
        """`rest`: (replica, n, position) of what must still come of a county's act. `more`: of the entry before."""
        if rest == (c.replica, c.n, c.act_pos):
            pass
        elif c.act_pos == 0 and not (rest is None and more and c.actor != bytes(16)):
            if rest is not None and c.actor != bytes(16):
                self.fail("%d/%d begins an act inside another", stream, seq)
        if c.actor == bytes(16):
            return rest  # what the rules made of the change before
        return (c.replica, c.n + 1, c.act_pos + 1) if c.act_pos + 1 < c.act_len else None

    def see_records(self, db, kind, now):
        for record, stream, seq in db.execute(f"SELECT rid, stream, seq FROM {kind} WHERE seq > 0"):
            if seq > now[stream][0]:
                self.fail("a %s shows %d/%d, which is not here", kind, stream, seq)
            if seq < self.records.get(record, 0):
                self.fail("a %s showed seq %d and now shows %d", kind, self.records[record], seq)
            self.records[record] = seq

    def see_answers(self, db, kind):
        row = db.execute(f"SELECT hex(rid) FROM {kind} a WHERE submission_id IS NOT NULL AND NOT EXISTS "
                         "(SELECT 1 FROM submission s WHERE s.rid = a.submission_id AND s.created_seq > 0)"
                         " LIMIT 1").fetchone()
        if row is not None:
            self.fail("%s %s is here before its submission", kind, row[0])

    def see_own(self, db, n):
        pending = {r[0] for r in db.execute("SELECT n FROM pending")}
        refused = {r[0] for r in db.execute("SELECT n FROM refused_change")}
        places = len(pending) + len(refused) + len(self.own)
        if places != n or len(pending | refused | self.own) != n:
            self.fail("%d own changes: %d pending, %d refused, %d in the log", n, len(pending), len(refused),
                      len(self.own))
