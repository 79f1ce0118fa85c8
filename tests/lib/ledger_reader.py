#!/usr/bin/python3
"""An independent reader of city.db and replica.db, written from docs/ledger.md and nothing else of ours.

Verifies every chain, sidecar and own chain, makes the projection anew from the log, and compares it value
by value with the tables. Exit 0: all is as the log says; 1: the first difference is printed.

    ledger_reader.py [--catalogue DIR] [--vault-key FILE] [--log-key DER] [--heads FILE] city.db

Without --vault-key, what is sealed at rest is not opened: of such values only the marks are compared, and the
counts say how many."""

import argparse
import hashlib
import hmac
import os
import sqlite3
import sys
import urllib.parse
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import plain_crypto  # noqa: E402

SHARED, CITY = 1, 2
NULL, INT, TEXT, SET, ID, IDS, SEALED, ERASED = range(8)
CREATE, SET_OP, TRANSITION, VOID, UNVOID, ERASE = range(1, 7)
FORM_SET, FORM_DELTA, FORM_HASHED = 1, 2, 3
MORE, RECOVERED = 1, 2
AT_REST = 0x80
STATE_TAG = 1003
ZERO_ID = bytes(16)
VAULT_AAD = b"ztc-vault-1"
ALGORITHMS = {1: "sm3", 2: "sha256"}

NOTHING = (NULL, None)
UNKNOWN = (-1, None)  # a value that lies in a sidecar we have no key for


class Difference(Exception):
    """The file is not what docs/ledger.md says it must be."""


def fail(text, *args):
    raise Difference(text % args if args else text)


