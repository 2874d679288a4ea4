# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: kill -9 of the server at any moment under load loses nothing
that was acknowledged, and takes nothing back.

SIGNET_CRASH_ROUNDS  how often the server is killed (20; scripts/crash: more)
SIGNET_CRASH_SEED    what a run printed, to make its choices again
"""
import base64
import collections
import http.client
import json
import os
import pathlib
import random
import signal
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from client import Client, admin_of, new_key, request
from harness import BUILD, PATIENCE, check, wait_until

ROUNDS = int(os.environ.get("SIGNET_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("SIGNET_CRASH_SEED", random.randrange(2**32)))
CLIENTS = 16
BROKEN = (OSError, http.client.HTTPException)


class Journal:
    """What one client was told, on the disk before the client goes on."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8")
        self.entries = []

    def write(self, **entry):
        self.entries.append(entry)
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


class Worker(threading.Thread):
    """A client that issues, revokes, seals, and asks, until it is told to end
    or the server is gone."""

    def __init__(self, world, number, journal, seed):
        super().__init__()
        self.world = world
        self.number = number
        self.journal = journal
        self.random = random.Random(seed)
        self.client = Client(world.instance, **world.instance.admin)
        self.fault = None

    def run(self):
        deeds = [self.issue] * 5 + [self.revoke] * 2 + \
            [self.seal] * 3 + [self.ask] * 3 + [self.crl, self.make_key]
        try:
            while not self.world.ending.is_set():
                try:
                    self.random.choice(deeds)()
                except BROKEN:
                    if self.world.dying.is_set():
                        return
                    raise
        except Exception as fault:  # pylint: disable=broad-except
            # The server dies between the flag and the signal, or after.
            if not (self.world.dying.is_set() and isinstance(fault, BROKEN)):
                self.fault = fault
        finally:
            self.client.close()

    def told(self, answer, *statuses):
        if answer.status == 503:
            return False
        assert answer.status in statuses, answer
        return True

    def issue(self):
        name = f"c{self.number}-{self.random.randrange(10**9)}.web.example.net"
        answer = self.client.call(
            "POST", "/clusters/web/certificates",
            {"csr": request(self.world.key, dns=[name]), "profile": "server"})
        if self.told(answer, 201):
            self.journal.write(kind="issued", serial=answer.json["serial"],
                               certificate=answer.json["certificate"])

    def pick(self, kind):
        found = [e for e in self.journal.entries if e["kind"] == kind]
        return self.random.choice(found[-50:]) if found else None

    def revoke(self):
        entry = self.pick("issued")
        if entry is None or self.random.random() < 0.5:
            return
        answer = self.client.call(
            "POST", f"/certificates/{entry['serial']}/revoke",
            {"reason": "superseded"})
        if self.told(answer, 200, 409):
            self.journal.write(kind="revoked", serial=entry["serial"])

    def seal(self):
        answer = self.client.call("POST", "/clusters/web/keys/tde/datakey",
                                  {"context": {"client": str(self.number)}})
        if self.told(answer, 200):
            self.journal.write(kind="sealed", client=str(self.number),
                               ciphertext=answer.json["ciphertext"],
                               plaintext=answer.json["plaintext"])

    def make_key(self):
        name = f"k{self.number}-{self.random.randrange(10**9)}"
        answer = self.client.call(
            "POST", "/clusters/web/keys", {"name": name})
        if self.told(answer, 201):
            self.journal.write(kind="key", **answer.json)

    def ask(self):
        entry = self.pick("issued")
        if entry is None:
            return
        gone = any(e["kind"] == "revoked" and e["serial"] == entry["serial"]
                   for e in self.journal.entries)
        answer = self.world.instance.get_public(
            "/ocsp", data=self.world.question(entry["certificate"]),
            headers={"Content-Type": "application/ocsp-request"})
        if not self.told(answer, 200):
            return
        response = ocsp.load_der_ocsp_response(answer.body)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            assert response.response_status == \
                ocsp.OCSPResponseStatus.TRY_LATER
            return
        status = response.certificate_status
        if gone:
            assert status == ocsp.OCSPCertStatus.REVOKED
        assert status != ocsp.OCSPCertStatus.UNKNOWN
        if status == ocsp.OCSPCertStatus.REVOKED:
            # Perhaps one whose acknowledgement was lost: told is told.
            self.journal.write(kind="revoked", serial=entry["serial"])

    def crl(self):
        answer = self.world.instance.get_public("/crl/issuing-1.crl")
        if self.told(answer, 200):
            self.world.saw_crl(x509.load_der_x509_crl(answer.body),
                               self.journal)


