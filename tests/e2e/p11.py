# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 as somebody uses it who has the user PIN and ill intent: the module's
own functions by ctypes, with no library between that could refuse first.

Run as a program (it loads the module): p11.py MODULE TOKEN PIN_FILE.  Prints a
JSON object: what each attempt on each private or secret key of the token gave,
and what the same attempts gave on keys that are not protected, so that an
attempt that could not work at all is seen.
"""
import ctypes
import json
import pathlib
import sys

ULONG = ctypes.c_ulong
OK = 0
CLASS, TOKEN, PRIVATE, LABEL, VALUE = 0x0, 0x1, 0x2, 0x3, 0x11
KEY_TYPE, ID, SENSITIVE = 0x100, 0x102, 0x103
ENCRYPT, DECRYPT, WRAP, UNWRAP = 0x104, 0x105, 0x106, 0x107
VALUE_LEN, EXTRACTABLE = 0x161, 0x162
MODIFIABLE = 0x170
SECRET_KEY, PRIVATE_KEY = 4, 3
AES = 0x1F
AES_KEY_GEN, AES_ECB = 0x1080, 0x1081
AES_KEY_WRAP, AES_KEY_WRAP_PAD = 0x2109, 0x210A
RW_SESSION, USER = 6, 1


class Attribute(ctypes.Structure):
    _fields_ = [("type", ULONG), ("value", ctypes.c_void_p), ("len", ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ULONG), ("parameter", ctypes.c_void_p), ("len", ULONG)]


def mechanism(kind):
    return ctypes.byref(Mechanism(kind, None, 0))


class Template:
    """An array of attributes, with the memory that they point to."""

    def __init__(self, values):
        self._kept = []
        self.array = (Attribute * len(values))()
        for place, (kind, value) in zip(self.array, values.items()):
            place.type = kind
            if isinstance(value, bool):
                buffer = ctypes.create_string_buffer(bytes([value]), 1)
            elif isinstance(value, int):
                buffer = ULONG(value)
            else:
                buffer = ctypes.create_string_buffer(value, len(value))
            self._kept.append(buffer)
            place.value = ctypes.addressof(buffer)
            place.len = ctypes.sizeof(buffer)
        self.args = (self.array, ULONG(len(values)))


class Session:
    def __init__(self, module, token, pin):
        self.module = ctypes.CDLL(module)
        self.call("Initialize", None)
        slots, count = (ULONG * 64)(), ULONG(64)
        self.call("GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        slot = [s for s in slots[:count.value] if self._label(s) == token][0]
        self.handle = ULONG()
        self.call("OpenSession", ULONG(slot), ULONG(RW_SESSION), None, None,
                  ctypes.byref(self.handle))
        self.call("Login", self.handle, ULONG(USER), pin, ULONG(len(pin)))

    def _label(self, slot):
        info = ctypes.create_string_buffer(512)     # label: the first 32 octets
        self.call("GetTokenInfo", ULONG(slot), info)
        return info.raw[:32].decode().rstrip()

    def tell(self, name, *arguments):
        """The return value of C_NAME."""
        function = getattr(self.module, "C_" + name)
        function.restype = ULONG
        return function(*arguments)

    def call(self, name, *arguments):
        rv = self.tell(name, *arguments)
        if rv != OK:
            raise RuntimeError(f"C_{name}: 0x{rv:x}")

    def objects(self):
        """All keys of the token that have something to hide."""
        self.call("FindObjectsInit", self.handle, None, ULONG(0))
        found, count = (ULONG * 1000)(), ULONG()
        self.call("FindObjects", self.handle, found, ULONG(1000),
                  ctypes.byref(count))
        self.call("FindObjectsFinal", self.handle)
        return [h for h in found[:count.value]
                if self.number(h, CLASS) in (SECRET_KEY, PRIVATE_KEY)]

    def read(self, handle, kind):
        """(return value, octets) of an attribute."""
        buffer = ctypes.create_string_buffer(8192)
        wanted = Attribute(kind, ctypes.addressof(buffer), 8192)
        rv = self.tell("GetAttributeValue", self.handle, ULONG(handle),
                       ctypes.byref(wanted), ULONG(1))
        held = 0 if rv != OK or wanted.len > 8192 else wanted.len
        return rv, buffer.raw[:held]

    def number(self, handle, kind):
        return int.from_bytes(self.read(handle, kind)[1], sys.byteorder)

    def set(self, handle, **values):
        template = Template({globals()[k]: v for k, v in values.items()})
        return self.tell("SetAttributeValue", self.handle, ULONG(handle),
                         *template.args)

    def copy(self, handle, **values):
        """(return value, handle) of a copy in the session."""
        template = Template({TOKEN: False, **{
            globals()[k]: v for k, v in values.items()}})
        made = ULONG()
        return self.tell("CopyObject", self.handle, ULONG(handle),
                         *template.args, ctypes.byref(made)), made.value

    def wrap(self, kind, by, handle):
        """(return value, blob)."""
        out, size = ctypes.create_string_buffer(8192), ULONG(8192)
        rv = self.tell("WrapKey", self.handle, mechanism(kind), ULONG(by),
                       ULONG(handle), out, ctypes.byref(size))
        return rv, out.raw[:size.value] if rv == OK else b""

    def unwrap(self, by, blob, **values):
        """(return value, handle) of an AES key."""
        template = Template({CLASS: SECRET_KEY, KEY_TYPE: AES, TOKEN: False, **{
            globals()[k]: v for k, v in values.items()}})
        made = ULONG()
        return self.tell(
            "UnwrapKey", self.handle, mechanism(AES_KEY_WRAP), ULONG(by), blob,
            ULONG(len(blob)), *template.args, ctypes.byref(made)), made.value

    def own_key(self, **values):
        """A key of the attacker's, in the session, as open as can be."""
        template = Template({
            CLASS: SECRET_KEY, KEY_TYPE: AES, VALUE_LEN: 32, TOKEN: False,
            PRIVATE: True, SENSITIVE: False, EXTRACTABLE: True,
            MODIFIABLE: True, ENCRYPT: True, DECRYPT: True, WRAP: True,
            UNWRAP: True, **{globals()[k]: v for k, v in values.items()}})
        made = ULONG()
        self.call("GenerateKey", self.handle, mechanism(AES_KEY_GEN),
                  *template.args, ctypes.byref(made))
        return made.value

    def decrypts(self, handle):
        rv = self.tell("DecryptInit", self.handle, mechanism(AES_ECB),
                       ULONG(handle))
        if rv == OK:
            # Ends the operation, whatever comes of it.
            out, size = ctypes.create_string_buffer(64), ULONG(64)
            self.tell("Decrypt", self.handle, bytes(32), ULONG(32), out,
                      ctypes.byref(size))
        return rv


