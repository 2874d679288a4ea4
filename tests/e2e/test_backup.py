# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: a backup that is encrypted to recipients tells nothing of what
is in it, is restored by their keys alone, whole or not at all, and every refusal
says what to do."""
import os
import pty
import shutil
import subprocess

import pytest

from client import issue
from harness import BUILD, PATIENCE, Instance, check, run, wait_until

NAME = "name-canary.web-canary.example.net"
PASSPHRASE = "not a good passphrase"


def person(folder, name, *key, usage="keyAgreement", protect=False):
    """A certificate of somebody whose key is elsewhere."""
    kind = key or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    lock = ("-passout", f"pass:{PASSPHRASE}") if protect else ("-nodes",)
    check(["openssl", "req", "-x509", "-newkey", *kind, *lock,
           "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
           "-subj", f"/CN={name}", "-days", "400",
           "-addext", f"keyUsage={usage}"])
    (folder / f"{name}.key").chmod(0o600)
    return folder / f"{name}.pem", folder / f"{name}.key"


class World:
    """An instance with a plain and an encrypted backup, lost after both."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.it = Instance(folder / "i", ports)
        self.witness = folder / "witness.jsonl"
        with open(self.it.config, "a", encoding="ascii") as config:
            config.write(f"\naudit:\n  witness:\n    - file:{self.witness}\n")
        self.it.start()
        self.it.cluster("web-canary")
        self.kept = issue(self.it, folder, "web-canary", name="kept", dns=[NAME])
        self.lost = issue(self.it, folder, "web-canary", name="lost", dns=[NAME])
        self.one = person(folder, "one", "rsa:2048", usage="keyEncipherment")
        self.two = person(folder, "two", protect=True)
        self.other = person(folder, "other")
        self.phrase = folder / "phrase"
        self.phrase.touch(mode=0o600)
        self.phrase.write_text(PASSPHRASE + "\n")
        self.phrases = folder / "phrases"
        self.phrases.touch(mode=0o600)
        self.phrases.write_text("another\n")
        self.plain, self.box = folder / "plain", folder / "box"
        self.it.json("backup", self.plain)
        self.told = self.it.json(
            "backup", self.box, "--encrypt-to", self.one[0],
            "--encrypt-to", self.two[0])
        self.it.check("cert", "revoke", self.lost.serial, "--reason",
                      "keyCompromise")
        size = self.it.admin_call("GET", "/audit/checkpoint").json["sequence"]
        wait_until(lambda: self.it.json("status")["audit"]["witnesses"][0]
                   ["entries"] >= size, "the witness")
        assert self.it.stop() == 0
        (self.it.dir / "store").rename(folder / "store-lost")

    def restore(self, *options, file=None):
        return run([BUILD / "signet", "restore", file or self.box, "--dir",
                    self.it.dir, *(options or ("--without-witness",)),
                    "--json"], env=self.it.env)

    def left(self):
        return [p.name for p in self.it.dir.iterdir() if "store" in p.name]


@pytest.fixture(scope="module")
def world(tmp_path_factory, ports):
    world = World(tmp_path_factory.mktemp("backup"), ports)
    yield world
    if world.it.server is not None:
        assert world.it.stop() == 0


def test_the_encrypted_file_has_no_plain_name(world):
    assert world.told["seal"] == "verified" and world.told["encrypted"]
    plain, box = world.plain.read_bytes(), world.box.read_bytes()
    for text in (b"web-canary", b"certificate.issue", b"certificates",
                 bytes.fromhex(world.kept.serial)):
        assert text in plain and text not in box, text
    assert world.box.stat().st_mode & 0o7777 == 0o600
    assert box.startswith(b"signet backup 1\n")


def test_what_it_says_of_itself_needs_no_key_and_tells_no_secret(world):
    done = check([BUILD / "signet", "backup", "--show", world.box, "--json"])
    told = done.json
    assert told["encrypted"] and told["size"] == world.box.stat().st_size
    assert [r["subject"] for r in told["recipients"]] == ["CN=one", "CN=two"]
    assert all(r["serial"] and r["key_id"] for r in told["recipients"])
    assert told["audit_sequence"] == world.told["audit_sequence"]
    assert any("object=signet-kms-root" in k for k in told["token_keys"])
    assert world.it.pin not in done.out and "web-canary" not in done.out
    plain = check([BUILD / "signet", "backup", "--show", world.plain,
                   "--json"]).json
    assert not plain["encrypted"] and "recipients" not in plain
    assert plain["log"] == told["log"] and len(plain["tree_root"]) == 64
    assert plain["store_format"] == told["store_format"]
    assert "CN=one (serial" in check(
        [BUILD / "signet", "backup", "--show", world.box]).out


def test_each_recipient_can_verify_it_anywhere(world):
    for options in (("--decrypt-with", world.one[1]),
                    ("--decrypt-with", world.two[1],
                     "--passphrase-file", world.phrase)):
        assert check([BUILD / "signet", "backup", "--verify", world.box,
                      *options, "--json"]).json["verified"]
    plain = world.it.json("backup", "--verify", world.plain)
    assert plain["verified"] and plain["seal"] == "verified"
    alone = check([BUILD / "signet", "backup", "--verify", world.plain,
                   "--json"]).json
    assert alone["seal"] == "not verified"