class World:
    def __init__(self, instance, folder):
        self.instance = instance
        self.folder = pathlib.Path(folder)
        self.key = new_key()
        self.dying = threading.Event()
        self.ending = threading.Event()
        self.journals = [Journal(self.folder / f"{n}.journal")
                         for n in range(CLIENTS)]
        self.heads = []
        self.published = 0
        instance.cluster("web")
        with admin_of(instance) as admin:
            admin.ask("POST", "/clusters/web/keys", {"name": "tde"},
                      status=201)
        self.issuer = x509.load_der_x509_certificate(
            instance.get_public("/ca/issuing-1.cer").body)
        self.issuer_pem = self.folder / "issuer.pem"

    def question(self, pem):
        return ocsp.OCSPRequestBuilder().add_certificate(
            x509.load_pem_x509_certificate(pem.encode()), self.issuer,
            hashes.SHA1()).build().public_bytes(serialization.Encoding.DER)

    @staticmethod
    def saw_crl(crl, journal):
        number = crl.extensions.get_extension_for_class(
            x509.CRLNumber).value.crl_number
        digest = crl.fingerprint(hashes.SHA256()).hex()
        journal.write(kind="crl", number=number, digest=digest)

    def told(self, kind):
        return [e for j in self.journals for e in j.entries
                if e["kind"] == kind]

    def load(self, seed):
        self.dying.clear()
        self.ending.clear()
        workers = [Worker(self, n, self.journals[n], seed * CLIENTS + n)
                   for n in range(CLIENTS)]
        for worker in workers:
            worker.start()
        return workers

    @staticmethod
    def join(workers):
        for worker in workers:
            worker.join()
        faults = [w.fault for w in workers if w.fault is not None]
        if faults:
            raise faults[0]


def records(admin):
    """Every certificate the store has, by serial."""
    found, cursor = {}, ""
    while True:
        page = admin.ask("GET", "/certificates?limit=1000" + cursor)
        for item in page["items"]:
            assert item["serial"] not in found, "listed twice"
            found[item["serial"]] = item
        if page.get("next") is None:
            return found
        cursor = "&cursor=" + page["next"]


def check_certificates(world, admin, exact):
    """EXACT: entries whose octets are compared, one request each."""
    issued = world.told("issued")
    seen = collections.Counter(e["serial"] for e in issued)
    assert not [s for s, n in seen.items() if n > 1], "a serial twice"
    stored = records(admin)
    assert set(seen) <= set(stored), "acknowledged, and not in the store"
    revoked = {e["serial"] for e in world.told("revoked")}
    for serial in revoked:
        assert stored[serial]["state"] == "revoked", stored[serial]
    for entry in exact:
        shown = admin.ask("GET", f"/certificates/{entry['serial']}")
        assert shown["certificate"] == entry["certificate"]
    # What was left over is resolved: revoked, so that no signature that
    # somebody may have is good.
    return stored, revoked


def check_crl(world, admin, revoked):
    def whole():
        crl = x509.load_der_x509_crl(
            world.instance.get_public("/crl/issuing-1.crl").body)
        listed = {f"{e.serial_number:036x}" for e in crl}
        return crl if revoked <= listed else None

    crl = wait_until(whole, "every revocation in the CRL")
    assert crl.is_signature_valid(world.issuer.public_key())
    number = crl.extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number
    numbers = collections.defaultdict(set)
    for entry in world.told("crl"):
        numbers[entry["number"]].add(entry["digest"])
    assert all(len(d) == 1 for d in numbers.values()), "one number, two CRLs"
    assert number >= max(numbers, default=0)
    # The next one is beyond every number that was seen before the crash.
    made = admin.ask("POST", "/issuers/issuing-1/crl", {})["number"]
    assert made > max(world.published, *numbers, 0)
    world.published = made


def check_unresolved(world, stored, admin):
    issued = {e["serial"] for e in world.told("issued")}
    left = [s for s, r in stored.items() if r["state"] == "unresolved"]
    assert not issued & set(left), "acknowledged, and unresolved"
    for serial in left:
        assert stored[serial]["revoked"]
    return set(left)


def check_audit(world, admin):
    point = admin.ask("GET", "/audit/checkpoint")
    for sequence, head in world.heads:
        proof = admin.ask("GET", "/audit/proof/consistency"
                          f"?from={sequence}&to={point['sequence']}")
        assert proof["from_root"] == head
    done = world.instance.check("audit", "verify")
    assert done.code == 0
    assert point["sequence"] >= max([s for s, _ in world.heads], default=0)
    world.heads.append((point["sequence"], point["head"]))


