"""The independent reader on the golden vectors of tests/unit/test_ledger.c, and on ledgers made here byte by byte.
Needs no binary."""

import hashlib
import os
import sqlite3
import sys

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import ledger_reader as lr  # noqa: E402
import plain_crypto  # noqa: E402

CHANGE = bytes.fromhex(
    "011111111111111111111111111111111107ada71a000180c8e2e1c133222222"
    "2222222222222222222222222205011633333333333333333333333333333333"
    "0109636f6c6c6563746564040501000205766973697407010001050c03000c6b"
    "ed809558a39bad080afdedcfbde8544881f669bf430e1d85b545e562d393e907"
    "01000206343331303231"
)
SIDE = bytes.fromhex("0c01444444444444444444444444444444440206e8b7afe781af")
VERDICT = bytes.fromhex("0101360205ac0201eb0702097375626d6974746564")
HEAD = bytes.fromhex(
    "01" + "55" * 16 + "66" * 16 + "000693ad" + "0000000000000102" + "77" * 32 + "00"
)
CHAINS = {
    1: ("7d16aa8490d02b5efbb0727b3c65bc2f2a83816bf5d5d32270b44c1e46100716",
        "3adc2bfd7220766da55bcd7fd70e8175b0ab3475f25287303613831ff202c4f9"),
    2: ("d104754a981909f300998f0b4cea0873f397dc15f288a9ff078a9285511098ec",
        "b3f682926266b7a9196c1fbc4908b260f161c50540ce8f8d382ac70d82e3a4ab"),
}
OWN = "e1d3ad3757f3a06824b5867e01f42463dca577bbc3bfdee801d3bcca9b36b418"

# A key made for this test and thrown away, and its signature of "hello".
PUBLIC = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d030107034200040ec375be09eba372cf2ca60eced31df12699e4745d"
    "c014ca9c8c7256b3991a7cdeb464a889c9eb96e3403a4305cdf3b0cd28ae5e7b3b80f62c1065860c790fd3"
)
SIGNATURE = bytes.fromhex(
    "3046022100837b8058fba6f45d10cf25c53c85db1db91d70fcfb0dd7e3f4c18edff4eefd1b0221008a7f58b481b0addd"
    "dd9069bc36e7721b078df2b4963a926522b2c88fde5f935a"
)

SITE = 431021
LEDGER, REPLICA, CITY_LIFE = b"\x55" * 16, b"\x11" * 16, b"\x66" * 16
ACTOR, RECORD, OPINION = b"\x22" * 16, b"\x33" * 16, 22
NO_VERDICT = bytes.fromhex("0100000000")


def sm3(data):
    return hashlib.new("sm3", data).digest()


# ---- golden vectors ----


def test_change():
    c = lr.Change(CHANGE, SIDE)
    assert (c.replica, c.n, c.stream, c.act_pos, c.act_len) == (REPLICA, 7, SITE, 0, 1)
    assert (c.made_at, c.actor, c.seen, c.catalogue) == (1770000000000, ACTOR, 5, 1)
    assert (c.kind, c.record, c.op, c.to) == (OPINION, RECORD, lr.CREATE, b"collected")
    assert {t: f.value for t, f in c.fields.items()} == {
        5: (lr.TEXT, b"visit"), 7: (lr.INT, -3), 12: (lr.TEXT, "路灯".encode()),
        1001: (lr.TEXT, b"431021")}
    assert c.check_side(sm3) == 1


def test_change_without_its_sidecar_reads_erased():
    assert lr.Change(CHANGE).fields[12].value == (lr.ERASED, None)


@pytest.mark.parametrize("data, side", [
    *((CHANGE[:n], b"") for n in range(0, len(CHANGE), 7)),
    (CHANGE + b"\0", b""), (b"\2" + CHANGE[1:], b""), (CHANGE, SIDE[:-1]), (CHANGE, SIDE + SIDE),
    (CHANGE, b"\5" + SIDE[1:]), (CHANGE.replace(b"\x07\xad\xa7\x1a", b"\x87\0\xad\xa7\x1a"), b""),
])
def test_malformed_change(data, side):
    with pytest.raises(lr.Difference):
        lr.Change(data, side)


def test_value_that_was_not_hashed():
    with pytest.raises(lr.Difference):
        lr.Change(CHANGE, SIDE[:-1] + b"\xae").check_side(sm3)


def test_verdict():
    v = lr.Verdict(VERDICT)
    assert (v.flags, v.shared_seq, list(v.withheld)) == (lr.MORE, 54, [5, 300])
    assert v.derived == {1003: (lr.TEXT, b"submitted")}
    for n in range(len(VERDICT)):
        with pytest.raises(lr.Difference):
            lr.Verdict(VERDICT[:n])


