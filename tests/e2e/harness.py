# SPDX-License-Identifier: Apache-2.0
"""Real programs in private folders on free ports of 127.0.0.1.

Everything here is used through fixtures of conftest.py; a test file only
says what must hold.
"""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SIGNET_BUILD", TOP / "build" / "gcc"))
SOFTHSM_MODULE = os.environ.get(
    "SOFTHSM_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
# Sanitized programs are several times slower; a wait is a bound, not a claim.
PATIENCE = 60


def wait_until(true, what, seconds=PATIENCE):
    """Polls until true() gives something; fails with what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Ports:
    """Free ports, each given once.  A lock file a port keeps test processes that
    run at the same time from taking the same one between look and use; ports
    that clients draw for themselves (ip_local_port_range) are left to them."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._next = 15000 + os.getpid() % 1000 * 10

    def take(self):
        for _ in range(10000):
            self._next = 15000 + (self._next - 14999) % 15000
            if self._claim(self._next):
                return self._next
        raise AssertionError("no free port")

    def _claim(self, port):
        try:
            (self._folder / str(port)).touch(exist_ok=False)
        except FileExistsError:
            return False
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True


def environment(data, **more):
    """For programs of the build folder, as if they were installed."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("SIGNET_", "SOFTHSM2_"))}
    env.update(SIGNET_HSM_WORKER=str(BUILD / "signet-hsm"),
               SIGNET_DATADIR=str(data),
               # Where signet audit verify remembers what it has seen.
               XDG_STATE_HOME=str(BUILD / "state"))
    # SoftHSM and p11-kit keep what they allocate until the process ends.
    env.setdefault("LSAN_OPTIONS", "suppressions=" + str(
        TOP / "tests" / "e2e" / "lsan.supp"))
    env.update(more)
    return env


class Ran:
    """What a finished command left."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def run(arguments, env=None, stdin=None, timeout=PATIENCE):
    return Ran(subprocess.run(
        [str(a) for a in arguments], env=env, input=stdin, timeout=timeout,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True, text=True, check=False))


def check(arguments, **kinds):
    """Runs, and fails the test when the exit code is not 0."""
    done = run(arguments, **kinds)
    assert done.code == 0, f"{' '.join(map(str, arguments))}\n{done!r}"
    return done


def name_of(pid):
    """Of a process; "" when it is gone."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


class Answer:
    """An HTTP answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers}\n{self.body[:2000]!r}"


