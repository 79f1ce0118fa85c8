"""A client of the synchronisation port written from proto/sync.proto and docs/protocol.md alone. It has a county's
identity and no manners: it sends what it is told to, in any order."""
import ctypes
import ctypes.util
import hashlib
import importlib
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load_messages():
    """proto/sync.proto as a Python module."""
    out = tempfile.mkdtemp(prefix="ztc-proto-")
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={out}", "sync.proto"], check=True)
    sys.path.insert(0, out)
    try:
        return importlib.import_module("sync_pb2")
    finally:
        sys.path.remove(out)


pb = load_messages()
zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
zstd.ZSTD_compress.restype = ctypes.c_size_t
zstd.ZSTD_compressBound.restype = ctypes.c_size_t


def compress(data, level=3):
    out = ctypes.create_string_buffer(zstd.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    n = zstd.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), level)
    return out.raw[:n]


def sm3(data):
    return hashlib.new("sm3", data).digest()


def own_start(replica):
    return sm3(b"ztc-own-1" + replica)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def change(replica, n, stream, actor, record=b"\x07" * 16, act_pos=0, act_len=1, kind=22, fields=b"\x00"):
    """Author's bytes of a CREATE without fields."""
    return (b"\x01" + replica + varint(n) + varint(stream) + varint(act_pos) + varint(act_len) +
            varint(1767225600000) + actor + varint(0) + varint(1) + varint(kind) + record + b"\x01" +
            varint(9) + b"collected" + fields)


def push(changes, first_n=1, count=None, size=None, body=None):
    packed = pb.PushBody(changes=[pb.Change(bytes=c) for c in changes]).SerializeToString()
    return pb.Frame(push=pb.Push(first_n=first_n, count=len(changes) if count is None else count,
                                 size=len(packed) if size is None else size,
                                 body=compress(packed) if body is None else body))


def framed(frame):
    data = frame.SerializeToString()
    return struct.pack(">I", len(data)) + data


class Gone(Exception):
    """The city closed the connection without a word."""


class Peer:
    """One connection; `county` is an enrolled directory, `address` (host, port) of the city."""

    def __init__(self, directory, replica, site, address, alpn="ztc/1"):
        self.replica, self.site = replica, site
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(directory / "ca.pem")
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols([alpn])
        self.plain = socket.create_connection(address, 20)
        self.line = context.wrap_socket(self.plain)
        self.line.settimeout(20)
        self.buffer = b""

    def close(self):
        self.line.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- sending --

    def raw(self, data):
        try:
            self.line.sendall(data)
        except (ssl.SSLError, OSError) as e:
            raise Gone(str(e)) from e

    def send(self, frame):
        data = frame.SerializeToString() if not isinstance(frame, bytes) else frame
        self.raw(struct.pack(">I", len(data)) + data)

    def hello_frame(self, **changed):
        fields = {"protocol_min": 1, "protocol_max": 1, "software": b"hostile/1", "catalogue": 1,
                  "replica": self.replica, "own_n": 0, "own_chain": own_start(self.replica),
                  "wall_clock": int(time.time() * 1000), "waiting": 0}
        fields.update(changed)
        cursors = fields.pop("cursors", [])
        hello = pb.Hello(**fields)
        for stream, seq, chain, incarnation in cursors:
            hello.cursors.add(stream=stream, seq=seq, hash=chain, incarnation=incarnation)
        return pb.Frame(hello=hello)

    def greet(self, **changed):
        """Hello, and the Welcome that answers it."""
        self.send(self.hello_frame(**changed))
        frame = self.receive()
        while frame.WhichOneof("kind") != "welcome":
            if frame.WhichOneof("kind") == "bye":
                raise Gone(frame.bye.code.decode())
            frame = self.receive()
        return frame.welcome

    # -- receiving --

    def take(self, n):
        while len(self.buffer) < n:
            try:
                piece = self.line.recv(65536)
            except (ssl.SSLError, ConnectionError) as e:
                raise Gone(str(e)) from e
            if not piece:
                raise Gone("closed")
            self.buffer += piece
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self):
        frame = pb.Frame()
        frame.ParseFromString(self.take(struct.unpack(">I", self.take(4))[0]))
        return frame

    def until_bye(self):
        """Read on to the end; the code of the Bye, or '' when there was none."""
        try:
            while True:
                frame = self.receive()
                if frame.WhichOneof("kind") == "bye":
                    return frame.bye.code.decode()
        except Gone:
            return ""
