# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: where a policy calls names private, none of them is in what
rests in the clear or is told outside: store, backup, export, witness and log; and
whoever may still gets them: the caller their refusal, the operator certificates by
name, the auditor the names behind aliases.  The control is the same cluster before
its policy said so: then each search finds what it looks for."""
import base64
import ipaddress
import json
import shutil
import signal

import pytest

from client import Client, Node, issue, new_key, request
from harness import BUILD, Instance, check, wait_until

# One text of each kind that no rule allows, by its kind's option.
BEFORE = {"cn": "Pub Canary", "dns": "db1.pub-canary.example.org",
          "ip": "fd11:2233:4455:6677:8899:aabb:ccdd:eef1",
          "uri": "spiffe://pub-canary/db1"}
AFTER = {"cn": "Hid Canary", "dns": "db1.hid-canary.example.org",
         "ip": "fd11:2233:4455:6677:8899:aabb:ccdd:eef2",
         "uri": "spiffe://hid-canary/db1"}
# Of the cluster itself: told in a refusal as what would be allowed.
PATTERN = "*.own-canary.example.org"
RANGE = "fd11:2233:4455:7788::/64"
GIVEN = {"cn": "n1.own-canary.example.org",
         "dns": "n1.own-canary.example.org",
         "ip": "fd11:2233:4455:7788::1"}


def ask_for(names, **more):
    """A request for {"dns": NAME, …}."""
    return request(**more, **{kind: name if kind == "cn" else [name]
                              for kind, name in names.items()})


def forms_of(text):
    """How a name may be written down: as text, as in DER, in hex and base64 at
    each place of a longer text."""
    octets = text.encode()
    plain = {octets, octets.upper(), text.encode("utf-16-le")}
    try:
        plain |= {ipaddress.ip_address(text).packed,
                  ipaddress.ip_address(text).exploded.encode()}
    except ValueError:
        pass
    forms = set(plain)
    for one in plain:
        forms |= {one.hex().encode(), one.hex().upper().encode()}
        for shift in range(3):
            coded = base64.b64encode(bytes(shift) + one)
            # Without the octets that what stands beside it decides.
            whole = coded[4 if shift else 0:len(coded) // 4 * 4 - 4]
            forms |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
    assert min(map(len, forms)) >= 8
    return forms


def found(octets, names):
    """Which of the names are in it."""
    return {name for name in names if any(f in octets for f in forms_of(name))}


# Looks like an alias, and is a name that was asked for.
FORGED = "alias:" + "0" * 32


class World:
    def __init__(self, instance, folder):
        self.it, self.folder = instance, folder
        self.witness = folder / "witness.jsonl"
        policies = instance.dir / "policies"
        text = (policies / "generic-tls.yaml").read_text()
        self.policy = policies / "sites.yaml"
        self.policy.write_text(text)
        self.private = text.replace("  - name: server\n",
                                    "  - name: server\n    private_names: true\n")
        assert self.private != text
        with open(instance.config, "a", encoding="ascii") as config:
            config.write("log:\n  level: debug\n"
                         f"audit:\n  witness:\n    - file:{self.witness}\n")
        instance.start()
        instance.cluster("own", policy="sites", dns=[PATTERN], ip=[RANGE])
        self.token = instance.token("own", profile=["server", "client"], uses=9)
        self.refuse(BEFORE)
        self.post({"dns": BEFORE["dns"]}, profile=FORGED, **self.it.admin)
        self.policy.write_text(self.private)
        instance.server.send_signal(signal.SIGHUP)
        wait_until(lambda: any(line.get("message") == "reloaded"
                               for line in instance.log_lines()), "reload")
        self.node = issue(instance, folder, "own", cn=GIVEN["cn"],
                          dns=[GIVEN["dns"]], ip=[GIVEN["ip"]])
        self.refuse(AFTER)
        self.refuse_others(AFTER)
        self.renew()
        self.look()

    def post(self, names, status=403, profile="server", **caller):
        answer = self.it.call("POST", "/clusters/own/certificates", {
            "csr": ask_for(names), "profile": profile}, **caller)
        assert answer.status == status, answer
        return answer

    def refuse(self, names):
        """Each kind of name, which the caller is told as they asked for it."""
        for kind, name in names.items():
            told = self.post({kind: name}, **self.it.admin).json["detail"]
            assert f'"{name}"' in told, told
            if kind == "dns":
                assert PATTERN in told

    def refuse_others(self, names):
        """In other places and by other callers."""
        dns = {"dns": names["dns"]}
        self.post(dns, token=self.token)
        self.post(dns, profile="client", token=self.token)
        # As a profile, with and without a token.
        self.post(dns, profile=names["dns"][:63], token=self.token)
        self.post(dns, profile=names["dns"][:63], **self.it.admin)
        self.post({"dns": "*." + names["dns"]}, **self.it.admin)
        # No name at all, as it is written.
        wrong = {"dns": "a_b." + names["dns"]}
        told = self.post(wrong, status=400, **self.it.admin).json["detail"]
        assert wrong["dns"] in told, told
        self.post(wrong, status=400, token=self.token)
        answer = self.it.call("POST", "/clusters/own/certificates", {
            "csr": "x", "profile": "server", "ttl": "hid-canary"},
            **self.it.admin)
        assert answer.status == 400, answer
        self.post({"dns": names["dns"], "cn": "x" * 65}, status=400,
                  **self.it.admin)

    def renew(self):
        """With the names held, and for one that is not."""
        path = "/clusters/own/certificates/renew"
        answer = self.it.call("POST", path, {"csr": ask_for(
            {"dns": AFTER["dns"]})}, **self.node.tls)
        assert answer.status == 403, answer
        key = new_key()
        answer = self.it.call("POST", path, {"csr": request(key)},
                              **self.node.tls)
        assert answer.status == 201, answer
        self.renewed = Node(self.folder, "renewed", key, answer.json)
        assert self.renewed.certificate.subject == self.node.certificate.subject

    def look(self):
        """Reads by name, which the log tells of too, and a revocation."""
        for name in {**GIVEN, **AFTER}.values():
            self.it.json("cert", "list", "--name", name)
            self.it.json("audit", "list", "--name", name, "--names")
        self.it.check("cert", "revoke", self.node.serial, "--reason",
                      "superseded")

    def entries(self, *options):
        return self.it.json("audit", "list", *options)["items"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, ports):
    folder = tmp_path_factory.mktemp("private")
    world = World(Instance(folder / "i", ports), folder)
    yield world
    if world.it.server is not None:
        assert world.it.stop() == 0


def test_no_private_name_rests_in_the_clear_or_is_told_outside(world):
    it, folder = world.it, world.folder
    it.check("backup", folder / "backup")
    it.json("audit", "export", "--out", folder / "export")
    last = it.admin_call("GET", "/audit/checkpoint").json["sequence"]
    wait_until(lambda: it.json("status")["audit"]["witnesses"][0]["entries"]
               >= last, "the witness")
    hidden = {*AFTER.values(), *GIVEN.values(), "hid-canary"}
    hidden_after = hidden | {"own-canary", RANGE}
    public = set(BEFORE.values())
    for place in (it.dir / "store" / "data.mdb", folder / "backup",
                  folder / "export" / "entries.jsonl", world.witness):
        octets = place.read_bytes()
        assert found(octets, hidden) == set(), place
        # What was refused before the policy said so is there, and stays.
        assert found(octets, public) == public, place
        # A refusal of then told what is allowed; none of later has.  Pages
        # that the store has freed hold copies.
        if place.suffix == ".jsonl":
            assert octets.count(b"own-canary") == 1, place
    entries = [json.loads(line) for line in
               (folder / "export" / "entries.jsonl").read_text().splitlines()]
    late = [e for e in entries if "alias:" in e.get("detail", "")]
    assert len(late) >= 7
    assert found(json.dumps(late).encode(), hidden_after) == set()
    # No line of the server's log has ever told a name.
    log = it.log.read_bytes()
    assert b'"level":"debug"' in log
    assert found(log, hidden_after | public) == set()
    it.check("audit", "verify", "--state", folder / "seen")
    it.check("audit", "verify", "--offline", folder / "export")
    it.check("store", "verify")


def test_who_may_still_finds_and_sees_the_names(world):
    for name in GIVEN.values():
        serials = {c["serial"] for c in
                   world.it.json("cert", "list", "--name", name)["items"]}
        assert serials == {world.node.serial, world.renewed.serial}
    shown = world.it.json("cert", "show", world.renewed.serial)
    assert GIVEN["dns"] in json.dumps(shown)
    for names in (BEFORE, AFTER):
        for name in names.values():
            told = world.entries("--name", name)
            assert told, name
            assert all(e["result"] == "refused" for e in told)
    assert world.entries("--name", FORGED)
    # The same name has one alias, in whatever place it was asked for.
    told = world.entries("--name", AFTER["dns"])
    assert len(told) == 3
    alias, = {word for e in told for word in e["detail"].split()
              if word.startswith("alias:")}
    assert len(alias) == len("alias:") + 32
    assert all("name" not in e for e in told)
    told = world.entries("--name", AFTER["dns"], "--names")
    assert {e["name"] for e in told} == {AFTER["dns"]}
    assert world.entries("--name", "nobody.example.org") == []
    told = [e["name"] for e in world.entries("--result", "refused", "--names")
            if "name" in e]
    assert set(told) == {*AFTER.values(), "*." + AFTER["dns"]}
    # That they were told stands in the log.
    assert any(e.get("detail") == "GET /audit, private names told"
               for e in world.entries("--action", "audit.read"))
    table = world.it.check("audit", "list", "--name", AFTER["cn"], "--names").out
    assert table.startswith("NAME ") and AFTER["cn"] in table


def test_a_caller_who_may_not_read_the_log_is_told_no_name(world):
    node = Client(world.it, **world.renewed.tls)
    assert node.call("GET", "/audit?names=true").status == 403
    assert world.it.call("GET", "/audit?names=true",
                         token=world.token).status == 401
    answer = world.it.admin_call("GET", "/audit?names=yes")
    assert answer.status == 400 and "true or false" in answer.json["detail"]


def test_a_restore_replays_what_the_witness_was_told_of_aliases(world):
    """Last: it loses the store.  A name that was refused after the backup is found
    by its alias, which the same key gives again."""
    it, folder = world.it, world.folder
    late = "late.hid-canary.example.org"
    it.check("backup", folder / "early")
    world.post({"dns": late}, **it.admin)
    it.check("cert", "revoke", world.renewed.serial, "--reason", "superseded")
    last = it.admin_call("GET", "/audit/checkpoint").json["sequence"]
    wait_until(lambda: it.json("status")["audit"]["witnesses"][0]["entries"]
               >= last, "the witness")
    assert it.stop() == 0
    shutil.move(it.dir / "store", folder / "lost")
    told = check([BUILD / "signet", "restore", folder / "early", "--dir",
                  it.dir, "--witness", world.witness, "--json"], env=it.env).json
    assert told["seal"] == "verified"
    it.start()
    assert it.json("cert", "show", world.renewed.serial)["state"] == "revoked"
    it.check("audit", "verify", "--state", folder / "seen")
    entry, = world.entries("--name", late, "--names")
    assert entry["name"] == late and late not in entry["detail"]
    assert len(world.entries("--name", AFTER["dns"], "--names")) == 3
    # Another key, another alias; those of before still tell their names.
    assert it.stop() == 0
    it.check("store", "rekey")
    it.start()
    assert {e["name"] for e in world.entries("--name", AFTER["dns"], "--names")} \
        == {AFTER["dns"]}
    world.post({"dns": AFTER["dns"]}, **it.admin)
    told = world.entries("--name", AFTER["dns"])
    assert len(told) == 4
    assert len({w for e in told for w in e["detail"].split()
                if w.startswith("alias:")}) == 2
    octets = (it.dir / "store" / "data.mdb").read_bytes()
    assert found(octets, {late, *AFTER.values(), *GIVEN.values()}) == set()
    assert found(octets, BEFORE.values()) == set(BEFORE.values())
