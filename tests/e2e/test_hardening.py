# SPDX-License-Identifier: Apache-2.0
"""Goal: a server that is taken over has little left to use, and starts only where
its files are closed; and systemd, or who acts like it, can hand it sockets, hear
from it and watch it."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess

import pytest

from harness import BUILD, PATIENCE, get, name_of, run, wait_until

root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user")


def status(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1]
    raise AssertionError(name)


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(p): name_of(int(p)) for p in text.split()}


# --- what is left to it ---


def test_server_and_workers_have_a_filter_and_no_capability(shared):
    workers = shared.workers()
    assert workers
    for pid in (shared.server.pid, *workers):
        assert status(pid, "Seccomp") == "2", name_of(pid)
        assert status(pid, "NoNewPrivs") == "1"
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            if os.geteuid() == 0 or kind != "CapBnd":
                assert int(status(pid, kind), 16) == 0, (name_of(pid), kind)


def test_the_worker_has_no_filter_only_where_told_so(make_instance):
    instance = make_instance()
    text = instance.config.read_text()
    instance.config.write_text(text.replace("hsm:\n", "hsm:\n  sandbox: off\n"))
    instance.start()
    assert {status(p, "Seccomp") for p in instance.workers()} == {"0"}
    assert status(instance.server.pid, "Seccomp") == "2"


def test_a_killed_worker_is_replaced_by_the_spawner(make_instance):
    instance = make_instance().start()
    assert "signet-spawn" in children(instance.server.pid).values()
    before = set(instance.workers())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: set(instance.workers()) - before, "new workers")
    instance.wait_ready()


def test_nobody_outlives_a_killed_server(make_instance):
    instance = make_instance().start()
    pids = children(instance.server.pid)
    assert set(pids.values()) == {"signet-spawn", "signet-hsm"}
    instance.kill()
    wait_until(lambda: not [p for p, name in pids.items() if name_of(p) == name
                            and status(p, "State") != "Z"],
               "workers and spawner gone")


@pytest.mark.unsanitized
def test_a_crash_leaves_no_core(make_instance, tmp_path):
    instance = make_instance().start()
    limits = pathlib.Path(f"/proc/{instance.server.pid}/limits").read_text()
    cores = [l for l in limits.splitlines() if l.startswith("Max core")]
    assert cores[0].split()[4:6] == ["0", "0"]
    workers = instance.workers()
    here = set(pathlib.Path.cwd().glob("core*"))
    for pid in workers:
        os.kill(pid, signal.SIGSEGV)
    instance.server.send_signal(signal.SIGSEGV)
    assert instance.server.wait(PATIENCE) == -signal.SIGSEGV
    instance.server = None
    assert set(pathlib.Path.cwd().glob("core*")) == here
    assert not list(tmp_path.rglob("core*"))


# --- as whom ---


@root_only
def test_started_as_root_it_becomes_the_user_it_was_told(tmp_path, make_instance):
    instance = make_instance()
    folder = pathlib.Path("/tmp") / f"signet-as-nobody-{os.getpid()}"
    nobody = pwd.getpwnam("nobody")
    shutil.move(instance.dir, folder)
    try:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
            if path.suffix in (".yaml", ".conf"):
                path.write_text(path.read_text().replace(
                    str(instance.dir), str(folder)))
        instance.dir, instance.config = folder, folder / "signet.yaml"
        with open(instance.config, "a", encoding="utf-8") as config:
            config.write("server:\n  user: nobody\n")
        instance.ca = folder / "ca.pem"
        # The build folder must be reachable for the user.
        instance.start()
        for pid in (instance.server.pid, *instance.workers()):
            assert status(pid, "Uid") == str(nobody.pw_uid), name_of(pid)
        assert instance.stop() == 0
    finally:
        if instance.server is not None:
            instance.kill()
        shutil.rmtree(folder)


@root_only
def test_started_as_root_without_a_user_it_warns(shared):
    assert any("runs as root" in line.get("message", "")
               for line in shared.log_lines())


TOO_OPEN = [
    ("pin", 0o644, "chmod 600"), ("signet.yaml", 0o666, "chmod go-w"),
    ("store", 0o755, "chmod 700"), ("policies", 0o777, "chmod go-w"),
    ("tls/server-key.pem", 0o604, "chmod 600"), ("tokens", 0o707, "chmod o-rwx")]


def test_a_file_that_is_too_open_is_refused_by_check_and_start(make_instance):
    instance = make_instance()
    for name, mode, mend in TOO_OPEN:
        path = instance.dir / name
        before = path.stat().st_mode & 0o7777
        path.chmod(mode)
        for more in (["--check"], []):
            done = run([BUILD / "signetd", "--config", instance.config, *more],
                       env=instance.env)
            assert done.code == 6, done
            assert f"{mend} {path}" in done.err, done
            assert f"mode {mode:04o}" in done.err, done
        path.chmod(before)
    instance.start()


# --- as systemd does ---


@contextlib.contextmanager
def handed_over(**names):
    """Listening sockets from descriptor 3 on; gives what start() wants."""
    made = {}
    for name in names:
        made[name] = socket.socket()
        made[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made[name].bind(("127.0.0.1", names[name]))
        made[name].listen(64)
    try:
        yield made
    finally:
        for one in made.values():
            one.close()


def start_with(instance, made, notify=None, **env):
    """Starts signetd with the sockets as descriptors 3, 4, …"""
    fds = [s.fileno() for _, s in made]
    # The shell gives each its number, and the child its own process id.
    high = [os.dup(f) for f in fds]
    moves = " ".join(f"{3 + i}<&{f}" for i, f in enumerate(high))
    script = (f'LISTEN_PID=$$ exec "$@" {moves}' if high else 'exec "$@"')
    env = {**instance.env, **env}
    if made:
        env.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(n for n, _ in made))
    if notify:
        env["NOTIFY_SOCKET"] = notify
    with open(instance.log, "ab") as log:
        instance.server = subprocess.Popen(
            ["/bin/bash", "-c", script, "sh", str(BUILD / "signetd"),
             "--config", str(instance.config)], env=env, pass_fds=high,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for fd in high:
        os.close(fd)


def test_sockets_handed_over_are_served_and_outlive_the_server(make_instance, ports):
    instance = make_instance()
    names = {"api": ports.take(), "public": ports.take(), "ops": ports.take()}
    with handed_over(**names) as made:
        for _ in range(2):
            start_with(instance, made.items())
            # Asked before it listens: it waits in the socket's queue.
            assert get(f"http://127.0.0.1:{names['ops']}/healthz").status == 200
            instance.ops = names["ops"]
            instance.wait_ready()
            crl = get(f"http://127.0.0.1:{names['public']}/crl/issuing-1.crl")
            assert crl.status == 200
            instance.api = names["api"]
            assert instance.admin_call("GET", "/status").status == 200
            assert instance.stop() == 0


@pytest.mark.parametrize("names", [["other"], ["api", "api"]])
def test_sockets_of_unknown_names_are_refused(make_instance, ports, names):
    instance = make_instance()
    with contextlib.ExitStack() as stack:
        made = [(name, stack.enter_context(socket.create_server(
            ("127.0.0.1", ports.take())))) for name in names]
        start_with(instance, made)
        assert instance.server.wait(PATIENCE) == 6
        instance.server = None
    assert "handed over" in instance.log.read_text()


class Notified:
    """What a service manager hears."""

    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(PATIENCE)

    def wait_for(self, what):
        while what not in self._socket.recv(4096).decode().splitlines():
            pass

    def hears(self, what, seconds):
        self._socket.settimeout(seconds)
        try:
            self.wait_for(what)
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(PATIENCE)
        return True


def test_it_tells_its_state_and_feeds_the_watchdog_only_while_alive(
        make_instance, tmp_path):
    instance = make_instance()
    heard = Notified(tmp_path / "notify")
    start_with(instance, (), heard.path, WATCHDOG_USEC="900000")
    heard.wait_for("READY=1")
    heard.wait_for("WATCHDOG=1")
    heard.wait_for("WATCHDOG=1")
    instance.server.send_signal(signal.SIGHUP)
    heard.wait_for("RELOADING=1")
    heard.wait_for("READY=1")
    spawner = [p for p, name in children(instance.server.pid).items()
               if name == "signet-spawn"]
    os.kill(spawner[0], signal.SIGKILL)
    wait_until(lambda: "the process that starts workers has ended"
               in instance.log.read_text(), "the loss is noticed")
    while heard.hears("WATCHDOG=1", 0.01):
        pass
    assert not heard.hears("WATCHDOG=1", 2)
    assert instance.stop() == 0
    heard.wait_for("STOPPING=1")