def check_keys(world, admin, sealed):
    stored = {item["name"]: item for item in
              admin.ask("GET", "/clusters/web/keys?limit=1000")["items"]}
    for entry in world.told("key"):
        told = {k: v for k, v in entry.items() if k != "kind"}
        assert stored[entry["name"]] == told
    for entry in sealed:
        back = admin.ask("POST", "/clusters/web/keys/tde/unwrap",
                         {"ciphertext": entry["ciphertext"],
                          "context": {"client": entry["client"]}})
        assert base64.b64decode(back["plaintext"]) == \
            base64.b64decode(entry["plaintext"])


def check_ocsp(world, entries, revoked):
    for entry in entries:
        answer = world.instance.get_public(
            "/ocsp", data=world.question(entry["certificate"]),
            headers={"Content-Type": "application/ocsp-request"})
        status = ocsp.load_der_ocsp_response(answer.body).certificate_status
        if entry["serial"] in revoked:
            assert status == ocsp.OCSPCertStatus.REVOKED
        else:
            assert status != ocsp.OCSPCertStatus.UNKNOWN


def check_all(world, draw, everything=False):
    def some(items, count):
        return items if everything else draw.sample(
            items, min(len(items), count)) + items[-count:]

    with admin_of(world.instance) as admin:
        issued = world.told("issued")
        stored, revoked = check_certificates(world, admin, some(issued, 20))
        left = check_unresolved(world, stored, admin)
        check_crl(world, admin, revoked | left)
        check_keys(world, admin, some(world.told("sealed"), 20))
        check_ocsp(world, some(issued, 10), revoked)
        check_audit(world, admin)
        gone = set(revoked) | left
        assert world_never_returns(world, gone, stored)


def world_never_returns(world, gone, stored):
    before = getattr(world, "gone", set())
    assert before <= set(stored)
    assert all(stored[s]["state"] in ("revoked", "unresolved")
               for s in before)
    world.gone = before | gone
    return True


def kill_all(instance):
    """The server and its workers, none with a word of warning."""
    pids = instance.workers()
    instance.kill()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_kill_9_at_any_moment(
        make_instance, tmp_path):
    print(f"SIGNET_CRASH_SEED={SEED}")
    draw = random.Random(SEED)
    instance = make_instance().start()
    world = World(instance, tmp_path)
    world.heads = []
    for number in range(ROUNDS):
        workers = world.load(draw.randrange(2**32))
        before = len(world.told("issued"))
        wait_until(lambda: len(world.told("issued")) > before
                   or any(w.fault for w in workers), "load")
        # When the server is killed is the test's one free choice.
        time.sleep(draw.random() * 0.6)
        world.dying.set()
        kill_all(instance)
        world.join(workers)
        instance.start()
        check_all(world, draw)
        print(f"round {number}: {len(world.told('issued'))} issued, "
              f"{len(world.gone)} revoked or unresolved")
    assert instance.stop() == 0
    instance.start()
    check_all(world, draw, everything=True)
    assert world.told("revoked") and world.told("sealed") and world.told("key")
    assert instance.stop() == 0
    check([BUILD / "signet", "audit", "verify", "--offline",
           instance.dir / "store"], env=instance.env)


@pytest.mark.slow
@pytest.mark.bounds
def test_killed_workers_lose_nothing_and_are_back_within_two_seconds(
        make_instance, tmp_path):
    print(f"SIGNET_CRASH_SEED={SEED}")
    draw = random.Random(SEED)
    instance = make_instance().start()
    world = World(instance, tmp_path)
    workers = world.load(draw.randrange(2**32))
    took = []
    with admin_of(instance) as admin:
        for _ in range(5):
            before = len(world.told("issued"))
            wait_until(lambda: len(world.told("issued")) > before
                       or any(w.fault for w in workers), "load")
            for pid in instance.workers():
                os.kill(pid, signal.SIGKILL)
            begin = time.monotonic()
            while True:
                answer = admin.call(
                    "POST", "/clusters/web/certificates",
                    {"csr": request(world.key, dns=[
                        f"p{draw.randrange(10**9)}.web.example.net"]),
                     "profile": "server"})
                if answer.status == 201:
                    break
                assert answer.status == 503, answer
                assert "Retry-After" in answer.headers
                assert time.monotonic() - begin < PATIENCE
            took.append(time.monotonic() - begin)
            world.journals[0].write(
                kind="issued", serial=answer.json["serial"],
                certificate=answer.json["certificate"])
    world.ending.set()
    world.join(workers)
    check_all(world, draw, everything=True)
    # The server itself stood all the while.
    assert instance.stop() == 0
    # More often than not: a machine may be busy elsewhere for a second.
    assert sorted(took)[len(took) // 2] < 2, took
