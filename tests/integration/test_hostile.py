"""A computer with a good certificate and bad intentions: the list of what it does is CASES below. Each case ends in a Bye with its code or a closed line; the
daemon stays up, its memory and everybody else's round trips are within the bounds below. What was seen is told at
the end of the run (`./check integration` shows it)."""
import contextlib
import hashlib
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time

import pytest

from conftest import ROOT, MEMBER, note, wait_until
from test_attach import CHUNK, claimed, opinion, pdf

sys.path.insert(0, str(ROOT / "tests" / "lib"))
import hostile_peer as hp  # noqa: E402
from hostile_peer import pb  # noqa: E402

SITE, OTHER_SITE = 431021, 431081
MEMORY_BOUND = 96 << 20  # bytes a daemon with few records may have grown to, whatever these cases do to it
LATENCY_BOUND = 10  # seconds until an honest computer's new record is acknowledged, two starts of `ztc` with it
ZEROS = bytes(16)


class Stage:
    """A city, a hostile computer of one office, an honest one of another."""

    def __init__(self, city, make_county):
        self.city = city
        self.slowest = self.met = 0
        self.county = make_county("hostile").enrol(city, SITE)
        self.county.sync()
        self.honest = make_county("honest").enrol(city, OTHER_SITE)
        self.honest.sync()
        self.replica = bytes.fromhex(self.county.status()["replica"].replace("-", ""))
        self.actor = bytes.fromhex(self.county.json("user", "list")[0]["id"].replace("-", ""))
        ini = (city.dir / "ztcd.ini").read_text(encoding="utf-8")
        host, port = re.search(r"^listen = (.*):(\d+)$", ini, re.M).groups()
        self.address = (host, int(port))

    def peer(self, **more):
        return hp.Peer(self.county.dir, self.replica, SITE, self.address, **more)

    def memory(self, word="VmRSS"):
        status = open(f"/proc/{self.city.daemon.process.pid}/status", encoding="ascii").read()
        return int(re.search(rf"{word}:\s+(\d+) kB", status).group(1)) << 10

    def change(self, n=1, **changed):
        fields = {"replica": self.replica, "n": n, "stream": SITE, "actor": self.actor}
        fields.update(changed)
        return hp.change(**fields)

    def honest_round_trip(self):
        """Seconds until an honest computer's new record is at the city, acknowledged."""
        begun = time.monotonic()
        self.honest.add("member", f"name=丁{begun}"[:20], *MEMBER)
        self.honest.sync()
        took = time.monotonic() - begun
        self.slowest = max(self.slowest, took)
        assert took <= LATENCY_BOUND
        return took

    def leave(self, what):
        """Whatever was done to the city, it serves the honest, is whole, and has not grown beyond the bound."""
        assert self.city.daemon.alive()
        assert wait_until(lambda: self.honest.run("sync", expect=None).returncode == 0, 30)
        self.honest_round_trip()
        peak = self.memory("VmHWM")
        note(f"hostile: {what}: memory at most {peak >> 20} MiB (bound {MEMORY_BOUND >> 20}), "
             f"others' round trips at most {self.slowest:.2f} s (bound {LATENCY_BOUND})")
        assert peak <= MEMORY_BOUND
        self.city.run("verify")


@pytest.fixture
def stage(city, make_county, request):
    made = Stage(city, make_county)
    yield made
    made.leave(request.node.name[len("test_"):].replace("_", " "))


# ---- a frame, or a few, that are wrong ----

def greeted(act):
    def case(stage, peer):
        peer.greet()
        act(stage, peer)
    return case


def bare(frame):
    return lambda stage, peer: peer.send(frame)


def after(frame):
    return greeted(lambda stage, peer: peer.send(frame))


def pushed(make):
    return greeted(lambda stage, peer: peer.send(make(stage)))


def bomb(stage):
    """Few bytes that expand to 64 MiB; the size says what a Push may have."""
    return hp.push([stage.change()], size=983040, body=hp.compress(b"\x00" * (64 << 20), 19))


def welcome():
    return pb.Frame(welcome=pb.Welcome(protocol=1, city_time=1, incarnation=b"\x01" * 16, accepted_n=0, catalogue=1,
                                       push_window=1, frame_max=4096, ping_every=1, dead_after=2, identity=1,
                                       accepted_chain=bytes(32)))