class Instance:
    """One Signet: its folder, its server, and an admin who uses it."""

    def __init__(self, folder, ports, init_arguments=("--dev",)):
        self.folder = pathlib.Path(folder)
        self.dir = self.folder / "signet"
        self.data = self.folder / "data"
        self.data.mkdir(parents=True)
        shutil.copytree(TOP / "policies", self.data / "policies",
                        ignore=shutil.ignore_patterns("*.[ch]", "*.am"))
        self.api, self.public, self.ops = (ports.take() for _ in range(3))
        self.env = environment(self.data)
        self.log = self.folder / "signetd.log"
        self.server = None
        self.made = check(
            [BUILD / "signet", "init", "--dir", self.dir, "--json",
             "--listen", f"127.0.0.1:{self.api}",
             "--public", f"127.0.0.1:{self.public}",
             "--ops", f"127.0.0.1:{self.ops}", *init_arguments],
            env=self.env).json
        self.config = self.dir / "signet.yaml"
        self.ca = self.dir / "ca.pem"
        self.fingerprint = self.made["root_fingerprint"]

    # --- the server ---

    def start(self, wait=True, wrap=(), **more_env):
        assert self.server is None
        with open(self.log, "ab") as log:
            self.server = subprocess.Popen(
                [*wrap, str(BUILD / "signetd"), "--config", str(self.config)],
                env={**self.env, **more_env}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    def ready(self):
        if self.server.poll() is not None:
            raise AssertionError(
                f"signetd ended with {self.server.returncode}:\n"
                + self.log.read_text()[-4000:])
        try:
            return self.get_ops("/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self):
        wait_until(self.ready, "signetd ready")

    def stop(self, how=signal.SIGTERM):
        """Ends the server; gives its exit status."""
        if self.server is None:
            return None
        self.server.send_signal(how)
        code = self.server.wait(PATIENCE)
        self.server = None
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)

    def workers(self):
        """Process ids of the server's signet-hsm workers."""
        pids = []
        for task in pathlib.Path(f"/proc/{self.server.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                pids += (task / "children").read_text().split()
        return sorted({int(p) for p in pids if name_of(p) == "signet-hsm"})

    def log_lines(self):
        """The server's log as objects."""
        lines = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    # --- the admin's command ---

    def run(self, *arguments, **kinds):
        """signet with this instance's configuration."""
        return run([BUILD / "signet", *arguments, "--config", self.config],
                   env=self.env, **kinds)

    def check(self, *arguments, **kinds):
        done = self.run(*arguments, **kinds)
        assert done.code == 0, f"signet {' '.join(map(str, arguments))}\n{done!r}"
        return done

    def json(self, *arguments, **kinds):
        return self.check(*arguments, "--json", **kinds).json

    def cluster(self, name, policy="generic-tls", dns=None, ip=()):
        dns = [f"*.{name}.example.net"] if dns is None else dns
        options = [o for d in dns for o in ("--dns", d)]
        options += [o for i in ip for o in ("--ip", i)]
        return self.json("cluster", "create", name, "--policy", policy, *options)

    def token(self, cluster, **options):
        """A token's text; options as token create takes them (uses=2)."""
        given = []
        for option, value in options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            for one in values:
                given += ["--" + option.replace("_", "-"), str(one)]
        return self.json("token", "create", "--cluster", cluster, *given)["token"]

    # --- the agent ---

    def agent(self, *arguments, **kinds):
        return run([BUILD / "signet-agent", *arguments], env=self.env, **kinds)

    def enroll(self, out, profile, token, *names, **kinds):
        """Enrolls a node; names as options ("--dns", "a.example")."""
        token_file = pathlib.Path(str(out) + ".token")
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        return self.agent(
            "enroll", "--url", self.url, "--fingerprint", self.fingerprint,
            "--token-file", token_file, "--profile", profile, "--out", out,
            "--json", *names, **kinds)

    # --- HTTP ---

    @property
    def url(self):
        return f"https://127.0.0.1:{self.api}"

    def tls(self, cert=None, key=None):
        context = ssl.create_default_context(cafile=self.ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
        return context

    @property
    def admin(self):
        return {"cert": self.dir / "admin" / "cert.pem",
                "key": self.dir / "admin" / "key.pem"}

    def call(self, method, path, body=None, *, headers=None, cert=None,
             key=None, token=None, timeout=PATIENCE, source=None):
        """One request of the API.  body: bytes as they are, else JSON.
        cert/key: who asks (default: nobody); token: a bearer token; source:
        the address it comes from."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.api, context=self.tls(cert, key), timeout=timeout,
            source_address=None if source is None else (source, 0))
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with contextlib.closing(connection):
            connection.request(method, "/api/v1" + path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def admin_call(self, method, path, body=None, **kinds):
        return self.call(method, path, body, **self.admin, **kinds)

    def get_public(self, path, **kinds):
        return get(f"http://127.0.0.1:{self.public}{path}", **kinds)

    def get_ops(self, path, **kinds):
        return get(f"http://127.0.0.1:{self.ops}{path}", **kinds)

    def crl(self, issuer="issuing-1", to=None):
        """The CRL as published, PEM; written to a file when asked."""
        pem = self.get_public(f"/crl/{issuer}.pem").body
        if to is not None:
            pathlib.Path(to).write_bytes(pem)
        return pem

    def ocsp(self, cert, chain, *options):
        """What openssl says of a certificate: "good", "revoked", "unknown"."""
        done = run(["openssl", "ocsp", "-issuer", chain, "-cert", cert,
                    "-CAfile", self.ca, "-url",
                    f"http://127.0.0.1:{self.public}/ocsp", *options])
        assert "Response verify OK" in done.err + done.out, done
        for status in ("good", "revoked", "unknown"):
            if f"{cert}: {status}" in done.out:
                return status
        raise AssertionError(done)

    # --- the token ---

    @property
    def pin(self):
        return (self.dir / "pin").read_text().strip()

    @property
    def softhsm(self):
        """Environment in which PKCS#11 tools find the token."""
        return {**os.environ, "SOFTHSM2_CONF": str(self.dir / "softhsm2.conf")}


def get(url, headers=None, data=None, method=None, timeout=PATIENCE):
    request = urllib.request.Request(
        url, data=data, headers=headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def make_csr(folder, name, cn=None, dns=(), ip=(), uri=(), key="ec"):
    """A key and a request by openssl: (key file, request PEM)."""
    folder = pathlib.Path(folder)
    key_file = folder / f"{name}.key"
    kind = {"ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "p384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}.get(key, key)
    check(["openssl", "genpkey", "-algorithm", *kind, "-out", key_file])
    sans = [f"DNS:{d}" for d in dns] + [f"IP:{i}" for i in ip] + \
        [f"URI:{u}" for u in uri]
    arguments = ["openssl", "req", "-new", "-key", key_file, "-subj",
                 f"/CN={cn}" if cn else "/"]
    if sans:
        arguments += ["-addext", "subjectAltName=" + ",".join(sans)]
    return key_file, check(arguments).out
