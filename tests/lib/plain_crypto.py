"""What the standard library lacks to verify a ledger: ECDSA on P-256 and AES-256-GCM, in plain Python.

For checking only: nothing here is constant-time, and nothing signs or encrypts."""

import hashlib
import hmac

# ---- P-256 (FIPS 186-4) ----

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

# SubjectPublicKeyInfo of a named P-256 key up to its uncompressed point.
SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" "04")


def _add(a, b):
    """Sum of two points; None is the point at infinity."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _times(k, point):
    out = None
    while k:
        if k & 1:
            out = _add(out, point)
        point = _add(point, point)
        k >>= 1
    return out


def load_public(der):
    """The point of a SubjectPublicKeyInfo; ValueError when it is not P-256."""
    if len(der) != 91 or not der.startswith(SPKI_PREFIX):
        raise ValueError("not a P-256 public key")
    x, y = int.from_bytes(der[27:59], "big"), int.from_bytes(der[59:], "big")
    if x >= P or y >= P or (y * y - (x * x * x - 3 * x + B)) % P:
        raise ValueError("not a point of P-256")
    return x, y


def _der_integer(data, at):
    if len(data) < at + 3 or data[at] != 2 or not 1 <= data[at + 1] <= 33:
        raise ValueError("not a signature")
    end = at + 2 + data[at + 1]
    raw = data[at + 2 : end]
    needless = len(raw) > 1 and raw[0] == 0 and raw[1] < 0x80
    if end > len(data) or raw[0] >= 0x80 or needless:
        raise ValueError("not a signature")
    return int.from_bytes(raw, "big"), end


def verify(public, message, signature):
    """ECDSA with SHA-256, DER signature."""
    try:
        if signature[:1] != b"\x30" or signature[1:2] != bytes([len(signature) - 2]):
            return False
        r, at = _der_integer(signature, 2)
        s, at = _der_integer(signature, at)
    except (ValueError, IndexError):
        return False
    if at != len(signature) or not (0 < r < N and 0 < s < N):
        return False
    e = int.from_bytes(hashlib.sha256(message).digest(), "big")
    w = pow(s, -1, N)
    point = _add(_times(e * w % N, G), _times(r * w % N, public))
    return point is not None and point[0] % N == r


# ---- AES-256-GCM (FIPS 197, SP 800-38D) ----


def _double(a):
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def _make_sbox():
    box, p, q = [0x63] * 256, 1, 1
    for _ in range(255):
        p = (p ^ _double(p)) & 0xFF  # times 3, a generator
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09  # divided by 3
        x = q | q << 8
        box[p] = ((x ^ x >> 7 ^ x >> 6 ^ x >> 5 ^ x >> 4) & 0xFF) ^ 0x63
    return box


SBOX = _make_sbox()
MUL2 = [_double(a) & 0xFF for a in range(256)]
SHIFT = [(4 * (c + r) + r) % 16 for c in range(4) for r in range(4)]  # place c, r comes from here


class Aes256:
    def __init__(self, key):
        words, rcon = [key[i : i + 4] for i in range(0, 32, 4)], 1
        for i in range(8, 60):
            w = words[-1]
            if i % 8 == 0:
                w = bytes([SBOX[w[1]] ^ rcon, SBOX[w[2]], SBOX[w[3]], SBOX[w[0]]])
                rcon <<= 1
            elif i % 8 == 4:
                w = bytes(SBOX[b] for b in w)
            words.append(bytes(a ^ b for a, b in zip(words[-8], w)))
        self.keys = [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]

    def block(self, data):
        s = [a ^ b for a, b in zip(data, self.keys[0])]
        for key in self.keys[1:-1]:
            s = [SBOX[s[i]] for i in SHIFT]
            mixed = []
            for c in range(0, 16, 4):
                a = s[c : c + 4]
                whole = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[i] ^ whole ^ MUL2[a[i] ^ a[(i + 1) % 4]] for i in range(4)]
            s = [a ^ b for a, b in zip(mixed, key)]
        return bytes(SBOX[s[i]] ^ k for i, k in zip(SHIFT, self.keys[-1]))


def _ghash(h, data):
    y = 0
    for at in range(0, len(data), 16):
        y ^= int.from_bytes(data[at : at + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y


def gcm_open(key, sealed, aad):
    """Plain text of nonce ‖ ciphertext ‖ tag; ValueError when it does not verify."""
    if len(sealed) < 28:
        raise ValueError("too short to be sealed")
    aes = Aes256(key)
    nonce, text, tag = sealed[:12], sealed[12:-16], sealed[-16:]

    def pad(b):
        return b + bytes(-len(b) % 16)

    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(text)).to_bytes(8, "big")
    h = int.from_bytes(aes.block(bytes(16)), "big")
    mask = int.from_bytes(aes.block(nonce + b"\0\0\0\1"), "big")
    want = (_ghash(h, pad(aad) + pad(text) + lengths) ^ mask).to_bytes(16, "big")
    if not hmac.compare_digest(want, tag):
        raise ValueError("wrong key or changed bytes")
    stream = b"".join(
        aes.block(nonce + (2 + i).to_bytes(4, "big")) for i in range((len(text) + 15) // 16)
    )
    return bytes(a ^ b for a, b in zip(text, stream))
