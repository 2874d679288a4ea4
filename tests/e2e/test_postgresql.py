# SPDX-License-Identifier: Apache-2.0
"""Goal: a PostgreSQL server and its clients live on certificates that the agent
keeps: names and roles hold both ways, revocation reaches them, and a renewal
costs nobody their session."""
import contextlib
import shutil
import subprocess

import pytest

from harness import BUILD, PATIENCE, run, wait_until
from postgres import Owner, Postgres, psql_target
from presented import presented_serial, serial_of

PSQL = Postgres.BIN / "psql"


class Site:
    """An instance, a database on its certificates, and an agent that keeps them
    as the database's own user does."""

    def __init__(self, instance, ports):
        self.instance = instance
        self.owner = Owner()
        self.folder = self.owner.folder()
        self.tls = self.folder / "tls"
        self.crl = self.folder / "crls.pem"
        self.agent_program = self.folder / "signet-agent"
        shutil.copy(BUILD / "signet-agent", self.agent_program)
        instance.cluster("bank", policy="postgresql")
        token = self.folder / "token"
        token.touch(mode=0o600)
        self.owner.give(token)
        token.write_text(instance.token("bank", profile="server"))
        done = self.agent(
            "enroll", "--url", instance.url, "--fingerprint",
            instance.fingerprint, "--token-file", token, "--profile", "server",
            "--out", self.tls, "--dns", "pg1.bank.example.net",
            "--ip", "127.0.0.1")
        assert done.code == 0, done
        self.refresh_crl()
        self.db = Postgres(
            self.owner, self.folder, ports.take(), self.tls, self.crl)
        self.db.start()

    def agent(self, *arguments):
        return self.owner.run(
            [self.agent_program, *arguments], env=self.instance.env)

    def refresh_crl(self):
        """What a timer of the DBA's does: the lists of root and issuer, one
        file, replaced whole."""
        fresh = self.folder / "crls.new"
        fresh.write_bytes(self.instance.crl("root") + self.instance.crl())
        fresh.chmod(0o644)
        fresh.rename(self.crl)

    def role(self, name):
        """A role that may log in, and the folder of its client."""
        self.db.admin(f'CREATE ROLE "{name}" LOGIN')
        return self.client(name)

    def client(self, name):
        held = self.instance.folder / f"client-{name}"
        done = self.instance.enroll(
            held, "client", self.instance.token("bank", profile="client"),
            "--cn", name)
        assert done.code == 0, done
        return held

    def target(self, role, held=None, **kinds):
        kinds.setdefault("ca", self.tls / "ca.pem")
        return psql_target(self.db.port, role, held=held, **kinds)

    def ask(self, role, held=None, **kinds):
        return run([PSQL, "-XAtqw", self.target(role, held, **kinds),
                    "-c", "SELECT current_user, ssl FROM pg_stat_ssl "
                    "WHERE pid = pg_backend_pid()"])


@pytest.fixture(scope="module")
def site(shared, ports):
    made = Site(shared, ports)
    yield made
    made.db.stop()
    shutil.rmtree(made.folder)


def test_a_client_certificate_logs_in_as_the_role_in_its_common_name(site):
    held = site.role("alice")
    asked = site.ask("alice", held)
    assert (asked.code, asked.out) == (0, "alice|t\n"), asked


def test_a_client_certificate_does_not_log_in_as_another_role(site):
    held = site.role("bob")
    site.db.admin("CREATE ROLE boss LOGIN SUPERUSER")
    asked = site.ask("boss", held)
    assert asked.code != 0
    assert "certificate authentication failed" in asked.err, asked


def test_without_a_client_certificate_nobody_logs_in(site):
    site.db.admin("CREATE ROLE carol LOGIN")
    asked = site.ask("carol")
    assert asked.code != 0
    assert "requires a valid client certificate" in asked.err, asked


def test_the_certificate_of_a_server_does_not_log_in(site):
    site.db.admin('CREATE ROLE "pg2.bank.example.net" LOGIN')
    held = site.instance.folder / "server-as-client"
    done = site.instance.enroll(
        held, "server", site.instance.token("bank", profile="server"),
        "--cn", "pg2.bank.example.net", "--dns", "pg2.bank.example.net")
    assert done.code == 0, done
    asked = site.ask("pg2.bank.example.net", held)
    assert asked.code != 0, asked