@pytest.mark.parametrize("algorithm", CHAINS)
def test_chain(algorithm):
    digest = lr.hasher(algorithm)
    start = lr.chain_start(digest, algorithm, SITE, LEDGER)
    first = lr.chain_next(digest, start, 1, 1770000000000, b"verdict", digest(b"author"))
    assert (start.hex(), first.hex()) == CHAINS[algorithm]


def test_own_chain():
    assert sm3(lr.own_start(sm3, REPLICA) + sm3(b"author")).hex() == OWN


def test_head():
    h = lr.Head(HEAD, b"")
    assert (h.ledger, h.incarnation, h.stream, h.seq) == (LEDGER, CITY_LIFE, SITE, 258)
    assert h.hash == b"\x77" * 32
    with pytest.raises(lr.Difference):
        lr.Head(HEAD + b"\0", b"")


def test_unknown_field():
    row = lr.Row(lr.Kind(OPINION, "opinion", "site"), RECORD)
    row.put(900, (lr.TEXT, "新".encode()), 30, True)
    packed = b"".join(lr.put_varint(t) + lr.put_value(v) for t, v in row.unknown.items())
    assert packed.hex() == "84070203e696b0"


@pytest.mark.parametrize("old, add, cut, want", [
    (b"a,b", b"c", b"a", b"b,c"), (None, b"a", None, b"a"), (b"a", None, b"a", None),
    (b"a", b"a", b"a", b"a"), (b"b,d", b"a,c,e", b"x", b"a,b,c,d,e"),
])
def test_sets(old, add, cut, want):
    def of(raw):
        return lr.NOTHING if raw is None else (lr.SET, raw)

    assert lr.set_apply(of(old), of(add), of(cut)) == of(want)
    assert lr.set_apply((lr.TEXT, b"x"), of(add), of(cut)) == of(add)


# ---- what the standard library lacks ----


def test_ecdsa():
    public = plain_crypto.load_public(PUBLIC)
    assert plain_crypto.verify(public, b"hello", SIGNATURE)
    assert not plain_crypto.verify(public, b"hellp", SIGNATURE)
    for i in range(len(SIGNATURE)):
        bad = SIGNATURE[:i] + bytes([SIGNATURE[i] ^ 1]) + SIGNATURE[i + 1 :]
        assert not plain_crypto.verify(public, b"hello", bad)
    with pytest.raises(ValueError):
        plain_crypto.load_public(PUBLIC[:-1] + b"\xd4")