# What is given, the exit code, and what is told.
REFUSED = {
    "no key": (lambda w: (), 2, "name the private key with --decrypt-with"),
    "whose": (lambda w: ("--decrypt-with", w.other[1]), 1, "CN=one (serial"),
    "missing": (lambda w: ("--decrypt-with", w.folder / "none"), 1,
                "No such file"),
    "no phrase": (lambda w: ("--decrypt-with", w.two[1]), 6,
                  "--passphrase-file"),
    "wrong phrase": (lambda w: ("--decrypt-with", w.two[1],
                                "--passphrase-file", w.phrases), 6,
                     "passphrase does not open"),
    "certificate": (lambda w: ("--decrypt-with", w.one[0]), 6,
                    "no private key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_without_the_right_key_it_says_what_to_do(world, case):
    give, code, told = REFUSED[case]
    (world.one[0]).chmod(0o600)
    done = world.restore("--without-witness", *give(world))
    assert done.code == code and told in done.err, done
    done = run([BUILD / "signet", "backup", "--verify", world.box,
                *give(world)])
    assert done.code == code and told in done.err, done
    assert world.left() == []


def test_a_key_for_what_is_plain_and_options_that_exclude_each_other(world):
    done = world.restore("--without-witness", "--decrypt-with", world.one[1],
                         file=world.plain)
    assert done.code == 2 and "is not encrypted" in done.err, done
    for options in (("--show", "--verify"),
                    ("--show", "--encrypt-to", world.one[0]),
                    ("--decrypt-with", world.one[1]),
                    ("--verify", "--passphrase-file", world.phrase)):
        done = world.it.run("backup", world.box, *options)
        assert done.code == 2, (options, done)
    assert world.left() == []


DAMAGED = {
    "cut": (lambda o: o[:-1], "is truncated"),
    "cut in the header": (lambda o: o[:900], "cut off or changed"),
    "flipped": (lambda o: o[:70000] + bytes([o[70000] ^ 1]) + o[70001:],
                "was changed"),
    "flipped header": (lambda o: o[:30] + bytes([o[30] ^ 1]) + o[31:],
                       "was changed"),
    "grown": (lambda o: o + b"\0", ""),
    "later": (lambda o: o.replace(b"backup 1\n", b"backup 2\n", 1),
              "version of Signet that wrote it"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_was_damaged_is_refused_and_nothing_is_left(world, case, tmp_path):
    damage, told = DAMAGED[case]
    file = tmp_path / "damaged"
    file.write_bytes(damage(world.box.read_bytes()))
    done = world.restore("--without-witness", "--decrypt-with", world.one[1],
                         file=file)
    assert done.code != 0 and told in done.err, done
    assert world.left() == []


def test_a_recipient_who_cannot_or_should_not_read_it_is_refused(world, tmp_path):
    sign, _ = person(tmp_path, "sign", usage="digitalSignature")
    weak, _ = person(tmp_path, "weak", "rsa:1024", usage="keyEncipherment")
    for cert, told in ((sign, "keyAgreement"), (weak, "1024"),
                       (world.one[1], "certificate")):
        done = world.it.run("backup", tmp_path / "x", "--encrypt-to", cert)
        assert done.code != 0 and told in done.err, done
        assert str(cert)[:60] in done.err, done
    assert not (tmp_path / "x").exists()


def with_stderr(arguments, env):
    """What a command writes on a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([str(a) for a in arguments], env=env, stderr=theirs,
                          stdout=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                octets = os.read(ours, 4096)
            except OSError:
                break
            told += octets
        assert process.wait(PATIENCE) == 0, told
    os.close(ours)
    return told.decode()


def test_nothing_revoked_becomes_good_by_an_encrypted_backup(world, tmp_path):
    """The drill; and then what needs a store that is there."""
    told = with_stderr(
        [BUILD / "signet", "restore", world.box, "--dir", world.it.dir,
         "--witness", world.witness, "--decrypt-with", world.two[1],
         "--passphrase-file", world.phrase, "--json"], world.it.env)
    assert "copying the backup" in told
    assert world.left() == ["store"]
    assert sorted(p.name for p in (world.it.dir / "store").iterdir()
                  if p.suffix == ".mdb" and p.name != "lock.mdb") == ["data.mdb"]
    done = world.restore("--without-witness", "--decrypt-with", world.one[1])
    assert done.code != 0 and "already" in done.err, done
    it = world.it.start()
    assert it.json("cert", "show", world.kept.serial)["state"] == "valid"
    assert it.json("cert", "show", world.lost.serial)["state"] == "revoked"
    issue(it, tmp_path, "web-canary", dns=["again.web-canary.example.net"])
    it.check("store", "verify")

    # Silent where nobody looks, and never over a file that is there.
    new = tmp_path / "new"
    arguments = ["backup", new, "--encrypt-to", world.one[0]]
    assert it.check(*arguments).err == ""
    done = it.run(*arguments)
    assert done.code == 1 and "is there already" in done.err, done
    new.unlink()
    told = with_stderr([BUILD / "signet", *arguments, "--config", it.config],
                       it.env)
    assert "encrypting a copy" in told

    # A disk that is full: of its own process, by its limit.
    full = tmp_path / "full"
    full.mkdir()
    for options in ("", f"--encrypt-to {world.one[0]}"):
        done = run(["sh", "-c", "trap '' XFSZ; ulimit -f 40; exec "
                    f"{BUILD}/signet backup {full}/b {options} "
                    f"--config {it.config}"], env=it.env)
        assert done.code == 1 and "make room" in done.err, done
        assert list(full.iterdir()) == []
    shutil.rmtree(full)
