# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: whatever is sent, the answer is the right refusal, tells what
to correct, and leaves nothing behind: no record, no leak, no crash."""
import base64
import contextlib
import json
import os
import random
import re
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from client import admin_of, issue, new_key, request, san
from harness import check, wait_until

# Connections that the clients of this module keep: admin, sender, node.
KEPT = 3
CSR_PATH = "/clusters/web/certificates"
GOOD_CSR = request(dns=["a.web.example.net"])

# Every route that takes a body: a good one, and of each field its kind, whether
# it must be there, and its greatest size.
BODIES = {
    "/clusters": ({"name": "new", "policy": "generic-tls",
                   "dns": ["*.new.example.net"], "ip": ["10.0.0.0/8"],
                   "issuer": "shared"},
                  {"name": ("label", True), "policy": ("name", True),
                   "dns": ("patterns", False), "ip": ("ranges", False),
                   "issuer": ("name", False)}),
    "/clusters/web/tokens": ({"profiles": ["server"], "uses": 1, "ttl": "1h",
                              "from": ["10.0.0.0/8"]},
                             {"profiles": ("profiles", False),
                              "uses": ("count", False),
                              "ttl": ("duration", False),
                              "from": ("ranges", False)}),
    CSR_PATH: ({"csr": GOOD_CSR, "profile": "server", "ttl": "1h"},
               {"csr": ("csr", True), "profile": ("name", True),
                "ttl": ("duration", False)}),
    "/certificates/{serial}/revoke": ({"reason": "superseded"},
                                      {"reason": ("reason", True)}),
    "/clusters/web/keys": ({"name": "new"}, {"name": ("label", True)}),
    "/clusters/web/keys/tde/datakey": (
        {"bits": 256, "context": {"a": "b"}, "plaintext": True},
        {"bits": ("bits", False), "context": ("context", False),
         "plaintext": ("flag", False)}),
    "/clusters/web/keys/tde/unwrap": (
        {"ciphertext": "signet:v1:AAAA", "context": {"a": "b"}},
        {"ciphertext": ("text", True), "context": ("context", False)}),
    "/clusters/web/certificates/renew": ({"csr": GOOD_CSR},
                                         {"csr": ("csr", True)}),
    "/issuers/issuing-1/crl": ({}, {}),
    "/identities/{identity}/codes": ({"code_ttl": "1h"},
                                     {"code_ttl": ("duration", False)}),
    "/identities/{identity}": (
        {"name": "n", "roles": ["auditor"], "ttl": "1h", "lifetime": "1d",
         "from": ["10.0.0.0/8"]},
        {"name": ("common name", False), "roles": ("roles", False),
         "ttl": ("long duration", False),
         "lifetime": ("long duration", False), "from": ("few ranges", False)}),
}
NOT_TEXT = [1, -1, 1.5, True, [], ["x"], {}, {"a": "b"}]
NOT_ARRAY = [1, True, "x", {}, {"0": "x"}]
TEXTS = ["", "a\0b", "\0", "x" * 5000]
WRONG = {
    "label": NOT_TEXT + TEXTS + [
        "A", "a_b", "-a", "a-", "a.b", "a/b", "..", "ü", "a b", "x" * 64,
        "a\n", "%00", "a\u202eb"],
    "name": NOT_TEXT + TEXTS + ["nosuch", "x" * 64, "../etcd", "ü"],
    "patterns": NOT_ARRAY + [
        [1], [None], [[]], [""], ["*"], ["*.net"], ["a.*.example.net"],
        ["**.example.net"], ["a..net"], ["a b.example.net"], [".example.net"],
        ["a\0.example.net"], ["x" * 64 + ".example.net"], ["x." * 127 + "net"],
        ["ü.example.net"], ["*.new.example.net"] + [1],
        [f"*.c{i}.example.net" for i in range(65)]],
    "ranges": NOT_ARRAY + [
        [1], [None], [""], ["10.0.0.0/33"], ["10.0.0"], ["10.0.0.0/-1"],
        ["10.0.0.0/8/8"], ["fe80::/129"], ["::g/64"], ["10.0.0.0/08x"],
        ["0x0a000000/8"], ["localhost"], ["10.0.0.0/8\0"],
        [f"10.0.{i}.0/24" for i in range(65)]],
    "common name": NOT_TEXT + TEXTS + [" n", "n ", "x" * 65],
    "roles": NOT_ARRAY + [
        [], [1], [""], ["nosuch"], ["auditor", "auditor"], ["node"], ["kms"],
        ["auditor\0"], ["auditor"] * 9],
    "few ranges": NOT_ARRAY + [
        [1], [""], ["10.0.0.0/33"], ["localhost"],
        [f"10.0.{i}.0/24" for i in range(17)]],
    "profiles": NOT_ARRAY + [
        [1], [""], ["nosuch"], ["server", "nosuch"], ["server\0"],
        ["server"] * 17],
    "count": ["1", 0, -1, 1.5, True, [], {}, 10001, 2**31, 2**63 - 1],
    "bits": ["256", 0, -1, 129, 192, 256.0, True, [], {}, 4096, 2**62],
    "duration": NOT_TEXT + TEXTS + [
        "1", "h", "-1h", "0s", "1.5h", "1h1", "1y", " 1h", "1h ", "1e3s",
        "99999999999999999999d", "9223372036854775807d", "0x10s"],
    "long duration": NOT_TEXT + TEXTS + [
        "1", "h", "-1h", "0s", "11y", " 1h", "9223372036854775807d"],
    "csr": NOT_TEXT + TEXTS + [
        "-----BEGIN CERTIFICATE REQUEST-----",
        "-----BEGIN CERTIFICATE REQUEST-----\n"
        "-----END CERTIFICATE REQUEST-----\n", "x" * 16385, "\u2603" * 100],
    "reason": NOT_TEXT + TEXTS + [
        "KEYCOMPROMISE", "1", "removeFromCRL", "certificateHold", "because"],
    "context": [1, True, "x", [], [{"a": "b"}], {"": "x"}, {"a": 1},
                {"a": None}, {"a": ["b"]}, {"a": {"b": "c"}}, {"a": "b\0c"},
                {"a": "x" * 3000}, {"x" * 3000: "a"},
                {f"k{i}": "v" for i in range(17)}],
    "flag": ["true", 0, 1, [], {}],
    "text": NOT_TEXT + TEXTS + ["x" * 8193],
}
ROWS = [(path, field, value) for path, (_, fields) in BODIES.items()
        for field, (kind, _) in fields.items() for value in WRONG[kind]]


def short(value):
    return re.sub(r"[^\w.-]+", "_", repr(value))[:24]


@pytest.fixture(scope="module")
def admin(shared, tmp_path_factory):
    with admin_of(shared) as client:
        shared.cluster("web")
        client.ask("POST", "/clusters/web/keys", {"name": "tde"}, status=201)
        shared.node = issue(shared, tmp_path_factory.mktemp("n"), "web",
                            dns=["node.web.example.net"])
        made = client.ask("POST", "/clusters/web/tokens", {"uses": 9},
                          status=201)
        shared.bearer = made["token"]
        shared.identity = client.ask(
            "POST", "/identities", {"name": "x", "roles": ["auditor"]},
            status=201)["id"]
        shared.fds = descriptors(shared)
        yield client
    # After all of it no more are open than before it.
    wait_until(lambda: descriptors(shared) <= shared.fds + KEPT,
               "descriptors closed")


def state(admin):
    """Everything that a request could have left behind."""
    status = admin.ask("GET", "/status")
    return {
        "certificates": status["certificates"],
        "clusters": admin.ask("GET", "/clusters?limit=1000")["items"],
        "tokens": admin.ask("GET", "/clusters/web/tokens?limit=1000")["items"],
        "keys": admin.ask("GET", "/clusters/web/keys?limit=1000")["items"],
        "identities": admin.ask("GET", "/identities?limit=1000")["items"],
        "revoked": admin.ask("GET", "/certificates?state=revoked")["items"],
        "unresolved":
            admin.ask("GET", "/certificates?state=unresolved")["items"],
    }


def descriptors(shared):
    return len(os.listdir(f"/proc/{shared.server.pid}/fd"))


@pytest.fixture(autouse=True)
def nothing_left_behind(shared, admin):
    before = state(admin)
    yield
    assert shared.server.poll() is None, "the server is gone"
    assert state(admin) == before
    # Connections that were torn are closed when the server notices.
    wait_until(lambda: descriptors(shared) <= shared.fds + KEPT,
               "descriptors closed")


def check_problem(answer, *statuses, code=None, names=None):
    assert answer.status in statuses, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{16}", problem["request_id"])
    assert len(problem["detail"]) > 10 and problem["title"]
    assert code is None or problem["code"] == code, answer
    if names is not None:
        assert names in problem["detail"], answer
    return problem


def place(shared, path):
    return path.replace("{serial}", shared.node.serial).replace(
        "{identity}", shared.identity)


def method(path):
    return "PATCH" if path == "/identities/{identity}" else "POST"


def who(shared, path):
    return shared.node.tls if path.endswith("/renew") else shared.admin


@pytest.fixture(scope="module")
def send(shared, admin):
    """Sends a body by one connection for each kind of caller."""
    from client import Client
    clients = {}

    def post(path, body, **headers):
        kind = path.endswith("/renew")
        if kind not in clients:
            clients[kind] = Client(shared, **who(shared, path))
        return clients[kind].call(method(path), place(shared, path), body,
                                  headers)

    yield post
    for client in clients.values():
        client.close()


@pytest.mark.parametrize("path", BODIES)
def test_a_wrong_value_of_any_field_is_refused_by_name(send, path):
    good, fields = BODIES[path]
    for field, (kind, required) in fields.items():
        for value in WRONG[kind]:
            answer = send(path, {**good, field: value})
            # A policy or profile may be refused as unknown by policy.
            problem = check_problem(answer, 400, 403, 413)
            detail = problem["detail"]
            if answer.status == 403 or problem["code"] in (
                    "bad-csr", "unwrap-refused", "too-large"):
                continue
            if "\\u0000" in json.dumps(value):
                assert problem["code"] in ("bad-field", "bad-request")
                continue
            assert problem["code"] == "bad-field", (field, value, answer)
            known = [field] + (["pattern", "range", "label", "name"]
                               if kind in ("patterns", "ranges", "label")
                               else [])
            assert any(word in detail for word in known) or \
                isinstance(value, list) and str(value[-1]) in detail, \
                (field, value, answer)
        if required:
            for body in ({**good, field: None},
                         {k: v for k, v in good.items() if k != field}):
                check_problem(send(path, body), 400, code="bad-field",
                              names=field)


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field_is_refused_by_name(send, path):
    good, _ = BODIES[path]
    for name in ("unknown", "Name", "csr ", "\u00fc", "__proto__", "x" * 63):
        answer = send(path, {**good, name: 1}, )
        if path.endswith("/crl"):
            check_problem(answer, 400, 413)
        else:
            check_problem(answer, 400, code="bad-field")
            assert name.strip() in answer.json["detail"] or not name.isascii()


@pytest.mark.parametrize("path", BODIES)
def test_a_key_that_occurs_twice_is_refused(send, path):
    good, fields = BODIES[path]
    text = json.dumps(good)[:-1]
    for field in fields:
        body = f'{text}, "{field}": {json.dumps(good[field])}}}'.encode()
        check_problem(send(path, body), 400, code="bad-request")


NO_JSON = [
    b"x", b"{", b"}", b"[", b"{]", b"{}{}", b"{} x", b"null", b"1", b'"x"',
    b"[]", b"true", b"{'name':'x'}", b'{"name":}', b'{"name":"x",}',
    b'{name:"x"}', b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"\0", b"{}\0",
    b'{"name":"\xff"}', b'{"name":"\xc0\x80"}', b'{"name":"\xed\xa0\x80"}',
    b'{"name":"\\ud800"}', b'{"name":"\\x00"}', b'{"name":"a\nb"}',
    b'{"name":NaN}', b'{"name":1e999}', b'{"name":Infinity}',
    b'{"name":' + b"9" * 400 + b"}", b"/*x*/{}", b"<xml/>",
    b"name=x&policy=y", b"[" * 20000, b'{"a":' * 5000,
    b'{"a":' * 9 + b"1" + b"}" * 9, b"[" * 9 + b"]" * 9]


@pytest.mark.parametrize("body", NO_JSON, ids=short)
def test_a_body_that_is_no_json_object_is_refused(send, body):
    for path in BODIES:
        if path.endswith("/crl") and len(body) > 64:
            continue
        answer = send(path, body)
        check_problem(answer, 400, 413)
        assert answer.json["code"] in (
            "bad-request", "bad-field", "too-large"), answer


# --- Certificate requests ---

def pem(builder, key=None, digest=None):
    key = key or new_key()
    if digest is None and not isinstance(key, ed25519.Ed25519PrivateKey):
        digest = hashes.SHA256()
    return builder.sign(key, digest).public_bytes(
        serialization.Encoding.PEM).decode()


def builder(subject=(), extensions=()):
    made = x509.CertificateSigningRequestBuilder(x509.Name(
        [x509.NameAttribute(oid, value) for oid, value in subject]))
    for value, critical in extensions:
        made = made.add_extension(value, critical)
    return made


def with_san(*names):
    return builder(extensions=[(x509.SubjectAlternativeName(names), False)])


def der_of(text):
    return x509.load_pem_x509_csr(text.encode()).public_bytes(
        serialization.Encoding.DER)


def armour(octets, label="CERTIFICATE REQUEST"):
    text = base64.encodebytes(octets).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def flipped(text, at):
    octets = bytearray(der_of(text))
    octets[at] ^= 1
    return armour(bytes(octets))


A = "a.web.example.net"
ASKED = with_san(x509.DNSName(A))
CSRS = {
    # name: (request, code, word of the detail)
    "two blocks": (lambda: GOOD_CSR + GOOD_CSR, "bad-csr", None),
    "another label": (lambda: armour(der_of(GOOD_CSR), "CERTIFICATE"),
                      "bad-csr", "CERTIFICATE REQUEST"),
    "a private key": (lambda: armour(der_of(GOOD_CSR), "PRIVATE KEY"),
                      "bad-csr", "CERTIFICATE REQUEST"),
    "bare base64": (lambda: base64.b64encode(der_of(GOOD_CSR)).decode(),
                    "bad-csr", None),
    "half": (lambda: GOOD_CSR[:len(GOOD_CSR) // 2], "bad-csr", None),
    "no base64": (lambda: GOOD_CSR.replace("M", "!"), "bad-csr", None),
    "octets behind": (lambda: armour(der_of(GOOD_CSR) + b"\0"), "bad-csr",
                      "behind"),
    "octets missing": (lambda: armour(der_of(GOOD_CSR)[:-1]), "bad-csr",
                       None),
    "wrong signature": (lambda: flipped(GOOD_CSR, -1), "bad-csr",
                        "signature"),
    "changed name": (lambda: armour(der_of(GOOD_CSR).replace(
        b"a.web", b"b.web")), "bad-csr", "signature"),
    "rsa 1024": (lambda: pem(ASKED, rsa.generate_private_key(65537, 1024)),
                 "bad-key", "1024"),
    "rsa e=3": (lambda: pem(ASKED, rsa.generate_private_key(3, 2048)),
                "bad-key", "65537"),
    "rsa odd size": (lambda: pem(ASKED, rsa.generate_private_key(65537, 2056)),
                     "bad-key", "2056"),
    "secp256k1": (lambda: pem(ASKED, new_key(ec.SECP256K1)), "bad-key",
                  "secp256k1"),
    "p-224": (lambda: pem(ASKED, new_key(ec.SECP224R1)), "bad-key", None),
    "p-521": (lambda: pem(ASKED, new_key(ec.SECP521R1)), "bad-key", None),
    "ed25519": (lambda: pem(ASKED, ed25519.Ed25519PrivateKey.generate()),
                "bad-", None),
    "sha-1": (lambda: pem(ASKED, digest=hashes.SHA1()), "bad-csr", "algorithm"),
    "101 names": (lambda: pem(with_san(*[
        x509.DNSName(f"n{i}.web.example.net") for i in range(101)])),
        "bad-csr", "100"),
    "e-mail": (lambda: pem(with_san(x509.RFC822Name("a@example.net"))),
               "bad-csr", "rfc822Name"),
    "directory name": (lambda: pem(with_san(x509.DirectoryName(x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, "x")])))), "bad-csr",
        "directoryName"),
    "registered id": (lambda: pem(with_san(x509.RegisteredID(
        x509.ObjectIdentifier("1.2.3")))), "bad-csr", "registeredID"),
    "other name": (lambda: pem(with_san(x509.OtherName(
        x509.ObjectIdentifier("1.2.3"), b"\x05\x00"))), "bad-csr",
        "otherName"),
    "unknown extension": (lambda: pem(builder(extensions=[
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"),
                                    b"\x05\x00"), False)])), "bad-csr",
        "1.2.3.4"),
    "name constraints": (lambda: pem(builder(extensions=[
        (x509.NameConstraints([x509.DNSName("x")], None), True)])), "bad-csr",
        "2.5.29.30"),
    "password": (lambda: pem(ASKED.add_attribute(
        x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"secret")), "bad-csr",
        "1.2.840.113549.1.9.7"),
    "two common names": (lambda: pem(builder(
        [(NameOID.COMMON_NAME, A), (NameOID.COMMON_NAME, A)])), "bad-csr",
        "commonName"),
    "organization": (lambda: pem(builder(
        [(NameOID.ORGANIZATION_NAME, "Signet")])), "bad-csr", "2.5.4.10"),
    "huge subject": (lambda: pem(builder(
        [(NameOID.ORGANIZATION_NAME, "x" * 60)] * 100)), "bad-csr", None),
    "long name": (lambda: pem(with_san(x509.DNSName(
        ".".join(["x" * 60] * 5)))), "bad-", None),
    "label of 64": (lambda: pem(with_san(x509.DNSName(
        "x" * 64 + ".web.example.net"))), "bad-", None),
    "empty dns": (lambda: pem(with_san(x509.DNSName(""))), "bad-", None),
    "space in dns": (lambda: pem(with_san(x509.DNSName(
        "a b.web.example.net"))), "bad-", None),
}


def nul_in(text):
    """Signs a request again with a NUL where the text has a Z."""
    key = new_key()
    made = x509.load_pem_x509_csr(text(key).encode())
    info = made.tbs_certrequest_bytes.replace(b"aZb", b"a\0b")
    assert info != made.tbs_certrequest_bytes
    signature = key.sign(info, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    bits = b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
    content = info + algorithm + bits
    return armour(b"\x30\x82" + len(content).to_bytes(2, "big") + content)


CSRS["NUL in dns"] = (lambda: nul_in(lambda key: request(
    key, dns=["aZb.web.example.net"] * 1 + ["c" * 40 + ".web.example.net"])),
    "bad-csr", "NUL")
CSRS["NUL in common name"] = (lambda: nul_in(lambda key: request(
    key, cn="aZb.web.example.net", dns=["c" * 60 + ".web.example.net"])),
    "bad-csr", "NUL")
CSRS["NUL in uri"] = (lambda: nul_in(lambda key: request(
    key, uri=["signet://web/aZb" + "c" * 60])), "bad-csr", "NUL")


@pytest.mark.parametrize("name", CSRS)
def test_a_bad_request_for_a_certificate_is_refused(shared, send, name):
    make, code, word = CSRS[name]
    text = make()
    for path, body in ((CSR_PATH, {"csr": text, "profile": "server"}),
                       ("/clusters/web/certificates/renew", {"csr": text})):
        problem = check_problem(send(path, body), 400)
        assert problem["code"].startswith(code), problem
        assert word is None or word in problem["detail"], problem
    # By token too, and it keeps its uses (nothing_left_behind looks).
    answer = shared.call("POST", CSR_PATH, {"csr": text, "profile": "server"},
                         token=shared.bearer)
    check_problem(answer, 400)


def test_ten_thousand_names_are_refused_before_they_are_read(shared, send):
    def body(count):
        text = pem(with_san(*[x509.DNSName(f"n{i}.web.example.net")
                              for i in range(count)]))
        return json.dumps({"csr": text, "profile": "server"}).encode()

    check_problem(send(CSR_PATH, body(4000)), 413, code="too-large")
    # What is larger still is not taken in to be thrown away: whoever sends it
    # without a look at the answer may find the connection broken.
    huge = body(10000)
    got = raw(shared, f"POST /api/v1{CSR_PATH} HTTP/1.1\r\n".encode() + HOST +
              b"Content-Type: application/json\r\n" +
              f"Content-Length: {len(huge)}\r\n\r\n".encode() + huge,
              client=shared.admin)
    assert status_of(got) in (None, 413), got[:300]


@pytest.mark.parametrize("extension,asked", [
    (x509.BasicConstraints(True, None), "2.5.29.19"),
    (x509.KeyUsage(True, False, False, False, False, True, True, False, False),
     "2.5.29.15"),
    (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]),
     "2.5.29.37")])
def test_a_request_does_not_choose_what_a_certificate_is_for(
        shared, admin, extension, asked):
    """Refused, or left out of the certificate.  A key that is asked about twice
    gets what it got: so nothing is left behind but for the first."""
    text = pem(builder(extensions=[
        (san([A]), False), (extension, True)]))
    answer = admin.call("POST", "/clusters/web/certificates",
                        {"csr": text, "profile": "nosuch"})
    assert answer.status in (400, 403)
    if answer.status == 400:
        assert asked in answer.json["detail"]


# --- HTTP ---

def raw(shared, octets, port=None, tls=True, client=None, timeout=20):
    """Sends octets as they are; what comes until the server closes."""
    with socket.create_connection(
            ("127.0.0.1", port or shared.api), timeout=timeout) as plain:
        stream = plain
        if tls:
            context = shared.tls(**(client or {}))
            stream = context.wrap_socket(plain, server_hostname="127.0.0.1")
        got = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            stream.sendall(octets)
            # An answer is complete where its length says so.
            while True:
                part = stream.recv(65536)
                if not part:
                    break
                got += part
                head, _, body = got.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length and len(body) >= int(length.group(1)):
                    break
        if tls:
            stream.close()
    return got


def status_of(octets):
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", octets)
    return int(match.group(1)) if match else None


HOST = b"Host: 127.0.0.1\r\n"


@pytest.mark.parametrize("target", [
    "/api/v1/../v1/ping", "/api/v1/./ping", "/api/v1//ping", "//api/v1/ping",
    "/api/v1/ping/", "/api/v1/ping%00", "/api/v1/%2e%2e/v1/ping",
    "/api/v1%2fping", "/api/v1/clusters%2fweb", "/api/v1/clusters/..%2fweb",
    "/api/v1/clusters/web%00", "/api/v1/ping%", "/api/v1/ping%2",
    "/api/v1/ping%zz", "/api/v1/ping%ff", "/api/v1/%c0%af", "/api/v1/p\\ing",
    "/api/v1/" + "x" * 2100, "/api/v1/" + "a/" * 100, "/api/v1", "/api/v2/ping",
    "/API/V1/ping", "/", "/api/v1/ping#x", "/api/v1/clusters/" + "a" * 64,
    "/api/v1/certificates/xyz", "/api/v1/certificates/" + "0" * 80,
    "/api/v1/issuers/nosuch", "/api/v1/policies/..", "*", "ping",
    "http://127.0.0.1/api/v1/ping"])
def test_a_path_that_is_none_is_refused(shared, target):
    got = raw(shared, f"GET {target} HTTP/1.1\r\n".encode() + HOST +
              b"Connection: close\r\n\r\n", client=shared.admin)
    assert status_of(got) in (400, 404, 413, 414, 431), got[:300]
    if b"problem+json" in got:
        problem = json.loads(got.partition(b"\r\n\r\n")[2])
        assert problem["detail"]


@pytest.mark.parametrize("query", [
    "x=1", "limit", "limit=", "limit=0", "limit=1001", "limit=-1", "limit=1x",
    "limit=1&limit=1", "cursor=zz", "cursor=%00", "state=good",
    "state=", "cluster=WEB", "cluster=..", "expires_before=tomorrow",
    "expires_before=2026-13-01T00:00:00Z", "name=%ff", "=1", "&", "a=1&&b=2",
    "limit=%31%", "limit=1;x=2", "limit=99999999999999999999"])
def test_a_query_that_is_none_is_refused(admin, query):
    check_problem(admin.call("GET", "/certificates?" + query), 400)


@pytest.mark.parametrize("path,allow", [
    ("/ping", "GET, HEAD"), ("/clusters", "GET, HEAD, POST"),
    ("/clusters/web", "GET, HEAD, PATCH, DELETE"),
    ("/clusters/web/certificates", "POST"),
    ("/clusters/web/tokens/00", "DELETE"), ("/audit", "GET, HEAD")])
def test_a_wrong_method_is_told_the_right_ones(admin, path, allow):
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "FOO", "get", "DELETE",
                   "POST", "GET"):
        if method in allow:
            continue
        answer = admin.call(method, path)
        check_problem(answer, 405, code="bad-method")
        assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("kind", [
    "text/plain", "application/xml", "application/x-www-form-urlencoded",
    "application/jsonx", "application", "", "multipart/form-data; boundary=x"])
def test_a_wrong_content_type_is_refused(send, kind):
    answer = send(CSR_PATH, json.dumps(BODIES[CSR_PATH][0]).encode(),
                  **{"Content-Type": kind})
    check_problem(answer, 415, code="bad-media-type", names="json")


@pytest.mark.parametrize("path", BODIES)
def test_a_body_over_its_bound_is_refused(shared, send, path):
    size = 70000
    check_problem(send(path, b" " * size), 413, code="too-large")
    # In chunks nobody knows beforehand.
    head = (f"{method(path)} /api/v1{place(shared, path)} HTTP/1.1\r\n".encode()
            + HOST + b"Content-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    got = raw(shared, head + chunk * 18 + b"0\r\n\r\n",
              client=who(shared, path))
    assert status_of(got) == 413, got[:300]
    # Without an end: no more is read than can be answered.
    got = raw(shared, head + chunk * 500, client=who(shared, path))
    assert status_of(got) in (None, 413), got[:300]


GARBAGE = [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\x00" * 100,
    b"GET /api/v1/ping HTTP/9.9\r\n" + HOST + b"\r\n",
    b"GET /api/v1/ping HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello",
    b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
    b"Content-Length: -1\r\n\r\n",
    b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
    b"Content-Length: 99999999999999999999999\r\n\r\n",
    b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
    b"Content-Length: x\r\n\r\n",
    b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
    b"Transfer-Encoding: gzip\r\n\r\n",
    b"GET /api/v1/ping HTTP/1.1\r\n" + HOST + b"A b: c\r\n\r\n",
    b"GET /api/v1/ping HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", random.Random(1).randbytes(4096)]


@pytest.mark.parametrize("octets", GARBAGE, ids=short)
def test_what_is_no_http_is_refused_on_every_listener(shared, octets):
    for port, tls in ((shared.api, True), (shared.public, False),
                      (shared.ops, False)):
        if b"/api/v1/ping" in octets and b"HTTP/1.1" in octets and \
                b"X: a" not in octets and b"A b" not in octets and tls:
            allowed = (None, 400, 204)
        else:
            allowed = (None, 400, 401, 404, 405, 411, 413, 501, 505, 204, 415)
        # Where it waits for the rest, that is what the deadline is for.
        got = b""
        with contextlib.suppress(TimeoutError):
            got = raw(shared, octets, port, tls, timeout=0.5)
        assert status_of(got) in allowed, got[:300]
        assert status_of(got) not in (200, 201)


@pytest.mark.parametrize("headers", [
    b"X: " + b"x" * 20000 + b"\r\n", b"X: y\r\n" * 4000,
    b"X" * 20000 + b": y\r\n",
    b"Authorization: Bearer " + b"x" * 20000 + b"\r\n"], ids=short)
def test_headers_past_their_bound_are_refused(shared, headers):
    got = raw(shared, b"GET /api/v1/ping HTTP/1.1\r\n" + HOST + headers +
              b"\r\n")
    assert status_of(got) in (None, 413, 431), got[:300]
    got = raw(shared, b"GET /crl/issuing-1.crl HTTP/1.1\r\n" + HOST + headers +
              b"\r\n", shared.public, False)
    assert status_of(got) in (None, 413, 431), got[:300]


def test_http_1_0_is_answered_and_ended(shared):
    got = raw(shared, b"GET /api/v1/ping HTTP/1.0\r\n\r\n")
    assert status_of(got) in (204, 400, 505), got
    got = raw(shared, b"GET /ca/issuing-1.cer HTTP/1.0\r\n\r\n",
              shared.public, False)
    assert status_of(got) == 200


def test_an_old_tls_is_refused(shared):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(shared.ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", shared.api), 10) as plain:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain, server_hostname="127.0.0.1")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = shared.tls()
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", shared.api), 10) as plain:
            context.wrap_socket(plain, server_hostname="127.0.0.1").close()


def test_plain_http_on_the_tls_port_is_refused(shared):
    got = raw(shared, b"GET /api/v1/ping HTTP/1.1\r\n" + HOST + b"\r\n",
              tls=False)
    assert status_of(got) is None


def test_a_connection_that_breaks_in_a_body_leaves_nothing(shared):
    body = json.dumps(BODIES["/clusters"][0]).encode()
    head = (b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
            b"Content-Type: application/json\r\n" +
            f"Content-Length: {len(body)}\r\n\r\n".encode())
    for size in (0, 1, len(body) // 2, len(body) - 1):
        with socket.create_connection(("127.0.0.1", shared.api), 10) as plain:
            stream = shared.tls(**shared.admin).wrap_socket(
                plain, server_hostname="127.0.0.1")
            stream.sendall(head + body[:size])
            stream.close()


# --- The public listener ---

def ocsp_body(shared):
    issuer = x509.load_der_x509_certificate(
        shared.get_public("/ca/issuing-1.cer").body)
    return ocsp.OCSPRequestBuilder().add_certificate(
        shared.node.certificate, issuer, hashes.SHA1()).build().public_bytes(
            serialization.Encoding.DER)


def ocsp_answer(answer):
    assert answer.status == 200, answer
    return ocsp.load_der_ocsp_response(answer.body).response_status


MALFORMED = ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def post_ocsp(shared, body, kind="application/ocsp-request"):
    return shared.get_public("/ocsp", data=body,
                             headers={"Content-Type": kind})


def test_a_malformed_ocsp_request_is_told_so(shared):
    good = ocsp_body(shared)
    for body in (b"", b"\0", b"x", b"\x30\x00", b"\x30\x80", good[:-1],
                 good + b"\0", b"\x30\x84\xff\xff\xff\xff", b"\x30" * 500,
                 good[:10], random.Random(2).randbytes(200)):
        assert ocsp_answer(post_ocsp(shared, body)) == MALFORMED, body
        if body:
            text = base64.b64encode(body).decode().replace("/", "%2F")
            assert ocsp_answer(shared.get_public(
                "/ocsp/" + text.replace("+", "%2B"))) == MALFORMED, body
    assert ocsp_answer(post_ocsp(shared, good)) == \
        ocsp.OCSPResponseStatus.SUCCESSFUL


def test_each_flip_of_an_ocsp_request_gets_an_ocsp_answer(shared):
    good = ocsp_body(shared)
    for at in range(len(good)):
        body = bytearray(good)
        body[at] ^= 1
        ocsp_answer(post_ocsp(shared, bytes(body)))


def test_an_ocsp_request_past_its_bounds_is_refused(shared):
    assert post_ocsp(shared, b"\x30" * 4097).status == 413
    assert post_ocsp(shared, b"\x30" * 100000).status == 413
    assert shared.get_public("/ocsp/" + "A" * 20000).status in (413, 414, 431)
    assert post_ocsp(shared, ocsp_body(shared), "text/plain").status == 415
    assert shared.get_public("/ocsp").status == 405


@pytest.mark.parametrize("text", [
    "%", "%2", "%zz", "%00", "!!!!", "AAA", "A===", "=", "AA%3D", "//", "%2F",
    "/", "a b".replace(" ", "%20"), "%c3%bc"])
def test_garbage_behind_ocsp_is_malformed(shared, text):
    assert ocsp_answer(shared.get_public("/ocsp/" + text)) == MALFORMED


def test_base64_with_slashes_is_taken_as_it_comes(shared):
    """Serials are made until their base64 holds a double slash."""
    issuer = x509.load_der_x509_certificate(
        shared.get_public("/ca/issuing-1.cer").body)
    del issuer
    good = ocsp_body(shared)
    serial = bytes.fromhex(shared.node.serial)
    body = good.replace(serial, serial[:6] + b"\xff" * 12)
    text = base64.b64encode(body).decode()
    assert "//" in text
    for form in (text, text.replace("/", "%2F"), text.replace("/", "%2f"),
                 text.replace("=", "%3D").replace("+", "%2B")):
        answer = shared.get_public("/ocsp/" + form)
        response = ocsp.load_der_ocsp_response(answer.body)
        assert response.certificate_status == ocsp.OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize("path", [
    "/crl/nosuch.crl", "/crl/.crl", "/crl/..crl", "/crl/../issuing-1.crl",
    "/crl/%2e%2e/x.crl", "/crl/issuing-1", "/crl/issuing-1.crl/", "/crl//x.crl",
    "/crl/issuing-1.crl?x=1", "/crl/ISSUING-1.crl", "/crl/issuing-1%00.crl",
    "/crl/" + "a" * 64 + ".crl", "/crl/" + "a" * 3000 + ".crl",
    "/ca/nosuch.cer", "/ca/nosuch.pem", "/ca/root.key", "/ca/../signet.yaml",
    "/ca/root.cer%0a", "/", "/ocspx", "/status", "/api/v1/status",
    "/metrics"])
def test_an_unknown_document_is_not_found(shared, path):
    assert shared.get_public(path).status == 404, path
    assert shared.get_public(path, method="POST", data=b"").status in (404, 405)


# --- Slow ones ---

def trickle(stream, octets, every=1.0):
    """An octet a second until the server ends it; how long that took."""
    begin = time.monotonic()
    stream.settimeout(every)
    for octet in octets:
        try:
            stream.sendall(bytes([octet]))
            if stream.recv(1000) == b"":
                break
            break
        except (TimeoutError, ssl.SSLWantReadError):
            continue
        except OSError:
            break
    return time.monotonic() - begin


@pytest.mark.bounds
def test_slow_senders_end_within_the_deadline_and_hold_up_nobody(
        make_instance):
    import concurrent.futures
    instance = make_instance()
    text = instance.config.read_text()
    instance.config.write_text(
        text + "\nlimits:\n  request_timeout: 3s\n  event_threads: 1\n")
    instance.start()
    head = (b"POST /api/v1/clusters HTTP/1.1\r\n" + HOST +
            b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n")

    def slow_body():
        with socket.create_connection(("127.0.0.1", instance.api)) as plain:
            stream = instance.tls(**instance.admin).wrap_socket(
                plain, server_hostname="127.0.0.1")
            stream.sendall(head)
            return trickle(stream, b"{" + b" " * 100)

    def slow_head():
        with socket.create_connection(("127.0.0.1", instance.api)) as plain:
            stream = instance.tls().wrap_socket(
                plain, server_hostname="127.0.0.1")
            return trickle(stream, b"GET /api/v1/ping HTTP/1.1\r\nX: " +
                           b"x" * 100)

    def slow_handshake():
        with socket.create_connection(("127.0.0.1", instance.api)) as plain:
            return trickle(plain, b"\x16\x03\x01\x02\x00\x01" + b"x" * 100)

    def slow_ocsp():
        with socket.create_connection(("127.0.0.1", instance.public)) as plain:
            plain.sendall(b"POST /ocsp HTTP/1.1\r\n" + HOST +
                          b"Content-Type: application/ocsp-request\r\n"
                          b"Content-Length: 100\r\n\r\n")
            return trickle(plain, b"\x30" * 100)

    kinds = [slow_body, slow_head, slow_handshake, slow_ocsp] * 4
    with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
        futures = [pool.submit(kind) for kind in kinds]
        worst = 0
        while not all(f.done() for f in futures):
            begin = time.monotonic()
            assert instance.call("GET", "/ping").status == 204
            assert instance.get_public("/crl/issuing-1.crl").status == 200
            worst = max(worst, time.monotonic() - begin)
        times = [f.result() for f in futures]
    # Three seconds, the grain of the timer, and that of the sender.
    assert max(times) < 6, times
    assert worst < 1.5, worst