def request(*how, key=None):
    """PKCS#10 for a new key, made as HOW says, or for the one in a file."""
    words = ["-key", key] if key else ["-newkey", *how, "-nodes", "-keyout", "/dev/null"]
    return subprocess.run(["openssl", "req", "-new", "-batch", "-subj", "/CN=x", "-outform", "DER", *words],
                          check=True, capture_output=True, timeout=60).stdout


def renew(csr):
    return pb.Frame(renew=pb.Renew(csr=csr))


def own_request(stage):
    return request(key=str(stage.county.dir / "key.pem"))


def unsigned(stage):
    csr = own_request(stage)
    return renew(csr[:-1] + bytes([csr[-1] ^ 1]))


def twice(stage, peer):
    peer.raw(hp.framed(renew(own_request(stage))) * 2)


EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
PING = pb.Frame(ping=pb.Ping(answer=True, clock=1))
ASK = pb.Frame(digest_ask=pb.DigestAsk(stream=SITE))

# name, the deed, the codes of Bye that fit ("": the line is closed without one)
CASES = [
    ("length of 4 GiB", lambda s, p: p.raw(b"\xff\xff\xff\xff"), ("ZT-TOO-BIG",)),
    ("first frame above 4 KiB", lambda s, p: p.raw(struct.pack(">I", 4097) + bytes(4097)), ("ZT-TOO-BIG",)),
    ("empty frame", lambda s, p: p.send(b""), ("ZT-MALFORMED",)),
    ("noise for a frame", lambda s, p: p.send(bytes(range(200))), ("ZT-MALFORMED",)),
    ("a kind that nobody knows", lambda s, p: p.send(b"\xfa\x07\x01\x00"), ("ZT-MALFORMED",)),
    ("two kinds in one frame", lambda s, p: p.send(PING.SerializeToString() * 2), ("ZT-MALFORMED",)),
    ("length in long form", lambda s, p: p.send(b"\x3a\x84\x00\x08\x01\x10\x01"), ("ZT-MALFORMED",)),
    ("Push before Hello", lambda s, p: p.send(hp.push([s.change()])), ("ZT-PROTOCOL",)),
    ("Ping before Hello", bare(PING), ("ZT-PROTOCOL",)),
    ("Renew before Hello", bare(renew(b"x")), ("ZT-PROTOCOL",)),
    ("Renew that is noise", after(renew(bytes(300))), ("ZT-MALFORMED",)),
    ("Renew for an RSA key", pushed(lambda s: renew(request("rsa:2048"))), ("ZT-MALFORMED",)),
    ("Renew for another key", pushed(lambda s: renew(request(*EC))), ("ZT-AUTH",)),
    ("Renew not signed by its key", pushed(unsigned), ("ZT-AUTH", "ZT-MALFORMED")),
    ("two Renews at once", greeted(twice), ("ZT-PROTOCOL",)),
    ("Renewed, which only the city says", after(pb.Frame(renewed=pb.Renewed())), ("ZT-PROTOCOL",)),
    ("Welcome from a county", bare(welcome()), ("ZT-PROTOCOL",)),
    ("Hello for another replica", lambda s, p: p.send(p.hello_frame(replica=b"\x01" * 16)), ("ZT-AUTH",)),
    ("no common protocol", lambda s, p: p.send(p.hello_frame(protocol_min=900, protocol_max=901)), ("ZT-VERSION",)),
    ("protocol range upside down", lambda s, p: p.send(p.hello_frame(protocol_min=2)), ("ZT-MALFORMED",)),
    ("software of a kilobyte", lambda s, p: p.send(p.hello_frame(software=b"x" * 1024)), ("ZT-MALFORMED",)),
    ("software that is no text", lambda s, p: p.send(p.hello_frame(software=b"\xff\xfe")), ("ZT-MALFORMED",)),
    ("cursor of another office's stream",
     lambda s, p: p.send(p.hello_frame(cursors=[(OTHER_SITE, 0, bytes(32), ZEROS)])), ("ZT-DENIED",)),
    ("cursor of the city's stream",
     lambda s, p: p.send(p.hello_frame(cursors=[(2, 0, bytes(32), ZEROS)])), ("ZT-DENIED",)),
    ("forged hash at a cursor",
     lambda s, p: p.send(p.hello_frame(cursors=[(SITE, 1, b"\x09" * 32, b"\x01" * 16)])), ("ZT-FORK",)),
    ("cursor in the future",
     lambda s, p: p.send(p.hello_frame(cursors=[(SITE, 1 << 60, b"\x09" * 32, b"\x01" * 16)])), ("ZT-FORK",)),
    ("forged chain of own changes", lambda s, p: p.send(p.hello_frame(own_chain=b"\x05" * 32)), ("ZT-FORK",)),
    ("acknowledged more than was made",
     lambda s, p: p.send(p.hello_frame(acked_n=5, acked_chain=bytes(32))), ("ZT-MALFORMED",)),
    ("acknowledged what the city never answered",
     lambda s, p: p.send(p.hello_frame(own_n=5, acked_n=5, acked_chain=bytes(32))), ("ZT-FORK",)),
    ("a second Hello", greeted(lambda s, p: p.send(p.hello_frame())), ("ZT-PROTOCOL",)),
    ("Entries from a county", after(pb.Frame(entries=pb.Entries(
        stream=SITE, first_seq=1, count=1, size=10, body=hp.compress(b"0123456789"),
        head=pb.SignedHead(head=b"x", signature=b"y")))), ("ZT-PROTOCOL",)),
    ("Enrol on the wrong port", after(pb.Frame(enrol=pb.Enrol(
        secret=bytes(32), csr=b"x", replica=b"\x01" * 16, software=b"x"))), ("ZT-PROTOCOL",)),
    ("RefusedAck of nothing", after(pb.Frame(refused_ack=pb.RefusedAck(first_n=1, until_n=1))), ("ZT-PROTOCOL",)),
    ("RefusedAck upside down", after(pb.Frame(refused_ack=pb.RefusedAck(first_n=2, until_n=1))), ("ZT-MALFORMED",)),
    ("frame of 1 MiB and a byte", greeted(lambda s, p: p.raw(struct.pack(">I", (1 << 20) + 1))), ("ZT-TOO-BIG",)),
    ("Push with a hole", pushed(lambda s: hp.push([s.change(n=5)], first_n=5)), ("ZT-PROTOCOL",)),
    ("Push from zero", pushed(lambda s: hp.push([s.change(n=0)], first_n=0)), ("ZT-MALFORMED",)),
    ("Push whose numbers overflow",
     pushed(lambda s: hp.push([s.change(n=1)], first_n=(1 << 64) - 1)), ("ZT-MALFORMED",)),
    ("another count than changes", pushed(lambda s: hp.push([s.change()], count=2)), ("ZT-MALFORMED",)),
    ("a count of four thousand millions",
     pushed(lambda s: hp.push([s.change()], count=0xffffffff)), ("ZT-MALFORMED",)),
    ("another size than the body's", pushed(lambda s: hp.push([s.change()], size=17)), ("ZT-MALFORMED",)),
    ("a bomb", pushed(bomb), ("ZT-MALFORMED", "ZT-TOO-BIG")),
    ("a body that is no zstd", pushed(lambda s: hp.push([s.change()], body=b"plain")), ("ZT-MALFORMED",)),
    ("a body cut short",
     pushed(lambda s: hp.push([s.change()], body=hp.compress(b"x" * 4096)[:-3])), ("ZT-MALFORMED",)),
    ("a change of another replica",
     pushed(lambda s: hp.push([s.change(replica=b"\x02" * 16)])), ("ZT-AUTH",)),
    ("a change in another office's stream", pushed(lambda s: hp.push([s.change(stream=OTHER_SITE)])), ("ZT-DENIED",)),
    ("a change in the city's stream", pushed(lambda s: hp.push([s.change(stream=2)])), ("ZT-DENIED",)),
    ("a change in `shared`", pushed(lambda s: hp.push([s.change(stream=1)])), ("ZT-DENIED",)),
    ("a change by `system`", pushed(lambda s: hp.push([s.change(actor=ZEROS)])), ("ZT-DENIED",)),
    ("Refill nobody asked for", after(pb.Frame(refill=pb.Refill(
        stream=SITE, first_seq=1, count=1, size=10, body=hp.compress(b"0123456789")))), ("ZT-PROTOCOL",)),
    ("HistoryAsk upside down", after(pb.Frame(history_ask=pb.HistoryAsk(stream=SITE, from_seq=2, upto_seq=1))),
     ("ZT-PROTOCOL", "ZT-MALFORMED")),
    ("HistoryAsk above its cursor", after(pb.Frame(history_ask=pb.HistoryAsk(
        stream=SITE, from_seq=1, upto_seq=1 << 60))), ("ZT-PROTOCOL",)),
    ("HistoryAsk of another office's stream", after(pb.Frame(history_ask=pb.HistoryAsk(
        stream=OTHER_SITE, from_seq=1, upto_seq=1))), ("ZT-DENIED", "ZT-PROTOCOL")),
    ("SnapshotAsk of a stream that is not loading", after(pb.Frame(snapshot_ask=pb.SnapshotAsk(stream=SITE))),
     ("ZT-PROTOCOL",)),
    ("SnapshotAsk of the city's stream", after(pb.Frame(snapshot_ask=pb.SnapshotAsk(stream=2))),
     ("ZT-DENIED", "ZT-PROTOCOL")),
    ("DigestAsk of another office's stream", after(pb.Frame(digest_ask=pb.DigestAsk(stream=OTHER_SITE))),
     ("ZT-DENIED",)),
    ("rows of another office by their ids", after(pb.Frame(digest_ask=pb.DigestAsk(
        stream=OTHER_SITE, kind=4, ids=b"\x01" * 16))), ("ZT-DENIED",)),
    ("ids that do not ascend", after(pb.Frame(digest_ask=pb.DigestAsk(stream=SITE, kind=4, ids=b"\x01" * 32))),
     ("ZT-MALFORMED",)),
    ("two DigestAsks at once", greeted(lambda s, p: p.raw(hp.framed(ASK) * 2)), ("ZT-PROTOCOL",)),
    ("a repair of another office's row", after(pb.Frame(repaired=pb.Repaired(
        no=1, at=1, stream=OTHER_SITE, kind=4, id=b"\x01" * 16, seq=1, how=1))), ("ZT-DENIED",)),
    ("a new identity of another chain", after(pb.Frame(new_identity=pb.NewIdentity(
        points=[pb.OwnPoint(n=7, chain=bytes(32))], replica=b"\x01" * 16, csr=b"x"))),
     ("ZT-PROTOCOL", "ZT-FORK", "ZT-MALFORMED")),
    ("new identities without end", greeted(lambda s, p: [p.send(pb.Frame(new_identity=pb.NewIdentity(
        points=[pb.OwnPoint(n=0, chain=hp.own_start(s.replica))]))) for _ in range(40)]),
     ("ZT-PROTOCOL", "ZT-FORK", "")),
    ("half an act", pushed(lambda s: hp.push([s.change(act_len=2)])), ("ZT-PROTOCOL", "ZT-MALFORMED")),
    ("the other half", pushed(lambda s: hp.push([s.change(act_pos=1, act_len=2)])), ("ZT-PROTOCOL", "ZT-MALFORMED")),
    ("author's bytes of noise", pushed(lambda s: hp.push([b"\x01" + bytes(80)])), ("ZT-MALFORMED",)),
    ("author's bytes with a tail", pushed(lambda s: hp.push([s.change() + b"\x00"])), ("ZT-MALFORMED",)),
    ("other numbers inside than outside", pushed(lambda s: hp.push([s.change(n=2)])), ("ZT-PROTOCOL", "ZT-MALFORMED")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_case(hostile_stage, case):
    name, act, codes = case
    stage = hostile_stage
    before = stage.city.json("status")["streams"]
    with stage.peer() as peer:
        try:
            act(stage, peer)
            code = peer.until_bye()
        except hp.Gone as gone:
            code = str(gone) if str(gone).startswith("ZT-") else ""
    stage.met += 1
    assert code in codes
    after_it = stage.city.json("status")["streams"]
    assert [s for s in after_it if s not in before] == [] and stage.city.daemon.alive()


@pytest.fixture(scope="module")
def hostile_stage(tmp_path_factory):
    """One city for all cases of a few frames: each has to survive the ones before it."""
    from conftest import City, County
    path = tmp_path_factory.mktemp("hostile")
    city = City(path / "city").start()
    stage = Stage(city, lambda name: County(path / name))
    yield stage
    stage.leave(f"{stage.met} cases of a few frames")
    city.stop()


# ---- what goes on for longer ----

def test_another_protocol_is_not_spoken(stage):
    with pytest.raises((OSError, hp.Gone)):
        with stage.peer(alpn="ztc-enrol/1") as peer:
            peer.greet()


def test_a_replayed_push_has_no_effect(stage):
    """What the city answered once is skipped, however often it comes."""
    with stage.peer() as peer:
        peer.greet()
        for _ in range(200):
            peer.send(hp.push([stage.change(kind=22)]))
        peer.send(PING)
        refused = 0
        while True:
            frame = peer.receive()
            refused += frame.WhichOneof("kind") == "refused"
            if frame.WhichOneof("kind") == "ping":
                break
    assert wait_until(lambda: stage.city.json("status")["replicas"])
    listed = {r["id"]: r for r in stage.city.json("replica", "list")}
    accepted = [r for i, r in listed.items() if i.replace("-", "") == stage.replica.hex()][0]
    assert refused <= 1 and accepted.get("accepted_n", 1) == 1


class Uploader:
    """A session of a computer whose records of attachments are at the city, and of whose bytes it says what it
    likes."""

    def __init__(self, stage, record, tmp_path, sizes):
        county = stage.county
        self.files = [pdf(tmp_path / f"{i}.pdf", size, i) for i, size in enumerate(sizes)]
        self.ids = [bytes.fromhex(claimed(county, record, f).replace("-", "")) for f in self.files]
        county.sync()
        with contextlib.closing(sqlite3.connect(county.dir / "replica.db")) as db:
            n, chain = db.execute("SELECT n, chain FROM own").fetchone()
        self.peer = stage.peer()
        self.peer.greet(own_n=n, own_chain=chain, acked_n=n, acked_chain=chain)

    def have(self, i, **changed):
        data = self.files[i].read_bytes()
        fields = {"attachment": self.ids[i], "hash": hashlib.sha256(data).digest(), "size": len(data)}
        fields.update(changed)
        return pb.Frame(blob_have=pb.BlobHave(**fields))

    def chunk(self, i, at=0, data=None):
        data = self.files[i].read_bytes()[at:at + CHUNK] if data is None else data
        return pb.Frame(blob_chunk=pb.BlobChunk(attachment=self.ids[i], offset=at, bytes=data))

    def done(self, i, code=b"ZT-BLOB-LOST"):
        return pb.Frame(blob_done=pb.BlobDone(attachment=self.ids[i], code=code))

    def answer(self, frame):
        """What the city says about attachments when it was sent."""
        self.peer.send(frame)
        while True:
            frame = self.peer.receive()
            if frame.WhichOneof("kind") == "bye":
                raise hp.Gone(frame.bye.code.decode())
            if frame.WhichOneof("kind").startswith("blob_"):
                return frame


def in_parts(stage):
    return sum(p.stat().st_size for p in (stage.city.dir / "blobs" / "part").iterdir())


def test_uploads_that_are_given_up(stage, tmp_path):
    """A file begun and then said to be lost leaves nothing on the city's disk: else there would be no limit."""
    up = Uploader(stage, opinion(stage.county), tmp_path, [3 * CHUNK] * 4)
    for i in range(4):
        assert up.answer(up.have(i)).blob_want.offset == 0
        assert up.answer(up.chunk(i)).blob_want.offset == CHUNK
        assert in_parts(stage) == CHUNK
        assert up.answer(up.done(i)).blob_done.code == b"ZT-BLOB-LOST"
        assert in_parts(stage) == 0
    up.peer.close()


UPLOADS = [
    ("a chunk nobody asked for", lambda u: (u.chunk(0),), "ZT-PROTOCOL"),
    ("a chunk of another attachment", lambda u: (u.have(0), u.chunk(1)), "ZT-PROTOCOL"),
    ("a chunk of another place", lambda u: (u.have(0), u.chunk(0, at=CHUNK)), "ZT-PROTOCOL"),
    ("a chunk too short", lambda u: (u.have(0), u.chunk(0, data=b"x")), "ZT-PROTOCOL"),
    ("a chunk of a megabyte", lambda u: (u.have(0), u.chunk(0, data=bytes(1000000))), "ZT-MALFORMED"),
    ("an offer upon an offer", lambda u: (u.have(0), u.have(1)), "ZT-PROTOCOL"),
    ("an offer of 2 GiB", lambda u: (u.have(0, size=2 << 30),), "ZT-MALFORMED"),
    ("verified, which only the city says", lambda u: (pb.Frame(blob_done=pb.BlobDone(attachment=u.ids[0])),),
     "ZT-PROTOCOL"),
    ("an offer of another size", lambda u: (u.have(0, size=5),), b"ZT-DENIED"),
    ("an offer of another hash", lambda u: (u.have(0, hash=b"\x01" * 32),), b"ZT-DENIED"),
    ("an offer of what has no record", lambda u: (u.have(0, attachment=b"\x01" * 16),), b"ZT-DENIED"),
    ("bytes that are not what the hash says",
     lambda u: (u.have(0), u.chunk(0), u.chunk(0, at=CHUNK, data=bytes(CHUNK))), b"ZT-CORRUPT"),
    ("reading what nobody brought", lambda u: (pb.Frame(blob_want=pb.BlobWant(attachment=u.ids[1], offset=0)),),
     b"ZT-BLOB-WAIT"),
    ("reading by a hash", lambda u: (pb.Frame(blob_want=pb.BlobWant(
        attachment=hashlib.sha256(u.files[0].read_bytes()).digest()[:16], offset=0)),), b"ZT-DENIED"),
]


def test_uploads_out_of_order(stage, tmp_path):
    """Attachments with every frame wrong in its own way: a Bye, or the attachment's own no; nothing is kept."""
    record = opinion(stage.county)
    for name, frames, code in UPLOADS:
        folder = tmp_path / name
        folder.mkdir()
        up = Uploader(stage, record, folder, [2 * CHUNK, 2 * CHUNK])
        try:
            for frame in frames(up):
                said = up.answer(frame)
            word = said.blob_done.code
        except hp.Gone as gone:
            word = str(gone)
        up.peer.close()
        assert word == code, name
    assert stage.city.json("status")["blobs_pending"] == 2 * len(UPLOADS)


def test_pings_without_end(stage):
    """A flood of pings whose answers nobody takes costs bounded memory and nobody's time."""
    peer = stage.peer()
    peer.greet()
    stop = threading.Event()

    def flood():
        block = hp.framed(PING) * 4096
        peer.line.settimeout(0.2)
        while not stop.is_set():
            try:
                peer.line.sendall(block)
            except OSError:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(5):
            stage.honest_round_trip()
    finally:
        stop.set()
        thread.join()
    peer.plain.close()


def test_slow_readers(stage):
    """Thirty sessions of one replica's identity asking for everything and reading nothing: the newest is kept."""
    peers = []
    for _ in range(30):
        peers.append(stage.peer())
        peers[-1].send(peers[-1].hello_frame())
    for _ in range(3):
        stage.honest_round_trip()
    assert wait_until(lambda: stage.city.json("status")["serving"] <= 1)
    for peer in peers:
        peer.plain.close()


def closed_by_peer(line):
    """The city ended it, with or without a reset."""
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_half_handshakes(stage):
    """A thousand connections that never finish their handshake: all beyond the bound of one address are closed at
    once, the others after their deadline."""
    lines = []
    for i in range(1000):
        line = socket.create_connection(stage.address, 5)
        if i % 2:
            try:
                line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            except OSError:
                pass  # closed already
        lines.append(line)
    still_open = set(lines)

    def sift():
        for line in [x for x in still_open if closed_by_peer(x)]:
            still_open.discard(line)
        return len(still_open) <= 32

    assert wait_until(sift), len(still_open)
    assert wait_until(lambda: sift() and not still_open, 30), len(still_open)
    for line in lines:
        line.close()


def test_slow_writer(stage):
    """A Hello that comes a byte at a time is not waited for without end."""
    with stage.peer() as peer:
        data = hp.framed(peer.hello_frame())
        peer.line.settimeout(1)
        begun = time.monotonic()
        with pytest.raises((OSError, hp.Gone)):
            for byte in data:
                peer.raw(bytes([byte]))
                time.sleep(0.2)
                if time.monotonic() - begun > 60:
                    pytest.fail("it still listens")
            while True:
                if peer.line.recv(65536) == b"":
                    raise hp.Gone
