# SPDX-License-Identifier: Apache-2.0
"""etcd as Debian ships it: a cluster on files of signet-agent, with Signet's CRL."""
import json
import os
import pathlib
import subprocess
import threading

from harness import PATIENCE, run


def clean_environment(**more):
    """Without what would configure etcd or etcdctl behind our back."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    env.update(ETCDCTL_API="3", **more)
    return env


class Node:
    """One member, and the folders that its agent keeps: peer and server."""

    def __init__(self, folder, name, ports):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.name = name
        self.client_port, self.peer_port = ports.take(), ports.take()
        self.peer, self.server = self.folder / "peer", self.folder / "server"
        self.log = self.folder / "etcd.log"
        self.process = None

    @property
    def peer_url(self):
        return f"https://127.0.0.1:{self.peer_port}"

    @property
    def url(self):
        return f"https://127.0.0.1:{self.client_port}"


class Etcd:
    """Three members with mTLS among themselves and towards clients."""

    def __init__(self, folder, ports, cluster):
        self.folder = pathlib.Path(folder)
        self.cluster = cluster
        self.crl = self.folder / "crl.pem"
        self.nodes = [Node(folder, f"n{i}", ports) for i in (1, 2, 3)]

    def start(self):
        for node in self.nodes:
            self.start_node(node)

    def start_node(self, node):
        initial = ",".join(f"{n.name}={n.peer_url}" for n in self.nodes)
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen(
                ["etcd", "--name", node.name,
                 "--data-dir", str(node.folder / "data"),
                 "--unsafe-no-fsync",
                 "--heartbeat-interval", "200", "--election-timeout", "2000",
                 "--initial-cluster", initial,
                 "--initial-cluster-token", self.cluster,
                 "--initial-advertise-peer-urls", node.peer_url,
                 "--listen-peer-urls", node.peer_url,
                 "--advertise-client-urls", node.url,
                 "--listen-client-urls", node.url,
                 "--cert-file", str(node.server / "fullchain.pem"),
                 "--key-file", str(node.server / "key.pem"),
                 "--trusted-ca-file", str(node.server / "ca.pem"),
                 "--client-cert-auth",
                 "--client-crl-file", str(self.crl),
                 "--peer-cert-file", str(node.peer / "fullchain.pem"),
                 "--peer-key-file", str(node.peer / "key.pem"),
                 "--peer-trusted-ca-file", str(node.peer / "ca.pem"),
                 "--peer-client-cert-auth",
                 "--peer-crl-file", str(self.crl),
                 "--peer-cert-allowed-cn", f"etcd-peer@{self.cluster}"],
                env=clean_environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def stop(self):
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.wait(PATIENCE)

    def running(self):
        return all(n.process.poll() is None for n in self.nodes)

    @property
    def endpoints(self):
        return ",".join(n.url for n in self.nodes)

    def control(self, held, *arguments, endpoints=None, timeout="10s"):
        """etcdctl with a certificate of the agent (a folder), or with none."""
        who = [] if held is None else [
            "--cert", held / "fullchain.pem", "--key", held / "key.pem"]
        return run(["etcdctl", "--endpoints", endpoints or self.endpoints,
                    "--cacert", self.nodes[0].server / "ca.pem", *who,
                    "--command-timeout", timeout, "--dial-timeout", "5s",
                    *arguments], env=clean_environment())

    def status(self, held):
        """One object a member that answers."""
        done = self.control(held, "endpoint", "status", "-w", "json")
        return json.loads(done.out) if done.out.strip() else []

    def has_leader(self, held):
        """All three answer and name the same leader."""
        leaders = [s["Status"].get("leader", 0) for s in self.status(held)]
        return len(leaders) == 3 and len(set(leaders)) == 1 and leaders[0] != 0


class Writer(threading.Thread):
    """A client that writes without end, each key once, and remembers what was
    acknowledged.  It connects anew for each write, so that it meets every
    certificate that a member presents."""

    def __init__(self, etcd, held):
        super().__init__(daemon=True)
        self._etcd = etcd
        self._held = held
        self._enough = threading.Event()
        self.acknowledged = []
        self.failed = []

    def run(self):
        number = 0
        while not self._enough.is_set():
            number += 1
            done = self._etcd.control(
                self._held, "put", f"w/{number:06}", str(number),
                timeout="50s")
            if done.code == 0:
                self.acknowledged.append(number)
            else:
                self.failed.append((number, done.err))

    def end(self):
        self._enough.set()
        self.join(PATIENCE)
        assert not self.is_alive()