def test_aes_256_gcm():
    """Test case 16 of the GCM specification."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    sealed = bytes.fromhex(
        "cafebabefacedbaddecaf888"
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b")
    plain = plain_crypto.gcm_open(key, sealed, aad)
    assert plain.hex() == (
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
    with pytest.raises(ValueError):
        plain_crypto.gcm_open(key, sealed, aad + b"x")


# docs/ledger.md §16.
def test_row_digest_and_root():
    row = lr.Row(lr.read_catalogue(os.path.join(ROOT, "common/catalogue"))[22], b"\x33" * 16)
    row.stream, row.created_seq, row.seq = 431021, 7, 300
    row.created_at, row.created_by = 1770000000000, b"\x22" * 16
    row.updated_at, row.updated_by = 1770000000001, bytes(16)
    row.values = {5: (lr.TEXT, b"visit"), 12: (lr.ERASED, None), 1003: (lr.TEXT, b"collected"),
                  4: lr.NOTHING}
    row.unknown = {900: (lr.TEXT, "新".encode()), 901: lr.NOTHING}
    digest = lr.digest_of(row.encode())
    assert digest.to_bytes(16, "big").hex() == "fbbe2ef89a226af02eb63e9b52c340b8"
    assert lr.root_of({22: (1, digest), 23: (0, 0)}).hex() == "9c4c1f2df26a5c91506288686a8fc841"


# ---- whole files ----


def encode(n, op, fields, to=b"", act=(0, 1)):
    v = lr.put_varint
    out = b"\1" + REPLICA + v(n) + v(SITE) + v(act[0]) + v(act[1]) + v(1000 + n) + ACTOR
    out += v(0) + v(1) + v(OPINION) + RECORD + bytes([op])
    if op == lr.CREATE:
        out += v(len(to)) + to
    return out + v(len(fields)) + b"".join(v(t) + bytes([form]) + v(0) + raw
                                           for t, form, raw in fields)


def text(s):
    return lr.put_value((lr.TEXT, s.encode()))


# handler_unit (21) is edited, withheld, and set to what it is; 900 is a field of the future.
CHANGES = [
    (CHANGE.replace(b"\x11" * 16 + b"\x07", b"\x11" * 16 + b"\x01"), SIDE, NO_VERDICT),
    (encode(2, lr.SET_OP, [(21, 1, text("住建局")), (900, 1, text("新"))]), None,
     bytes.fromhex("0101000000")),
    (encode(3, lr.SET_OP, [(21, 1, text("水利局"))]), None, bytes.fromhex("010000011500")),
    (encode(4, lr.SET_OP, [(16, 1, text("路灯")), (21, 1, text("住建局"))]), None, NO_VERDICT),
]


def make_tables(db, kinds):
    for kind in kinds.values():
        columns = ["rid BLOB PRIMARY KEY"] + ['"%s"' % c for c in lr.HEADER_COLUMNS[1:]]
        columns += ['"%s" %s' % (f.name, f.column_type()) for f in kind.fields.values() if f.stored]
        db.execute('CREATE TABLE "%s" (%s)' % (kind.name, ", ".join(columns)))


def row_digest():
    """Of the row below, as docs/ledger.md §11 and §12 say."""
    v = lr.put_varint
    return hashlib.sha256(
        b"\1" + v(OPINION) + RECORD + v(SITE) + v(1) + v(4) + v(1770000000000) + ACTOR + v(1004) + ACTOR
        + v(8) + v(5) + text("visit") + v(7) + lr.put_value((lr.INT, -3)) + v(12) + text("路灯")
        + v(16) + text("路灯") + v(21) + text("住建局") + v(900) + text("新") + v(1001) + text("431021")
        + v(1003) + text("collected")).digest()[:16]


def make(path, city):
    db = sqlite3.connect(path)
    db.executescript(
        "PRAGMA user_version = 1;"
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB);"
        "CREATE TABLE stream (stream INTEGER PRIMARY KEY, seq, hash, incarnation);"
        "CREATE TABLE log (pos INTEGER PRIMARY KEY, received_at, verdict, hash, bytes, side);"
        "CREATE TABLE pending (n, first_n, act_len, act_bytes, record, kind, bytes, side, hash, before);"
        "CREATE TABLE refused_change (n, bytes, side, hash);"
        "CREATE TABLE digest (stream, kind, count, sum);"
        "CREATE TABLE head (stream, seq, compared, bytes, signature);")
    make_tables(db, lr.read_catalogue(os.path.join(ROOT, "common/catalogue")))
    start = lr.chain_start(sm3, 1, lr.SHARED, LEDGER)
    db.execute("INSERT INTO stream VALUES (1, 0, ?, ?)", (start, CITY_LIFE))
    tip, own, owns = lr.chain_start(sm3, 1, SITE, LEDGER), lr.own_start(sm3, REPLICA), []
    for seq, (data, side, verdict) in enumerate(CHANGES, 1):
        tip = lr.chain_next(sm3, tip, seq, 2000 + seq, verdict, sm3(data))
        own = sm3(own + sm3(data))
        owns.append(own)
        db.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)",
                   ((SITE << 40) + seq, 2000 + seq, verdict, tip, data, side))
    db.execute("INSERT INTO stream VALUES (?, ?, ?, ?)", (SITE, len(CHANGES), tip, CITY_LIFE))
    if city:
        db.execute("CREATE TABLE replica (no, id, site, accepted_n, own_chain)")
        db.execute("CREATE TABLE processed (pos, seq, chain)")
        db.execute("CREATE TABLE refusal (pos, last_n, at_n, bytes)")
        db.execute("INSERT INTO replica VALUES (3, ?, ?, 4, ?)", (REPLICA, SITE, own))
        db.executemany("INSERT INTO processed VALUES (?, ?, ?)",
                       [((3 << 40) + n, n, c) for n, c in enumerate(owns, 1)])
        db.executemany("INSERT INTO meta VALUES (?, ?)",
                       [("ledger", LEDGER), ("incarnation", CITY_LIFE), ("hash", 1)])
    else:
        db.execute("CREATE TABLE own (hash, ledger, replica, site, n, chain)")
        db.execute("INSERT INTO own VALUES (1, ?, ?, ?, 4, ?)", (LEDGER, REPLICA, SITE, own))
    # The row written by hand, as docs/ledger.md §13 says; channel (5), anonymous (7), title (12).
    db.execute(
        "INSERT INTO opinion (rid, stream, created_seq, seq, created_at, created_by, updated_at,"
        " updated_by, unknown, seqs, pending, channel, anonymous, title, keywords, handler_unit, site, state)"
        " VALUES (?, ?, 1, 4, 1770000000000, ?, 1004, ?, ?, ?, 0, 'visit', -3, '路灯', '路灯', '住建局',"
        " '431021', 'collected')",
        (RECORD, SITE, ACTOR, ACTOR, bytes.fromhex("84070203e696b0"),
         bytes([16, 4, 21, 2]) if city else None))
    db.execute("INSERT INTO digest VALUES (?, ?, 1, ?)", (SITE, OPINION, row_digest()))
    db.commit()
    return db


@pytest.fixture(params=["city", "replica"])
def made(request, tmp_path):
    path = str(tmp_path / "file.db")
    return path, make(path, request.param == "city"), request.param == "city"


def test_good_file(made, capsys):
    path, db, city = made
    db.close()
    assert lr.main([path]) == 0
    out = capsys.readouterr().out
    assert ("city" if city else "replica") in out and "4 entries" in out and "1 rows" in out


TAMPER = [
    ("UPDATE opinion SET handler_unit = '水利局'", "handler_unit is '水利局'"),
    ("UPDATE opinion SET title = NULL", "title is None"),
    ("UPDATE opinion SET title = x'07'", "title is"),
    ("UPDATE opinion SET unknown = NULL", "unknown is"),
    ("UPDATE opinion SET seq = 3", "seq is 3"),
    ("UPDATE opinion SET created_by = zeroblob(16)", "created_by is"),
    ("UPDATE opinion SET voided = 0", "voided is 0"),
    ("UPDATE opinion SET seqs = x'1503'", "seq of tag"),
    ("DELETE FROM opinion", "not in the table"),
    ("INSERT INTO sector (rid, pending) VALUES (zeroblob(16), 0)", "not in the log"),
    ("ALTER TABLE opinion DROP COLUMN demand", "columns differ: ['demand']"),
    ("DROP TABLE sector", "no such table"),
    ("UPDATE log SET received_at = 1 WHERE pos & 7 = 2", "seq 2: chain hash"),
    ("UPDATE log SET side = NULL", "title is"),
    ("UPDATE log SET side = x'%sae' WHERE side IS NOT NULL" % SIDE[:-1].hex(), "tag 12 is not"),
    ("DELETE FROM log WHERE pos & 7 = 2", "the next entry is seq 3"),
    ("DELETE FROM log WHERE pos & 7 = 4", "ends at seq 3"),
    ("UPDATE stream SET hash = zeroblob(32) WHERE stream > 1", "ends at seq 4"),
    ("PRAGMA user_version = 2", "user_version"),
    ("UPDATE digest SET sum = zeroblob(16)", "digests of stream"),
    ("UPDATE digest SET count = 2", "digests of stream"),
    ("DELETE FROM digest", "digests of stream"),
]


@pytest.mark.parametrize("sql, said", TAMPER)
def test_tampered_file(made, capsys, sql, said):
    path, db, _ = made
    db.execute(sql)
    db.commit()
    db.close()
    assert lr.main([path]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("made", ["city"], indirect=True)
@pytest.mark.parametrize("sql, said", [
    ("UPDATE processed SET chain = zeroblob(32) WHERE pos & 7 = 2", "own chain at 2"),
    ("UPDATE processed SET seq = 1 WHERE pos & 7 = 2", "change 2 is not the entry 1"),
    ("DELETE FROM processed WHERE pos & 7 = 4", "n 1 to 4"),
])
def test_tampered_city(made, capsys, sql, said):
    path, db, _ = made
    db.execute(sql)
    db.commit()
    db.close()
    assert lr.main([path]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("made", ["replica"], indirect=True)
def test_heads(made, tmp_path, capsys):
    path, db, _ = made
    tip = db.execute("SELECT hash FROM stream WHERE stream = ?", (SITE,)).fetchone()[0]
    db.close()
    listed, key = tmp_path / "heads", tmp_path / "key.der"
    key.write_bytes(PUBLIC)

    def head(hash_):
        return b"\1" + LEDGER + CITY_LIFE + SITE.to_bytes(4, "big") + (4).to_bytes(8, "big") + hash_ + b"\0"

    listed.write_text("# one\n%s %s\n" % (head(tip).hex(), SIGNATURE.hex()))
    assert lr.main(["--heads", str(listed), path]) == 0
    assert lr.main(["--heads", str(listed), "--log-key", str(key), path]) == 1
    assert "the signature is not" in capsys.readouterr().err
    listed.write_text("%s %s\n" % (head(bytes(32)).hex(), SIGNATURE.hex()))
    assert lr.main(["--heads", str(listed), path]) == 1
    assert "the log" in capsys.readouterr().err
