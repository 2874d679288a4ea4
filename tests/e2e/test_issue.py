# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: a certificate is what its policy says, in the eyes of
programs that other people wrote, and nobody gets a name that is not theirs."""
import concurrent.futures
import datetime
import ipaddress
import signal
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID as AIA
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU
from cryptography.x509.oid import ExtensionOID

from client import Client, Node, admin_of, issue, load, new_key, request
from harness import check, run, wait_until

DAY = datetime.timedelta(days=1)
BOTH = {EKU.SERVER_AUTH, EKU.CLIENT_AUTH}

# policy, profile, what is asked for, the extended key usage due.
# {c} is the cluster's name; dns and ip are what the cluster is given.
ROWS = [
    ("etcd", "peer", {"dns": ["a.{c}.example.net"], "ip": ["10.1.2.3"]}, BOTH),
    ("etcd", "peer", {"cn": "etcd-peer@{c}", "dns": ["a.{c}.example.net"]},
     BOTH),
    ("etcd", "server", {"dns": ["a.{c}.example.net", "localhost"],
                        "ip": ["127.0.0.1"]}, BOTH),
    ("etcd", "client", {"cn": "app"}, {EKU.CLIENT_AUTH}),
    ("etcd", "client", {"cn": "app@{c}"}, {EKU.CLIENT_AUTH}),
    ("generic-tls", "server", {"dns": ["*.{c}.example.net"]},
     {EKU.SERVER_AUTH}),
    ("generic-tls", "server", {"cn": "a.{c}.example.net",
                               "dns": ["a.{c}.example.net"]},
     {EKU.SERVER_AUTH}),
    ("generic-tls", "client", {"uri": ["signet://{c}/tls/client"]},
     {EKU.CLIENT_AUTH}),
    ("generic-tls", "peer", {"ip": ["10.1.0.1", "fd00::17"]}, BOTH),
    ("postgresql", "server", {"dns": ["db.{c}.example.net"]},
     {EKU.SERVER_AUTH}),
    ("postgresql", "client", {"cn": "app_rw"}, {EKU.CLIENT_AUTH}),
    ("postgresql", "replication", {"cn": "replicator"}, {EKU.CLIENT_AUTH}),
    ("yugabytedb", "node", {"ip": ["10.1.2.3"]}, BOTH),
    ("yugabytedb", "client", {"cn": "yugabyte"}, {EKU.CLIENT_AUTH}),
]

# policy, profile, what is asked for, what the refusal must name.
REFUSED = [
    ("etcd", "peer", {"dns": ["a.other.example.net"]}, "a.other.example.net"),
    ("etcd", "peer", {"dns": ["localhost"]}, "localhost"),
    ("etcd", "peer", {"ip": ["10.2.0.1"]}, "10.2.0.1"),
    ("etcd", "peer", {"dns": ["{c}.example.net"]}, "{c}.example.net"),
    ("etcd", "peer", {"dns": ["a.b.{c}.example.net"]},
     "a.b.{c}.example.net"),
    ("etcd", "peer", {"dns": ["*.{c}.example.net"]}, "*.{c}.example.net"),
    ("etcd", "peer", {}, "peer"),
    ("etcd", "peer", {"cn": "etcd-peer@other", "dns": ["a.{c}.example.net"]},
     "etcd-peer@other"),
    ("etcd", "client", {"cn": "etcd-peer@{c}"}, "etcd-peer@{c}"),
    ("etcd", "client", {"cn": "app@other"}, "app@other"),
    ("generic-tls", "server", {"uri": ["signet://other/tls/server"],
                               "dns": ["a.{c}.example.net"]},
     "signet://other/tls/server"),
    ("generic-tls", "server", {"uri": ["signet://{c}/tls/client"],
                               "dns": ["a.{c}.example.net"]},
     "signet://{c}/tls/client"),
    ("generic-tls", "client", {"cn": "root"}, "root"),
    ("generic-tls", "server", {"dns": ["a.{c}.example.net.evil.example"]},
     "a.{c}.example.net.evil.example"),
    ("postgresql", "server", {"dns": ["db.example.com"]}, "db.example.com"),
    ("postgresql", "client", {"cn": "a b"}, "a b"),
    ("postgresql", "client", {"cn": "postgres"}, "postgres"),
    ("etcd", "client", {"cn": "root"}, "root"),
    ("postgresql", "client", {}, "client"),
    ("postgresql", "replication", {"cn": "postgres"}, "postgres"),
    ("yugabytedb", "node", {"ip": ["192.0.2.1"]}, "192.0.2.1"),
    ("yugabytedb", "client", {"cn": "postgres"}, "postgres"),
]


def cluster_of(policy):
    return "c-" + policy


def named(names, cluster):
    def one(text):
        return text.replace("{c}", cluster)
    return {kind: one(value) if isinstance(value, str) else
            [one(v) for v in value] for kind, value in names.items()}


@pytest.fixture(scope="module")
def admin(shared):
    with admin_of(shared) as client:
        for policy in ("etcd", "generic-tls", "postgresql", "yugabytedb"):
            shared.cluster(cluster_of(policy), policy,
                           ip=["10.1.0.0/16", "fd00::/64"])
        shared.crl(to=shared.folder / "crl.pem")
        shared.root_crl = shared.folder / "crls.pem"
        shared.root_crl.write_bytes(shared.crl("issuing-1") + shared.crl("root"))
        yield client


def count(admin, state="valid"):
    return admin.ask("GET", "/status")["certificates"]


def verify(instance, node, purpose):
    check(["openssl", "verify", "-x509_strict", "-crl_check_all",
           "-CAfile", instance.ca, "-CRLfile", instance.root_crl,
           "-untrusted", node.chain_pem, "-purpose", purpose,
           node.cert_pem])


def check_extensions(certificate, usages, names):
    get = certificate.extensions.get_extension_for_oid
    usage = get(ExtensionOID.KEY_USAGE)
    assert usage.critical
    is_rsa = isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert usage.value == x509.KeyUsage(
        True, False, is_rsa, False, False, False, False, False, False)
    assert set(get(ExtensionOID.EXTENDED_KEY_USAGE).value) == usages
    # None at all, or one that says no (RFC 5280 4.2.1.9).
    assert not any(extension.value.ca for extension in certificate.extensions
                   if extension.oid == ExtensionOID.BASIC_CONSTRAINTS)
    if any(names.get(kind) for kind in ("dns", "ip", "uri")):
        held = get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert sorted(held.get_values_for_type(x509.DNSName)) == \
            sorted(names.get("dns", []))
        assert sorted(map(str, held.get_values_for_type(x509.IPAddress))) == \
            sorted(str(ipaddress.ip_address(i)) for i in names.get("ip", []))
        assert held.get_values_for_type(x509.UniformResourceIdentifier) == \
            names.get("uri", [])


def check_pointers(instance, certificate):
    base = f"http://127.0.0.1:{instance.public}"
    get = certificate.extensions.get_extension_for_oid
    crl = get(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
    assert [p.full_name[0].value for p in crl] == \
        [f"{base}/crl/issuing-1.crl"]
    access = {a.access_method: a.access_location.value for a in
              get(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value}
    assert access == {AIA.OCSP: f"{base}/ocsp",
                      AIA.CA_ISSUERS: f"{base}/ca/issuing-1.cer"}


def check_validity(certificate, issued):
    now = datetime.datetime.utcnow()
    begin, end = certificate.not_valid_before, certificate.not_valid_after
    # Backdated by five minutes; thirty days from the moment of issue.
    assert datetime.timedelta(minutes=4) < now - begin
    assert now - begin < datetime.timedelta(minutes=7)
    assert abs((end - now) - 30 * DAY) < datetime.timedelta(minutes=7)
    form = "%Y-%m-%dT%H:%M:%SZ"
    assert issued["not_before"] == begin.strftime(form)
    assert issued["not_after"] == end.strftime(form)
    assert issued["not_before"] < issued["renew_after"] < issued["not_after"]


@pytest.mark.parametrize("policy,profile,names,usages", ROWS)
def test_a_certificate_is_what_its_profile_says_and_others_accept_it(
        shared, admin, tmp_path, policy, profile, names, usages):
    cluster = cluster_of(policy)
    names = named(names, cluster)
    node = issue(shared, tmp_path, cluster, profile, **names)
    for usage, purpose in ((EKU.SERVER_AUTH, "sslserver"),
                           (EKU.CLIENT_AUTH, "sslclient")):
        if usage in usages:
            verify(shared, node, purpose)
        else:
            with pytest.raises(AssertionError, match="unsupported|unsuitable"):
                verify(shared, node, purpose)
    check(["certtool", "--verify", "--infile", node.full_pem,
           "--load-ca-certificate", shared.ca,
           "--load-crl", shared.folder / "crl.pem"])
    check_extensions(node.certificate, usages, names)
    check_pointers(shared, node.certificate)
    check_validity(node.certificate, node.issued)
    subject = node.certificate.subject.get_attributes_for_oid(
        x509.NameOID.COMMON_NAME)
    assert [a.value for a in subject] == ([names["cn"]] if "cn" in names else [])
    serial = f"{node.certificate.serial_number:x}".zfill(36)
    assert node.serial == serial and 0x01 <= int(serial[:2], 16) <= 0x7f
    shown = admin.ask("GET", f"/certificates/{serial}")
    assert shown["certificate"] == node.issued["certificate"]
    assert (shown["state"], shown["cluster"], shown["profile"]) == \
        ("valid", cluster, profile)


@pytest.mark.parametrize("bits", [
    2048, 3072, pytest.param(4096, marks=pytest.mark.slow)])
def test_an_rsa_key_may_also_encipher_keys(shared, admin, tmp_path, bits):
    key = rsa.generate_private_key(65537, bits)
    names = {"dns": ["rsa.c-etcd.example.net"]}
    node = issue(shared, tmp_path, "c-etcd", "peer", key=key, **names)
    verify(shared, node, "sslserver")
    check_extensions(node.certificate, BOTH, names)


@pytest.mark.parametrize("policy,profile,names,named_in_detail", REFUSED)
def test_a_name_outside_the_profile_is_refused_and_named(
        shared, admin, policy, profile, names, named_in_detail):
    cluster = cluster_of(policy)
    before = count(admin)
    answer = admin.call(
        "POST", f"/clusters/{cluster}/certificates",
        {"csr": request(**named(names, cluster)), "profile": profile})
    assert answer.status == 403, answer
    assert answer.json["code"] == "refused-by-policy"
    detail = answer.json["detail"]
    assert named_in_detail.replace("{c}", cluster) in detail
    # And what is allowed.
    assert profile in detail or policy in detail or "example.net" in detail \
        or "10.1.0.0/16" in detail, detail
    assert count(admin) == before


def test_a_role_called_like_another_cluster_is_a_role_like_others(shared, admin):
    """Whether a cluster of that name exists is not to be learnt here; no policy
    names a cluster by its name alone."""
    shared.cluster("tenant")
    for cn in ("tenant", "lodger"):
        answer = admin.call("POST", "/clusters/c-postgresql/certificates",
                            {"csr": request(cn=cn), "profile": "client"})
        assert answer.status == 201, answer


@pytest.mark.parametrize("ttl,status", [
    ("1h", 201), ("90d", 201), ("91d", 403), ("1000000000d", 400),
    ("0s", 400), ("-1h", 400), ("1", 400), ("1.5h", 400)])
def test_a_validity_is_granted_up_to_the_profiles_maximum(
        shared, admin, ttl, status):
    answer = admin.call(
        "POST", "/clusters/c-etcd/certificates",
        {"csr": request(cn="app"), "profile": "client", "ttl": ttl})
    assert answer.status == status, answer
    if status == 201:
        certificate = load(answer.json["certificate"])
        wanted = datetime.timedelta(hours=1) if ttl == "1h" else 90 * DAY
        left = certificate.not_valid_after - datetime.datetime.utcnow()
        assert abs(left - wanted) < datetime.timedelta(minutes=7)


def test_an_unknown_profile_is_refused_and_the_known_ones_named(shared, admin):
    answer = admin.call("POST", "/clusters/c-etcd/certificates",
                        {"csr": request(cn="root"), "profile": "admin"})
    assert answer.status == 403
    for profile in ("admin", "peer", "server", "client"):
        assert profile in answer.json["detail"]


def test_a_request_that_is_repeated_gets_the_same_certificate(shared, admin):
    key = new_key()
    body = {"csr": request(key, dns=["r.c-etcd.example.net"]),
            "profile": "peer"}
    path = "/clusters/c-etcd/certificates"
    first = admin.ask("POST", path, body, status=201)
    before = count(admin)
    first["repeated"] = True
    assert admin.ask("POST", path, body) == first
    # A new signature over the same key and names is the same request.
    again = {"csr": request(key, dns=["r.c-etcd.example.net"]),
             "profile": "peer"}
    assert again["csr"] != body["csr"]
    assert admin.ask("POST", path, again) == first
    assert count(admin) == before
    # Another profile, name or key is another one.
    for other in ({**body, "profile": "server"},
                  {**body, "csr": request(key, dns=["s.c-etcd.example.net"])},
                  {**body, "csr": request(dns=["r.c-etcd.example.net"])}):
        assert admin.ask("POST", path, other, status=201)["serial"] != \
            first["serial"]


def test_a_revoked_certificate_is_not_given_again(shared, admin):
    body = {"csr": request(dns=["gone.c-etcd.example.net"]), "profile": "peer"}
    path = "/clusters/c-etcd/certificates"
    first = admin.ask("POST", path, body, status=201)
    admin.ask("POST", f"/certificates/{first['serial']}/revoke",
              {"reason": "superseded"})
    second = admin.ask("POST", path, body, status=201)
    assert second["serial"] != first["serial"]


def renew(instance, node, cluster, **names):
    key = names.pop("key", None) or new_key()
    return instance.call(
        "POST", f"/clusters/{cluster}/certificates/renew",
        {"csr": request(key, **names)}, **node.tls)


def test_a_node_renews_with_the_certificate_it_holds(shared, admin, tmp_path):
    names = {"dns": ["n.c-etcd.example.net", "m.c-etcd.example.net"],
             "ip": ["10.1.9.9"]}
    node = issue(shared, tmp_path, "c-etcd", "peer", **names)
    answer = renew(shared, node, "c-etcd")
    assert answer.status == 201, answer
    renewed = load(answer.json["certificate"])
    check_extensions(renewed, BOTH, names)
    # Fewer names are fine.
    answer = renew(shared, node, "c-etcd", dns=names["dns"][:1])
    assert answer.status == 201, answer
    check_extensions(load(answer.json["certificate"]), BOTH,
                     {"dns": names["dns"][:1]})


def test_renewing_adds_no_name(shared, admin, tmp_path):
    node = issue(shared, tmp_path, "c-etcd", "peer",
                 dns=["n1.c-etcd.example.net"])
    before = count(admin)
    answer = renew(shared, node, "c-etcd",
                   dns=["n1.c-etcd.example.net", "n2.c-etcd.example.net"])
    assert answer.status == 403, answer
    assert answer.json["code"] == "refused-by-policy"
    assert count(admin) == before


def test_only_a_node_of_the_cluster_renews_there(shared, admin, tmp_path):
    node = issue(shared, tmp_path, "c-etcd", "peer", name="own",
                 dns=["x.c-etcd.example.net"])
    stranger = issue(shared, tmp_path, "c-yugabytedb", "node", name="other",
                     dns=["x.c-yugabytedb.example.net"])
    before = count(admin)
    assert renew(shared, stranger, "c-etcd",
                 dns=["x.c-etcd.example.net"]).status == 404
    body = {"csr": request(dns=["x.c-etcd.example.net"])}
    assert shared.call("POST", "/clusters/c-etcd/certificates/renew",
                       body).status == 401
    assert shared.admin_call("POST", "/clusters/c-etcd/certificates/renew",
                             body).status == 403
    token = shared.token("c-etcd", profile="peer")
    assert shared.call("POST", "/clusters/c-etcd/certificates/renew", body,
                       token=token).status == 401
    assert count(admin) == before
    assert renew(shared, node, "c-etcd").status == 201


def test_a_revoked_certificate_renews_nothing(shared, admin, tmp_path):
    node = issue(shared, tmp_path, "c-etcd", "peer",
                 dns=["bad.c-etcd.example.net"])
    admin.ask("POST", f"/certificates/{node.serial}/revoke",
              {"reason": "keyCompromise"})
    before = count(admin)
    assert renew(shared, node, "c-etcd").status == 401
    assert count(admin) == before


def test_a_retired_cluster_gets_nothing_more(shared, admin, tmp_path):
    shared.cluster("old")
    node = issue(shared, tmp_path, "old", dns=["a.old.example.net"])
    admin.ask("DELETE", "/clusters/old")
    # Its certificates are revoked with it.
    shown = admin.ask("GET", f"/certificates/{node.serial}")
    assert (shown["state"], shown["reason"]) == \
        ("revoked", "cessationOfOperation")
    before = count(admin)
    assert renew(shared, node, "old").status == 401
    answer = admin.call("POST", "/clusters/old/certificates",
                        {"csr": request(dns=["a.old.example.net"]),
                         "profile": "server"})
    assert answer.status == 403, answer
    assert "retired" in answer.json["detail"]
    assert admin.call("POST", "/clusters/old/tokens", {}).status == 403
    assert count(admin) == before
    assert admin.call("POST", "/clusters", {
        "name": "old", "policy": "etcd"}).status == 409


def test_a_repeated_request_gets_the_same_certificate_after_a_restart(
        instance):
    instance.cluster("web")
    body = {"csr": request(dns=["a.web.example.net"]), "profile": "server"}
    first = instance.admin_call("POST", "/clusters/web/certificates", body)
    assert first.status == 201
    assert instance.stop() == 0
    instance.start()
    again = instance.admin_call("POST", "/clusters/web/certificates", body)
    assert again.status == 200
    assert again.json == {**first.json, "repeated": True}


def reloads(instance, message):
    return [line for line in instance.log_lines()
            if message in line.get("msg", line.get("message", ""))]


def test_a_changed_policy_applies_after_sighup_and_a_broken_one_does_not(
        instance):
    instance.cluster("web")
    folder = instance.dir / "policies"
    policy = folder / "generic-tls.yaml"
    text = policy.read_text()

    def days(ttl):
        return instance.admin_call(
            "POST", "/clusters/web/certificates",
            {"csr": request(dns=["a.web.example.net"]), "profile": "server",
             "ttl": ttl}).status

    def logged(level):
        return len([line for line in instance.log_lines()
                    if line.get("level") == level])

    def hup():
        lines = len(instance.log_lines())
        instance.server.send_signal(signal.SIGHUP)
        wait_until(lambda: len(instance.log_lines()) > lines
                   and any("reload" in str(line) or "policies" in str(line)
                           or "policy" in str(line)
                           for line in instance.log_lines()[lines:]),
                   "a word on the reload in the log")

    assert days("80d") == 201
    policy.write_text(text.replace("maximum: 90d", "maximum: 40d"))
    hup()
    assert days("80d") == 403
    assert days("39d") == 201

    errors = logged("error") + logged("warn")
    policy.write_text(text.replace("maximum: 90d", "maximum: often"))
    hup()
    wait_until(lambda: logged("error") + logged("warn") > errors,
               "the fault of the policy in the log")
    assert "generic-tls.yaml" in instance.log.read_text()
    assert days("80d") == 403
    assert days("38d") == 201

    policy.write_text(text)
    hup()
    assert days("80d") == 201


def test_sigterm_answers_what_runs_and_ends_well(instance):
    """Requests on the way when the signal comes get their answers; the
    certificates they name are there after a start."""
    instance.cluster("web")
    started = threading.Barrier(9)
    stopping = threading.Event()

    def work(number):
        client = Client(instance, **instance.admin)
        client.connect()
        started.wait()
        issued, refused = [], 0
        while not refused:
            try:
                answer = client.call(
                    "POST", "/clusters/web/certificates",
                    {"csr": request(dns=[f"n{number}.web.example.net"]),
                     "profile": "server"})
            except OSError:
                # A new connection is not taken any more; one that stood
                # must not break before the signal.
                assert stopping.is_set()
                break
            if answer.status == 201:
                issued.append(answer.json["serial"])
            else:
                assert stopping.is_set() and answer.status == 503, answer
                refused += 1
        client.close()
        return issued

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(work, n) for n in range(8)]
        started.wait()
        wait_until(lambda: instance.admin_call(
            "GET", "/certificates?limit=1000").body.count(b"serial") > 30,
            "certificates under load")
        stopping.set()
        assert instance.stop() == 0
        issued = [s for f in futures for s in f.result()]
    assert issued
    instance.start()
    with admin_of(instance) as admin:
        for serial in issued:
            assert admin.ask("GET", f"/certificates/{serial}")["state"] == \
                "valid"
        assert not admin.ask("GET", "/certificates?state=unresolved")["items"]
