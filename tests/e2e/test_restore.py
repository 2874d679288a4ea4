# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: the restore drill.  A backup is taken under load, more is
issued and revoked, the store is lost, and is restored with what the witness has:
nothing that was revoked becomes good, nothing that was acknowledged before the
backup is missing, CRL numbers grow, the audit log goes on, and the server serves
and issues again.  And whatever does not fit is refused before anything is there."""
import json
import re
import shutil
import subprocess
import threading

import pytest

from client import admin_of, issue, request
from cryptography import x509
from harness import BUILD, Instance, check, run, wait_until


def witnessed(path):
    """The entries of a witness's file, and what its last checkpoint covers."""
    entries, covered = {}, 0
    for line in path.read_text().splitlines():
        told = json.loads(line)
        if "checkpoint" in told:
            covered = int(told["checkpoint"].splitlines()[1])
        else:
            entries[told["sequence"]] = told
    return entries, covered


def crl_number(instance):
    crl = x509.load_pem_x509_crl(instance.crl())
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value
    return number.crl_number, {r.serial_number for r in crl}


class Drill:
    """What was done before the store was lost."""

    def __init__(self, instance, folder):
        self.instance, self.folder = instance, folder
        self.witness = folder / "witness.jsonl"
        with open(instance.config, "a", encoding="ascii") as config:
            config.write(f"\naudit:\n  witness:\n    - file:{self.witness}\n")
        instance.start()
        instance.cluster("web")
        instance.cluster("shut")
        self.secret = instance.token("web", uses=1)
        self.spare = instance.json("token", "create", "--cluster", "web")
        self.person = instance.json(
            "identity", "create", "--name", "eve", "--role", "auditor")
        self.before, self.backup = self.load()
        # From here on the backup knows nothing.
        self.revoke(self.before[1]["serial"], "keyCompromise")
        self.after = issue(instance, folder, "web", name="after", dns=["b.web.example.net"])
        self.lost = issue(instance, folder, "web", name="lost", dns=["c.web.example.net"])
        self.revoke(self.lost.serial, "superseded")
        self.spent = instance.call(
            "POST", "/clusters/web/certificates",
            {"csr": request(dns=["d.web.example.net"]), "profile": "server"},
            token=self.secret)
        assert self.spent.status == 201, self.spent
        instance.check("token", "revoke", self.spare["id"], "--cluster", "web")
        instance.check("identity", "revoke", self.person["id"])
        instance.check("cluster", "quarantine", "web", "--reason", "drill")
        instance.check("cluster", "retire", "shut")
        instance.cluster("late")
        self.number, self.listed = crl_number(instance)
        with admin_of(instance) as admin:
            self.size = admin.ask("GET", "/audit/checkpoint")["sequence"]
        wait_until(lambda: self.witness.exists()
                   and witnessed(self.witness)[1] >= self.size, "witness")
        instance.check("audit", "verify", "--state", folder / "seen")
        instance.kill()
        shutil.copy(self.witness, folder / "witness.copy")
        shutil.rmtree(instance.dir / "store")

    def load(self):
        """A backup while others issue and revoke; what was acknowledged before."""
        instance, folder = self.instance, self.folder
        stop, made, faults = threading.Event(), [], []

        def load_it():
            try:
                with admin_of(instance) as admin:
                    while not stop.is_set():
                        made.append(admin.ask(
                            "POST", "/clusters/web/certificates",
                            {"csr": request(dns=[
                                f"n{len(made)}x{id(admin)}.web.example.net"]),
                             "profile": "server"}, status=201))
            except BaseException as fault:  # pylint: disable=broad-except
                faults.append(fault)

        workers = [threading.Thread(target=load_it) for _ in range(3)]
        for worker in workers:
            worker.start()
        try:
            wait_until(lambda: len(made) > 10 or faults, "load")
            self.revoke(made[2]["serial"], "superseded")
            known = list(made)
            instance.check("backup", folder / "backup")
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert not faults, faults
        self.made = made
        return known, folder / "backup"

    def node(self, name, issued):
        leaf = self.folder / f"{name}.pem"
        leaf.write_text(issued["certificate"])
        chain = self.folder / f"{name}.chain"
        chain.write_text("".join(issued["chain"])
                         if isinstance(issued["chain"], list)
                         else issued["chain"])
        return leaf, chain

    def revoke(self, serial, reason):
        self.instance.check("cert", "revoke", serial, "--reason", reason)

    def status(self, name, issued):
        return self.instance.ocsp(*self.node(name, issued))


@pytest.fixture(scope="module")
def drill(tmp_path_factory, ports):
    folder = tmp_path_factory.mktemp("drill")
    instance = Instance(folder / "i", ports)
    yield Drill(instance, folder)
    if instance.server is not None:
        assert instance.stop() == 0, instance.log.read_text()[-4000:]


