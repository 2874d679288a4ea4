# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: nobody rewrites the audit log unseen.  Hashes, proofs and
signatures are checked here by code of their own, written from RFC 9162."""
import base64
import datetime
import hashlib
import json
import pathlib
import shutil
import socket
import struct
import threading
import time

import pytest

from client import admin_of
from harness import BUILD, run, wait_until
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TEXTS = ("action", "result", "actor", "source", "cluster", "object", "rule",
         "request_id", "detail")


def sha(octets):
    return hashlib.sha256(octets).digest()


def node(left, right):
    return sha(b"\1" + left + right)


def milliseconds(text):
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    since = moment - datetime.datetime(1970, 1, 1)
    return since.days * 86400000 + since.seconds * 1000 + \
        since.microseconds // 1000


def leaf(entry):
    return sha(b"\0" + struct.pack(
        ">BQq", 2, entry["sequence"], milliseconds(entry["time"])) + b"".join(
            entry.get(text, "").encode() + b"\0" for text in TEXTS))


def split(count):
    return 1 << (count - 1).bit_length() - 1


def root(leaves):
    """MTH, RFC 9162 2.1.1."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(root(leaves[:k]), root(leaves[k:]))


def path(m, leaves):
    """PATH, RFC 9162 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def subproof(m, leaves, whole=True):
    """SUBPROOF, RFC 9162 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], whole) + [root(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [root(leaves[:k])]


def entries_of(admin):
    entries, cursor = [], 0
    while True:
        page = admin.ask("GET", f"/audit?limit=1000&cursor={cursor}")
        entries += page["items"]
        if "next" not in page:
            return entries
        cursor = page["next"]


def read_note(note, key):
    """A checkpoint, its signature verified."""
    text, signature = note.split("\n\n")
    text += "\n"
    dash, origin, octets = signature.rstrip("\n").split(" ")
    octets = base64.b64decode(octets, validate=True)
    der = key.public_bytes(serialization.Encoding.DER,
                           serialization.PublicFormat.SubjectPublicKeyInfo)
    assert dash == "\u2014" and octets[:4] == sha(der)[:4]
    key.verify(octets[4:], text.encode(), ec.ECDSA(hashes.SHA256()))
    lines = text.splitlines()
    assert lines[0] == origin and len(lines) == 5
    return {"origin": origin, "size": int(lines[1]),
            "root": base64.b64decode(lines[2])}


class World:
    def __init__(self, instance, folder):
        self.instance, self.folder = instance, folder
        self.mount = folder / "mount"
        self.mount.mkdir()
        self.witness = self.mount / "witness.jsonl"
        self.socket = folder / "log"
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log.bind(str(self.socket))
        self.told = []
        threading.Thread(target=self.listen, daemon=True).start()
        with open(instance.config, "a", encoding="ascii") as config:
            config.write(f"audit:\n  witness:\n    - file:{self.witness}\n"
                         f"    - syslog:{self.socket}\n")

    def listen(self):
        while True:
            self.told.append(self.log.recv(65536).decode())

    def covered(self, admin):
        """The checkpoint that covers all that is there now."""
        size = admin.ask("GET", "/audit/checkpoint")["sequence"]

        def signed():
            answer = admin.ask("GET", "/audit/checkpoint")
            note = answer.get("checkpoint")
            return note and int(note.split("\n")[1]) >= size and answer
        wait_until(signed, "a checkpoint")
        return signed()

    def witnessed(self, size):
        def has():
            status = self.instance.json("status")["audit"]
            return all(w["entries"] >= size for w in status["witnesses"])
        wait_until(has, "the witnesses")


@pytest.fixture(scope="module")
def world(shared, tmp_path_factory):
    assert shared.stop() == 0
    world = World(shared, tmp_path_factory.mktemp("audit"))
    shared.start()
    shared.cluster("web")
    yield world


@pytest.fixture(scope="module")
def admin(world):
    with admin_of(world.instance) as client:
        for name in ("a", "b", "c", "d", "e"):
            client.ask("POST", "/clusters/web/keys", {"name": name},
                       status=201)
        yield client


@pytest.fixture(scope="module")
def key(admin):
    answer = admin.ask("GET", "/audit/checkpoint")
    found = serialization.load_pem_public_key(answer["key"].encode())
    der = found.public_bytes(serialization.Encoding.DER,
                             serialization.PublicFormat.SubjectPublicKeyInfo)
    assert answer["key_fingerprint"] == sha(der).hex()
    return found


def test_the_head_is_the_root_over_all_entries(admin):
    point = admin.ask("GET", "/audit/checkpoint")
    entries = entries_of(admin)
    leaves = [leaf(entry) for entry in entries]
    assert [entry["leaf"] for entry in entries] == \
        [hash.hex() for hash in leaves]
    assert point["head"] == root(leaves[:point["sequence"]]).hex()
    # Behind it stands who has asked.
    assert {entry["action"] for entry in entries[point["sequence"]:]} == \
        {"audit.read"}


def test_a_checkpoint_is_signed_and_of_the_log(world, admin, key):
    note = read_note(world.covered(admin)["checkpoint"], key)
    leaves = [leaf(entry) for entry in entries_of(admin)]
    assert note["root"] == root(leaves[:note["size"]])


def test_openssl_verifies_a_checkpoint(world, admin, tmp_path):
    """The commands that doc/audit.md shows."""
    answer = world.covered(admin)
    (tmp_path / "note").write_text(answer["checkpoint"])
    (tmp_path / "key.pem").write_text(answer["key"])
    doc = (pathlib.Path(__file__).parents[2] / "doc/audit.md").read_text()
    commands = doc[doc.index("sed '/^$"):].split("```")[0]
    done = run(["sh", "-ec", f"cd {tmp_path}\n{commands}"])
    assert done.code == 0 and "Verified OK" in done.out
    text = (tmp_path / "note").read_text()
    (tmp_path / "note").write_text(text.replace("node", "mode"))
    assert run(["sh", "-ec", f"cd {tmp_path}\n{commands}"]).code != 0


def test_nothing_new_is_nothing_signed(world, admin):
    """Who asks for the checkpoint leaves an entry: so the metrics are asked."""
    world.covered(admin)

    def signed():
        return sorted(l for l in world.instance.get_ops(
            "/metrics").body.decode().splitlines()
            if l.startswith("signet_audit_checkpoint_"))
    time.sleep(1.5)
    first = signed()
    assert len(first) > 1
    time.sleep(2.2)
    assert signed() == first


def test_proofs_are_those_of_the_rfc(admin):
    leaves = [leaf(entry) for entry in entries_of(admin)]
    total = len(leaves)
    for size in {1, 2, 3, 7, 8, total - 1, total}:
        for sequence in {1, size // 2 or 1, size}:
            proof = admin.ask("GET", "/audit/proof/inclusion"
                              f"?sequence={sequence}&size={size}")
            assert proof["root"] == root(leaves[:size]).hex()
            assert proof["leaf"] == leaves[sequence - 1].hex()
            assert proof["proof"] == [
                hash.hex() for hash in path(sequence - 1, leaves[:size])]
        proof = admin.ask("GET", "/audit/proof/consistency"
                          f"?from={size}&to={total}")
        assert proof["from_root"] == root(leaves[:size]).hex()
        assert proof["to_root"] == root(leaves).hex()
        assert proof["proof"] == [hash.hex() for hash in
                                  subproof(size, leaves)]


@pytest.mark.parametrize("query", [
    "inclusion", "inclusion?sequence=1", "inclusion?sequence=0&size=1",
    "inclusion?sequence=2&size=1", "inclusion?sequence=1&size=99999999",
    "inclusion?sequence=-1&size=1", "consistency?from=0&to=1",
    "consistency?from=2&to=1", "consistency?from=1&to=99999999",
    "consistency?from=1&to=1x"])
def test_what_cannot_be_proven_is_refused(admin, query):
    answer = admin.call("GET", f"/audit/proof/{query}")
    assert (answer.status, answer.json["code"]) == (400, "bad-field")


def test_lists_are_filtered(admin):
    entries = entries_of(admin)

    def listed(query):
        page = admin.ask("GET", f"/audit?limit=1000&{query}")
        # Without those that the asking has added.
        return [entry["sequence"] for entry in page["items"]
                if entry["sequence"] <= len(entries)]

    def those(fits):
        return [e["sequence"] for e in entries if fits(e)]
    keys = those(lambda e: e["action"] == "key.create")
    assert len(keys) == 5 and listed("action=key.create") == keys
    assert listed("action=key.") == those(
        lambda e: e["action"].startswith("key."))
    assert listed("cluster=web") == those(lambda e: e.get("cluster") == "web")
    assert listed("result=refused") == those(
        lambda e: e["result"] == "refused")
    actor = next(e["actor"] for e in entries if e["action"] == "key.create")
    assert listed(f"actor={actor}") == those(
        lambda e: e.get("actor") == actor)
    moment = entries[keys[1] - 1]["time"]
    assert listed(f"since={moment}") == those(lambda e: e["time"] >= moment)
    assert listed(f"until={moment}") == those(lambda e: e["time"] < moment)
    first = admin.ask("GET", "/audit?action=key.create&limit=2")
    assert [e["sequence"] for e in first["items"]] == keys[:2]
    rest = admin.ask("GET", f"/audit?action=key.create&cursor={first['next']}")
    assert [e["sequence"] for e in rest["items"]] == keys[2:]
    assert admin.call("GET", "/audit?since=yesterday").status == 400


# ---- Witnesses ----

def lines_of(witness):
    return [json.loads(line) for line in witness.read_text().splitlines()]


def test_witnesses_get_entries_and_checkpoints_in_order(world, admin, key):
    size = read_note(world.covered(admin)["checkpoint"], key)["size"]
    world.witnessed(size)
    lines = lines_of(world.witness)
    leaves = []
    for line in lines:
        if "checkpoint" in line:
            note = read_note(line["checkpoint"], key)
            assert (note["size"], note["root"]) == (len(leaves), root(leaves))
        else:
            assert line["sequence"] == len(leaves) + 1
            leaves.append(leaf(line))
    assert len(leaves) >= size and "checkpoint" in lines[-1]
    wait_until(lambda: len(world.told) >= len(lines), "the log")
    told = world.told[:len(lines)]
    assert all(t.startswith("<85>") and " signetd-audit[" in t for t in told)
    assert [json.loads(t.split("]: ", 1)[1]) for t in told] == lines


def test_a_witness_that_is_away_is_told_later(world, admin, key):
    """Its folder is gone; nothing waits for it, and all see that it is behind."""
    world.instance.stop()
    away = world.folder / "away"
    world.mount.rename(away)
    world.instance.start()
    with admin_of(world.instance) as client:
        client.ask("POST", "/clusters/web/keys", {"name": "late"}, status=201)
        size = read_note(world.covered(client)["checkpoint"], key)["size"]
        status = world.instance.json("status")["audit"]["witnesses"][0]
        assert status["failing"] and status["behind"] > 0
        metrics = world.instance.get_ops("/metrics").body.decode()
        name = f'{{witness="file:{world.witness}"}}'
        assert f"signet_audit_witness_failing{name} 1" in metrics
        ready = world.instance.get_ops("/readyz")
        assert ready.status == 200
        assert ready.json["audit"] == "a witness is behind"
        away.rename(world.mount)
        world.witnessed(size)
    sequences = [line["sequence"] for line in lines_of(world.witness)
                 if "sequence" in line]
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_line_that_a_crash_has_cut_is_told_again(world, key):
    world.instance.stop()
    whole = world.witness.read_bytes()
    last = whole.rindex(b'{"sequence"')
    world.witness.write_bytes(whole[:last + 40])
    world.instance.start()
    with admin_of(world.instance) as client:
        client.ask("POST", "/clusters/web/keys", {"name": "cut"}, status=201)
        size = read_note(world.covered(client)["checkpoint"], key)["size"]
        world.witnessed(size)
    sequences = []
    for line in world.witness.read_text().splitlines():
        try:
            sequences.append(json.loads(line).get("sequence"))
        except ValueError:
            assert line == whole[last:last + 40].decode()
    sequences = [s for s in sequences if s]
    assert sequences == list(range(1, len(sequences) + 1))


# ---- The command ----

@pytest.fixture(scope="module")
def export(world, admin, tmp_path_factory):
    """Made in two steps, so that it has several checkpoints."""
    folder = tmp_path_factory.mktemp("export") / "log"
    world.covered(admin)
    first = world.instance.json("audit", "export", "--out", folder)
    assert first["new"] == first["sequence"] > 0
    with admin_of(world.instance) as client:
        for name in ("x1", "x2", "x3"):
            client.ask("POST", "/clusters/web/keys", {"name": name},
                       status=201)
    second = world.instance.json("audit", "export", "--out", folder)
    assert second["new"] == second["sequence"] - first["sequence"] >= 3
    # What is new then are the exports themselves: they read.
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    third = world.instance.json("audit", "export", "--out", copy)
    assert third["new"] == third["sequence"] - second["sequence"]
    entries = [json.loads(line) for line in
               (copy / "entries.jsonl").read_text().splitlines()]
    assert len(entries) == third["sequence"]
    assert {e["action"] for e in entries[second["sequence"]:]} == {"audit.read"}
    return folder, first["sequence"], second["sequence"]


def offline(path, *options):
    return run([BUILD / "signet", "audit", "verify", "--offline", path,
                *options, "--json"])


def test_an_export_verifies_without_the_server(export, world):
    folder, _, last = export
    fingerprint = world.instance.json("audit", "verify")["key_fingerprint"]
    done = offline(folder, "--fingerprint", fingerprint)
    assert done.code == 0, done
    assert done.json["sequence"] == done.json["signed"] == last
    assert done.json["key_fingerprint"] == fingerprint
    wrong = offline(folder, "--fingerprint", "sha256:" + 64 * "0")
    assert wrong.code == 1 and "the audit key is another one" in wrong.err


def flip(lines, at):
    lines[at]["object"] = lines[at].get("object", "") + "x"


def rewrite(lines, at):
    flip(lines, at)
    lines[at]["leaf"] = leaf(lines[at]).hex()


def backdate(lines, at):
    lines[at]["time"] = "2020-01-01T00:00:00.000Z"
    lines[at]["leaf"] = leaf(lines[at]).hex()


def drop(lines, at):
    del lines[at]


def swap(lines, at):
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


def insert(lines, at):
    lines.insert(at, dict(lines[at - 1]))


def renumber(lines, at):
    """Drops one and closes the gap."""
    del lines[at]
    for entry in lines[at:]:
        entry["sequence"] -= 1
        entry["leaf"] = leaf(entry).hex()


def truncate(lines, at):
    del lines[at:]


def append(lines, at):
    del at
    lines.append({**lines[-1], "sequence": len(lines) + 1})
    lines[-1]["leaf"] = leaf(lines[-1]).hex()


@pytest.mark.parametrize("how,place", [
    (flip, "audit entry {at} is changed"),
    (backdate, "audit entry {at} is older than the one before it"),
    (drop, "audit entry {at} is out of order: in its place stands entry "),
    (swap, "audit entry {at} is out of order: in its place stands entry "),
    (insert, "audit entry {at} is out of order: in its place stands entry "),
    (rewrite, "audit entries {from} to {to} are not those that the checkpoint"),
    (renumber, "audit entry {to} is missing, or one from {from} on was dropped"),
    (truncate, "audit entry {at} is missing, or one from {from} on was dropped"),
    (append, "audit entry {beyond} is beyond the last checkpoint")])
def test_a_changed_export_is_found_with_its_place(
        export, tmp_path, how, place):
    folder, first, last = export
    copy = tmp_path / "log"
    shutil.copytree(folder, copy)
    lines = [json.loads(line) for line in
             (copy / "entries.jsonl").read_text().splitlines()]
    at = first + 1
    how(lines, at - 1)
    (copy / "entries.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines))
    done = offline(copy)
    assert done.code == 1, done
    assert place.format(**{"at": at, "from": first + 1, "to": last,
                           "beyond": last + 1}) in done.err, done


def test_a_changed_checkpoint_is_found(export, tmp_path):
    folder, first, last = export
    copy = tmp_path / "log"
    shutil.copytree(folder, copy)
    path = copy / "checkpoints.jsonl"
    text = path.read_text()
    path.write_text(text.replace(f"\\n{last}\\n", f"\\n{last - 1}\\n"))
    done = offline(copy)
    assert done.code == 1 and "signature does not verify" in done.err, done
    path.write_text(text.splitlines(True)[0])
    done = offline(copy)
    assert done.code == 1 and f"entry {first + 1} is beyond" in done.err


def test_an_export_cut_back_as_a_whole_is_found_by_the_witness(
        export, world, tmp_path):
    folder, first, last = export
    world.witnessed(last)
    copy = tmp_path / "log"
    shutil.copytree(folder, copy)
    for name, keep in (("entries.jsonl", first), ("checkpoints.jsonl", 1)):
        lines = (copy / name).read_text().splitlines(True)
        (copy / name).write_text("".join(lines[:keep]))
    assert offline(copy).code == 0
    done = offline(copy, "--witness", world.witness)
    assert done.code == 1 and f"entry {first + 1} is missing" in done.err


@pytest.mark.parametrize("emptied", [
    ("checkpoints.jsonl",), ("checkpoints.jsonl", "entries.jsonl")])
def test_an_export_without_checkpoints_shows_nothing(
        export, tmp_path, emptied):
    copy = tmp_path / "copy"
    shutil.copytree(export[0], copy)
    for name in emptied:
        (copy / name).write_text("")
    done = offline(copy)
    assert done.code != 0
    assert "no checkpoint" in done.err


def test_a_witness_file_verifies_by_itself(export, world, tmp_path):
    folder, _, last = export
    world.witnessed(last)
    done = offline(world.witness, "--key", folder / "key.pem")
    assert done.code == 0 and done.json["signed"] >= last, done
    assert offline(world.witness).code == 2
    # A line that a crash has cut and that was told again after it.
    lines = world.witness.read_bytes().splitlines(True)
    copy = tmp_path / "witness.jsonl"
    copy.write_bytes(lines[0][:40] + b"\n" + b"".join(lines))
    done = offline(copy, "--key", folder / "key.pem")
    assert done.code == 0 and done.json["signed"] >= last, done
    assert f"{copy}:1: no whole line" in done.err


def test_a_witness_file_that_cannot_be_read_is_no_empty_one(world):
    """What overwrites it must not hide what it had."""
    world.instance.stop()
    whole = world.witness.read_bytes()
    world.witness.write_bytes(b"\0" * 100 + b"\n" + b"rotated\n" * 100)
    done = run([BUILD / "signetd", "--config", world.instance.config],
               env=world.instance.env)
    assert done.code == 1 and "no entry can be read in it" in done.err, done
    world.witness.write_bytes(whole)
    world.instance.start()


def test_an_export_that_was_cut_goes_on(export, world, tmp_path):
    folder, _, last = export
    copy = tmp_path / "log"
    shutil.copytree(folder, copy)
    path = copy / "entries.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    done = world.instance.json("audit", "export", "--out", copy)
    assert done["sequence"] >= last and done["new"] >= 1
    assert offline(copy).code == 0


def test_the_store_verifies_beside_its_server(world, admin):
    world.covered(admin)
    done = offline(world.instance.dir / "store", "--witness", world.witness)
    assert done.code == 0 and done.json["signed"] > 0, done


def test_the_log_is_listed_by_pages_and_filters(world, admin):
    def listed(*options):
        return world.instance.json("audit", "list", *options)["items"]
    entries = entries_of(admin)
    assert listed()[:len(entries)] == entries
    assert listed("--limit", "3") == entries[:3]
    keys = [e for e in entries if e["action"] == "key.create"]
    assert listed("--action", "key.create") == keys
    assert listed("--action", "key.", "--limit", "1") == keys[:1]
    assert listed("--result", "refused", "--cluster", "none") == []
    assert world.instance.run("audit", "list", "--limit", "0").code == 2
    text = world.instance.check("audit", "list", "--limit", "2").out
    assert len(text.splitlines()) == 3


def test_verification_remembers_and_finds_a_rollback(world, tmp_path):
    """Also by proof alone, without fetching entries."""
    instance, state = world.instance, tmp_path / "seen"
    verify = ("audit", "verify", "--state", state)
    first = instance.json(*verify)
    assert first["signed"] == int(state.read_text().split("\n")[1])
    with admin_of(instance) as client:
        client.ask("POST", "/clusters/web/keys", {"name": "seen"}, status=201)
    assert instance.json(*verify, "--quick")["sequence"] > first["sequence"]
    assert instance.json(*verify, "--witness", world.witness)
    instance.stop()
    # Stopped, the store itself is read; and it is copied here.
    done = instance.run(*verify)
    assert done.code == 0 and "reading its store" in done.err
    old = world.folder / "unseen"
    shutil.copytree(instance.dir / "store", old)
    instance.start()
    with admin_of(instance) as client:
        for i in range(3):
            client.ask("POST", "/clusters/web/keys", {"name": f"gone-{i}"},
                       status=201)
        world.covered(client)
    after = instance.json(*verify)["signed"]
    text = instance.config.read_text()
    instance.stop()
    newer = world.folder / "newer-unseen"
    (instance.dir / "store").rename(newer)
    old.rename(instance.dir / "store")
    instance.config.write_text(text.split("audit:")[0])
    instance.start()
    done = instance.run(*verify)
    assert done.code == 1 and "the log was rolled back" in done.err, done
    # Longer than what was seen, and yet another.
    with admin_of(instance) as client:
        while client.ask("GET", "/audit/checkpoint")["sequence"] <= after:
            client.ask("POST", "/clusters/web/keys",
                       {"name": f"fork-{time.monotonic_ns()}"}, status=201)
        world.covered(client)
    done = instance.run(*verify)
    assert done.code == 1 and f"to {after} are not those" in done.err, done
    done = instance.run(*verify, "--quick")
    assert done.code == 1 and "are not those seen before" in done.err, done
    instance.stop()
    shutil.rmtree(instance.dir / "store")
    newer.rename(instance.dir / "store")
    instance.config.write_text(text)
    instance.start()


def test_a_store_that_was_rolled_back_or_forked_is_not_served(world, key):
    instance = world.instance
    instance.stop()
    old = world.folder / "old-store"
    shutil.copytree(instance.dir / "store", old)
    instance.start()
    with admin_of(instance) as client:
        client.ask("POST", "/clusters/web/keys", {"name": "newer"}, status=201)
        size = read_note(world.covered(client)["checkpoint"], key)["size"]
        world.witnessed(size)
    instance.stop()
    newer = world.folder / "newer-store"
    (instance.dir / "store").rename(newer)
    shutil.copytree(old, instance.dir / "store")
    command = [BUILD / "signetd", "--config", instance.config]
    done = run(command, env=instance.env)
    assert done.code == 1 and "the store was rolled back" in done.err
    done = run(command + ["--check"], env=instance.env)
    assert done.code == 1 and "Restore a newer backup" in done.err
    # It goes on without the witness, and differs from then on.
    text = instance.config.read_text()
    instance.config.write_text(text.split("audit:")[0])
    instance.start()
    with admin_of(instance) as client:
        for i in range(20):
            client.ask("POST", "/clusters/web/keys", {"name": f"fork-{i}"},
                       status=201)
        world.covered(client)
    instance.stop()
    instance.config.write_text(text)
    done = run(command, env=instance.env)
    assert done.code == 1 and "the audit log was changed" in done.err
    shutil.rmtree(instance.dir / "store")
    newer.rename(instance.dir / "store")
    instance.start()
