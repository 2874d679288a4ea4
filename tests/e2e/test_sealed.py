# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: who takes the store's files or a backup learns no token hash
and no name that was issued; the store opens by its own token alone; and it can be
verified beside its server, given another key, backed up and restored."""
import contextlib
import hashlib
import json
import os
import pathlib
import signal

import pytest

from harness import BUILD, check, make_csr, run, wait_until

PATTERN = "*.pattern-canary.example.net"
NAME = "name-canary.pattern-canary.example.net"
NETWORK = "10.77.0.0/16"


def holding(folder, octets):
    """Files of a store, or a backup, that hold the octets."""
    files = [folder] if folder.is_file() else sorted(folder.iterdir())
    assert files
    return [f.name for f in files if octets in f.read_bytes()]


@pytest.fixture
def used(make_instance, tmp_path):
    """An instance that has a token and a certificate, and a backup of it."""
    instance = make_instance().start()
    instance.cluster("web", dns=[PATTERN], ip=[NETWORK])
    instance.json("key", "create", "k", "--cluster", "web")
    instance.secret = instance.token("web", profile="server", uses=2)
    _, csr = make_csr(tmp_path, "x", dns=[NAME])
    done = instance.call("POST", "/clusters/web/certificates",
                         {"csr": csr, "profile": "server"},
                         token=instance.secret)
    assert done.status == 201, done
    instance.serial = done.json["serial"]
    instance.backup = tmp_path / "backup"
    told = instance.json("backup", instance.backup)
    assert told["seal"] == "verified"
    return instance


def test_store_and_backup_tell_no_hash_and_no_name(used):
    digest = hashlib.sha256(used.secret.encode()).digest()
    for place in (used.dir / "store", used.backup):
        # The first half is the token's id, which is its row's key.
        assert holding(place, digest[:16])
        assert holding(place, digest[16:]) == []
        for text in (PATTERN, NAME, "pattern-canary", NETWORK):
            assert holding(place, text.encode()) == [], text
        # What is said to be in the clear is found, so the search does search.
        assert holding(place, bytes.fromhex(used.serial))
        assert holding(place, b"certificate.issue")
    used.stop()
    assert holding(used.dir / "store", NAME.encode()) == []


def test_the_store_is_verified_beside_its_server_and_rekeyed_without(used):
    before = used.json("store", "verify")
    assert before["rows"] > 5
    assert before["audit_sequence"] > 3
    refused = used.run("store", "rekey")
    assert refused.code != 0 and "in use" in refused.err, refused
    refused = used.run("store", "seal")
    assert refused.code != 0, refused
    assert used.stop() == 0
    refused = used.run("store", "seal")
    assert refused.code != 0 and "sealed already" in refused.err, refused
    assert used.json("store", "rekey")["rows"] >= before["rows"]
    used.start()
    assert used.json("cert", "show", used.serial)["state"] == "valid"
    assert used.json("store", "verify")["rows"] >= before["rows"]
    # The backup was sealed under the key of before, which it carries.
    used.stop()
    (used.dir / "store").rename(used.folder / "old")
    told = used.json("restore", used.backup, "--dir", used.dir,
                     "--without-witness")
    assert told["seal"] == "verified"
    used.start()
    assert used.json("cert", "show", used.serial)["state"] == "valid"


def spoil(store, row_id):
    """Changes the sealed row of that id where it lies, under the server."""
    path = store / "data.mdb"
    data = path.read_bytes()
    head = row_id + bytes(7) + b"\x01" + b"\x01"  # key, revision 1, form 1
    places, at = 0, data.find(head)
    with path.open("r+b") as file:
        while at >= 0:
            file.seek(at + len(head) + 20)
            octet = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([octet ^ 1]))
            places, at = places + 1, data.find(head, at + 1)
    assert places


@contextlib.contextmanager
def frozen(pid):
    """A page that the server gives to other rows between the reading and the
    writing of it must not be the one that is changed."""
    state = pathlib.Path(f"/proc/{pid}/stat")
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T",
                   "stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_row_that_nobody_reads_is_told_when_it_was_changed(make_instance):
    instance = make_instance()
    config = instance.config.read_text()
    assert "\nstore:" not in config
    instance.config.write_text(config + "\nstore:\n  scrub_period: 10s\n")
    instance.start()
    instance.cluster("web")
    made = instance.json("token", "create", "--cluster", "web")
    seen = "store looked at"

    def store():
        return instance.json("status")["store"]
    wait_until(lambda: "last_pass" in store()["scrub"], seen)
    assert store()["amiss"] == 0
    first = store()["scrub"]["last_pass"]
    # What is left of the period is taken; what was known stays so.
    instance.stop()
    instance.start()
    assert store()["scrub"]["last_pass"] >= first
    with frozen(instance.server.pid):
        spoil(instance.dir / "store", bytes.fromhex(made["id"]))
    wait_until(lambda: store()["amiss"] > 0, "the alarm")
    wait_until(lambda: instance.json("audit", "list", "--action",
                                     "store.scrub")["items"], "the entry")
    entry = instance.json("audit", "list", "--action", "store.scrub")["items"][0]
    assert (entry["result"], entry["actor"]) == ("failed", "system")
    assert "tokens" in entry["detail"]
    assert "a row of the store was changed" in str(instance.log_lines())
    refused = instance.run("store", "verify")
    assert refused.code != 0 and "tokens" in refused.err
    assert "NOT AS WRITTEN" in instance.run("status").out
    sick = instance.run("doctor")
    assert sick.code == 1 and "not as they were written" in sick.out


def test_a_store_of_another_token_is_neither_restored_nor_served(
        used, make_instance, tmp_path):
    other = make_instance("other")
    (other.dir / "store").rename(tmp_path / "own")
    done = other.run("restore", used.backup, "--dir", other.dir,
                     "--without-witness")
    assert done.code != 0 and "another token" in done.err, done
    assert not (other.dir / "store").exists()
    # Alone, without a token, it may be looked at.
    told = json.loads(check([BUILD / "signet", "restore", used.backup, "--dir",
                             tmp_path / "alone", "--without-witness",
                             "--json"], env=other.env).out)
    assert told["seal"] == "not verified"
    check([BUILD / "signet", "audit", "verify", "--offline",
           tmp_path / "alone" / "store"], env=other.env)
    (tmp_path / "alone" / "store").rename(other.dir / "store")
    done = run([BUILD / "signetd", "--config", other.config], env=other.env)
    assert done.code != 0 and "another token" in done.err, done
