# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: an HTTP endpoint is a witness as a file is: it gets every
entry in order, whatever happens to it or to the server, and nothing but the
endpoint that was named is believed."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from client import admin_of
from harness import BUILD, PATIENCE, check, name_of, run, wait_until


class Endpoint:
    """Keeps what it is told, as doc/audit.md says.  WAYS: what it answers
    instead, one for each request; DEAF: cannot be asked."""

    def __init__(self, port, certificate=None, clients=None):
        self.port, self.certificate = port, certificate
        self.clients = clients
        self.entries, self.checkpoints, self.lines = {}, [], []
        self.ways, self.seen, self.deaf, self.server = [], [], False, None
        self.told_twice = 0

    @property
    def url(self):
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self.port}/witness"

    def position(self):
        last = max(self.entries, default=0)
        answer = {"sequence": last,
                  "checkpoint": max(self.checkpoints, default=0)}
        return {**answer, "leaf": self.entries[last]["leaf"]} if last \
            else answer

    def take(self, body):
        """None, or why not."""
        for line in map(json.loads, body.decode().splitlines()):
            note, number = line.get("checkpoint"), line.get("sequence")
            if note:
                self.checkpoints.append(int(note.split("\n")[1]))
            elif number in self.entries:
                assert self.entries[number] == line
                self.told_twice += 1
                continue
            elif number != max(self.entries, default=0) + 1:
                return 409
            else:
                self.entries[number] = line
            self.lines.append(line)
        return None

    def start(self):
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, body=b"", headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                endpoint.seen.append(("GET", self.path))
                if endpoint.deaf:
                    self.answer(404)
                else:
                    self.answer(200, json.dumps(endpoint.position()).encode())

            def do_POST(self):
                endpoint.seen.append(("POST", self.path))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                way = endpoint.ways.pop(0) if endpoint.ways else None
                if way == "lost":       # taken, and the answer does not come
                    endpoint.take(body)
                    self.close_connection = True
                elif way == "redirect":
                    self.answer(307, headers=[
                        ("Location", endpoint.url + "/elsewhere")])
                elif way == "endless":
                    self.answer(200, b"x" * 1000000)
                elif way:
                    self.answer(way)
                else:
                    self.answer(endpoint.take(body) or 204)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            if self.clients:
                context.load_verify_locations(self.clients)
                context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def make_certificate(folder, name):
    """A certificate that is its own root, and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    check(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
           f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
           "-keyout", key, "-out", cert])
    key.chmod(0o600)
    return cert, key


class World:
    def __init__(self, instance, ports, folder):
        self.it, self.folder = instance, folder
        self.server = make_certificate(folder, "server")
        self.client = make_certificate(folder, "client")
        self.other = make_certificate(folder, "other")
        self.endpoint = Endpoint(
            ports.take(), self.server, self.client[0]).start()
        self.text = instance.config.read_text()
        self.configure(self.endpoint.url)

    def configure(self, url, ca=None, client=()):
        cert, key = client or self.client
        self.it.config.write_text(
            self.text + f"audit:\n  witness:\n    - {url}\n"
            f"  witness_ca: {ca or self.server[0]}\n"
            + (f"  witness_certificate: {cert}\n  witness_key: {key}\n"
               if cert else ""))

    def make(self, name):
        """Something to tell; the number of its entry, or of one behind it."""
        self.it.cluster(name)
        with admin_of(self.it) as admin:
            return admin.ask("GET", "/audit/checkpoint")["sequence"]

    def status(self):
        return self.it.json("status")["audit"]["witnesses"][0]

    def whole(self, size):
        wait_until(lambda: max(self.endpoint.checkpoints, default=0) >= size,
                   "the witness")
        numbers = sorted(list(self.endpoint.entries))
        assert numbers == list(range(1, numbers[-1] + 1))

    def failing(self, text):
        """TEXT is said of the witness in the log of this server."""
        wait_until(lambda: self.status()["failing"], "failure")
        wait_until(lambda: any(text in json.dumps(line)
                               for line in self.it.log_lines()
                               if "does not take entries"
                               in line.get("message", "")), text)

    def process(self):
        """The process that tells the endpoint; None: it is not there now."""
        pid = self.it.server.pid
        tasks = pathlib.Path(f"/proc/{pid}/task")
        found = []
        for task in tasks.iterdir():
            with contextlib.suppress(OSError):
                found += (task / "children").read_text().split()
        found = [int(p) for p in found if name_of(int(p)) == "signet-witness"]
        return found[0] if found else None

    def losses(self):
        name = "signet_audit_witness_process_losses_total"
        text = self.it.get_ops("/metrics").body.decode()
        return int(re.search(rf'^{name}{{.*}} (\d+)$', text, re.M)[1])

    def refused(self, text):
        """The server does not start, or ends: TEXT says why."""
        assert self.it.server.wait(PATIENCE) == 1
        self.it.server = None
        assert text in self.it.log.read_text()


@pytest.fixture(scope="module")
def world(shared, ports, tmp_path_factory):
    shared.stop()
    made = World(shared, ports, tmp_path_factory.mktemp("http"))
    shared.start()
    yield made
    made.endpoint.stop()


def test_entries_and_checkpoints_arrive_in_order(world):
    world.whole(world.make("one"))
    size = 0
    for line in world.endpoint.lines:
        if "checkpoint" in line:
            assert int(line["checkpoint"].split("\n")[1]) == size
        else:
            size += 1
            assert line["sequence"] == size
    assert {path for _, path in world.endpoint.seen} == {"/witness"}


def test_what_was_collected_verifies_as_a_file_does(world, tmp_path):
    with admin_of(world.it) as admin:
        (tmp_path / "key.pem").write_text(
            admin.ask("GET", "/audit/checkpoint")["key"])
    path = tmp_path / "collected.jsonl"
    path.write_text("".join(json.dumps(line) + "\n"
                            for line in list(world.endpoint.lines)))
    check([BUILD / "signet", "audit", "verify", "--offline", path, "--key",
           tmp_path / "key.pem"])
    world.it.check("audit", "verify", "--witness", path,
                   "--state", tmp_path / "seen")


def test_an_outage_is_made_good_and_holds_nobody_up(world):
    world.endpoint.stop()
    size = world.make("two")
    wait_until(lambda: world.status()["failing"], "failure")
    assert world.status()["behind"] > 0
    metrics = world.it.get_ops("/metrics").body.decode()
    assert f'signet_audit_witness_failing{{witness="{world.endpoint.url}"}} 1' \
        in metrics
    ready = world.it.get_ops("/readyz")
    assert (ready.status, ready.json["audit"]) == (200, "a witness is behind")
    world.endpoint.start()
    world.whole(size)
    wait_until(lambda: not world.status()["failing"], "works again")


@pytest.mark.parametrize("way", [500, 503, 409, 202, "lost", "redirect",
                                 "endless"])
def test_what_is_not_taken_is_told_again(world, way):
    twice = world.endpoint.told_twice
    world.endpoint.ways.append(way)
    world.whole(world.make(f"w-{way}"))
    assert world.endpoint.ways == []
    # Asked again, it says what it has: nothing comes twice.
    assert world.endpoint.told_twice == twice
    assert {path for _, path in world.endpoint.seen} == {"/witness"}


def test_one_that_cannot_be_asked_gets_duplicates_at_most(world):
    world.endpoint.deaf = True
    world.endpoint.ways.append("lost")
    world.whole(world.make("deaf"))
    assert world.endpoint.told_twice > 0
    world.it.stop()
    world.it.start()
    world.whole(world.make("deaf-again"))
    world.endpoint.deaf = False


def test_it_goes_on_after_a_restart_and_a_kill(world):
    world.it.stop()
    world.it.start()
    size = world.make("three")
    world.it.kill()
    world.it.start()
    world.whole(size)


@contextlib.contextmanager
def other_entries(world, change):
    """The endpoint has what the store lacks, while the server is stopped."""
    world.whole(world.make("four" + secrets.token_hex(4)))
    world.it.stop()
    world.it.log.write_text("")
    kept = dict(world.endpoint.entries)
    last = max(kept)
    if change == "rolled back":
        world.endpoint.entries[last + 1000] = {**kept[last],
                                               "sequence": last + 1000}
    else:
        world.endpoint.entries[last] = {**kept[last], "leaf": "0" * 64}
    yield
    world.endpoint.entries = kept


@pytest.mark.parametrize("change", ["rolled back", "was changed"])
def test_a_store_that_the_endpoint_refutes_is_not_served(world, change):
    """It was rolled back, or is another's: as with a file."""
    with other_entries(world, change):
        world.it.start(wait=False)
        world.refused(change)
    world.it.start()
    world.whole(world.make(f"f-{change[:3]}"))


