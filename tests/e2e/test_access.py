# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: each route serves whom it is for and nobody else, and what
is another cluster's looks as if it did not exist."""
import contextlib
import datetime
import re
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from client import (Client, Node, admin_of, issue, load, new_key, request, san,
                    save_key)
from harness import TOP, check, wait_until

ROUTE = re.compile(r'ROUTE\((\w+),\s*"([^"]+)"', re.S)
ROUTES = ROUTE.findall((TOP / "api" / "route.def").read_text())

CALLERS = ("anonymous", "token", "foreign-token", "node", "foreign-node",
           "admin")
# Who may: a status of 200-299, or what a handler says to a request that it
# lets in (the bodies here are as short as can be): "in".  Else the status.
#                              anonymous token f-token node f-node admin
EXPECTED = {
    ("GET", "/roots"):                          ("in", "in", "in", "in", "in", "in"),
    ("GET", "/openapi.json"):                   ("in", "in", "in", "in", "in", "in"),
    ("GET", "/ping"):                           ("in", "in", "in", "in", "in", "in"),
    ("GET", "/self"):                           (401, "in", "in", "in", "in", "in"),
    ("GET", "/hsm/objects"):                    (401, 401, 401, 403, 403, "in"),
    ("GET", "/status"):                         (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters"):                      (401, 401, 401, 403, 403, "in"),
    ("GET", "/clusters"):                       (401, 401, 401, 403, 403, "in"),
    ("GET", "/clusters/{cluster}"):             (401, 401, 401, 403, 403, "in"),
    ("PATCH", "/clusters/{cluster}"):           (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/quarantine"): (401, 401, 401, 403, 403, "in"),
    ("DELETE", "/clusters/{cluster}/quarantine"):
                                                (401, 401, 401, 403, 403, "in"),
    ("DELETE", "/clusters/{cluster}"):          (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/tokens"):     (401, 401, 401, 403, 403, "in"),
    ("GET", "/clusters/{cluster}/tokens"):      (401, 401, 401, 403, 403, "in"),
    ("DELETE", "/clusters/{cluster}/tokens/{id}"):
                                                (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/certificates"):
                                                (401, "in", 404, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/certificates/renew"):
                                                (401, 401, 401, "in", 404, 403),
    ("GET", "/certificates"):                   (401, 401, 401, 403, 403, "in"),
    ("GET", "/certificates/{serial}"):          (401, 401, 401, 403, 403, "in"),
    ("POST", "/certificates/{serial}/revoke"):  (401, 401, 401, 403, 403, "in"),
    ("GET", "/issuers"):                        (401, 401, 401, 403, 403, "in"),
    ("GET", "/issuers/{id}"):                   (401, 401, 401, 403, 403, "in"),
    ("POST", "/issuers/{id}/crl"):              (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/keys"):       (401, 401, 401, 403, 403, "in"),
    ("GET", "/clusters/{cluster}/keys"):        (401, 401, 401, 403, 403, "in"),
    ("GET", "/clusters/{cluster}/keys/{key}"):  (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/keys/{key}/datakey"):
                                                (401, 401, 401, 403, 403, "in"),
    ("POST", "/clusters/{cluster}/keys/{key}/unwrap"):
                                                (401, 401, 401, 403, 403, "in"),
    ("POST", "/identities"):                    (401, 401, 401, 403, 403, "in"),
    ("GET", "/identities"):                     (401, 401, 401, 403, 403, "in"),
    ("POST", "/identities/enroll"):             (401, 401, 401, 403, 403, 403),
    ("POST", "/identities/renew"):              (401, 401, 401, 403, 403, "in"),
    ("GET", "/identities/{id}"):                (401, 401, 401, 403, 403, "in"),
    ("PATCH", "/identities/{id}"):              (401, 401, 401, 403, 403, "in"),
    ("POST", "/identities/{id}/codes"):         (401, 401, 401, 403, 403, "in"),
    ("DELETE", "/identities/{id}"):             (401, 401, 401, 403, 403, "in"),
    ("GET", "/approvals"):                      (401, 401, 401, 403, 403, "in"),
    ("GET", "/approvals/{id}"):                 (401, 401, 401, 403, 403, "in"),
    ("POST", "/approvals/{id}/approve"):        (401, 401, 401, 403, 403, "in"),
    ("POST", "/approvals/{id}/reject"):         (401, 401, 401, 403, 403, "in"),
    ("GET", "/policies"):                       (401, 401, 401, 403, 403, "in"),
    ("GET", "/policies/{policy}"):              (401, 401, 401, 403, 403, "in"),
    ("GET", "/roles"):                          (401, 401, 401, 403, 403, "in"),
    ("GET", "/audit"):                          (401, 401, 401, 403, 403, "in"),
    ("GET", "/audit/checkpoint"):               (401, 401, 401, 403, 403, "in"),
    ("GET", "/audit/proof/inclusion"):          (401, 401, 401, 403, 403, "in"),
    ("GET", "/audit/proof/consistency"):        (401, 401, 401, 403, 403, "in"),
}
# What a handler that is reached says to a body of {} where it wants more.
BODIES = {
    "/clusters": 400, "/clusters/{cluster}/certificates": 400,
    "/clusters/{cluster}/certificates/renew": 400,
    "/clusters/{cluster}": 400, "/clusters/{cluster}/quarantine": 400,
    "/certificates/{serial}/revoke": 400, "/clusters/{cluster}/keys": 400,
    "/clusters/{cluster}/keys/{key}/unwrap": 400,
    "/identities": 400, "/identities/{id}": 400, "/identities/renew": 400,
    "/approvals/{id}/approve": 400, "/approvals/{id}/reject": 400,
}
# Where there is nothing to be shown in this world.
ABSENT = {"/approvals/{id}": 404}
# What a route needs in its query.
QUERIES = {
    "/audit/proof/inclusion": "?sequence=1&size=1",
    "/audit/proof/consistency": "?from=1&to=1",
}


@pytest.fixture(scope="module")
def world(shared, tmp_path_factory):
    """Two clusters with a node, a token and a key each."""
    class World:
        pass
    world = World()
    world.folder = tmp_path_factory.mktemp("nodes")
    world.instance = shared
    with admin_of(shared) as admin:
        world.admin = admin
        for cluster in ("mine", "theirs"):
            shared.cluster(cluster)
            admin.ask("POST", f"/clusters/{cluster}/keys", {"name": "tde"},
                      status=201)
            node = issue(shared, world.folder, cluster, "peer", name=cluster,
                         dns=[f"a.{cluster}.example.net"])
            token = admin.ask("POST", f"/clusters/{cluster}/tokens",
                              {"uses": 1000}, status=201)
            setattr(world, cluster, (node, token))
        world.identity = admin.ask(
            "POST", "/identities", {"name": "x", "roles": ["auditor"]},
            status=201)["id"]
        world.callers = {
            "anonymous": {}, "admin": shared.admin,
            "token": {"token": world.mine[1]["token"]},
            "foreign-token": {"token": world.theirs[1]["token"]},
            "node": world.mine[0].tls, "foreign-node": world.theirs[0].tls,
        }
        yield world


def path_of(template, world, cluster="mine"):
    node, token = getattr(world, cluster)
    values = {"cluster": cluster, "key": "tde", "serial": node.serial,
              "policy": "etcd", "id": token["id"]
              if "/tokens/" in template else world.identity
              if "/identities/" in template else "issuing-1"}
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], template)


def throwaway(world, template):
    """Objects for the routes that end what they are asked about."""
    admin = world.admin
    if template == "/clusters/{cluster}":
        world.instance.cluster("gone")
        return "/clusters/gone"
    if template.endswith("/tokens/{id}"):
        made = admin.ask("POST", "/clusters/mine/tokens", {}, status=201)
        return f"/clusters/mine/tokens/{made['id']}"
    return path_of(template, world)


def test_every_route_has_a_row_and_every_row_a_route():
    assert len(ROUTES) == len(set(ROUTES)) > 25
    assert set(ROUTES) == set(EXPECTED)


@pytest.mark.parametrize("method,template", ROUTES)
def test_a_route_serves_whom_it_is_for(world, method, template):
    expected = EXPECTED[method, template]
    for caller, want in zip(CALLERS, expected):
        path = path_of(template, world) + QUERIES.get(template, "")
        if method == "DELETE" and caller == "admin":
            path = throwaway(world, template)
        body = {} if method in ("POST", "PATCH") else None
        answer = world.instance.call(
            method, path, body, **world.callers[caller])
        if want == "in":
            allowed = (ABSENT if body is None else BODIES).get(template)
            assert answer.status == allowed or \
                allowed is None and 200 <= answer.status < 300, \
                (caller, answer)
            continue
        assert answer.status == want, (caller, answer)
        problem = answer.json
        assert problem["code"] == {401: "unauthenticated", 403: "forbidden",
                                   404: "not-found"}[want], (caller, answer)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert ("WWW-Authenticate" in answer.headers) == (want == 401)
        # Who may not is not told whether there is such a thing.
        nothing = world.instance.call(
            method, re.sub(r"mine|tde|issuing-1|etcd", "nosuch", path)
            .replace(world.mine[0].serial, "7f" * 18), body,
            **world.callers[caller])
        assert nothing.status == want, (caller, nothing)
        assert nothing.json["detail"].replace("nosuch", "mine") == \
            problem["detail"], caller


def told(answer):
    if not answer.body:
        return answer.status, None
    content = answer.json
    content.pop("request_id", None)
    return answer.status, content


@pytest.mark.parametrize("caller,method,path", [
    ("node", "POST", "/clusters/{}/certificates/renew"),
    ("token", "POST", "/clusters/{}/certificates"),
])
def test_another_clusters_objects_answer_as_if_they_did_not_exist(
        world, caller, method, path):
    body = {"csr": request(dns=["a.theirs.example.net"])}
    if caller == "token":
        body["profile"] = "server"
    answers = [world.instance.call(method, path.format(name), body,
                                   **world.callers[caller])
               for name in ("theirs", "nosuch")]
    assert answers[0].status == 404
    status, content = told(answers[0])
    content["detail"] = content["detail"].replace("theirs", "nosuch")
    assert (status, content) == told(answers[1])


def test_a_caller_is_told_who_they_are(world):
    for caller, cluster, kind in (("node", "mine", "certificate"),
                                  ("foreign-node", "theirs", "certificate"),
                                  ("token", "mine", "token"),
                                  ("admin", None, "certificate")):
        answer = world.instance.call("GET", "/self", **world.callers[caller])
        assert answer.json.get("cluster") == cluster
        assert answer.json["kind"] == kind
        assert ("admin" in answer.json["roles"]) == (caller == "admin")


# --- Certificates that are not what they look like ---

def refused(instance, path="/status", **tls):
    """Refused by TLS or by 401; nothing else will do."""
    try:
        answer = instance.call("GET", path, **tls)
    except (ssl.SSLError, ConnectionError):
        return True
    assert answer.status == 401, answer
    assert answer.json["code"] == "unauthenticated"
    return True


@pytest.fixture
def probe(world, tmp_path):
    """A node of its own, to be spoilt."""
    def make(**names):
        names.setdefault("dns", ["p.mine.example.net"])
        return issue(world.instance, tmp_path, "mine", "peer",
                     name=f"p{len(list(tmp_path.iterdir()))}", **names)
    return make


def self_call(client):
    return client.call("GET", "/self").status


def test_a_revoked_certificate_is_refused_at_once(world, probe):
    node = probe()
    client = Client(world.instance, **node.tls)
    assert self_call(client) == 200
    socket = client.connect().sock
    world.admin.ask("POST", f"/certificates/{node.serial}/revoke",
                    {"reason": "keyCompromise"})
    # On the connection that stands, and on a new one.
    assert self_call(client) == 401
    assert client._connection is None or client.connect().sock is socket
    client.close()
    assert refused(world.instance, "/self", **node.tls)
    other = probe()
    assert world.instance.call("GET", "/self", **other.tls).status == 200


def test_an_expired_certificate_is_refused(world, tmp_path):
    key = new_key()
    issued = world.admin.ask(
        "POST", "/clusters/mine/certificates",
        {"csr": request(key, dns=["s.mine.example.net"]), "profile": "peer",
         "ttl": "2s"}, status=201)
    node = Node(tmp_path, "short", key, issued)
    client = Client(world.instance, **node.tls)
    assert self_call(client) == 200
    wait_until(lambda: self_call(client) == 401,
               "the certificate refused on a connection that stands")
    client.close()
    assert refused(world.instance, "/self", **node.tls)


def look_alike(folder, node, signer=None, issuer=None):
    """A certificate with serial, names and times of another one."""
    key, real = new_key(), node.certificate
    made = x509.CertificateBuilder(
        issuer or real.issuer, real.subject, key.public_key(),
        real.serial_number, real.not_valid_before, real.not_valid_after)
    for extension in real.extensions:
        made = made.add_extension(extension.value, extension.critical)
    made = made.sign(signer or key, hashes.SHA256())
    cert = folder / "fake.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return {"cert": cert, "key": save_key(folder / "fake.key", key)}


def test_a_look_alike_is_refused(world, tmp_path):
    node = world.mine[0]
    assert refused(world.instance, "/self", **look_alike(tmp_path, node))
    admin = world.instance.admin
    class Admin:
        certificate = load(admin["cert"].read_bytes())
    assert refused(world.instance, **look_alike(tmp_path, Admin))
    # Signed by a certificate that Signet did issue, with the issuer's name.
    signer = serialization.load_pem_private_key(
        node.key_pem.read_bytes(), None)
    assert refused(world.instance, "/self", **look_alike(
        tmp_path, node, signer, node.certificate.subject))
    assert world.instance.call("GET", "/self", **node.tls).status == 200


def test_a_certificate_of_a_cluster_is_never_an_admins(world, probe):
    admin = load(world.instance.admin["cert"].read_bytes())
    names = admin.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    answer = world.admin.call(
        "POST", "/clusters/mine/certificates",
        {"csr": request(cn=names[0].value if names else "admin"),
         "profile": "client"})
    assert answer.status == 403, answer
    node = probe()
    answer = world.instance.call("GET", "/status", **node.tls)
    assert answer.status == 403


def test_the_servers_own_certificate_is_nobodys(world):
    """Its key is on the disk of the server: whoever has it is not an admin."""
    tls = world.instance.dir / "tls"
    assert refused(world.instance, "/self", cert=tls / "server.pem",
                   key=tls / "server-key.pem")


def test_a_certificate_without_its_key_is_nobodys(world, tmp_path):
    key = save_key(tmp_path / "k.pem", new_key())
    with pytest.raises(ssl.SSLError):
        world.instance.call("GET", "/self", cert=world.mine[0].cert_pem,
                            key=key)


def test_a_token_does_not_lend_its_rights_to_a_certificate(world):
    """Both at once: whoever brings a token is judged by it."""
    answer = world.instance.call(
        "GET", "/status", token=world.mine[1]["token"], **world.instance.admin)
    assert answer.status == 401, answer
    answer = world.instance.call("GET", "/self", token="signet_x",
                                 **world.instance.admin)
    assert answer.status == 401, answer


def test_refusals_of_known_callers_are_audited(world):
    head = world.admin.ask("GET", "/audit/checkpoint")["sequence"]
    world.instance.call("GET", "/status", **world.callers["node"])
    world.instance.call("GET", "/status")
    entries = world.admin.ask("GET", f"/audit?cursor={head}")["items"]
    # The first is what read the head.
    assert [(e["result"], e["action"]) for e in entries] == [
        ("granted", "audit.read"), ("refused", "status.read")], entries
    assert entries[1]["actor"] == "serial:" + world.mine[0].serial
