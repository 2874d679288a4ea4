# SPDX-License-Identifier: Apache-2.0
"""Goal: three real etcd members run on certificates that the agent keeps, believe
Signet's CRL, keep strangers out, and lose no write while every certificate of
the cluster is replaced."""
import json

import pytest

from etcd import Etcd, Writer
from harness import run, wait_until
from presented import presented_serial, serial_of


class Site:
    def __init__(self, instance, folder, ports):
        self.instance = instance
        instance.cluster("orders", policy="etcd", ip=["127.0.0.1/32"])
        instance.cluster("foreign", policy="etcd", ip=["127.0.0.1/32"])
        self.folder = folder
        self.etcd = Etcd(folder, ports, "orders")
        self.refresh_crl()
        peers = instance.token("orders", profile=["peer", "server"], uses=6)
        for node in self.etcd.nodes:
            names = ("--ip", "127.0.0.1",
                     "--dns", f"{node.name}.orders.example.net")
            self.enroll(node.peer, "peer", peers, "--cn", "etcd-peer@orders",
                        *names)
            self.enroll(node.server, "server", peers, *names)
        self.app = self.client("app")
        self.etcd.start()
        wait_until(lambda: self.etcd.has_leader(self.app), "a leader")

    def enroll(self, out, profile, token, *names):
        done = self.instance.enroll(out, profile, token, *names)
        assert done.code == 0, done

    def client(self, name, cluster="orders"):
        held = self.folder / f"client-{cluster}-{name}"
        self.enroll(held, "client",
                    self.instance.token(cluster, profile="client"), "--cn", name)
        return held

    def refresh_crl(self):
        """etcd reads the file, DER or PEM, at each handshake; and only lists of
        issuers that certificates it meets have."""
        fresh = self.folder / "crl.new"
        self.instance.crl(to=fresh)
        fresh.rename(self.etcd.crl)


@pytest.fixture(scope="module")
def site(shared, tmp_path_factory, ports):
    made = Site(shared, tmp_path_factory.mktemp("etcd"), ports)
    yield made
    made.etcd.stop()


def test_the_cluster_elects_stores_and_reads_through_every_member(site):
    etcd = site.etcd
    put = etcd.control(site.app, "put", "k", "v",
                       endpoints=etcd.nodes[0].url)
    assert put.code == 0, put
    for node in etcd.nodes:
        read = etcd.control(site.app, "get", "k", "--print-value-only",
                            endpoints=node.url)
        assert (read.code, read.out) == (0, "v\n"), read


def test_without_a_certificate_nothing_is_read_or_written(site):
    for words in (("get", "k"), ("put", "k", "stranger")):
        done = site.etcd.control(None, *words, timeout="3s")
        assert done.code != 0, done


def test_a_certificate_of_another_root_is_refused(site, make_instance):
    other = make_instance("other").start()
    other.cluster("orders", policy="etcd")
    held = site.folder / "client-other"
    assert other.enroll(held, "client", other.token("orders", profile="client"),
                        "--cn", "app").code == 0
    done = site.etcd.control(held, "get", "k", timeout="3s")
    assert done.code != 0, done


def test_a_revoked_client_is_refused_and_another_goes_on(site):
    held = site.client("fired")
    assert site.etcd.control(held, "put", "fired", "1").code == 0
    serial = serial_of(held / "cert.pem")
    site.instance.check("cert", "revoke", serial, "--reason",
                        "affiliationChanged")

    def refused():
        site.refresh_crl()
        return site.etcd.control(
            held, "put", "fired", "2", timeout="3s").code != 0

    wait_until(refused, "the revocation to reach the members")
    read = site.etcd.control(site.app, "get", "fired", "--print-value-only")
    assert read.code == 0, read
    for node in site.etcd.nodes:
        done = site.etcd.control(
            held, "get", "fired", endpoints=node.url, timeout="3s")
        assert done.code != 0, done
        assert "revoked" in node.log.read_text(errors="replace")


def peer_answer(site, held):
    """What a member's peer listener answers to somebody who has HELD."""
    return run(["curl", "-sS", "--http1.1", "--noproxy", "*", "--max-time", "10",
                "--cacert", site.etcd.nodes[0].peer / "ca.pem",
                "--cert", held / "fullchain.pem", "--key", held / "key.pem",
                site.etcd.nodes[0].peer_url + "/members"])


def test_members_take_peers_of_their_own_cluster_and_no_others(site):
    own = peer_answer(site, site.etcd.nodes[1].peer)
    assert own.code == 0 and len(json.loads(own.out)) == 3, own
    # A peer of another cluster of the same issuer, as good as it can get.
    foreign = site.folder / "foreign-peer"
    site.enroll(foreign, "peer", site.instance.token("foreign", profile="peer"),
                "--cn", "etcd-peer@foreign", "--ip", "127.0.0.1")
    for held in (foreign, site.app, site.etcd.nodes[1].server):
        done = peer_answer(site, held)
        assert done.code != 0, (held, done)


def test_another_cluster_does_not_get_the_name_that_peers_have(site):
    done = site.instance.enroll(
        site.folder / "imposter", "peer",
        site.instance.token("foreign", profile="peer"),
        "--cn", "etcd-peer@orders", "--ip", "127.0.0.1")
    assert done.code == 4, done
    assert "etcd-peer@orders" in done.err, done


@pytest.mark.slow
def test_renewing_every_certificate_loses_no_write_and_no_quorum(site):
    etcd = site.etcd
    writer = Writer(etcd, site.app)
    writer.start()
    wait_until(lambda: len(writer.acknowledged) >= 3, "first writes")
    for node in etcd.nodes:
        for held, port in ((node.peer, node.peer_port),
                           (node.server, node.client_port)):
            before = presented_serial(port)
            assert before == serial_of(held / "cert.pem")
            done = site.instance.agent("ensure", "--out", held, "--force")
            assert done.code == 0, done
            fresh = serial_of(held / "cert.pem")
            assert fresh != before
            assert presented_serial(port) == fresh
        enough = len(writer.acknowledged) + 2
        wait_until(lambda: len(writer.acknowledged) >= enough or writer.failed,
                   "writes after a renewal")
    writer.end()
    assert writer.failed == []
    read = etcd.control(site.app, "get", "w/", "--prefix", "-w", "json")
    assert read.code == 0, read
    assert len(json.loads(read.out)["kvs"]) == len(writer.acknowledged)
    assert etcd.running()
    wait_until(lambda: etcd.has_leader(site.app), "one leader for all")


@pytest.mark.slow
def test_a_member_that_starts_again_joins_with_its_renewed_certificates(site):
    etcd = site.etcd
    node = etcd.nodes[2]
    for held in (node.peer, node.server):
        assert site.instance.agent("ensure", "--out", held, "--force").code == 0
    node.process.kill()
    node.process.wait(60)
    # Where it was the leader, the others elect one of themselves first.
    wait_until(lambda: etcd.control(site.app, "put", "away", "1",
                                    endpoints=etcd.nodes[0].url).code == 0,
               "a write without the member")
    etcd.start_node(node)
    wait_until(lambda: etcd.has_leader(site.app), "the member to be back")
    read = etcd.control(site.app, "get", "away", "--print-value-only",
                        endpoints=node.url)
    assert (read.code, read.out) == (0, "1\n"), read
