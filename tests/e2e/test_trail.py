# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: every decision of every route is in the audit log, with who,
from where, what, on what, by which rule, under which request, and its result.
A route without a row here fails."""
import re

import pytest

from client import Node, admin_of, issue, load, new_key, request
from harness import TOP

ROUTE = re.compile(r'ROUTE\((\w+),\s*"([^"]+)",\s*(\w+),', re.S)
ROUTES = {(method, path): permission.lower().replace("_", ".")
          for method, path, permission in ROUTE.findall(
              (TOP / "api" / "route.def").read_text())}

# What a request that is granted leaves, in order; reading leaves its permission.
GRANTED = {
    ("POST", "/clusters"): ["cluster.create"],
    ("PATCH", "/clusters/{cluster}"): ["cluster.change"],
    ("DELETE", "/clusters/{cluster}"): [
        "cluster.retire", "certificate.revoke", "token.revoke"],
    ("POST", "/clusters/{cluster}/quarantine"): ["cluster.quarantine"],
    ("DELETE", "/clusters/{cluster}/quarantine"): ["cluster.release"],
    ("POST", "/clusters/{cluster}/tokens"): ["token.create"],
    ("DELETE", "/clusters/{cluster}/tokens/{id}"): ["token.revoke"],
    ("POST", "/clusters/{cluster}/certificates"): ["certificate.issue"],
    ("POST", "/clusters/{cluster}/certificates/renew"): ["certificate.issue"],
    ("POST", "/certificates/{serial}/revoke"): ["certificate.revoke"],
    ("POST", "/issuers/{id}/crl"): ["crl.request"],
    ("POST", "/clusters/{cluster}/keys"): ["key.create"],
    ("POST", "/clusters/{cluster}/keys/{key}/datakey"): ["key.datakey"],
    ("POST", "/clusters/{cluster}/keys/{key}/unwrap"): ["key.unwrap"],
    ("POST", "/identities"): ["identity.create"],
    ("POST", "/identities/enroll"): ["identity.enroll", "certificate.issue"],
    ("POST", "/identities/renew"): ["identity.renew", "certificate.issue"],
    ("PATCH", "/identities/{id}"): ["identity.change"],
    ("POST", "/identities/{id}/codes"): ["identity.code"],
    ("DELETE", "/identities/{id}"): ["identity.revoke", "certificate.revoke"],
}
# What a vote leaves takes several people: test_approvals.py.
ELSEWHERE = {("POST", "/approvals/{id}/approve"),
             ("POST", "/approvals/{id}/reject")}
READ = {route for route in ROUTES if route[0] == "GET"}
# Of everybody: nothing is decided.
PUBLIC = {("GET", path) for path in ("/roots", "/openapi.json", "/ping")}
# Nobody is refused there.
OPEN = PUBLIC | {("GET", "/self")}
# Who is known, and may not: a node, and where a node may, an admin.
BY_ADMIN = {("POST", "/clusters/{cluster}/certificates/renew")}


class World:
    def __init__(self, instance, admin, folder):
        self.it, self.admin, self.folder = instance, admin, folder
        self.numbers = iter(range(1000))
        instance.cluster("mine")
        self.key = self.make("/clusters/mine/keys", {"name": "k"})
        self.sealed = admin.ask(
            "POST", "/clusters/mine/keys/k/datakey", {})["ciphertext"]
        self.node = self.new_node()
        self.token = self.make("/clusters/mine/tokens", {"uses": 5})
        self.made = self.make("/identities", {"name": "x",
                                              "roles": ["auditor"]})
        serial = load(instance.admin["cert"].read_bytes()).serial_number
        self.callers = {"admin": (instance.admin, f"serial:{serial:036x}"),
                        "node": (self.node.tls, f"serial:{self.node.serial}")}

    def make(self, path, body):
        return self.admin.ask("POST", path, body, status=201)

    def new_node(self, cluster="mine"):
        name = f"n{next(self.numbers)}"
        return issue(self.it, self.folder, cluster, "peer", name=name,
                     dns=[f"{name}.{cluster}.example.net"])

    def member(self):
        made = self.make("/identities", {"name": "y", "roles": ["auditor"]})
        key = new_key()
        answer = self.it.call("POST", "/identities/enroll",
                              {"csr": request(key)}, token=made["code"])
        assert answer.status == 201, answer
        return made, Node(self.folder, made["id"], key, answer.json)

    def last(self, count=12):
        head = self.admin.ask("GET", "/audit/checkpoint")["sequence"]
        return self.admin.ask(
            "GET", f"/audit?limit=100&cursor={max(head - count, 0)}")["items"]

    def entries(self, answer):
        """Those of one request, by the id that its answer had."""
        return [e for e in self.last()
                if e.get("request_id") == answer.headers["X-Request-Id"]]

    def path(self, template):
        values = {"cluster": "mine", "key": "k", "serial": self.node.serial,
                  "policy": "etcd", "id": self.token["id"]
                  if "/tokens/" in template else self.made["id"]
                  if "/identities/" in template else "issuing-1"}
        return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], template)


@pytest.fixture(scope="module")
def world(shared, tmp_path_factory):
    with admin_of(shared) as admin:
        yield World(shared, admin, tmp_path_factory.mktemp("trail"))


def fresh(world, route):
    """(path, body, credentials or None for the admin, actor or None) of a
    request that is granted, on objects of its own."""
    method, template = route
    path, body, who, actor = world.path(template), {}, None, None
    csr = {"csr": request(dns=[f"f{next(world.numbers)}.mine.example.net"])}
    if route == ("POST", "/clusters"):
        body = {"name": "fresh", "policy": "etcd"}
    elif method == "PATCH":
        body = {"from": []}
    elif route == ("POST", "/clusters/{cluster}/quarantine"):
        world.it.cluster("ill")
        path, body = "/clusters/ill/quarantine", {"reason": "test"}
    elif route == ("DELETE", "/clusters/{cluster}/quarantine"):
        path = "/clusters/ill/quarantine"
    elif route == ("DELETE", "/clusters/{cluster}"):
        world.it.cluster("gone")
        world.new_node("gone")
        world.make("/clusters/gone/tokens", {})
        path = "/clusters/gone"
    elif route == ("POST", "/clusters/{cluster}/certificates"):
        body = {**csr, "profile": "server"}
        who, actor = {"token": world.token["token"]}, \
            f"token:{world.token['id']}"
    elif template.endswith("/certificates/renew"):
        body, who, actor = {"csr": request()}, world.node.tls, \
            f"serial:{world.node.serial}"
    elif template.endswith("/revoke"):
        path = f"/certificates/{world.new_node().serial}/revoke"
        body = {"reason": "superseded"}
    elif template == "/clusters/{cluster}/keys":
        body = {"name": "another"}
    elif template.endswith("/unwrap"):
        body = {"ciphertext": world.sealed}
    elif route == ("POST", "/identities"):
        body = {"name": "z", "roles": ["auditor"]}
    elif template == "/identities/enroll":
        made = world.make("/identities", {"name": "w", "roles": ["auditor"]})
        body, who, actor = {"csr": request()}, {"token": made["code"]}, \
            f"identity:{made['id']}"
    elif template == "/identities/renew":
        _, node = world.member()
        body, who, actor = {"csr": request()}, node.tls, \
            f"serial:{node.serial}"
    elif route == ("PATCH", "/identities/{id}"):
        body = {"ttl": "2d"}
    elif route == ("DELETE", "/identities/{id}"):
        made, _ = world.member()
        path = f"/identities/{made['id']}"
    elif route == ("DELETE", "/clusters/{cluster}/tokens/{id}"):
        made = world.make("/clusters/mine/tokens", {})
        path = f"/clusters/mine/tokens/{made['id']}"
    return path, body if method in ("POST", "PATCH") else None, who, actor


QUERIES = {"/audit/proof/inclusion": "?sequence=1&size=1",
           "/audit/proof/consistency": "?from=1&to=1"}


def check_whole(entry, actor, result):
    assert entry["actor"] == actor, entry
    assert entry["result"] == result, entry
    assert entry["source"] == "127.0.0.1", entry
    assert entry["rule"] and entry["time"], entry


def test_every_route_has_a_row_and_every_row_a_route():
    assert set(GRANTED) | READ | ELSEWHERE == set(ROUTES)
    assert set(GRANTED) & READ == set()
    assert OPEN | BY_ADMIN <= set(ROUTES)


@pytest.mark.parametrize("route", GRANTED, ids=" ".join)
def test_what_is_granted_is_in_the_log(world, route):
    path, body, who, actor = fresh(world, route)
    answer = world.it.call(route[0], path, body, **(
        world.it.admin if who is None else who))
    assert 200 <= answer.status < 300, answer
    entries = world.entries(answer)
    assert sorted(e["action"] for e in entries) == sorted(GRANTED[route])
    for entry in entries:
        by = actor or world.callers["admin"][1]
        # What an identity renews is the identity's, whichever it shows.
        if route[1] == "/identities/renew" and \
                entry["action"] == "certificate.issue":
            by = next(e["object"] for e in entries
                      if e["action"] == "identity.renew")
        check_whole(entry, by, "granted")
        assert entry["object"], entry
        if "{cluster}" in route[1]:
            assert entry["cluster"] == path.split("/")[2], entry


@pytest.mark.parametrize("route", sorted(READ), ids=" ".join)
def test_what_is_read_is_in_the_log(world, route):
    path = world.path(route[1]) + QUERIES.get(route[1], "")
    answer = world.it.admin_call("GET", path)
    absent = route[1] == "/approvals/{id}"
    assert 200 <= answer.status < 300 or absent and answer.status == 404, answer
    entries = world.entries(answer)
    if route in PUBLIC or absent:
        assert entries == []
    else:
        assert [e["action"] for e in entries] == [ROUTES[route]], entries
        check_whole(entries[0], world.callers["admin"][1], "granted")
        assert entries[0]["rule"] == ROUTES[route]
        assert entries[0]["detail"] == f"GET {route[1]}"
        if "{cluster}" in route[1]:
            assert entries[0]["cluster"] == "mine"
        item = re.search(r"\{(id|serial|key|policy)\}", route[1])
        assert not item or entries[0]["object"] == path.split("/")[-1]
    request_id = answer.headers["X-Request-Id"]
    lines = [l for l in world.it.log_lines()
             if l.get("request") == request_id
             and l.get("message") == "request"]
    assert len(lines) == 1 and lines[0]["route"] == route[1], lines
    assert lines[0]["source"] == "127.0.0.1"
    assert route in PUBLIC or lines[0]["caller"] == world.callers["admin"][1]


@pytest.mark.parametrize("route", sorted(set(ROUTES) - OPEN), ids=" ".join)
def test_what_is_refused_is_in_the_log(world, route):
    caller, actor = world.callers["admin" if route in BY_ADMIN else "node"]
    path = world.path(route[1]) + QUERIES.get(route[1], "")
    answer = world.it.call(route[0], path, {} if route[0] in (
        "POST", "PATCH") else None, **caller)
    assert answer.status == 403, answer
    entries = world.entries(answer)
    assert [e["action"] for e in entries] == [ROUTES[route]], entries
    check_whole(entries[0], actor, "refused")
    assert entries[0]["rule"] == "forbidden"
    if "{cluster}" in route[1]:
        assert entries[0]["cluster"] == "mine"
    item = re.search(r"\{(id|serial|key|policy)\}", route[1])
    assert not item or entries[0]["object"] in path, entries