@pytest.mark.parametrize("change", ["rolled back", "was changed"])
def test_it_is_served_no_longer_once_the_endpoint_is_back(world, change):
    with other_entries(world, change):
        world.endpoint.stop()
        world.it.start()
        assert "audit witness out of reach" in world.it.log.read_text()
        world.endpoint.start()
        world.refused(change)
    world.it.start()
    world.whole(world.make(f"g-{change[:3]}"))


def test_one_that_errs_later_is_an_alarm_alone(world):
    """It was compared when the server started, and agreed."""
    world.whole(world.make("agreed"))
    kept, last = dict(world.endpoint.entries), max(world.endpoint.entries)
    world.endpoint.ways.append(500)
    world.endpoint.entries[last + 1000] = {**kept[last],
                                           "sequence": last + 1000}
    world.make("disagreed")
    world.failing("rolled back")
    assert world.it.server.poll() is None
    world.endpoint.entries = kept
    world.whole(world.make("agreed-again"))


def test_a_process_that_dies_is_replaced(world):
    world.whole(world.make("alive"))
    before, losses = world.process(), world.losses()
    os.kill(before, signal.SIGKILL)
    world.whole(world.make("dead"))
    assert world.process() not in (None, before)
    assert world.losses() == losses + 1
    assert any(line.get("pid") == before and line["ended"] == "signal 9"
               for line in world.it.log_lines()
               if "audit witness lost" in line["message"])