def test_verify_full_takes_the_names_of_the_certificate_and_no_other(site):
    held = site.role("dave")
    for host in ("pg1.bank.example.net", "127.0.0.1"):
        assert site.ask("dave", held, host=host).code == 0
    asked = site.ask("dave", held, host="pg2.bank.example.net")
    assert asked.code != 0
    assert "does not match host name" in asked.err, asked


def test_a_client_that_trusts_another_root_refuses_the_server(
        site, make_instance):
    held = site.role("erin")
    other = make_instance("other")
    asked = site.ask("erin", held, ca=other.ca)
    assert asked.code != 0
    assert "certificate verify failed" in asked.err, asked


def test_a_revoked_client_is_refused_after_reload_and_others_are_not(site):
    held = site.role("frank")
    other = site.role("grace")
    assert site.ask("frank", held).code == 0
    site.instance.check("cert", "revoke", serial_of(held / "cert.pem"),
                        "--reason", "keyCompromise")

    def refused():
        site.refresh_crl()
        site.db.reload()
        return site.ask("frank", held).code != 0

    # The list is published at most a second after the revocation.
    wait_until(refused, "the revocation to reach the database")
    asked = site.ask("frank", held)
    assert "revoked" in asked.err, asked
    assert site.ask("grace", other).code == 0


def test_a_client_refuses_a_server_that_its_list_says_is_revoked(site):
    held = site.role("heidi")
    good = site.folder / "client-crls.pem"
    shutil.copy(site.crl, good)
    assert site.ask("heidi", held, crl=good).code == 0
    # Renewed but not reloaded: the database still shows the one before.
    before = serial_of(site.tls / "cert.pem")
    assert site.agent("ensure", "--out", site.tls, "--force").code == 0
    site.instance.check("cert", "revoke", before, "--reason", "superseded")

    def refused():
        good.write_bytes(site.instance.crl("root") + site.instance.crl())
        asked = site.ask("heidi", held, crl=good)
        return asked.code != 0 and asked.err

    said = wait_until(refused, "the revocation in the client's list")
    assert "certificate verify failed" in said
    site.db.reload()
    assert site.ask("heidi", held, crl=good).code == 0


@contextlib.contextmanager
def session(target):
    """A psql that stays."""
    with subprocess.Popen(
            [str(PSQL), "-XAtq", "-w", target], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as psql:
        yield psql
        psql.stdin.close()
        assert psql.wait(PATIENCE) == 0


def say(psql, sql):
    psql.stdin.write(sql + "\n")
    psql.stdin.flush()
    return psql.stdout.readline().strip()


def test_a_renewal_is_reloaded_by_the_agent_and_keeps_open_sessions(site):
    held = site.role("ivan")
    before = presented_serial(site.db.port, "-starttls", "postgres")
    assert before == serial_of(site.tls / "cert.pem")
    with session(site.target("ivan", held)) as psql:
        backend = say(psql, "SELECT pg_backend_pid();")
        assert backend.isdigit(), backend
        done = site.agent(
            "ensure", "--out", site.tls, "--force", "--json",
            "--reload", f"{Postgres.BIN}/pg_ctl -D {site.db.data} reload")
        assert done.code == 0, done
        assert done.json["changed"] is True
        fresh = serial_of(site.tls / "cert.pem")
        assert fresh != before
        wait_until(lambda: presented_serial(
            site.db.port, "-starttls", "postgres") == fresh, "the new serial")
        assert say(psql, "SELECT pg_backend_pid();") == backend
        assert site.ask("ivan", held).code == 0


def test_the_key_of_a_renewal_has_the_mode_that_the_database_demands(site):
    assert site.agent("ensure", "--out", site.tls, "--force").code == 0
    key = site.tls / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    site.db.reload()
    assert presented_serial(
        site.db.port, "-starttls", "postgres") == serial_of(site.tls / "cert.pem")
    # What the database refuses, so that the mode is shown to matter.
    key.chmod(0o644)
    said = len(site.db.log.read_text())
    site.db.reload()
    wait_until(lambda: "has group or world access" in
               site.db.log.read_text()[said:], "the refusal")
    key.chmod(0o600)
    site.db.reload()