def restore(drill, *options, file=None, directory=None, timeout=60):
    return run([BUILD / "signet", "restore", file or drill.backup, "--dir",
                directory or drill.instance.dir, *options, "--json"],
               env=drill.instance.env, timeout=timeout)


def left(drill):
    return [p.name for p in drill.instance.dir.iterdir() if "store" in p.name]


def test_what_came_after_is_not_forgotten_without_a_word(drill):
    done = restore(drill)
    assert done.code == 2 and "--without-witness" in done.err, done
    done = restore(drill, "--witness", drill.witness, "--without-witness")
    assert done.code == 2 and "exclude each other" in done.err, done
    assert left(drill) == []


def lines_of(drill):
    return drill.witness.read_text().splitlines(keepends=True)


def without(drill, number):
    return [l for l in lines_of(drill) if f'"sequence":{number},'
            not in l.replace(" ", "")]


def from_last_entry(drill):
    """The witness from its last entry on, with the checkpoints behind it."""
    lines = lines_of(drill)
    last = max(i for i, l in enumerate(lines) if '"sequence"' in l)
    return lines[last:]


@pytest.mark.parametrize("change, told", [
    (lambda d: without(d, d.size - 3), "behind entry"),
    (lambda d: [l.replace('"revoked"', '"x"').replace(
        "keyCompromise", "superseded") for l in lines_of(d)], "is changed"),
    (lambda d: without(d, 5), "behind entry"),
    (lambda d: lines_of(d)[:12], "before the backup"),
    (from_last_entry, "begins with entry"),
    (lambda d: [re.sub(r"(node \d+\\n\\n.{60})", r"\1A", l)
                for l in lines_of(d)], "checkpoint"),
    (lambda d: [], "before the backup"),
], ids=["dropped", "changed", "dropped early", "short", "late", "signature",
        "empty"])
def test_a_witness_that_does_not_fit_is_refused(drill, change, told, tmp_path):
    file = tmp_path / "witness"
    file.write_text("".join(change(drill)))
    done = restore(drill, "--witness", file)
    assert done.code == 1 and told in done.err, done
    assert left(drill) == []


def test_a_witness_of_another_log_is_refused(drill, make_instance, tmp_path):
    other = make_instance("other")
    file = tmp_path / "witness"
    with open(other.config, "a", encoding="ascii") as config:
        config.write(f"\naudit:\n  witness:\n    - file:{file}\n")
    other.start()
    wait_until(lambda: file.exists() and witnessed(file)[1] > 0, "witness")
    # And neither is the backup of another token, whatever the witness.
    backup = tmp_path / "other-backup"
    other.check("backup", backup)
    assert other.stop() == 0
    done = restore(drill, "--witness", file)
    assert done.code == 1 and "not of the log" in done.err, done
    done = restore(drill, "--without-witness", file=backup)
    assert done.code != 0 and "another token" in done.err, done
    assert "pkcs11:" in done.err
    assert left(drill) == []


def test_a_token_without_the_keys_is_refused_by_name(drill, tmp_path):
    """The root KEK is there, the issuer's key is not."""
    instance = drill.instance
    tokens = instance.dir / "tokens"
    if not tokens.exists():
        tokens = next(p for p in instance.dir.iterdir()
                      if p.is_dir() and list(p.rglob("*.object")))
    kept = tmp_path / "tokens"
    shutil.copytree(tokens, kept)
    pin = (instance.dir / "pin").read_text().strip()
    for kind in ("privkey", "pubkey"):
        subprocess.run(
            ["pkcs11-tool", "--module", "/usr/lib/softhsm/libsofthsm2.so",
             "--login", "--pin", pin, "--delete-object", "--type", kind,
             "--label", "signet-issuing-1"], env=instance.softhsm, check=kind ==
            "privkey", capture_output=True)
    try:
        done = restore(drill, "--witness", drill.witness)
        assert done.code != 0 and "issuer issuing-1" in done.err, done
        assert "object=signet-issuing-1" in done.err, done
        assert left(drill) == []
    finally:
        shutil.rmtree(tokens)
        shutil.copytree(kept, tokens)


