# SPDX-License-Identifier: Apache-2.0
"""Goal: an agent that runs unattended leaves its node with a certificate or with
the one it had, never with half of one, and its exit status tells a script which."""
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from harness import BUILD, PATIENCE, check, wait_until
from presented import key_fits, serial_of

NAMES = ("--dns", "n1.c.example.net")
FILES = ("key.pem", "cert.pem", "chain.pem", "fullchain.pem", "ca.pem")


@pytest.fixture(scope="module")
def site(shared):
    shared.cluster("c")
    return shared


def enroll(instance, out, *more, cluster="c", profile="server"):
    done = instance.enroll(
        out, profile, instance.token(cluster, profile=profile), *NAMES, *more)
    assert done.code == 0, done
    return done


def content(out):
    return {name: (out / name).read_bytes() for name in FILES}


def serials_named(instance, name):
    return [item["serial"] for item in instance.json(
        "cert", "list", "--name", name)["items"]]


def clock_ahead(instance, offset):
    """Environment of programs whose clock goes ahead.  Not the faketime program:
    that one does not hand on signals."""
    preload = check(["faketime", "-f", "+0s", "printenv", "LD_PRELOAD"]).out
    return {**instance.env, "LD_PRELOAD": preload.strip(), "FAKETIME": offset,
            # Sanitizers want to be loaded before it.
            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def ahead(instance, *arguments, days=60):
    """The agent as it will find the world some days from now."""
    return subprocess.run(
        [str(BUILD / "signet-agent"), *map(str, arguments)],
        env=clock_ahead(instance, f"+{days}d"),
        capture_output=True, text=True, timeout=PATIENCE, check=False)


# --- files and exit status ---


def test_enrolling_leaves_five_files_that_fit_each_other(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    assert (out / "key.pem").stat().st_mode & 0o777 == 0o600
    assert key_fits(out)
    files = content(out)
    assert files["fullchain.pem"] == files["cert.pem"] + files["chain.pem"]
    assert files["ca.pem"] == site.ca.read_bytes()
    check(["openssl", "verify", "-CAfile", out / "ca.pem", "-untrusted",
           out / "chain.pem", "-verify_hostname", "n1.c.example.net",
           out / "cert.pem"])


def test_a_certificate_that_is_not_due_is_left_as_it_is(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = content(out)
    mark = tmp_path / "mark"
    enrolled = site.agent("ensure", "--out", out, "--reload", f"echo x >>{mark}")
    assert enrolled.code == 0, enrolled
    mark.unlink(missing_ok=True)
    done = site.agent("ensure", "--out", out, "--json",
                      "--reload", f"echo x >>{mark}")
    assert done.code == 0, done
    assert done.json["changed"] is False
    assert content(out) == before
    assert not mark.exists()


def test_force_renews_with_a_new_key_and_the_same_names(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = content(out)
    done = site.agent("ensure", "--out", out, "--force", "--json")
    assert done.code == 0, done
    assert done.json["changed"] is True
    assert done.json["serial"] == serial_of(out / "cert.pem")
    after = content(out)
    assert after["key.pem"] != before["key.pem"]
    assert after["cert.pem"] != before["cert.pem"]
    assert key_fits(out)
    check(["openssl", "verify", "-CAfile", out / "ca.pem", "-untrusted",
           out / "chain.pem", "-verify_hostname", "n1.c.example.net",
           out / "cert.pem"])


def test_enrolling_again_in_the_same_folder_does_nothing(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = content(out)
    spent = (tmp_path / "n.token").read_text()
    done = site.enroll(out, "server", spent, *NAMES)
    assert done.code == 0, done
    assert done.json["changed"] is False
    assert content(out) == before


def test_enrolling_something_else_in_the_same_folder_is_refused(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = content(out)
    token = site.token("c")
    done = site.enroll(out, "server", token, "--dns", "n2.c.example.net")
    assert done.code == 1, done
    assert "ensure" in done.err
    assert content(out) == before


def test_a_revoked_node_enrols_anew_in_its_folder(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = serial_of(out / "cert.pem")
    site.check("cert", "revoke", before, "--reason", "keyCompromise")
    done = enroll(site, out)
    assert done.json["changed"] is True
    assert serial_of(out / "cert.pem") != before


def test_an_agent_notices_that_its_certificate_was_revoked(site, tmp_path):
    out, mark = tmp_path / "n", tmp_path / "mark"
    enroll(site, out)
    # An hour later it asks, and all is well.
    done = ahead(site, "ensure", "--out", out, "--json", days=1)
    assert done.returncode == 0, done
    before = content(out)
    site.check("cert", "revoke", serial_of(out / "cert.pem"), "--reason",
               "keyCompromise")
    # It asked a moment ago.
    done = ahead(site, "ensure", "--out", out, days=1)
    assert done.returncode == 0, done
    done = ahead(site, "ensure", "--out", out, "--reload", f"touch {mark}",
                 days=2)
    assert done.returncode == 4 and "was revoked" in done.stderr, done
    assert "new token" in done.stderr and not mark.exists()
    # One that stays ends: nothing that it can do would help.
    done = ahead(site, "run", "--out", out, days=3)
    assert done.returncode == 4, done
    said = [json.loads(line) for line in done.stderr.splitlines()
            if line.startswith("{")]
    assert any(line["message"] == "certificate refused, ending"
               and "was revoked" in line["detail"] for line in said), done
    after = content(out)
    assert {n: after[n] for n in ("key.pem", "cert.pem")} == \
        {n: before[n] for n in ("key.pem", "cert.pem")}


def test_a_server_that_is_away_is_no_news_while_nothing_is_due(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    state = json.loads((out / "agent.json").read_text())
    state["url"] = "https://127.0.0.1:1"
    (out / "agent.json").write_text(json.dumps(state))
    done = ahead(site, "ensure", "--out", out, days=1)
    assert (done.returncode, done.stderr) == (0, ""), done


def test_a_certificate_that_is_due_is_renewed_without_force(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = serial_of(out / "cert.pem")
    # It lasts 30 days, and is due after two thirds of them.
    for days, changed in (19, False), (21, True):
        done = ahead(site, "ensure", "--out", out, "--json", days=days)
        assert done.returncode == 0, done
        assert json.loads(done.stdout)["changed"] == changed
        assert (serial_of(out / "cert.pem") != before) == changed


def test_a_folder_in_which_nothing_is_enrolled_is_6(site, tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "absent"):
        for command in ("ensure", "run"):
            done = site.agent(command, "--out", out)
            assert done.code == 6, done
            assert "enroll" in done.err
            assert done.out == ""


def test_files_that_somebody_else_put_there_are_kept(site, tmp_path):
    out = tmp_path / "n"
    out.mkdir()
    (out / "key.pem").write_text("mine")
    done = site.enroll(out, "server", site.token("c", profile="server"), *NAMES)
    assert done.code == 1, done
    assert "key.pem" in done.err
    assert (out / "key.pem").read_text() == "mine"
    assert not (out / "cert.pem").exists()


def test_what_was_refused_leaves_no_folder_behind(site, tmp_path):
    out = tmp_path / "n"
    token = site.token("c", profile="server")
    done = site.enroll(out, "server", token, "--dns", "wrong.example.org")
    assert done.code == 4 and not out.exists(), done
    # Of a folder that was there nothing is taken.
    out.mkdir()
    (out / "mine").write_text("")
    done = site.enroll(out, "server", token, "--dns", "wrong.example.org")
    assert done.code == 4 and [p.name for p in out.iterdir()] == ["mine"]
    assert site.enroll(out, "server", token, *NAMES).code == 0


def test_a_folder_whose_parent_is_missing_is_named(site, tmp_path):
    out = tmp_path / "absent" / "n"
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text(site.token("c", profile="server"))
    done = site.agent("enroll", "--url", site.url, "--fingerprint",
                      site.fingerprint, "--token-file", token, "--profile",
                      "server", "--out", out, *NAMES)
    assert done.code == 2 and f"no folder {out.parent}" in done.err, done
    assert not out.parent.exists()


# --- the reload command ---


def test_reload_runs_once_for_each_change(site, tmp_path):
    out, mark = tmp_path / "n", tmp_path / "mark"
    hook = ("--reload", f"echo x >>{mark}")
    enroll(site, out, *hook)
    assert mark.read_text() == "x\n"
    for _ in range(2):
        assert site.agent("ensure", "--out", out, *hook).code == 0
    assert mark.read_text() == "x\n"
    assert site.agent("ensure", "--out", out, "--force", *hook).code == 0
    assert mark.read_text() == "x\nx\n"


def test_a_reload_that_fails_is_1_and_runs_again(site, tmp_path):
    out, mark = tmp_path / "n", tmp_path / "mark"
    enroll(site, out)
    before = serial_of(out / "cert.pem")
    failing = f"echo x >>{mark}; exit 3"
    done = site.agent("ensure", "--out", out, "--force", "--reload", failing)
    assert done.code == 1, done
    assert "--reload ended with status 3" in done.err
    assert "nternal" not in done.err
    # The files have changed all the same, and whole.
    fresh = serial_of(out / "cert.pem")
    assert fresh != before and key_fits(out)
    done = site.agent("ensure", "--out", out, "--reload", failing)
    assert done.code == 1, done
    assert mark.read_text() == "x\nx\n"
    done = site.agent("ensure", "--out", out, "--reload", f"echo x >>{mark}")
    assert done.code == 0, done
    assert mark.read_text() == "x\nx\nx\n"
    # Owed no more, and none of this was a reason to renew.
    assert site.agent("ensure", "--out", out, "--reload",
                      f"echo x >>{mark}").code == 0
    assert mark.read_text() == "x\nx\nx\n"
    assert serial_of(out / "cert.pem") == fresh


def test_what_a_reload_prints_does_not_mix_with_json(site, tmp_path):
    out = tmp_path / "n"
    done = enroll(site, out, "--reload", "echo noise")
    assert done.json["changed"] is True
    assert "noise" in done.err


# --- lost answers ---


class Lossy:
    """Takes the agent's connections before the server and carries octets both
    ways.  What the server answers to the Nth connection's request for a
    certificate is read to its end, then thrown away."""

    def __init__(self, instance):
        self._instance = instance
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(
            instance.dir / "tls" / "server.pem",
            instance.dir / "tls" / "server-key.pem")
        self.lost = []
        self.lose = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _serve(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError, ssl.SSLError):
                with self._context.wrap_socket(plain, server_side=True) as agent:
                    while self._pass_on(agent):
                        pass

    def _pass_on(self, agent):
        """One request; False when the connection is to end."""
        head = b""
        while b"\r\n\r\n" not in head:
            got = agent.recv(65536)
            if not got:
                return False
            head += got
        head, body = head.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("Content-Length", 0)):
            body += agent.recv(65536)
        headers.pop("Host", None)
        answer = self._instance.call(
            method, path.removeprefix("/api/v1"), body or None, headers=headers)
        if method == "POST" and self.lose:
            self.lost.append(answer)
            return False
        agent.sendall(
            f"HTTP/1.1 {answer.status} -\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(answer.body)}\r\n\r\n".encode() + answer.body)
        return True


def test_an_answer_that_was_lost_is_given_again_to_a_spent_token(site, tmp_path):
    out = tmp_path / "n"
    name = "lost.c.example.net"
    token = site.token("c", profile="server", uses=1)
    lossy = Lossy(site)
    try:
        done = enroll_at(site, lossy.url, out, token, "--dns", name)
        assert done.code == 3, done
            # Made once; whoever asks again, libcurl by itself too, gets the same.
        assert [a.status for a in lossy.lost] in ([201], [201, 200])
        assert not (out / "cert.pem").exists()
        lossy.lose = False
        done = enroll_at(site, lossy.url, out, token, "--dns", name)
        assert done.code == 0, done
    finally:
        lossy.close()
    lost = lossy.lost[0].json["serial"]
    assert serial_of(out / "cert.pem") == lost
    assert serials_named(site, name) == [lost]
    assert key_fits(out)
    # Another node does not get in by the same token.
    done = enroll_at(site, site.url, tmp_path / "other", token, "--dns", name)
    assert done.code == 4, done
    assert not (tmp_path / "other" / "cert.pem").exists()


def enroll_and_kill(instance, out, token, name, moment):
    """Kills the server the moment that MOMENT() is true of an enrolment; gives
    the agent's exit status."""
    token_file = out.parent / f"{out.name}.token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    agent = subprocess.Popen(
        [BUILD / "signet-agent", "enroll", "--url", instance.url,
         "--fingerprint", instance.fingerprint, "--token-file", token_file,
         "--profile", "server", "--out", out, "--dns", name],
        env=instance.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while agent.poll() is None and not moment():
        pass
    instance.kill()
    return agent.wait(PATIENCE)


@pytest.mark.slow
def test_a_server_killed_while_it_answers_gives_one_certificate(
        instance, tmp_path):
    """Killed around its answer: before, after, or while it is sent; whichever it
    was, the agent ends with the one certificate that the store has."""
    instance.cluster("c")
    for attempt in range(6):
        out = tmp_path / f"n{attempt}"
        name = f"n{attempt}.c.example.net"
        token = instance.token("c", profile="server", uses=1)
        before = instance.json("status")["certificates"]
        admin = http.client.HTTPSConnection(
            "127.0.0.1", instance.api, context=instance.tls(**instance.admin),
            timeout=PATIENCE)

        def recorded():
            admin.request("GET", "/api/v1/status")
            return json.load(admin.getresponse())["certificates"] > before

        def begun():
            return (out / "pending-key.pem").exists()

        with contextlib.closing(admin):
            code = enroll_and_kill(instance, out, token, name,
                                   begun if attempt % 3 == 2 else recorded)
        assert code in (0, 3)
        instance.start()
        if code != 0:
            done = enroll_at(instance, instance.url, out, token, "--dns", name)
            assert done.code == 0, done
        valid = [c for c in instance.json("cert", "list", "--name", name)["items"]
                 if c["state"] == "valid"]
        assert [c["serial"] for c in valid] == [serial_of(out / "cert.pem")]
        assert key_fits(out)


def enroll_at(instance, url, out, token, *names, fingerprint=None):
    token_file = out.parent / f"{out.name}.token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    return instance.agent(
        "enroll", "--url", url, "--fingerprint",
        fingerprint or instance.fingerprint, "--token-file", token_file,
        "--profile", "server", "--out", out, *names)


# --- the server is away ---


def test_a_server_out_of_reach_is_a_warning_while_the_certificate_is_good(
        make_instance, tmp_path):
    instance = make_instance().start()
    instance.cluster("c")
    out = tmp_path / "n"
    enroll(instance, out)
    before = content(out)
    instance.stop()
    # Due, and good for days.
    done = ahead(instance, "ensure", "--out", out, days=25)
    assert done.returncode == 0, done
    assert "valid" in done.stderr
    assert content(out) == before
    # Not due: nobody is asked, nothing is said.
    done = instance.agent("ensure", "--out", out)
    assert (done.code, done.err) == (0, ""), done
    # Expired: now it matters.
    done = ahead(instance, "ensure", "--out", out, days=60)
    assert done.returncode == 3, done
    assert content(out) == before
    # Who forces a renewal wants to know, too.
    assert instance.agent("ensure", "--out", out, "--force").code == 3
    assert content(out) == before
    instance.start()
    assert instance.agent("ensure", "--out", out, "--force").code == 0


def test_enrolling_at_nobody_is_3(site, tmp_path, ports):
    done = enroll_at(site, f"https://127.0.0.1:{ports.take()}",
                     tmp_path / "n", "token", *NAMES)
    assert done.code == 3, done


def test_a_revoked_certificate_does_not_renew(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    before = content(out)
    site.check("cert", "revoke", serial_of(out / "cert.pem"),
               "--reason", "keyCompromise")
    done = site.agent("ensure", "--out", out, "--force")
    assert done.code == 4, done
    assert content(out) == before


# --- who is trusted ---


class Impostor:
    """A TLS server with the right name and a root of its own, which writes down
    all that it is told."""

    def __init__(self, folder):
        check(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "i.key",
               "-out", folder / "i.pem", "-subj", "/CN=127.0.0.1", "-addext",
               "subjectAltName=IP:127.0.0.1"])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "i.pem", folder / "i.key")
        self._root = (folder / "i.pem").read_text()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _serve(self):
        body = json.dumps({"items": [{"certificate": self._root}]}).encode()
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError, ssl.SSLError):
                with self._context.wrap_socket(plain, server_side=True) as agent:
                    while got := agent.recv(65536):
                        self.heard += got
                        agent.sendall(
                            b"HTTP/1.1 200 -\r\nContent-Type: application/json"
                            b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture
def impostor(tmp_path):
    made = Impostor(tmp_path)
    yield made
    made.close()


def test_a_root_of_another_fingerprint_is_4_and_gets_no_token(
        site, tmp_path, impostor):
    token = site.token("c", profile="server")
    done = enroll_at(site, impostor.url, tmp_path / "n", token, *NAMES)
    assert done.code == 4, done
    assert "fingerprint" in done.err
    # It was asked for its roots, so it did listen.
    assert b"GET /api/v1/roots" in impostor.heard
    assert token.encode() not in impostor.heard
    assert b"uthorization" not in impostor.heard
    assert not (tmp_path / "n" / "cert.pem").exists()


def test_the_real_server_under_a_wrong_fingerprint_is_4(site, tmp_path):
    wrong = "sha256:" + "00" * 32
    done = enroll_at(site, site.url, tmp_path / "n",
                     site.token("c", profile="server"), *NAMES,
                     fingerprint=wrong)
    assert done.code == 4, done


def test_a_renewal_asks_nobody_but_the_pinned_root(site, tmp_path, impostor):
    out = tmp_path / "n"
    enroll(site, out)
    before = content(out)
    state = json.loads((out / "agent.json").read_text())
    state["url"] = impostor.url
    (out / "agent.json").write_text(json.dumps(state))
    done = site.agent("ensure", "--out", out, "--force")
    assert done.code == 4, done
    assert impostor.heard == b""
    assert content(out) == before


def test_a_token_for_other_profiles_is_4(site, tmp_path):
    token = site.token("c", profile="client")
    done = site.enroll(tmp_path / "n", "server", token, *NAMES)
    assert done.code == 4, done


def test_a_name_outside_the_cluster_is_4_and_says_what_is_allowed(site, tmp_path):
    token = site.token("c", profile="server")
    done = site.enroll(tmp_path / "n", "server", token,
                       "--dns", "n1.d.example.net")
    assert done.code == 4, done
    assert "n1.d.example.net" in done.err and "*.c.example.net" in done.err
    assert not (tmp_path / "n" / "cert.pem").exists()


# --- always whole ---


@pytest.mark.slow
def test_a_reader_never_sees_a_key_beside_another_certificate(site, tmp_path):
    out = tmp_path / "n"
    enroll(site, out)
    ended = threading.Event()
    seen, broken = set(), []

    def read():
        """As a database does: a context from two paths, opened one after the
        other.  A pair from two generations does not load: both names go through
        one folder, so it is opened once."""
        while not ended.is_set():
            folder = out / os.readlink(out / ".current")
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                    folder / "fullchain.pem", folder / "key.pem")
                seen.add(folder.name)
            except (OSError, ssl.SSLError) as error:
                broken.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(20):
            assert site.agent("ensure", "--out", out, "--force").code == 0
    finally:
        ended.set()
        reader.join()
    assert broken == []
    assert len(seen) > 1
    # Old generations do not pile up: the one in use and the one before.
    assert len(list(out.glob("gen-*"))) == 2


# --- run ---


def shorten(instance):
    """A policy whose certificates last 60 s, the least that a policy may give,
    and are due after 40 s."""
    text = (instance.dir / "policies" / "generic-tls.yaml").read_text()
    text = text.replace("default: 30d", "default: 60s")
    text = text.replace("maximum: 90d", "maximum: 60s")
    (instance.dir / "policies" / "short.yaml").write_text(text)


@pytest.mark.slow
def test_run_renews_by_itself_and_stops_at_sigterm(make_instance, tmp_path):
    instance = make_instance()
    shorten(instance)
    instance.start()
    instance.cluster("c", policy="short")
    out, mark = tmp_path / "n", tmp_path / "mark"
    enroll(instance, out)
    seen = {serial_of(out / "cert.pem")}
    with open(tmp_path / "log", "wb") as log:
        agent = subprocess.Popen(
            [BUILD / "signet-agent", "run", "--out", out,
             "--reload", f"echo x >>{mark}"],
            # It sleeps for five seconds, then, and not for forty.
            env=clock_ahead(instance, "+35s"), stdout=log, stderr=log)
    try:
        def renewed():
            assert agent.poll() is None, (tmp_path / "log").read_text()
            seen.add(serial_of(out / "cert.pem"))
            return len(seen) >= 2

        wait_until(renewed, "a renewal", 2 * PATIENCE)
        assert key_fits(out)
        wait_until(lambda: mark.exists() and mark.read_text().count("x") >= 2,
                   "the reloads")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    finally:
        agent.kill()
        agent.wait()