def test_one_that_is_stopped_for_good_is_waited_for_and_replaced(world):
    """SIGTERM is not for it: it ends with its server."""
    world.whole(world.make("stay"))
    before, losses = world.process(), world.losses()
    os.kill(before, signal.SIGTERM)
    world.whole(world.make("stayed"))
    assert (world.process(), world.losses()) == (before, losses)


@pytest.mark.parametrize("client", ["none", "other"])
def test_who_has_not_its_certificate_tells_it_nothing(world, client):
    world.whole(world.make(f"known-{client}"))
    world.it.stop()
    world.configure(world.endpoint.url, client=(None, None)
                    if client == "none" else world.other)
    before = len(world.endpoint.seen)
    world.it.start()
    wait_until(lambda: world.status()["failing"], "failure")
    assert len(world.endpoint.seen) == before
    world.it.stop()
    world.configure(world.endpoint.url)
    world.it.start()
    world.whole(world.make(f"known-again-{client}"))


def test_a_stranger_is_told_nothing(world, ports):
    world.it.stop()
    world.configure(world.endpoint.url, ca=world.other[0])
    before = len(world.endpoint.seen)
    world.it.start()
    world.failing("certificate")
    assert len(world.endpoint.seen) == before
    world.it.stop()
    world.configure(world.endpoint.url)
    world.it.start()
    world.whole(world.make("six"))


def test_one_that_does_not_answer_holds_up_neither_work_nor_the_end(
        world, ports):
    """Also plain HTTP to this host."""
    world.it.stop()
    hole = socket.create_server(("127.0.0.1", ports.take()))
    hole.settimeout(PATIENCE)
    world.configure(f"http://127.0.0.1:{hole.getsockname()[1]}/w")
    world.it.start(wait=False, http_proxy="http://127.0.0.1:1")
    hole.accept()[0].close()    # asked at the start, it breaks off
    world.it.wait_ready()
    world.make("seven")
    stuck = hole.accept()[0]
    assert stuck.recv(5) == b"GET /"
    assert world.it.stop() == 0
    stuck.close()
    hole.close()
    plain = Endpoint(ports.take()).start()
    world.configure(plain.url)
    world.it.start()
    size = world.make("eight")
    wait_until(lambda: max(plain.checkpoints, default=0) >= size, "plain")
    plain.stop()
    world.it.stop()
    world.configure(world.endpoint.url)
    world.it.start()


def test_a_name_is_resolved_by_who_sees_no_other_file(world):
    """The program by itself, as signetd starts it."""
    ours, its = socket.socketpair()
    with ours, its:
        program = subprocess.Popen(
            [sys.executable, "-c", "import os, sys\n"
             f"os.dup2({its.fileno()}, 3)\n"
             "os.execve(sys.argv[1], sys.argv[1:], {})",
             BUILD / "signet-witness",
             f"https://localhost:{world.endpoint.port}/", world.server[0]],
            pass_fds=[its.fileno()], stderr=subprocess.PIPE, text=True)
        ours.settimeout(PATIENCE)
        ours.sendall(b"?" + bytes(4))
        answer = ours.recv(1024).decode("latin-1")
    said = program.communicate(timeout=PATIENCE)[1]
    # Reached, and not who it was asked to be.
    assert "target host name" in answer
    assert program.returncode == 0 and "refused" not in said, said


@pytest.mark.parametrize("lines,why", [
    ("- http://192.0.2.1/w", "neither https:// nor to 127.0.0.1"),
    ("- https://example.net/w", "audit.witness_ca")])
def test_what_is_no_endpoint_is_refused_by_the_configuration(
        world, tmp_path, lines, why):
    path = world.it.dir / "other.yaml"
    path.write_text(world.text + f"audit:\n  witness:\n    {lines}\n")
    done = run([BUILD / "signetd", "--config", path, "--check"],
               env=world.it.env)
    path.unlink()
    assert done.code != 0 and why in done.err, done