def test_nothing_revoked_becomes_good(drill):
    instance = drill.instance
    done = restore(drill, "--witness", drill.witness)
    assert done.code == 0, done
    told = done.json
    assert told["seal"] == "verified"
    assert told["backup_sequence"] + told["replayed"] + 1 == \
        told["audit_sequence"]
    assert told["revoked"] == 2 and told["issued"] >= 3
    assert told["unresolved"] == 0
    assert (told["tokens"], told["identities"]) == (1, 1)
    assert "cluster.create cluster:late" in done.err
    assert told["by_hand"] == 1, done
    assert left(drill) == ["store"]
    check([BUILD / "signet", "audit", "verify", "--offline",
           instance.dir / "store"], env=instance.env)

    # Not over a store that is there; not beside a server.
    done = restore(drill, "--witness", drill.witness)
    assert done.code != 0 and "already" in done.err, done
    instance.start()
    data = instance.dir / "store" / "data.mdb"
    data.rename(instance.dir / "kept")
    done = restore(drill, "--without-witness")
    (instance.dir / "kept").rename(data)
    assert done.code != 0 and "in use" in done.err, done

    with admin_of(instance) as admin:
        state = {i["serial"]: admin.ask("GET", f"/certificates/{i['serial']}")
                 for i in drill.made}
        known = {i["serial"] for i in drill.before}
        # Nothing acknowledged before the backup is missing, and of what came
        # after, issue by issue, the status is there.
        for serial, now in state.items():
            if serial in known:
                assert "certificate" in now
        assert state[drill.before[1]["serial"]]["state"] == "revoked"
        assert state[drill.before[1]["serial"]]["reason"] == "keyCompromise"
        lost = admin.ask("GET", f"/certificates/{drill.lost.serial}")
        assert lost["state"] == "revoked" and lost["reason"] == "superseded"
        after = admin.ask("GET", f"/certificates/{drill.after.serial}")
        assert after["state"] == "valid" and "certificate" not in after
        identity = admin.ask("GET", f"/identities/{drill.person['id']}")
        assert identity["state"] == "revoked"
        assert admin.ask("GET", "/clusters/web")["quarantine"]
        assert admin.ask("GET", "/clusters/shut")["state"] == "retired"

    assert drill.status("first", drill.before[0]) == "good"
    assert drill.status("second", drill.before[1]) == "revoked"
    assert drill.status("third", drill.before[2]) == "revoked"
    assert instance.ocsp(drill.lost.cert_pem, drill.lost.chain_pem) == "revoked"
    assert instance.ocsp(drill.after.cert_pem, drill.after.chain_pem) == "good"

    # CRL numbers grow beyond what may have been published, and nothing left.
    number, listed = crl_number(instance)
    assert number > drill.number + 1000
    assert listed >= drill.listed
    assert int(drill.lost.serial, 16) in listed


def test_what_was_used_up_stays_used_up(drill):
    instance = drill.instance
    instance.check("cluster", "quarantine", "web", "--lift")
    for token in (drill.secret, drill.spare["token"]):
        answer = instance.call(
            "POST", "/clusters/web/certificates",
            {"csr": request(dns=["e.web.example.net"]), "profile": "server"},
            token=token)
        assert answer.status == 401, answer
    # Known by the log alone it renews nothing; it can be revoked.
    renewed = instance.call(
        "POST", "/clusters/web/certificates/renew",
        {"csr": request(dns=["b.web.example.net"])},
        **drill.after.tls)
    assert renewed.status == 401, renewed
    instance.check("cert", "revoke", drill.after.serial, "--reason",
                   "superseded")
    assert instance.ocsp(drill.after.cert_pem, drill.after.chain_pem) == "revoked"


def test_the_log_goes_on_and_the_server_issues_again(drill, tmp_path):
    instance = drill.instance
    issue(instance, tmp_path, "web", dns=["again.web.example.net"])
    # Whoever saw the last checkpoint before the disaster finds it in the log.
    instance.check("audit", "verify", "--state", drill.folder / "seen")
    with admin_of(instance) as admin:
        size = admin.ask("GET", "/audit/checkpoint")["sequence"]
        found = admin.ask("GET", "/audit?action=store.restore")["items"]
    wait_until(lambda: witnessed(drill.witness)[1] >= size, "witness")
    entries, _ = witnessed(drill.witness)
    assert sorted(entries) == list(range(1, max(entries) + 1))
    before, _ = witnessed(drill.folder / "witness.copy")
    assert {n: entries[n] for n in before} == before
    assert [e["sequence"] for e in found] == [max(before) + 1]
    assert instance.stop() == 0
    instance.start()
    instance.check("store", "verify")


def test_without_a_witness_it_is_said_what_is_lost(drill, tmp_path):
    instance = drill.instance
    assert instance.stop() == 0
    number = json.loads(instance_number(instance, tmp_path))
    (instance.dir / "store").rename(tmp_path / "newer")
    done = restore(drill, "--without-witness", "--crl-number-above",
                   str(number + 5000))
    assert done.code == 0 and "is good again" in done.err, done
    # The witness tells that it is older, and says so.
    refused = run([BUILD / "signetd", "--config", instance.config],
                  env=instance.env)
    assert refused.code == 1 and "was changed" in refused.err or \
        "rolled back" in refused.err, refused
    drill.witness.rename(tmp_path / "aside")
    instance.start()
    assert crl_number(instance)[0] == number + 5001
    issue(instance, tmp_path, "web", dns=["anew.web.example.net"])
    instance.check("audit", "verify", "--state", tmp_path / "anew")


def instance_number(instance, folder):
    """The number of the CRL that a stopped instance has published."""
    instance.start()
    number = crl_number(instance)[0]
    assert instance.stop() == 0
    return json.dumps(number)