# ---- primitives ----


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            fail("bytes end too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self):
        return self.take(1)[0]

    def be(self, n):
        return int.from_bytes(self.take(n), "big")

    def varint(self, bits=64):
        value = 0
        for shift in range(0, 64, 7):
            c = self.u8()
            if (shift == 63 and c > 1) or (shift > 0 and c == 0):
                break
            value |= (c & 0x7F) << shift
            if c < 0x80:
                if value >> bits:
                    break
                return value
        fail("varint is not in its shortest form, or too large")

    def bytes(self, most=None):
        n = self.varint()
        if most is not None and n > most:
            fail("a length of %d", n)
        return self.take(n)

    def value(self):
        kind = self.u8()
        if kind > ERASED:
            fail("value type %d", kind)
        if kind in (NULL, ERASED):
            return kind, None
        if kind == INT:
            v = self.varint()
            return INT, v >> 1 ^ -(v & 1)
        raw = self.bytes()
        if kind in (TEXT, SET):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                fail("text is not UTF-8")
            if "\0" in text:
                fail("text with a NUL")
        if kind == SET:
            check_elements(raw.split(b","))
        elif kind == ID and len(raw) != 16:
            fail("an id of %d bytes", len(raw))
        elif kind == IDS:
            if not raw or len(raw) % 16:
                fail("ids of %d bytes", len(raw))
            check_elements([raw[i : i + 16] for i in range(0, len(raw), 16)])
        return kind, raw

    def left(self):
        return len(self.data) - self.at

    def done(self):
        if self.left():
            fail("%d bytes left over", self.left())


def check_elements(items):
    if not all(items) or any(a >= b for a, b in zip(items, items[1:])):
        fail("elements are not sorted and unique")


def put_varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def put_value(v):
    kind, content = v
    if kind in (NULL, ERASED):
        return bytes([kind])
    if kind == INT:
        return bytes([INT]) + put_varint(content << 1 if content >= 0 else (-content << 1) - 1)
    return bytes([kind]) + put_varint(len(content)) + content


def equal(a, b):
    """True, False, or None when it cannot be told."""
    if a[0] == UNKNOWN[0] or b[0] == UNKNOWN[0]:
        return None
    return a == b and a[0] != SEALED


def set_apply(old, add, cut):
    kinds = {v[0] for v in (old, add, cut) if v[0] != NULL}
    if not kinds:
        return NOTHING
    if len(kinds) > 1 or not kinds <= {SET, IDS}:
        return add
    kind = kinds.pop()

    def elements(v):
        if v[0] == NULL:
            return set()
        raw = v[1]
        return set(
            raw.split(b",") if kind == SET else (raw[i : i + 16] for i in range(0, len(raw), 16))
        )

    items = sorted(elements(old) - elements(cut) | elements(add))
    return (kind, (b"," if kind == SET else b"").join(items)) if items else NOTHING


# ---- changes, verdicts, heads ----


class Field:
    __slots__ = ("tag", "form", "saw_n", "value", "cut", "hash", "salt")


class Change:
    """The author's bytes, decoded; values of hashed fields come from the sidecar."""

    def __init__(self, data, side=b""):
        r = Reader(data)
        if r.u8() != 1:
            fail("change format")
        self.replica = r.take(16)
        self.n = r.varint()
        self.stream = r.varint(32)
        self.act_pos, self.act_len = r.varint(32), r.varint(32)
        self.made_at = r.varint()
        self.actor = r.take(16)
        self.seen = r.varint()
        self.catalogue, self.kind = r.varint(32), r.varint(32)
        self.record = r.take(16)
        self.op = r.u8()
        if not CREATE <= self.op <= ERASE:
            fail("operation %d", self.op)
        self.source = r.bytes(64) if self.op == TRANSITION else b""
        self.to = r.bytes(64) if self.op in (CREATE, TRANSITION) else b""
        if self.n == 0 or not 1 <= self.act_len <= 1000 or self.act_pos >= self.act_len:
            fail("place in the act")
        self.fields = {}
        count, last = r.varint(), -1
        if count > 256:
            fail("%d fields", count)
        for _ in range(count):
            f = self._field(r)
            if f.tag <= last:
                fail("fields do not ascend")
            last = f.tag
            self.fields[f.tag] = f
        r.done()
        self.sealed_side = side is None
        if side is None:
            for f in self.fields.values():
                if f.form == FORM_HASHED:
                    f.value = UNKNOWN
        else:
            self._side(Reader(side))

    @staticmethod
    def _field(r):
        f = Field()
        f.tag, f.form, f.saw_n = r.varint(32), r.u8(), r.varint()
        f.cut, f.hash, f.salt = NOTHING, None, None
        if f.form == FORM_SET:
            f.value = r.value()
        elif f.form == FORM_DELTA:
            f.value, f.cut = r.value(), r.value()
        elif f.form == FORM_HASHED:
            f.hash, f.value = r.take(32), (ERASED, None)
        else:
            fail("field form %d", f.form)
        return f

    def _side(self, r):
        last = 0
        while r.left():
            tag, form = r.varint(32), r.u8()
            f = self.fields.get(tag)
            if tag <= last or f is None or f.form != FORM_HASHED:
                fail("sidecar of tag %d has no field", tag)
            last = tag
            if form == 1:
                f.salt, f.value = r.take(16), r.value()
                if f.value[0] in (SEALED, ERASED):
                    fail("sidecar of tag %d", tag)
            elif form == 2:
                f.value = (SEALED, r.bytes(512 * 1024))
            else:
                fail("sidecar form %d", form)

    def check_side(self, digest):
        """How many salted values there were, each hashing to what the bytes say."""
        open_ones = [f for f in self.fields.values() if f.salt is not None]
        for f in open_ones:
            if digest(f.salt + put_value(f.value)) != f.hash:
                fail("value of tag %d is not what its author hashed", f.tag)
        return len(open_ones)


class Verdict:
    def __init__(self, data):
        r = Reader(data)
        if r.u8() != 1:
            fail("verdict format")
        self.flags, self.shared_seq = r.varint(32), r.varint()
        self.withheld = self._tags(r, lambda: None)
        self.derived = self._tags(r, r.value)
        r.done()

    @staticmethod
    def _tags(r, read):
        out, last, count = {}, 0, r.varint()
        if count > 256:
            fail("%d tags in a verdict", count)
        for _ in range(count):
            tag = r.varint(32)
            if tag <= last:
                fail("tags of a verdict do not ascend")
            out[tag] = read()
            last = tag
        return out


class Head:
    def __init__(self, data, signature):
        r = Reader(data)
        if r.u8() != 1:
            fail("head format")
        self.bytes, self.signature = data, signature
        self.ledger, self.incarnation = r.take(16), r.take(16)
        self.stream, self.seq, self.hash = r.be(4), r.be(8), r.take(32)
        self.root = r.bytes(16)
        if len(self.root) not in (0, 16):
            fail("root digest of a head")
        r.done()


def hasher(algorithm):
    name = ALGORITHMS.get(algorithm)
    if name is None:
        fail("hash algorithm %r", algorithm)
    return lambda data: hashlib.new(name, data).digest()


def chain_start(digest, algorithm, stream, ledger):
    return digest(b"ztc-ledger-1" + bytes([algorithm]) + stream.to_bytes(4, "big") + ledger)


def chain_next(digest, prev, seq, received_at, verdict, bytes_hash):
    numbers = seq.to_bytes(8, "big") + received_at.to_bytes(8, "big")
    return digest(prev + numbers + verdict + bytes_hash)


def own_start(digest, replica):
    return digest(b"ztc-own-1" + replica)


# ---- the catalogue ----

NUMBERS = {"int", "decimal", "money", "bool", "year"}
IDENTIFIERS = {"ref", "rid", "refs", "files"}
HEADER_COLUMNS = ("rid", "stream", "created_seq", "seq", "created_at", "created_by", "updated_at",
                  "updated_by", "unknown", "seqs", "pending")
HEADER_FIELDS = ((1001, "site", "text"), (1002, "serial_no", "text"), (1003, "state", "enum"),
                 (1004, "voided", "bool"), (1005, "void_reason", "text"), (1006, "historic", "bool"),
                 (1007, "historic_file", "ref"))


class CatalogueField:
    def __init__(self, tag, name, kind, vanish="", flags=()):
        self.tag, self.name, self.vanish = tag, name, vanish
        self.type = kind.split(":")[0].split("(")[0]
        self.stored = self.type != "list" and not {"serial", "local"} & set(flags)

    def column_type(self):
        if self.type in NUMBERS:
            return "INTEGER"
        return "BLOB" if self.type in IDENTIFIERS else "TEXT"


class Kind:
    def __init__(self, tag, name, stream):
        self.tag, self.name, self.stream = tag, name, stream
        self.fields = {}


def read_tsv(path):
    with open(path, encoding="utf-8", newline="") as f:
        lines = f.read().split("\n")
    rows = [line.split("\t") for line in lines if line]
    return [dict(zip(rows[0], row + [""] * (len(rows[0]) - len(row)))) for row in rows[1:]]


def read_catalogue(folder):
    """Kinds by tag, those without a stream left out."""
    kinds = {}
    for row in read_tsv(os.path.join(folder, "kinds.tsv")):
        kinds[row["name"]] = Kind(int(row["tag"]), row["name"], row["stream"])
    for row in read_tsv(os.path.join(folder, "fields.tsv")):
        f = CatalogueField(int(row["tag"]), row["field"], row["type"], row["vanish"],
                           row["flags"].split(","))
        kinds[row["kind"]].fields[f.tag] = f
    for kind in kinds.values():
        for tag, name, type_name in HEADER_FIELDS:
            kind.fields[tag] = CatalogueField(tag, name, type_name)
    return {k.tag: k for k in kinds.values() if k.stream != "none"}


# ---- applying ----


class Row:
    def __init__(self, kind, record):
        self.kind, self.record = kind, record
        self.values, self.unknown, self.seqs = {}, {}, {}
        self.vague = set()  # tags whose seq cannot be told without the vault's key

    def put(self, tag, value, seq, track):
        if tag not in self.kind.fields:
            self.unknown[tag] = value
            return
        if track and self.created_seq != seq:
            same = equal(self.values.get(tag, NOTHING), value)
            if same is None:
                self.vague.add(tag)
            elif not same:
                self.seqs[tag] = seq
                self.vague.discard(tag)
        self.values[tag] = value

    def apply(self, c, v, seq, track):
        if c.op == CREATE:
            self.stream, self.created_seq = c.stream, seq
            self.created_at, self.created_by = c.made_at, c.actor
        self.updated_at, self.updated_by, self.seq = c.made_at, c.actor, seq
        if c.op in (CREATE, TRANSITION):
            self.put(STATE_TAG, (TEXT, c.to) if c.to else NOTHING, seq, track)
        for tag, f in c.fields.items():
            if tag in v.withheld:
                continue
            value = f.value
            if f.form == FORM_DELTA:
                old = (self.values if tag in self.kind.fields else self.unknown).get(tag, NOTHING)
                value = set_apply(old, f.value, f.cut)
            self.put(tag, value, seq, track)
        for tag, value in v.derived.items():
            self.put(tag, value, seq, track)


    def items(self):
        """Values that count in a digest, by tag."""
        out = {t: v for t, v in self.unknown.items() if t not in self.kind.fields}
        out.update((t, v) for t, v in self.values.items() if self.kind.fields[t].stored)
        return sorted((t, v) for t, v in out.items() if v[0] != NULL)

    def encode(self):
        v, items = put_varint, self.items()
        return b"".join(
            [b"\1", v(self.kind.tag), self.record, v(self.stream), v(self.created_seq), v(self.seq),
             v(self.created_at), self.created_by, v(self.updated_at), self.updated_by, v(len(items))]
            + [v(tag) + put_value(value) for tag, value in items])


def digest_of(data):
    return int.from_bytes(hashlib.sha256(data).digest()[:16], "big")


def root_of(kinds):
    """Of {kind: (count, sum)}."""
    return hashlib.sha256(b"ztc-root-1" + b"".join(
        tag.to_bytes(4, "big") + count.to_bytes(8, "big") + total.to_bytes(16, "big")
        for tag, (count, total) in sorted(kinds.items()) if count)).digest()[:16]


# ---- the file ----


class Ledger:
    def __init__(self, path, catalogue, vault_key=None, log_key=None):
        uri = "file:" + urllib.parse.quote(os.path.abspath(path)) + "?mode=ro"
        self.db = sqlite3.connect(uri, uri=True, isolation_level=None)
        self.kinds, self.vault_key, self.log_key = catalogue, vault_key, log_key
        self.counts = Counter()
        self.rows = {}
        self.hashes = {}  # (replica, n) -> H(author's bytes), of entries
        self.places = {}  # (replica, n) -> (stream, seq)
        self.chain = {}  # (stream, seq) -> chain hash
        self.heads = {}  # (incarnation, stream, seq) -> hash
        self.where = ""

    def all(self, sql, *args):
        return self.db.execute(sql, args).fetchall()

    def one(self, sql, *args):
        rows = self.all(sql, *args)
        if len(rows) != 1:
            fail("%s gives %d rows", sql, len(rows))
        return rows[0]

    def open(self):
        self.db.execute("BEGIN")
        if self.one("PRAGMA user_version")[0] != 1:
            fail("user_version is not 1")
        self.tables = {name for (name,) in self.all("SELECT name FROM sqlite_master"
                                                    " WHERE type = 'table'")}
        self.is_city = "replica" in self.tables
        if self.is_city:
            meta = dict(self.all("SELECT name, value FROM meta"))
            for name in ("ledger", "incarnation", "hash"):
                if name not in meta:
                    fail("meta has no %s", name)
            self.algorithm, self.ledger = meta["hash"], meta["ledger"]
            self.incarnation = meta["incarnation"]
        else:
            self.own = dict(zip(("hash", "ledger", "replica", "site", "n", "chain"), self.one(
                "SELECT hash, ledger, replica, site, n, chain FROM own")))
            self.algorithm, self.ledger = self.own["hash"], self.own["ledger"]
        self.digest = hasher(self.algorithm)

    def unseal(self, sealed, seed=None):
        """Plain bytes, or None without a key. With a seed the nonce must be the seed's."""
        if self.vault_key is None:
            self.counts["sealed, not opened"] += 1
            return None
        try:
            plain = plain_crypto.gcm_open(self.vault_key, sealed, VAULT_AAD)
        except ValueError as e:
            fail("sealed value: %s", e)
        if seed is not None:
            seed = seed(plain) if callable(seed) else seed
            if hmac.new(self.vault_key, seed, "sha256").digest()[:12] != sealed[:12]:
                fail("sealed value: nonce is not its seed's")
        self.counts["sealed, opened"] += 1
        return plain

    def side(self, side, seed):
        if not side:
            return b""
        return self.unseal(side[1:], seed) if side[0] == AT_REST else side

    # -- the log --

    def read_log(self):
        streams = self.all("SELECT stream, seq, hash, incarnation FROM stream ORDER BY stream")
        known = [s[0] for s in streams]
        if not self.is_city and known != sorted((SHARED, self.own["site"])):
            fail("a replica holds streams %s", known)
        self.seqs = {s[0]: s[1] for s in streams}
        self.incarnations = {s[0]: s[3] for s in streams}
        for (number,) in self.all("SELECT DISTINCT pos >> 40 FROM log"):
            if number not in self.seqs:
                fail("log has entries of stream %d, which is not in stream", number)
        for number, seq, tip, _ in streams:
            self.read_stream(number, seq, tip)

    def read_stream(self, stream, last, tip):
        prev = chain_start(self.digest, self.algorithm, stream, self.ledger)
        self.chain[stream, 0] = prev
        seq, more, act = 0, False, {}
        for pos, at, verdict, hash_, data, side in self.db.execute(
                "SELECT pos, received_at, verdict, hash, bytes, side FROM log"
                " WHERE pos BETWEEN ? AND ? ORDER BY pos", (stream << 40, (stream + 1 << 40) - 1)):
            seq += 1
            self.where = "stream %d seq %d" % (stream, seq)
            if pos != (stream << 40) + seq:
                fail("the next entry is seq %d", pos - (stream << 40))
            bytes_hash = self.digest(data)
            prev = chain_next(self.digest, prev, seq, at, verdict, bytes_hash)
            if prev != hash_:
                fail("chain hash is %s, should be %s", hash_.hex(), prev.hex())
            self.chain[stream, seq] = prev
            c = Change(data, self.side(side, hash_ + seq.to_bytes(8, "little")))
            v = Verdict(verdict)
            self.counts["salted values"] += c.check_side(self.digest)
            act = act if more else {}
            self.check_entry(stream, seq, c, v, act)
            more = bool(v.flags & MORE)
            self.hashes[c.replica, c.n] = bytes_hash
            self.places[c.replica, c.n] = (stream, seq)
            self.apply(c, v, seq)
            self.counts["entries"] += 1
        self.where = "stream %d" % stream
        if seq != last or prev != tip:
            fail("ends at seq %d with %s; stream says %d with %s", seq, prev.hex(), last, tip.hex())
        if more:
            fail("the last entry says that its act goes on")
        self.counts["streams"] += 1

    def check_entry(self, stream, seq, c, v, act):
        if c.stream != stream:
            fail("the change is of stream %d", c.stream)
        if (c.replica, c.n) in self.places and self.places[c.replica, c.n][0] == stream:
            fail("change %d of %s is here twice", c.n, c.replica.hex())
        if v.shared_seq > self.seqs.get(SHARED, 0):
            fail("needs seq %d of shared", v.shared_seq)
        if c.act_len > 1:
            if c.act_pos <= act.get(c.replica, -1):
                fail("changes of an act are out of order")
            act[c.replica] = c.act_pos

    def apply(self, c, v, seq):
        kind = self.kinds.get(c.kind)
        if kind is None:
            self.counts["entries of unknown kinds"] += 1
            return
        row = self.rows.get((kind.tag, c.record))
        if (row is not None) == (c.op == CREATE):
            fail("%s %s %s", kind.name, c.record.hex(), "exists" if row else "does not exist")
        if row is None:
            row = self.rows[kind.tag, c.record] = Row(kind, c.record)
        elif row.stream != c.stream:
            fail("%s %s lives in stream %d", kind.name, c.record.hex(), row.stream)
        row.apply(c, v, seq, self.is_city)

    # -- own changes --

    def has_column(self, table, column):
        return column in [row[1] for row in self.all("PRAGMA table_info(%s)" % table)]

    def city_lines(self):
        """no -> [(base, id)] of the replica and those it was made out of, newest first."""
        if not self.has_column("replica", "predecessor"):
            return {no: [(0, rid)] for no, rid in self.all("SELECT no, id FROM replica")}
        rows = {no: (rid, predecessor, base) for no, rid, predecessor, base in self.all(
            "SELECT no, id, predecessor, base FROM replica")}
        lines = {}
        for no in rows:
            line, at = [], no
            while at != 0:
                if at not in rows or len(line) > len(rows):
                    fail("replica %d has no beginning", no)
                line.append((rows[at][2], rows[at][0]))
                at = rows[at][1]
            lines[no] = line
        return lines

    @staticmethod
    def maker(line, n):
        """Who of a line made change n."""
        return next(rid for base, rid in line if n > base or rid == line[-1][1])

    def check_city_replicas(self):
        lines, refusals = self.city_lines(), {}
        for no, rid, site, accepted, chain in self.all(
                "SELECT no, id, site, accepted_n, own_chain FROM replica ORDER BY no"):
            self.where = "replica %s" % rid.hex()
            line = lines[no]
            refusals[rid] = refused = self.refused_hashes(no, rid, line[0][0])
            processed = self.all("SELECT pos - (? << 40), seq, chain FROM processed WHERE pos"
                                 " BETWEEN (? << 40) AND (? << 40) - 1 ORDER BY pos",
                                 no, no, no + 1)
            at = own_start(self.digest, line[-1][1])
            if [p[0] for p in processed] != list(range(1, accepted + 1)):
                fail("processed does not hold n 1 to %d", accepted)
            for n, seq, kept in processed:
                by = self.maker(line, n)
                if seq != 0 and self.places.get((by, n)) != (site, seq):
                    fail("change %d is not the entry %d of stream %d", n, seq, site)
                hash_ = self.hashes.get((by, n), refusals[by].get(n))
                if hash_ is None:
                    fail("change %d is neither entry nor refusal", n)
                at = self.digest(at + hash_)
                if at != kept:
                    fail("own chain at %d is %s, should be %s", n, kept.hex(), at.hex())
                self.counts["own changes"] += 1
            if at != chain:
                fail("own chain at accepted_n")
        self.where = ""

    def refused_hashes(self, no, rid, base):
        out = {}
        for pos, last, data in self.all(
                "SELECT pos, last_n, bytes FROM refusal WHERE pos BETWEEN (? << 40) AND"
                " (? << 40) - 1", no, no + 1):
            r, n = Reader(data), pos - (no << 40)
            if n <= base:  # the predecessor's, which has the bytes
                if data:
                    fail("refusal of change %d holds bytes", n)
                continue
            while r.left():
                raw, side = r.bytes(), r.bytes()
                c = Change(raw, side)
                if c.replica != rid or c.n != n:
                    fail("refusal of change %d holds change %d", n, c.n)
                self.counts["salted values"] += c.check_side(self.digest)
                out[n] = self.digest(raw)
                n += 1
            if n != last + 1:
                fail("a refusal ends at %d, should end at %d", n - 1, last)
            self.counts["refusals"] += 1
        return out

    def check_own_chain(self):
        line = [(0, self.own["replica"])]
        for rid, until in self.all("SELECT replica, until_n FROM predecessor ORDER BY step DESC"
                                   if "predecessor" in self.tables else "SELECT 0, 0 WHERE 0"):
            line[-1] = (until, line[-1][1])
            line.append((0, rid))
        before = dict(self.all("SELECT n, before FROM pending"))
        kept = {n: h for (replica, n), h in self.hashes.items()
                if n <= self.own["n"] and replica == self.maker(line, n)}
        self.where = "own changes"
        for n, data, side, hash_ in self.all("SELECT n, bytes, side, hash FROM pending UNION ALL"
                                             " SELECT n, bytes, side, hash FROM refused_change"):
            if n in kept:
                fail("change %d is here twice", n)
            kept[n] = self.digest(data)
            c = Change(data, self.side(side, hash_))
            self.counts["salted values"] += c.check_side(self.digest)
            if kept[n] != hash_ or c.n != n or c.replica != self.maker(line, n):
                fail("change %d is damaged", n)
        at = own_start(self.digest, line[-1][1])
        if sorted(kept) != list(range(1, self.own["n"] + 1)):
            fail("own changes 1 to %d are not all here", self.own["n"])
        for n in range(1, self.own["n"] + 1):
            if before.get(n, at) != at:
                fail("own chain before change %d", n)
            at = self.digest(at + kept[n])
            self.counts["own changes"] += 1
        if at != self.own["chain"]:
            fail("own chain is %s, should be %s", self.own["chain"].hex(), at.hex())
        self.counts["pending changes"] = len(before)
        self.where = ""

    # -- heads --

    def check_head(self, head, compared=True):
        self.where = "head of stream %d at %d" % (head.stream, head.seq)
        if head.ledger != self.ledger:
            fail("is of ledger %s", head.ledger.hex())
        if self.heads.setdefault((head.incarnation, head.stream, head.seq), head.hash) != head.hash:
            fail("another head of this incarnation says otherwise")
        if self.log_key is not None:
            if not plain_crypto.verify(self.log_key, b"ztc-head-1" + head.bytes, head.signature):
                fail("the signature is not the log key's")
            self.counts["signatures"] += 1
        present = head.incarnation == (
            self.incarnation if self.is_city else self.incarnations.get(head.stream))
        logged = self.chain.get((head.stream, head.seq))
        if logged is None:
            if present and self.is_city:
                fail("is ahead of the log")
        elif (present or compared) and logged != head.hash:
            fail("says %s, the log %s", head.hash.hex(), logged.hex())
        self.counts["heads"] += 1
        self.where = ""

    def check_kept_heads(self):
        for stream, seq, compared, data, signature in self.all(
                "SELECT stream, seq, compared, bytes, signature FROM head ORDER BY stream, seq"):
            self.where = "head of stream %d at %d" % (stream, seq)
            head = Head(data, signature)
            if (head.stream, head.seq) != (stream, seq):
                fail("is of stream %d at %d", head.stream, head.seq)
            if not compared and self.seqs.get(stream, -1) >= seq:
                fail("is reached and not compared")
            self.check_head(head, bool(compared))
            if compared and stream in self.seqs and seq == self.seqs[stream]:
                self.check_root(head)

    # -- digests --

    def sums(self, stream):
        """{kind: (count, sum)} as the log says, or None when a value lies sealed."""
        out = {}
        for (tag, _), row in self.rows.items():
            if row.stream != stream:
                continue
            if any(v[0] == UNKNOWN[0] for _, v in row.items()):
                return None
            count, total = out.get(tag, (0, 0))
            out[tag] = (count + 1, (total + digest_of(row.encode())) % (1 << 128))
        return out

    def check_root(self, head):
        sums = self.sums(head.stream)
        if head.root and sums is not None and not self.counts["entries of unknown kinds"]:
            if root_of(sums) != head.root:
                fail("the root is %s, should be %s", head.root.hex(), root_of(sums).hex())
            self.counts["roots"] += 1

    def compare_digests(self):
        kept = {}
        for stream, kind, count, total in self.all("SELECT stream, kind, count, sum FROM digest"):
            if count:
                kept.setdefault(stream, {})[kind] = (count, int.from_bytes(total, "big"))
        for stream in self.seqs:
            self.where = "digests of stream %d" % stream
            sums = self.sums(stream)
            if sums is not None and kept.get(stream, {}) != sums:
                fail("are %r, should be %r", kept.get(stream, {}), sums)
            self.counts["digests"] += 0 if sums is None else len(sums)
        self.where = ""

    # -- the projection --

    def compare(self):
        for kind in self.kinds.values():
            self.where = kind.name
            self.compare_kind(kind)
        self.where = ""

    def compare_kind(self, kind):
        if kind.name not in self.tables:
            fail("there is no such table")
        columns = [r[1] for r in self.all('PRAGMA table_info("%s")' % kind.name)]
        stored = [f for f in kind.fields.values() if f.stored]
        expected = list(HEADER_COLUMNS) + [f.name for f in stored]
        if sorted(columns) != sorted(expected):
            fail("columns differ: %s", sorted(set(columns) ^ set(expected)))
        due = {record for tag, record in self.rows if tag == kind.tag}
        select = ", ".join('"%s"' % name for name in expected)
        for cells in self.db.execute('SELECT %s FROM "%s" ORDER BY rid' % (select, kind.name)):
            self.compare_row(kind, stored, dict(zip(expected, cells)), due)
        missing = sorted(due)
        if missing:
            self.where = "%s %s" % (kind.name, missing[0].hex())
            fail("is in the log and not in the table")

    def compare_row(self, kind, stored, cells, due):
        self.where = "%s %s" % (kind.name, cells["rid"].hex())
        row = self.rows.get((kind.tag, cells["rid"]))
        due.discard(cells["rid"])
        if cells["pending"] != 0:
            if self.is_city or cells["pending"] != 1:
                fail("pending is %r", cells["pending"])
            if not self.all("SELECT 1 FROM pending WHERE record = ? LIMIT 1", cells["rid"]):
                fail("is marked pending, and nothing is pending")
            self.counts["rows left out (pending)"] += 1
            return
        if row is None:
            fail("is in the table and not in the log")
        for name in ("stream", "created_seq", "seq", "created_at", "created_by", "updated_at",
                     "updated_by"):
            if cells[name] != getattr(row, name):
                fail("%s is %r, should be %r", name, cells[name], getattr(row, name))
        unknown = b"".join(put_varint(t) + put_value(v) for t, v in sorted(row.unknown.items())
                           if v[0] != UNKNOWN[0])
        if not any(v[0] == UNKNOWN[0] for v in row.unknown.values()):
            if (cells["unknown"] or b"") != unknown:
                fail("unknown is %r, should be %r", cells["unknown"], unknown)
        self.compare_seqs(row, cells["seqs"])
        for f in stored:
            self.compare_cell(row, f, cells[f.name])
        self.counts["rows"] += 1

    def compare_seqs(self, row, packed):
        seqs, r, last = {}, Reader(packed or b""), 0
        if packed == b"":
            fail("seqs is empty and not NULL")
        while r.left():
            tag = r.varint(32)
            if tag <= last:
                fail("seqs do not ascend")
            seqs[tag], last = r.varint(), tag
        for tag in sorted(set(seqs) | set(row.seqs)):
            if tag not in row.vague and seqs.get(tag) != row.seqs.get(tag):
                fail("seq of tag %d is %r, should be %r", tag, seqs.get(tag), row.seqs.get(tag))

    def compare_cell(self, row, f, cell):
        value = row.values.get(f.tag, NOTHING)
        self.counts["values"] += 1
        if f.vanish == "pii" and isinstance(cell, bytes) and cell[:1] == bytes([AT_REST]):
            if value[0] not in (TEXT, UNKNOWN[0]):
                fail("%s is sealed, should be %s", f.name, show(value))
            prefix = row.record + f.tag.to_bytes(4, "big")
            plain = self.unseal(cell[1:], lambda p: prefix + p)
            if plain is not None and plain != put_value(value):
                fail("%s holds another value than the log", f.name)
            return
        if value[0] == UNKNOWN[0]:
            self.counts["values not compared (sealed)"] += 1
            return
        expected = bind(value)
        if cell != expected or type(cell) is not type(expected):
            fail("%s is %r, should be %r", f.name, cell, expected)

    def check(self, heads=()):
        self.open()
        self.read_log()
        if self.is_city:
            self.check_city_replicas()
        else:
            self.check_own_chain()
            self.check_kept_heads()
        for head in heads:
            self.check_head(head, False)
        self.compare()
        self.compare_digests()


def bind(value):
    kind, content = value
    if kind in (NULL, INT):
        return content
    if kind in (TEXT, SET):
        return content.decode("utf-8")
    if kind in (SEALED, ERASED):
        return bytes([kind]) + (content or b"")
    return content


def show(value):
    return "empty" if value[0] == NULL else repr(value)


# ---- the command ----


def read_heads(path):
    out = []
    with open(path, encoding="ascii") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                head, signature = (bytes.fromhex(part) for part in line.split())
                out.append(Head(head, signature))
    return out


def read_vault_key(path):
    with open(path, encoding="ascii") as f:
        key = bytes.fromhex(f.read().strip())
    if len(key) != 32:
        raise ValueError("not a key of 32 bytes")
    return key


def read_log_key(path):
    with open(path, "rb") as f:
        return plain_crypto.load_public(f.read())


def main(argv=None):
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", help="city.db or replica.db")
    parser.add_argument("--catalogue", default=os.path.join(here, "../../common/catalogue"))
    parser.add_argument("--vault-key", help="key file of values sealed at rest")
    parser.add_argument("--log-key", help="public key of signed heads, SubjectPublicKeyInfo DER")
    parser.add_argument("--heads", help="signed heads, one a line: hex head, hex signature")
    o = parser.parse_args(argv)
    ledger = None
    try:
        ledger = Ledger(o.file, read_catalogue(o.catalogue),
                        read_vault_key(o.vault_key) if o.vault_key else None,
                        read_log_key(o.log_key) if o.log_key else None)
        ledger.check(read_heads(o.heads) if o.heads else ())
    except (Difference, OSError, ValueError, sqlite3.Error) as e:
        where = ledger.where + ": " if ledger is not None and ledger.where else ""
        print("%s: %s%s" % (o.file, where, e), file=sys.stderr)
        return 1
    print("%s: %s, %s" % (o.file, "city" if ledger.is_city else "replica", ", ".join(
        "%d %s" % (n, what) for what, n in ledger.counts.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
