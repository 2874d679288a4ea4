# SPDX-License-Identifier: Apache-2.0
"""Callers with one connection each, and what they ask with.

Keys and requests are made in this process: a test that asks a thousand times
would otherwise spend its time starting openssl.
"""
import contextlib
import http.client
import ipaddress
import json
import pathlib
import select

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness import Answer, PATIENCE


class Client:
    """One caller; its connection stays until it fails."""

    def __init__(self, instance, cert=None, key=None, token=None,
                 timeout=PATIENCE):
        self._instance = instance
        self._tls = instance.tls(cert, key)
        self._token = token
        self._timeout = timeout
        self._connection = None
        self._used = False

    def connect(self):
        if self._connection is not None and self._used and \
                select.select([self._connection.sock], [], [], 0)[0]:
            # Nothing is due: the server has ended it, as it does idle ones.
            self.close()
        if self._connection is None:
            self._used = False
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._instance.api, context=self._tls,
                timeout=self._timeout)
            self._connection.connect()
        return self._connection

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(self, method, path, body=None, headers=None):
        """As Instance.call, but by the connection that stands."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection = self.connect()
            connection.request(method, "/api/v1" + path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            self.close()
            raise
        self._used = True
        if response.will_close:
            self.close()
        return answer

    def ask(self, method, path, body=None, status=200, **kinds):
        """A call that must succeed; gives its JSON."""
        answer = self.call(method, path, body, **kinds)
        assert answer.status == status, answer
        return answer.json if answer.body else None


@contextlib.contextmanager
def admin_of(instance):
    client = Client(instance, **instance.admin)
    try:
        yield client
    finally:
        client.close()


def new_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


def san(dns=(), ip=(), uri=()):
    return x509.SubjectAlternativeName(
        [x509.DNSName(d) for d in dns]
        + [x509.IPAddress(ipaddress.ip_address(i)) for i in ip]
        + [x509.UniformResourceIdentifier(u) for u in uri])


def request(key=None, cn=None, dns=(), ip=(), uri=(), digest=hashes.SHA256):
    """A request as PEM text."""
    name = [] if cn is None else [x509.NameAttribute(NameOID.COMMON_NAME, cn)]
    builder = x509.CertificateSigningRequestBuilder(x509.Name(name))
    if dns or ip or uri:
        builder = builder.add_extension(san(dns, ip, uri), critical=False)
    made = builder.sign(key or new_key(), digest())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def save_key(path, key):
    path = pathlib.Path(path)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return path


def load(pem):
    """A certificate of PEM text or octets."""
    return x509.load_pem_x509_certificate(
        pem.encode() if isinstance(pem, str) else pem)


class Node:
    """A certificate that a cluster has, and its key, as files."""

    def __init__(self, folder, name, key, issued):
        folder = pathlib.Path(folder)
        self.issued = issued
        self.serial = issued["serial"]
        self.key_pem = save_key(folder / f"{name}-key.pem", key)
        self.cert_pem = folder / f"{name}-cert.pem"
        self.chain_pem = folder / f"{name}-chain.pem"
        self.cert_pem.write_text(issued["certificate"])
        self.chain_pem.write_text("".join(issued["chain"])
                                  if isinstance(issued["chain"], list)
                                  else issued["chain"])
        self.full_pem = folder / f"{name}-full.pem"
        self.full_pem.write_text(
            self.cert_pem.read_text() + self.chain_pem.read_text())
        self.certificate = load(issued["certificate"])

    @property
    def tls(self):
        return {"cert": self.full_pem, "key": self.key_pem}


def issue(instance, folder, cluster, profile="server", name="node", **names):
    """The admin issues; gives a Node."""
    key = names.pop("key", None) or new_key()
    body = {"csr": request(key, **names), "profile": profile}
    answer = instance.admin_call(
        "POST", f"/clusters/{cluster}/certificates", body)
    assert answer.status == 201, answer
    return Node(folder, name, key, answer.json)
