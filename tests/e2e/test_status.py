# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: whoever asks about a certificate, by CRL or by OCSP, gets
the truth, in the form that their programs expect, as soon as it is the truth."""
import base64
import re
import threading
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID as AIA
from cryptography.x509.oid import ExtensionOID

from client import admin_of, issue
from harness import check, get, run, wait_until

DER = serialization.Encoding.DER


@pytest.fixture(scope="module")
def admin(shared):
    with admin_of(shared) as client:
        shared.cluster("web")
        yield client


@pytest.fixture(scope="module")
def issuer(shared, admin):
    return x509.load_der_x509_certificate(
        shared.get_public("/ca/issuing-1.cer").body)


_names = iter(range(10**6))


def new_node(shared, folder):
    number = next(_names)
    return issue(shared, folder, "web", name=f"n{number}",
                 dns=[f"n{number}.web.example.net"])


def revoke(admin, serial, reason="keyCompromise"):
    return admin.ask("POST", f"/certificates/{serial}/revoke",
                     {"reason": reason})


def crl(shared, issuer="issuing-1"):
    answer = shared.get_public(f"/crl/{issuer}.crl")
    assert answer.status == 200, answer
    return x509.load_der_x509_crl(answer.body)


def number(crl):
    return crl.extensions.get_extension_for_class(
        x509.CRLNumber).value.crl_number


def listed(crl, serial):
    return crl.get_revoked_certificate_by_serial_number(int(serial, 16))


def question(certificate, issuer, digest=hashes.SHA1, nonce=None):
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, issuer, digest())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    return builder.build().public_bytes(DER)


def ask(shared, body):
    answer = shared.get_public("/ocsp", data=body, headers={
        "Content-Type": "application/ocsp-request"})
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/ocsp-response"
    return ocsp.load_der_ocsp_response(answer.body)


def ask_get(shared, body, quote=True):
    text = base64.b64encode(body).decode()
    if quote:
        text = urllib.parse.quote(text, safe="")
    answer = shared.get_public("/ocsp/" + text)
    assert answer.status == 200, answer
    return answer, ocsp.load_der_ocsp_response(answer.body)


# --- CRL ---

def test_a_crl_verifies_in_programs_of_others(shared, admin, tmp_path):
    for name in ("issuing-1", "root", "services"):
        answer = shared.get_public(f"/crl/{name}.crl")
        assert answer.status == 200, (name, answer)
        assert answer.headers["Content-Type"] == "application/pkix-crl"
        der, pem = tmp_path / "crl.der", tmp_path / "crl.pem"
        der.write_bytes(answer.body)
        pem.write_bytes(shared.crl(name))
        ca = tmp_path / "ca.pem"
        ca.write_bytes(shared.get_public(f"/ca/{name}.pem").body)
        done = check(["openssl", "crl", "-inform", "DER", "-in", der,
                      "-noout", "-CAfile", ca, "-text"])
        assert "verify OK" in done.err + done.out
        assert "X509v3 CRL Number" in done.out
        assert "X509v3 Authority Key Identifier" in done.out
        check(["certtool", "--verify-crl", "--infile", pem,
               "--load-ca-certificate", ca])
        assert x509.load_pem_x509_crl(pem.read_bytes()) == \
            x509.load_der_x509_crl(answer.body)


@pytest.mark.bounds
def test_a_revocation_stands_in_the_crl_within_a_second(
        shared, admin, tmp_path):
    for reason in ("keyCompromise", "superseded", "unspecified"):
        node = new_node(shared, tmp_path)
        before = crl(shared)
        assert listed(before, node.serial) is None
        revoke(admin, node.serial, reason)
        begin = time.monotonic()
        while listed(crl(shared), node.serial) is None:
            # One for the publisher, a half for a busy machine.
            assert time.monotonic() - begin < 1.5
            time.sleep(0.01)
        after = crl(shared)
        assert number(after) > number(before)
        entry = listed(after, node.serial)
        reasons = [e.value.reason.value for e in entry.extensions
                   if e.oid == x509.CRLReason.oid]
        # RFC 5280 5.3.1: unspecified is told by absence.
        assert reasons == ([] if reason == "unspecified" else [reason])


def test_a_crl_number_grows_with_each_publishing(shared, admin):
    numbers = [number(crl(shared))]
    for _ in range(5):
        made = admin.ask("POST", "/issuers/issuing-1/crl", {})
        numbers.append(made["number"])
        assert number(crl(shared)) >= made["number"]
    assert numbers == sorted(set(numbers))


def test_nothing_that_is_valid_stands_in_a_crl(shared, admin, tmp_path):
    good, bad = new_node(shared, tmp_path), new_node(shared, tmp_path)
    revoke(admin, bad.serial)
    wait_until(lambda: listed(crl(shared), bad.serial), "the entry")
    assert listed(crl(shared), good.serial) is None
    for name, node, code in (("good", good, 0), ("bad", bad, 2)):
        shared.crl(to=tmp_path / "crl.pem")
        done = run(["openssl", "verify", "-x509_strict", "-crl_check",
                    "-CAfile", shared.ca, "-CRLfile", tmp_path / "crl.pem",
                    "-untrusted", node.chain_pem, node.cert_pem])
        assert done.code == code, (name, done)


def conditional(shared, path, **headers):
    return shared.get_public(path, headers={
        k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize("path", [
    "/crl/issuing-1.crl", "/crl/issuing-1.pem", "/ca/issuing-1.cer",
    "/ca/issuing-1.pem", "/ca/root.cer"])
def test_a_document_is_sent_again_only_when_it_changed(shared, admin, path):
    first = shared.get_public(path)
    etag, date = first.headers["ETag"], first.headers["Last-Modified"]
    age = re.search(r"max-age=(\d+)", first.headers["Cache-Control"])
    assert int(age.group(1)) > 0
    assert first.headers["Expires"] and etag.startswith('"')
    for headers in ({"If_None_Match": etag}, {"If_None_Match": "*"},
                    {"If_None_Match": f'"x", W/{etag}'},
                    {"If_Modified_Since": date}):
        answer = conditional(shared, path, **headers)
        assert (answer.status, answer.body) == (304, b""), headers
        assert answer.headers["ETag"] == etag
    for headers in ({"If_None_Match": '"x"'},
                    {"If_Modified_Since": "Tue, 01 Jan 2019 00:00:00 GMT"},
                    {"If_Modified_Since": "yesterday"},
                    {"If_None_Match": '"x"', "If_Modified_Since": date}):
        answer = conditional(shared, path, **headers)
        assert (answer.status, answer.body) == (200, first.body), headers
    head = shared.get_public(path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(first.body))


def test_a_new_crl_has_a_new_etag(shared, admin):
    first = shared.get_public("/crl/issuing-1.crl")
    admin.ask("POST", "/issuers/issuing-1/crl", {})
    answer = conditional(shared, "/crl/issuing-1.crl",
                         If_None_Match=first.headers["ETag"])
    assert answer.status == 200
    assert answer.headers["ETag"] != first.headers["ETag"]


# --- OCSP ---

def test_openssl_and_gnutls_are_told_good_and_revoked(shared, admin, tmp_path):
    node = new_node(shared, tmp_path)
    url = f"http://127.0.0.1:{shared.public}/ocsp"
    # ocsptool makes no chain from what it is given to trust.
    trust = tmp_path / "trust.pem"
    trust.write_bytes(node.chain_pem.read_bytes() + shared.ca.read_bytes())
    gnutls = ["ocsptool", f"--ask={url}", "--load-cert", node.cert_pem,
              "--load-issuer", node.chain_pem,
              "--load-trust", trust]
    digests = ([], ["-sha256"])
    for digest in digests:
        assert shared.ocsp(node.cert_pem, node.chain_pem) == "good"
        done = run(["openssl", "ocsp", *digest, "-issuer", node.chain_pem,
                    "-cert", node.cert_pem, "-CAfile", shared.ca,
                    "-url", url])
        assert f"{node.cert_pem}: good" in done.out, done
    done = check(gnutls + ["--nonce"])
    assert "Certificate Status: good" in done.out
    assert "Verifying OCSP Response: Success" in done.out
    revoke(admin, node.serial)
    assert shared.ocsp(node.cert_pem, node.chain_pem) == "revoked"
    assert shared.ocsp(node.cert_pem, node.chain_pem, "-no_nonce") == "revoked"
    done = run(gnutls)
    assert "Certificate Status: revoked" in done.out, done


@pytest.mark.parametrize("digest", [hashes.SHA1, hashes.SHA256])
def test_post_and_get_give_the_same_answer(
        shared, admin, issuer, tmp_path, digest):
    node = new_node(shared, tmp_path)
    body = question(node.certificate, issuer, digest)
    posted = ask(shared, body)
    for quote in (True, False):
        answer, got = ask_get(shared, body, quote)
        assert got.certificate_status == ocsp.OCSPCertStatus.GOOD
        assert got.serial_number == node.certificate.serial_number
        assert got.this_update <= posted.next_update
        # RFC 5019 6.
        assert re.search(r"max-age=\d+, public, no-transform, must-revalidate",
                         answer.headers["Cache-Control"])
        for header in ("ETag", "Last-Modified", "Expires"):
            assert answer.headers[header]
        again = shared.get_public(
            "/ocsp/" + urllib.parse.quote(base64.b64encode(body).decode(),
                                          safe=""),
            headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")


def test_an_answer_is_signed_by_a_responder_that_the_issuer_made(
        shared, admin, issuer, tmp_path):
    answer = ask(shared, question(
        new_node(shared, tmp_path).certificate, issuer))
    responder = answer.certificates[0]
    assert responder.issuer == issuer.subject
    usage = responder.extensions.get_extension_for_oid(
        ExtensionOID.EXTENDED_KEY_USAGE).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_oid(
        ExtensionOID.OCSP_NO_CHECK)


@pytest.mark.parametrize("size", [1, 16, 32])
def test_a_nonce_comes_back(shared, admin, issuer, tmp_path, size):
    node = new_node(shared, tmp_path)
    nonce = bytes(range(1, size + 1))
    answer = ask(shared, question(node.certificate, issuer, nonce=nonce))
    assert answer.extensions.get_extension_for_class(
        x509.OCSPNonce).value.nonce == nonce
    assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
    # One without is none of the cache's business.
    plain = ask(shared, question(node.certificate, issuer))
    assert not any(e.oid == x509.OCSPNonce.oid for e in plain.extensions)


def test_a_serial_that_was_never_issued_is_unknown(
        shared, admin, issuer, tmp_path):
    """Not good: else a certificate that was forged would be."""
    node = new_node(shared, tmp_path)
    body = question(node.certificate, issuer)
    serial = bytes.fromhex(node.serial)
    for other in (serial[:-1] + bytes([serial[-1] ^ 1]),
                  bytes([serial[0] ^ 1]) + serial[1:],
                  b"\x01" * 18, b"\x7f" * 18):
        assert body.count(serial) == 1
        assert ask(shared, body.replace(serial, other)).certificate_status \
            == ocsp.OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize("digest", [hashes.SHA1, hashes.SHA256])
def test_an_issuer_of_others_is_unauthorized(
        shared, admin, issuer, tmp_path, digest):
    body = question(new_node(shared, tmp_path).certificate, issuer, digest)
    asked = ocsp.load_der_ocsp_request(body)
    for known in (asked.issuer_name_hash, asked.issuer_key_hash):
        other = bytes([known[0] ^ 1]) + known[1:]
        answer = ask(shared, body.replace(known, other))
        assert answer.response_status == ocsp.OCSPResponseStatus.UNAUTHORIZED
    assert ask(shared, body).response_status == \
        ocsp.OCSPResponseStatus.SUCCESSFUL


def test_a_certificate_is_never_good_after_its_revocation_was_acknowledged(
        shared, admin, issuer, tmp_path):
    """Other askers keep the cache warm all the while."""
    nodes = [new_node(shared, tmp_path) for _ in range(12)]
    bodies = [question(n.certificate, issuer) for n in nodes]
    revoked = set()
    lies = []
    done = threading.Event()

    def keep_asking():
        while not done.is_set():
            for at, body in enumerate(bodies):
                known = at in revoked
                status = ask(shared, body).certificate_status
                if known and status != ocsp.OCSPCertStatus.REVOKED:
                    lies.append((at, status))

    askers = [threading.Thread(target=keep_asking) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for at, node in enumerate(nodes):
            assert ask(shared, bodies[at]).certificate_status == \
                ocsp.OCSPCertStatus.GOOD
            revoke(admin, node.serial)
            revoked.add(at)
            for _ in range(20):
                assert ask(shared, bodies[at]).certificate_status == \
                    ocsp.OCSPCertStatus.REVOKED
                assert ask_get(shared, bodies[at])[1].certificate_status == \
                    ocsp.OCSPCertStatus.REVOKED
    finally:
        done.set()
        for asker in askers:
            asker.join()
    assert not lies


def test_a_revocation_is_told_with_its_time_and_reason(
        shared, admin, issuer, tmp_path):
    node = new_node(shared, tmp_path)
    shown = revoke(admin, node.serial, "superseded")
    answer = ask(shared, question(node.certificate, issuer))
    assert answer.revocation_reason == x509.ReasonFlags.superseded
    assert answer.revocation_time.strftime("%Y-%m-%dT%H:%M:%SZ") == \
        shown["revoked"]


def test_a_certificate_is_revoked_once(shared, admin, tmp_path):
    node = new_node(shared, tmp_path)
    first = revoke(admin, node.serial, "superseded")
    again = admin.call("POST", f"/certificates/{node.serial}/revoke",
                       {"reason": "unspecified"})
    assert again.status in (200, 409), again
    shown = admin.ask("GET", f"/certificates/{node.serial}")
    assert (shown["revoked"], shown["reason"]) == \
        (first["revoked"], first["reason"])


# --- Where certificates point to ---

def test_the_urls_in_a_certificate_serve_what_they_promise(
        shared, admin, tmp_path):
    node = new_node(shared, tmp_path)
    get_extension = node.certificate.extensions.get_extension_for_oid
    points = get_extension(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
    found = x509.load_der_x509_crl(get(points[0].full_name[0].value).body)
    access = {a.access_method: a.access_location.value for a in
              get_extension(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value}
    answer = get(access[AIA.CA_ISSUERS])
    assert answer.headers["Content-Type"] == "application/pkix-cert"
    issuer = x509.load_der_x509_certificate(answer.body)
    assert issuer.subject == node.certificate.issuer == found.issuer
    assert found.is_signature_valid(issuer.public_key())
    asked = get(access[AIA.OCSP], data=question(node.certificate, issuer),
                headers={"Content-Type": "application/ocsp-request"})
    assert ocsp.load_der_ocsp_response(asked.body).certificate_status == \
        ocsp.OCSPCertStatus.GOOD
    # And so do those of its issuer.
    points = issuer.extensions.get_extension_for_oid(
        ExtensionOID.CRL_DISTRIBUTION_POINTS).value
    above = x509.load_der_x509_crl(get(points[0].full_name[0].value).body)
    assert above.issuer == issuer.issuer


# --- Operations ---

METRIC = re.compile(
    r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*"'
    r'(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*")*\})? '
    r'([-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?Inf|NaN)$')


def metrics(shared):
    answer = shared.get_ops("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.body.decode()


def test_metrics_are_what_prometheus_reads(shared, admin):
    kinds, seen, last = {}, set(), None
    for line in metrics(shared).splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds, f"two heads of {name}"
            assert kind in ("counter", "gauge", "histogram")
            assert kind != "counter" or name.endswith("_total"), name
            kinds[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split(None, 3)) == 4, line
        else:
            assert METRIC.match(line), line
            series = line.rsplit(" ", 1)[0]
            assert series not in seen, f"{series} twice"
            seen.add(series)
            name = series.split("{")[0]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            family = base if kinds.get(base) == "histogram" else name
            assert family in kinds, f"{name} has no head"
            assert family == last or not any(
                s.split("{")[0] == family for s in seen - {series}), \
                f"lines of {family} stand apart"
            last = family
    assert len(seen) > 20


def value(text, series):
    for line in text.splitlines():
        if line.startswith(series + " "):
            return float(line.split()[-1])
    return 0.0


def test_metrics_count_what_happens(shared, admin, tmp_path):
    before = metrics(shared)
    node = new_node(shared, tmp_path)
    revoke(admin, node.serial)
    after = metrics(shared)
    assert sum(value(after, s) - value(before, s) for s in
               series_of(after, "signet_certificates_revoked_total")) == 1
    assert sum(value(after, s) - value(before, s) for s in
               series_of(after, "signet_certificates_issued_total")) == 1


def series_of(text, prefix):
    return [line.rsplit(" ", 1)[0] for line in text.splitlines()
            if line.startswith(prefix)]


def test_the_operations_listener_tells_health_and_readiness(shared, admin):
    health = shared.get_ops("/healthz")
    assert (health.status, health.body) == (200, b"ok\n")
    ready = shared.get_ops("/readyz")
    assert ready.status == 200
    assert ready.json == {"ready": True, "server": "ok", "store": "ok",
                          "hsm": "ok", "crl": "ok", "audit": "ok"}
    for path in ("/", "/healthz/", "/debug", "/metrics?x=1", "/api/v1/status"):
        assert shared.get_ops(path).status == 404, path
    for path in ("/healthz", "/readyz", "/metrics"):
        refused = shared.get_ops(path, data=b"x")
        assert refused.status == 405
        assert refused.headers["Allow"] == "GET, HEAD"