OPENINGS = {
    "extractable": {"EXTRACTABLE": True},
    "not sensitive": {"SENSITIVE": False},
    "decrypting": {"DECRYPT": True},
    "wrapping": {"WRAP": True},
    "modifiable": {"MODIFIABLE": True},
}


def attempts(session, handle, wrapping, is_secret):
    """Every way to bring a key out or to loosen it: what each gave."""
    gave = {}
    rv, octets = session.read(handle, VALUE)
    gave["read"] = {"rv": rv, "got": len(octets)}
    for name, by in wrapping.items():
        for how in (AES_KEY_WRAP, AES_KEY_WRAP_PAD):
            rv, blob = session.wrap(how, by, handle)
            gave[f"wrap 0x{how:x} by {name}"] = {"rv": rv, "got": len(blob)}
    for name, values in OPENINGS.items():
        rv, copied = session.copy(handle, **values)
        got = len(session.read(copied, VALUE)[1]) if rv == OK else 0
        gave[f"copy {name}"] = {"rv": rv, "got": got}
    if is_secret:
        gave["decrypt"] = {"rv": session.decrypts(handle), "got": 0}
    for name, values in OPENINGS.items():
        gave[f"set {name}"] = {"rv": session.set(handle, **values), "got": 0}
    return gave


def downgrade(session, by):
    """Wraps a key of the attacker's with BY, and unwraps it as an open one: what
    would open every key-encryption key whose blob somebody has."""
    rv, blob = session.wrap(AES_KEY_WRAP, by, session.own_key())
    if rv != OK:
        return {"wrapped": rv}
    gave = {"wrapped": rv}
    for name, values in {
            "extractable": {"SENSITIVE": False, "EXTRACTABLE": True},
            "not sensitive": {"SENSITIVE": False, "EXTRACTABLE": False},
            "wrappable": {"SENSITIVE": True, "EXTRACTABLE": True}}.items():
        rv, made = session.unwrap(by, blob, **values)
        gave[name] = {"rv": rv, "got": 0}
        if rv == OK:
            read = session.read(made, VALUE)[1]
            again = session.wrap(AES_KEY_WRAP, session.own_key(), made)[1]
            gave[name]["got"] = len(read) + len(again)
    return gave


def main(module, token, pin_file):
    pin = pathlib.Path(pin_file).read_bytes().strip()
    session = Session(module, token, pin)
    keys = session.objects()
    labels = {h: session.read(h, LABEL)[1].decode() for h in keys}
    wrapping = {"own key": session.own_key()}
    wrapping.update((labels[h], h) for h in keys
                    if session.read(h, WRAP)[1] == b"\x01")
    victim = session.own_key()
    said = {
        "keys": {labels[h] + (" secret" if session.number(h, CLASS) == SECRET_KEY
                              else " private"):
                 attempts(session, h, wrapping,
                          session.number(h, CLASS) == SECRET_KEY)
                 for h in keys},
        "control": attempts(session, victim, {"own key": wrapping["own key"]},
                            True),
        "downgrade": {name: downgrade(session, by)
                      for name, by in wrapping.items()},
    }
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
