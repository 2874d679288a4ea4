# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: when the token or the disk fails, what needs it stops with a
clear word, everything else goes on, nothing wrong gets out, and work goes on by
itself when the fault is over."""
import os
import shutil
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from client import Client, admin_of, issue, load, request
from harness import BUILD, SOFTHSM_MODULE, check, run, wait_until

SHIM = BUILD / "p11_shim.so"


class Faulty:
    """An instance whose token fails on demand."""

    def __init__(self, instance, folder):
        self.instance = instance
        self.rules = folder / "rules"
        text = instance.config.read_text()
        assert SOFTHSM_MODULE in text
        # Who owns the folders of the build does not matter here.
        shim = shutil.copy(SHIM, folder / SHIM.name)
        text = text.replace(SOFTHSM_MODULE, str(shim)).replace(
            "  environment:\n",
            "  timeout: 2s\n  environment:\n"
            f'    - "SIGNET_SHIM_MODULE={SOFTHSM_MODULE}"\n'
            f'    - "SIGNET_SHIM_RULES={self.rules}"\n'
            # A module that crashes is played here, and no finding.
            '    - "ASAN_OPTIONS=handle_segv=0"\n')
        instance.config.write_text(text)
        instance.start()
        instance.cluster("web")
        self.names = iter(range(10**6))
        self.admin = Client(instance, **instance.admin)
        self.admin.ask("POST", "/clusters/web/keys", {"name": "tde"},
                       status=201)
        self.node = issue(instance, folder, "web",
                          dns=["node.web.example.net"])
        self.sealed = self.admin.ask(
            "POST", "/clusters/web/keys/tde/datakey", {})
        self.issuer = load(instance.get_public("/ca/issuing-1.pem").body)
        assert self.status() == ocsp.OCSPCertStatus.GOOD

    def fail(self, *rules):
        """Whole at once: the shim reads whenever the file is another."""
        new = self.rules.with_suffix(".new")
        new.write_text("\n".join(rules) + "\n")
        os.replace(new, self.rules)

    def mend(self):
        self.fail("# all is well")

    def issue(self):
        return self.admin.call("POST", "/clusters/web/certificates", {
            "csr": request(dns=[f"f{next(self.names)}.web.example.net"]),
            "profile": "server"})

    def status(self):
        body = ocsp.OCSPRequestBuilder().add_certificate(
            self.node.certificate, self.issuer, hashes.SHA1()
        ).build().public_bytes(serialization.Encoding.DER)
        answer = self.instance.get_public("/ocsp", data=body, headers={
            "Content-Type": "application/ocsp-request"})
        return ocsp.load_der_ocsp_response(answer.body).certificate_status

    def check_reading_goes_on(self):
        instance = self.instance
        assert self.status() == ocsp.OCSPCertStatus.GOOD
        crl = x509.load_der_x509_crl(
            instance.get_public("/crl/issuing-1.crl").body)
        assert crl.is_signature_valid(self.issuer.public_key())
        assert self.admin.ask("GET", f"/certificates/{self.node.serial}")[
            "certificate"] == self.node.issued["certificate"]
        assert self.admin.ask("GET", "/clusters/web")["name"] == "web"
        assert self.admin.ask("GET", "/audit?limit=1")["items"]
        assert instance.get_ops("/healthz").status == 200
        assert b"signet_hsm_up" in instance.get_ops("/metrics").body

    def check_working(self):
        made = self.issue()
        assert made.status == 201, made
        load(made.json["certificate"])
        back = self.admin.ask("POST", "/clusters/web/keys/tde/unwrap",
                              {"ciphertext": self.sealed["ciphertext"]})
        assert back["plaintext"] == self.sealed["plaintext"]


@pytest.fixture
def faulty(make_instance, tmp_path):
    it = Faulty(make_instance(), tmp_path)
    yield it
    it.mend()
    it.admin.close()


def is_unavailable(answer):
    if answer.status == 503:
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json["code"] in ("hsm-unavailable", "deadline",
                                       "overloaded"), answer
        return True
    # The shim looks at its rules with the next call: one may slip through.
    assert answer.status in (201, 500), answer
    return False


GONE = [f"{function} from:1 0x32" for function in (
    "C_Initialize", "C_OpenSession", "C_Login", "C_SignInit", "C_Sign",
    "C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt",
    "C_GenerateRandom", "C_FindObjectsInit", "C_GetTokenInfo",
    "C_GetSessionInfo", "C_UnwrapKey", "C_WrapKey")]


def test_a_token_that_is_gone_stops_signing_only_and_work_resumes(faulty):
    faulty.check_working()
    faulty.fail(*GONE)
    wait_until(lambda: is_unavailable(faulty.issue()), "signing stopped")
    unready = wait_until(
        lambda: next((a for a in [faulty.instance.get_ops("/readyz")]
                      if a.status == 503), None), "not ready")
    assert unready.json["ready"] is False
    assert unready.json["hsm"] == "does not answer"
    assert unready.json["store"] == unready.json["crl"] == "ok"
    faulty.check_reading_goes_on()
    for path, body in (("datakey", {}), ("unwrap", {
            "ciphertext": faulty.sealed["ciphertext"]})):
        answer = faulty.admin.call(
            "POST", f"/clusters/web/keys/tde/{path}", body)
        assert answer.status == 503, answer
        assert answer.headers["Retry-After"]
        assert "plaintext" not in answer.json
    # A revocation is a record: it needs no token, and holds at once.
    other = faulty.admin.ask(
        "POST", f"/certificates/{faulty.node.serial}/revoke",
        {"reason": "keyCompromise"})
    assert other["state"] == "revoked"
    faulty.mend()
    wait_until(faulty.instance.ready, "ready again")
    wait_until(lambda: faulty.issue().status == 201, "signing again")
    faulty.check_working()
    wait_until(lambda: faulty.status() == ocsp.OCSPCertStatus.REVOKED,
               "the revocation told")


@pytest.mark.bounds
def test_a_token_that_is_gone_is_told_at_once_and_back_within_ten_seconds(
        faulty):
    faulty.fail(*GONE)
    wait_until(lambda: is_unavailable(faulty.issue()), "signing stopped")
    wait_until(lambda: faulty.instance.get_ops("/readyz").status == 503,
               "not ready")
    for _ in range(20):
        begin = time.monotonic()
        assert faulty.issue().status == 503
        assert time.monotonic() - begin < 1
    faulty.mend()
    wait_until(lambda: faulty.issue().status == 201, "signing again", 10)
    wait_until(faulty.instance.ready, "ready again", 10)


def test_a_token_that_hangs_holds_up_nobody_who_does_not_need_it(faulty):
    faulty.fail("C_Sign from:1 hang")
    answers = []

    def ask():
        client = Client(faulty.instance, **faulty.instance.admin)
        answers.append(client.call("POST", "/clusters/web/certificates", {
            "csr": request(dns=["hang.web.example.net"]),
            "profile": "server"}))
        client.close()

    asker = threading.Thread(target=ask)
    asker.start()
    while asker.is_alive():
        faulty.check_reading_goes_on()
    asker.join()
    assert answers[0].status == 503, answers
    assert answers[0].headers["Retry-After"]
    faulty.mend()
    wait_until(lambda: faulty.issue().status == 201, "signing again")
    faulty.check_working()


def test_a_token_that_is_slow_is_waited_for(faulty):
    faulty.fail("C_Sign from:1 delay:300")
    for _ in range(3):
        assert faulty.issue().status == 201
    faulty.check_reading_goes_on()


@pytest.mark.parametrize("what", ["0x30", "0xB3", "0xE0", "0x05", "kill",
                                  "segv"])
def test_a_signature_that_fails_now_and_then_costs_nothing_but_time(
        faulty, what):
    """Failed ones are refused or done again; none is lost or wrong."""
    faulty.fail(f"C_Sign every:3 {what}")
    made = []
    for _ in range(12):
        answer = faulty.issue()
        assert answer.status in (201, 500, 503), answer
        if answer.status == 201:
            made.append(answer.json)
    assert made
    faulty.mend()
    wait_until(lambda: faulty.issue().status == 201, "signing again")
    for issued in made:
        certificate = load(issued["certificate"])
        faulty.issuer.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes,
            ec.ECDSA(certificate.signature_hash_algorithm))
        assert faulty.admin.ask("GET", f"/certificates/{issued['serial']}")[
            "certificate"] == issued["certificate"]
    faulty.check_working()


def test_a_wrong_signature_never_leaves(faulty):
    faulty.fail("C_Sign from:1 flip")
    refused = [faulty.issue() for _ in range(5)]
    assert all(a.status in (500, 503) for a in refused[1:]), refused
    assert all("certificate" not in a.json for a in refused[1:])
    # Nor in a CRL: the old one stays until there is a right one.
    faulty.admin.ask("POST", f"/certificates/{faulty.node.serial}/revoke",
                     {"reason": "keyCompromise"})
    answer = faulty.admin.call("POST", "/issuers/issuing-1/crl", {})
    assert answer.status in (500, 503), answer
    crl = x509.load_der_x509_crl(
        faulty.instance.get_public("/crl/issuing-1.crl").body)
    assert crl.is_signature_valid(faulty.issuer.public_key())
    # Nor in an OCSP answer: none is signed by another key.
    body = ocsp.OCSPRequestBuilder().add_certificate(
        faulty.node.certificate, faulty.issuer, hashes.SHA256()
    ).build().public_bytes(serialization.Encoding.DER)
    answer = ocsp.load_der_ocsp_response(faulty.instance.get_public(
        "/ocsp", data=body, headers={
            "Content-Type": "application/ocsp-request"}).body)
    assert answer.response_status in (
        ocsp.OCSPResponseStatus.TRY_LATER,
        ocsp.OCSPResponseStatus.INTERNAL_ERROR)
    faulty.mend()
    wait_until(lambda: faulty.issue().status == 201, "signing again")
    wait_until(lambda: faulty.status() == ocsp.OCSPCertStatus.REVOKED,
               "the revocation told")
    wait_until(lambda: x509.load_der_x509_crl(faulty.instance.get_public(
        "/crl/issuing-1.crl").body).get_revoked_certificate_by_serial_number(
            int(faulty.node.serial, 16)), "the revocation in the CRL")


# --- The store ---

@pytest.mark.slow
def test_a_full_store_refuses_writes_and_serves_reads(make_instance, tmp_path):
    instance = make_instance()
    text = instance.config.read_text()
    instance.config.write_text(text + "\nstore:\n  map_size_mib: 16\n")
    instance.start()
    instance.cluster("web")
    node = issue(instance, tmp_path, "web", dns=["a.web.example.net"])
    issuer = load(instance.get_public("/ca/issuing-1.pem").body)
    body = ocsp.OCSPRequestBuilder().add_certificate(
        node.certificate, issuer, hashes.SHA1()).build().public_bytes(
            serialization.Encoding.DER)
    made = []
    with admin_of(instance) as admin:
        for number in range(5000):
            # Large ones, with a row in the index for each name.
            answer = admin.call("POST", "/clusters/web/certificates", {
                "csr": request(dns=[f"n{number}-{i}-{'x' * 40}.web.example.net"
                                    for i in range(90)]),
                "profile": "server"})
            if answer.status != 201:
                break
            made.append(answer.json)
        assert answer.status == 503, answer
        assert answer.json["code"] == "store-full"
        assert answer.headers["Retry-After"]
        assert made
        for _ in range(3):
            status = ocsp.load_der_ocsp_response(instance.get_public(
                "/ocsp", data=body, headers={
                    "Content-Type": "application/ocsp-request"}).body)
            assert status.certificate_status == ocsp.OCSPCertStatus.GOOD
        assert admin.ask("GET", f"/certificates/{node.serial}")
        assert instance.get_public("/crl/issuing-1.crl").status == 200
    assert instance.stop() == 0
    # Room is made by configuration; nothing was lost or half done.
    instance.config.write_text(text + "\nstore:\n  map_size_mib: 64\n")
    instance.start()
    with admin_of(instance) as admin:
        for issued in made:
            assert admin.ask("GET", f"/certificates/{issued['serial']}")[
                "certificate"] == issued["certificate"]
        assert admin.call("POST", "/clusters/web/certificates", {
            "csr": request(dns=["again.web.example.net"]),
            "profile": "server"}).status == 201
    instance.check("audit", "verify")


def test_a_backup_under_load_restores_to_what_verifies(
        make_instance, tmp_path):
    instance = make_instance().start()
    instance.cluster("web")
    stop = threading.Event()
    made, faults = [], []

    def load_it():
        try:
            with admin_of(instance) as admin:
                while not stop.is_set():
                    issued = admin.ask("POST", "/clusters/web/certificates", {
                        "csr": request(dns=[
                            f"n{len(made)}x{id(admin)}.web.example.net"]),
                        "profile": "server"}, status=201)
                    made.append(issued["serial"])
        except BaseException as fault:  # pylint: disable=broad-except
            faults.append(fault)

    workers = [threading.Thread(target=load_it) for _ in range(6)]
    for worker in workers:
        worker.start()
    try:
        wait_until(lambda: len(made) > 20 or faults, "load")
        backups = []
        for number in range(3):
            known = list(made)
            out = tmp_path / f"backup-{number}"
            instance.check("backup", out)
            backups.append((out, known))
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert not faults, faults
    # A backup does not overwrite another one.
    assert instance.run("backup", backups[0][0]).code != 0
    assert instance.stop() == 0
    for out, known in backups:
        store = instance.dir / "store"
        store.rename(tmp_path / f"old-{out.name}")
        check([BUILD / "signet", "restore", out, "--dir", instance.dir,
               "--without-witness"], env=instance.env)
        check([BUILD / "signet", "audit", "verify", "--offline", store],
              env=instance.env)
        instance.start()
        with admin_of(instance) as admin:
            for serial in known:
                admin.ask("GET", f"/certificates/{serial}")
            assert admin.call("POST", "/clusters/web/certificates", {
                "csr": request(dns=["r.web.example.net"]),
                "profile": "server"}).status == 201
        # Not over a store that is there.
        assert run([BUILD / "signet", "restore", out, "--dir", instance.dir,
                    "--without-witness"], env=instance.env).code != 0
        assert instance.stop() == 0


def test_a_changed_backup_does_not_restore_unseen(make_instance, tmp_path):
    instance = make_instance().start()
    instance.cluster("web")
    issue(instance, tmp_path, "web", dns=["a.web.example.net"])
    out = tmp_path / "backup"
    instance.check("backup", out)
    assert instance.stop() == 0
    files = [out] if out.is_file() else [
        p for p in out.rglob("*") if p.is_file()]
    target = max(files, key=lambda p: p.stat().st_size)
    octets = target.read_bytes()
    at = octets.rfind(b"cluster.create")
    assert at > 0
    target.write_bytes(octets.replace(b"cluster.create", b"cluster.creatf"))
    (instance.dir / "store").rename(tmp_path / "old")
    done = run([BUILD / "signet", "restore", out, "--dir", instance.dir,
                "--without-witness"], env=instance.env)
    if done.code == 0:
        assert run([BUILD / "signet", "audit", "verify", "--offline",
                    instance.dir / "store"], env=instance.env).code != 0
