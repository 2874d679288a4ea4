# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: secrets that are known are found nowhere but where they
belong.  Known are the PINs, a bootstrap token, an enrolment code, a bearer token,
data keys, and, through SoftHSM's own files and a module that writes down what is
wrapped, two key-encryption keys.  Each search also looks for what must be there,
so that one that does not search fails."""
import base64
import os
import pathlib
import signal
import socket
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from client import Client, Node, new_key, request
from harness import BUILD, Instance, PATIENCE, SOFTHSM_MODULE, wait_until
from softhsm import values_of
from test_boundary import memory

root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="reads another process's memory")


def forms_of(octets):
    """How octets could be written down."""
    hexed = octets.hex()
    return {octets, hexed.encode(), hexed.upper().encode(),
            base64.b64encode(octets).rstrip(b"="),
            base64.urlsafe_b64encode(octets).rstrip(b"=")}


def forms_of_text(text):
    """A PIN as it is; of a token also the bits behind its prefix."""
    forms = forms_of(text.encode())
    if "_" in text:
        bits = text.split("_", 1)[1]
        forms |= {bits.encode()} | forms_of(
            base64.urlsafe_b64decode(bits + "=" * (-len(bits) % 4)))
    return forms


def found_in_memory(pid, *wanted):
    """Which of the octet strings stand in a process's memory; most of it was
    never written to, and is passed over."""
    found, step = set(), 1 << 16
    for piece in memory(pid):
        written = []
        for at in range(0, len(piece) + step, step):
            part = piece[at:at + step]
            if part.count(0) != len(part):
                written.append(part)
                continue
            run = b"".join(written)
            found |= {w for w in wanted if w in run}
            written = []
    return found


class World:
    """An instance that has used every secret, and its answers."""

    def __init__(self, instance, folder):
        self.it, self.folder = instance, folder
        self.answers = []
        self.wrapped = folder / "wrapped"
        self.witness = folder / "witness.jsonl"
        text = instance.config.read_text().replace(
            SOFTHSM_MODULE, str(BUILD / "p11_shim.so")).replace(
                "  environment:\n", "  environment:\n"
                f'    - "SIGNET_SHIM_MODULE={SOFTHSM_MODULE}"\n'
                f'    - "SIGNET_SHIM_WRAPPED={self.wrapped}"\n')
        instance.config.write_text(
            text + "log:\n  level: debug\naudit:\n  witness:\n"
            f"    - file:{self.witness}\n")
        # A core would be written, were it not forbidden.
        instance.start(wrap=("prlimit", "--core=unlimited:unlimited"))
        self.secrets = {}
        self.know("PIN", instance.pin)
        self.know("SO PIN", (instance.dir / "so-pin").read_text().strip())

    def know(self, name, secret):
        self.secrets[name] = (forms_of if isinstance(secret, bytes)
                              else forms_of_text)(secret)
        assert min(map(len, self.secrets[name])) >= 8, name

    def known(self):
        return {form: name for name, forms in self.secrets.items()
                for form in forms}

    def found_in(self, octets):
        return {name for form, name in self.known().items() if form in octets}

    def call(self, status, *arguments, **kinds):
        """An answer that may tell no secret: kept to be searched."""
        answer = self.it.call(*arguments, **kinds)
        assert answer.status == status, answer
        self.answers.append(answer.body + bytes(answer.headers))
        return answer

    def create(self, path, body, name, secret):
        """An answer that tells a secret for this once."""
        answer = self.it.admin_call("POST", path, body)
        assert answer.status == 201, answer
        self.know(name, answer.json[secret])
        return answer.json


def misplace(world):
    """Sent where no secret belongs: as an unknown field, where something else
    is wanted, and in what is no JSON; short, and so long that the body grows."""
    path = "/clusters/c/certificates"
    secret = "sgt_" + os.urandom(32).hex()
    world.know("misplaced token", secret)
    for padding in ("", "x" * 9000):
        for body in ({"token": secret, "padding": padding},
                     {"csr": secret, "profile": "server", "padding": padding},
                     {"csr": [secret, padding], "profile": {"a": secret}}):
            world.call(400, "POST", path, body, **world.it.admin)
        text = ('{"padding": "%s", "token": "%s"' % (padding, secret)).encode()
        world.call(400, "POST", path, text, **world.it.admin)


def use_tokens(world):
    """Each as it should be used, and in ways that are refused."""
    profile = {"profile": "server"}
    made = world.create("/clusters/c/tokens", {}, "bootstrap token", "token")
    path = "/clusters/c/certificates"
    csr = {"csr": request(dns=["n.c.example.net"]), **profile}
    world.call(400, "POST", path, {"csr": "x", **profile}, token=made["token"])
    world.call(403, "POST", path, {
        "csr": request(dns=["n.elsewhere.example.net"]), **profile},
        token=made["token"])
    world.call(404, "POST", "/clusters/nosuch/certificates", csr,
               token=made["token"])
    world.call(201, "POST", path, csr, token=made["token"])
    world.call(401, "POST", path, {
        "csr": request(dns=["m.c.example.net"]), **profile},
        token=made["token"])
    world.call(401, "GET", "/status", token=made["token"])
    misplace(world)

    made = world.create("/identities", {"name": "p", "roles": ["auditor"]},
                        "enrolment code", "code")
    world.call(403, "POST", "/identities/enroll", {"csr": request(cn="root")},
               token=made["code"])
    key = new_key()
    answer = world.call(201, "POST", "/identities/enroll",
                        {"csr": request(key)}, token=made["code"])
    world.person = Node(world.folder, "person", key, answer.json)
    world.call(401, "POST", "/identities/enroll", {"csr": request()},
               token=made["code"])


def use_keys(world):
    made = world.create("/identities", {
        "name": "app", "roles": ["kms"], "cluster": "c", "kind": "token"},
        "bearer token", "token")
    bearer = {"token": made["token"]}
    path = "/clusters/c/keys/k/"
    sealed = world.it.call("POST", path + "datakey",
                           {"context": {"t": "1"}}, **bearer).json
    world.know("data key", base64.b64decode(sealed["plaintext"]))
    opened = world.it.call("POST", path + "unwrap", {
        "ciphertext": sealed["ciphertext"], "context": {"t": "1"}}, **bearer)
    assert opened.json["plaintext"] == sealed["plaintext"]
    world.call(400, "POST", path + "unwrap", {
        "ciphertext": sealed["ciphertext"], "context": {"t": "2"}}, **bearer)
    world.call(401, "GET", "/certificates", **bearer)
    world.sealed, world.bearer = sealed, bearer


def learn_keks(world):
    """The root's is in SoftHSM's files, under the PIN; the cluster's is what it
    wraps.  That it is the true one is shown by the data key that it opens."""
    values = values_of(world.it.dir / "tokens", world.it.pin)
    raw = base64.b64decode(world.sealed["ciphertext"].rsplit(":", 1)[1])
    nonce, ciphertext = raw[21:33], raw[33:-16]
    plaintext = base64.b64decode(world.sealed["plaintext"])
    for blob in world.wrapped.read_text().split():
        for root in values:
            if len(root) != 32:
                continue
            try:
                kek = aes_key_unwrap(root, bytes.fromhex(blob))
            except InvalidUnwrap:
                continue
            # GCM: the first block is encrypted by counter 2 (SP 800-38D).
            opener = Cipher(algorithms.AES(kek), modes.CTR(
                nonce + (2).to_bytes(4, "big"))).decryptor()
            if opener.update(ciphertext) == plaintext:
                world.know("root KEK", root)
                world.know("cluster KEK", kek)
                return
    raise AssertionError("no key-encryption key opens the data key")


@pytest.fixture(scope="module")
def world(tmp_path_factory, ports):
    folder = tmp_path_factory.mktemp("canary")
    instance = Instance(folder / "i", ports)
    world = World(instance, folder)
    instance.cluster("c")
    instance.json("key", "create", "k", "--cluster", "c")
    use_tokens(world)
    use_keys(world)
    learn_keks(world)
    assert len(world.secrets) == 9
    yield world
    if instance.server is not None:
        assert instance.stop() == 0


def test_no_answer_but_the_one_that_gives_it_tells_a_secret(world):
    assert len(world.answers) > 10
    for answer in world.answers:
        assert world.found_in(answer) == set(), answer
    assert any(b"\"unauthenticated\"" in a for a in world.answers)
    metrics = world.it.get_ops("/metrics").body
    assert b"signet_authentication_failures_total" in metrics
    for body in (metrics, world.it.get_ops("/readyz").body,
                 world.it.admin_call("GET", "/status").body,
                 world.it.admin_call("GET", "/audit?limit=1000").body,
                 world.it.admin_call("GET", "/clusters/c/tokens").body,
                 world.it.admin_call("GET", "/identities").body,
                 world.it.admin_call("GET", "/clusters/c/keys/k").body):
        assert world.found_in(body) == set(), body


@root_only
@pytest.mark.unsanitized
def test_as_root_the_memory_of_the_server_is_seen_to_hold_none_after_the_answer(world):
    """The control travels as a token does, on a connection that stands."""
    # What a session keeps would be gone with its connection: it stands.
    caller = Client(world.it, **world.bearer)
    answer = caller.call("POST", "/clusters/c/keys/k/datakey", {})
    world.know("data key", base64.b64decode(answer.json["plaintext"]))
    # Just now: or other requests have taken what it left.
    misplace(world)
    known = world.known()
    found = found_in_memory(world.it.server.pid, *known)
    assert {known[f] for f in found} == set()
    control = b"control-" + os.urandom(12).hex().encode()
    with world.it.tls().wrap_socket(
            socket.create_connection(("127.0.0.1", world.it.api), PATIENCE),
            server_hostname="127.0.0.1") as standing:
        standing.sendall(b"GET /api/v1/self HTTP/1.1\r\nHost: x\r\n"
                         b"Authorization: Bearer " + control)
        found = wait_until(lambda: found_in_memory(
            world.it.server.pid, control, *known), "the control")
    assert found - {control} == set(), {known[f] for f in found - {control}}
    assert found == {control}


# What each file that is written must have, so that the search did search it.
def written(world):
    it = world.it
    backup = world.folder / "backup"
    export = world.folder / "export"
    it.check("backup", backup)
    it.json("audit", "export", "--out", export)
    actor = f"serial:{world.person.serial}".encode()
    return {
        it.log: b'"level":"debug"', world.witness: actor, backup: actor,
        export / "entries.jsonl": actor,
        **{path: b"" for path in it.dir.rglob("*") if path.is_file()},
        it.dir / "store" / "data.mdb": actor}


def test_nothing_that_is_written_has_one(world):
    it = world.it
    assert it.call("GET", "/audit", **world.person.tls).status == 200
    size = it.admin_call("GET", "/audit/checkpoint").json["sequence"]
    wait_until(lambda: it.json("status")["audit"]["witnesses"][0]["entries"]
               >= size, "the witness")
    places = written(world)
    assert len(places) > 20
    own = {"pin": {"PIN"}, "so-pin": {"SO PIN"}}
    for path, control in places.items():
        octets = path.read_bytes()
        assert control in octets, path
        expected = own.get(path.name, set()) if path.parent == it.dir else set()
        assert world.found_in(octets) == expected, path


def ended_by(process):
    """(signal, was a core written) of a process that ends."""
    end = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait(PATIENCE)
    return end.si_status, end.si_code == os.CLD_DUMPED


def test_where_a_crash_can_write_a_core_that_of_the_server_writes_none(world):
    """Last: it ends the server."""
    control = subprocess.Popen(
        ["prlimit", "--core=unlimited:unlimited", "sleep", "600"],
        cwd=world.folder)
    wait_until(lambda: pathlib.Path(f"/proc/{control.pid}/comm").read_text()
               == "sleep\n", "the control")
    control.send_signal(signal.SIGABRT)
    if ended_by(control) != (signal.SIGABRT, True):
        pytest.skip("this system writes no cores")
    server, world.it.server = world.it.server, None
    server.send_signal(signal.SIGABRT)
    assert ended_by(server) == (signal.SIGABRT, False)
