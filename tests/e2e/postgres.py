# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL as Debian ships it, on files of signet-agent."""
import os
import pathlib
import pwd
import subprocess
import tempfile

from harness import PATIENCE, Ran, wait_until


class Owner:
    """Who a database runs as: a system user when the tests are root's, for
    PostgreSQL refuses to run as root; else whoever runs the tests."""

    def __init__(self, name="postgres"):
        self.switch = {}
        self.entry = None
        if os.geteuid() == 0:
            self.entry = pwd.getpwnam(name)
            self.switch = {"user": self.entry.pw_uid, "group": self.entry.pw_gid,
                           "extra_groups": []}

    @property
    def name(self):
        return self.entry.pw_name if self.entry else pwd.getpwuid(
            os.geteuid()).pw_name

    def folder(self):
        """A private folder that the owner reaches: pytest's are 0700."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="signet-pg-", dir="/tmp"))
        self.give(folder)
        return folder

    def give(self, path):
        if self.entry:
            os.chown(path, self.entry.pw_uid, self.entry.pw_gid)

    def run(self, arguments, env=None, timeout=PATIENCE, cwd="/"):
        return Ran(subprocess.run(
            [str(a) for a in arguments], env=env, timeout=timeout, cwd=cwd,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, **self.switch))

    def check(self, arguments, **kinds):
        done = self.run(arguments, **kinds)
        assert done.code == 0, f"{' '.join(map(str, arguments))}\n{done!r}"
        return done


class Postgres:
    """One PostgreSQL server over TLS; its files are a folder of the agent."""

    BIN = pathlib.Path("/usr/lib/postgresql/15/bin")

    def __init__(self, owner, folder, port, tls, crl):
        self.owner = owner
        self.data = folder / "data"
        self.port = port
        self.log = folder / "postgresql.log"
        owner.check([self.BIN / "initdb", "-D", self.data, "-A", "reject",
                     "-U", "dba", "--no-sync", "--no-instructions",
                     "-E", "UTF8", "--locale=C"])
        self.write("postgresql.conf", f"""
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
shared_buffers = 16MB
max_connections = 20
ssl = on
ssl_cert_file = '{tls}/fullchain.pem'
ssl_key_file = '{tls}/key.pem'
ssl_ca_file = '{tls}/ca.pem'
ssl_crl_file = '{crl}'
""")
        # The owner of the files comes in by the socket, everybody else by TLS.
        self.socket = folder
        self.write("pg_hba.conf", f"""
local all dba peer map=owner
hostssl all all 127.0.0.1/32 cert clientcert=verify-full
""")
        self.write("pg_ident.conf", f"owner {owner.name} dba\n")

    def write(self, name, text):
        (self.data / name).write_text(text)
        self.owner.give(self.data / name)

    def control(self, *arguments):
        return self.owner.check(
            [self.BIN / "pg_ctl", "-D", self.data, "-w", "-t", PATIENCE,
             "-l", self.log, *arguments])

    def start(self):
        self.control("start")

    def stop(self):
        self.control("stop", "-m", "immediate")

    def reload(self):
        """pg_ctl reload, waiting until the postmaster has done it."""
        before = self.log.read_text().count("received SIGHUP")
        self.control("reload")
        # The postmaster says so first and then loads the files, but it takes
        # no new connection before it has.
        wait_until(lambda: self.log.read_text().count("received SIGHUP") > before,
                   "the reload")

    def admin(self, sql):
        """As the owner of the database, by the socket."""
        return self.owner.check(
            [self.BIN / "psql", "-XAtq", "-h", self.socket, "-p", self.port,
             "-U", "dba", "-d", "postgres", "-c", sql]).out.strip()


def psql_target(port, role, ca, held=None, host="127.0.0.1", crl=None):
    """A connection string; held: the agent's folder of the client."""
    parts = [f"host={host}", "hostaddr=127.0.0.1", f"port={port}",
             f"user={role}", "dbname=postgres", "sslmode=verify-full",
             f"sslrootcert={ca}", "connect_timeout=30"]
    if held is not None:
        parts += [f"sslcert={held}/fullchain.pem", f"sslkey={held}/key.pem"]
    else:
        # Nothing out of somebody's home.
        parts += ["sslcert=/nonexistent", "sslkey=/nonexistent"]
    if crl is not None:
        parts.append(f"sslcrl={crl}")
    return " ".join(parts)
