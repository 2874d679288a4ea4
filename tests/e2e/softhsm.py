# SPDX-License-Identifier: Apache-2.0
"""What a thief of a software token's files and of its PIN has: SoftHSM's object
files, read as SoftHSM 2.6 writes them.  For tests that must know a key."""
import hashlib
import pathlib

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

CKA_VALUE = 0x11
BOOLEAN, NUMBER, OCTETS = 1, 2, 3


def attributes_of(path):
    """{type: octets} of a file of attributes: those that are octets."""
    data = path.read_bytes()
    found, at = {}, 8                   # behind the generation

    def number():
        nonlocal at
        at += 8
        return int.from_bytes(data[at - 8:at], "big")
    while at < len(data):
        kind, form = number(), number()
        if form == BOOLEAN:
            at += 1
        elif form == NUMBER:
            number()
        else:
            size = number()
            if form != OCTETS:          # a set or map: of no use here
                break
            found[kind] = data[at:at + size]
            at += size
    return found


def decrypt(key, sealed):
    """IV and AES-CBC with padding; None where it does not fit."""
    try:
        opener = Cipher(algorithms.AES(key), modes.CBC(sealed[:16])).decryptor()
        padded = opener.update(sealed[16:]) + opener.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def master_key(token, pin):
    """Sealed under the PIN, behind a magic and a salt."""
    for blob in attributes_of(token / "token.object").values():
        if len(blob) != 8 + 16 + 48:
            continue
        salt = blob[:8]
        key = hashlib.sha256(salt + pin.encode()).digest()
        for _ in range(1500 + salt[-1] - 1):
            key = hashlib.sha256(key).digest()
        opened = decrypt(key, blob[8:])
        if opened is not None and opened[:3] == b"RJR":
            return opened[3:]
    raise AssertionError("the PIN opens nothing")


def values_of(tokens, pin):
    """CKA_VALUE of each object in the folder TOKENS, in the clear."""
    values = []
    for token in pathlib.Path(tokens).iterdir():
        key = master_key(token, pin)
        for path in token.glob("*.object"):
            sealed = attributes_of(path).get(CKA_VALUE)
            if path.name != "token.object" and sealed:
                value = decrypt(key, sealed)
                values += [] if value is None else [value]
    return values
