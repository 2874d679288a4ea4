# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: a bootstrap token gives what it was made for, as often as
it was made for, to whom it was made for, and says nothing else about itself."""
import concurrent.futures
import json
import re
import threading

import pytest

from client import Client, admin_of, new_key, request
from harness import wait_until


@pytest.fixture(scope="module")
def admin(shared):
    with admin_of(shared) as client:
        shared.cluster("web")
        shared.cluster("other")
        yield client


class Made:
    def __init__(self, admin, cluster="web", **wish):
        wish.setdefault("profiles", ["server"])
        self.admin = admin
        self.path = f"/clusters/{cluster}/tokens"
        answer = admin.ask("POST", self.path, wish, status=201)
        self.text = answer["token"]
        self.id = answer["id"]

    @property
    def record(self):
        items = self.admin.ask("GET", self.path + "?limit=1000")["items"]
        return next(item for item in items if item["id"] == self.id)

    @property
    def spent(self):
        return self.record["spent"]

    def revoke(self):
        self.admin.ask("DELETE", f"{self.path}/{self.id}")


def enrol(instance, text, profile="server", cluster="web", csr=None, dns=None):
    csr = csr or request(dns=[dns or f"a.{cluster}.example.net"])
    return instance.call("POST", f"/clusters/{cluster}/certificates",
                         {"csr": csr, "profile": profile}, token=text)


def told(answer):
    """What a refused caller learns, without what differs by nature."""
    problem = answer.json
    problem.pop("request_id", None)
    return answer.status, problem


@pytest.fixture(scope="module")
def refusal(shared, admin):
    """How a token that never was is refused."""
    answer = enrol(shared, "signet_" + "A" * 43)
    assert answer.status == 401, answer
    assert answer.json["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    return told(answer)


def certificates(admin, cluster="web"):
    return len(admin.ask(
        "GET", f"/certificates?cluster={cluster}&limit=1000")["items"])


def test_a_token_gives_as_many_certificates_as_it_has_uses(shared, admin):
    token = Made(admin, uses=2)
    assert enrol(shared, token.text).status == 201
    assert enrol(shared, token.text).status == 201
    assert token.spent == 2
    before = certificates(admin)
    assert enrol(shared, token.text).status == 401
    assert token.spent == 2
    assert certificates(admin) == before


def test_a_token_has_one_use_where_nothing_else_is_said(shared, admin):
    token = Made(admin)
    assert token.record["uses"] == 1
    assert enrol(shared, token.text).status == 201
    assert enrol(shared, token.text).status == 401


def test_a_spent_token_answers_the_same_request_with_what_it_got(shared, admin):
    token = Made(admin, uses=1)
    csr = request(dns=["repeat.web.example.net"])
    first = enrol(shared, token.text, csr=csr)
    again = enrol(shared, token.text, csr=csr)
    assert (first.status, again.status) == (201, 200)
    assert again.json["certificate"] == first.json["certificate"]
    assert token.spent == 1


def test_a_token_ends_with_its_time(shared, admin, refusal):
    token = Made(admin, ttl="1s", uses=5)
    # One whose time ends while it is looked at is refused in other words.
    wait_until(lambda: told(enrol(shared, token.text)) == refusal,
               "a token past its time refused")
    spent = token.spent
    assert told(enrol(shared, token.text)) == refusal
    assert token.spent == spent


def test_a_token_is_refused_from_outside_its_source_ranges(
        shared, admin, refusal):
    within = Made(admin, **{"from": ["127.0.0.0/8"]})
    outside = Made(admin, **{"from": ["192.0.2.0/24", "2001:db8::/32"]})
    assert enrol(shared, within.text).status == 201
    assert told(enrol(shared, outside.text)) == refusal
    assert outside.spent == 0


def test_a_revoked_token_is_refused(shared, admin, refusal):
    token = Made(admin, uses=5)
    assert enrol(shared, token.text).status == 201
    token.revoke()
    assert told(enrol(shared, token.text)) == refusal
    assert token.spent == 1


def test_a_revoked_token_is_refused_on_a_connection_that_stands(
        shared, admin, refusal):
    token = Made(admin, uses=5)
    client = Client(shared, token=token.text)
    assert client.call("GET", "/self").status == 200
    token.revoke()
    answer = client.call("GET", "/self")
    client.close()
    assert told(answer) == refusal


def test_a_token_is_refused_for_a_profile_it_was_not_made_for(shared, admin):
    token = Made(admin, profiles=["server"])
    refused = enrol(shared, token.text, profile="client")
    assert refused.status == 403, refused
    assert refused.json["code"] == "refused-by-policy"
    assert '"client"' in refused.json["detail"]
    assert token.spent == 0
    assert enrol(shared, token.text).status == 201


def test_a_token_without_profiles_is_for_every_profile(shared, admin):
    token = Made(admin, profiles=[], uses=2)
    assert enrol(shared, token.text, profile="client").status == 201
    assert enrol(shared, token.text, profile="server").status == 201


def test_a_token_of_another_cluster_learns_nothing_about_this_one(
        shared, admin):
    token = Made(admin, cluster="other")
    there = enrol(shared, token.text)
    nowhere = shared.call("POST", "/clusters/nosuch/certificates",
                          {"csr": request(dns=["a.web.example.net"]),
                           "profile": "server"}, token=token.text)
    assert there.status == nowhere.status == 404
    assert told(there)[1]["detail"].replace("web", "X") == \
        told(nowhere)[1]["detail"].replace("nosuch", "X")
    assert token.spent == 0
    assert enrol(shared, token.text, cluster="other").status == 201


def test_a_token_of_a_retired_cluster_is_refused(shared, admin, refusal):
    shared.cluster("leaving")
    token = Made(admin, cluster="leaving")
    admin.ask("DELETE", "/clusters/leaving")
    assert told(enrol(shared, token.text, cluster="leaving")) == refusal
    assert token.spent == 0


def test_a_refused_request_spends_no_use(shared, admin):
    token = Made(admin, uses=1)
    foreign = enrol(shared, token.text, dns="a.elsewhere.example.org")
    assert foreign.status == 403
    assert "a.elsewhere.example.org" in foreign.json["detail"]
    garbage = enrol(shared, token.text, csr="no request")
    assert garbage.status == 400
    assert token.spent == 0
    assert enrol(shared, token.text).status == 201


def counted(instance, name):
    metrics = instance.get_ops("/metrics").body.decode()
    return int(re.search(rf"^signet_{name}_total (\d+)$", metrics, re.M)[1])


@pytest.mark.parametrize("wish,misuse,why,rule", [
    ({}, {"spend": True}, None, "unauthenticated"),
    ({"from": ["192.0.2.0/24"]}, {}, "token is not for this address",
     "unauthenticated"),
    ({"ttl": "1s"}, {"expire": True}, "token has expired", "unauthenticated"),
    ({}, {"revoke": True}, "token is revoked", "unauthenticated"),
    ({}, {"profile": "client"}, None, "refused-by-policy"),
    ({}, {"cluster": "other"}, None, "not-found"),
])
def test_a_misused_token_is_alarmed_and_spends_nothing(
        shared, admin, wish, misuse, why, rule):
    """In the audit log by its id, so that whose it was is known; where the
    credential itself is refused, in the server's log, too; both are counted."""
    token = Made(admin, **wish)
    spent = 0
    if "spend" in misuse:
        assert enrol(shared, token.text).status == 201
        spent = 1
    if "expire" in misuse:
        wait_until(lambda: shared.call(
            "GET", "/self", token=token.text).status == 401, "its end")
    if "revoke" in misuse:
        token.revoke()
    before = certificates(admin)
    failures, audited = (counted(shared, name) for name in (
        "authentication_failures", "refusals_audited"))
    answer = enrol(shared, token.text, **{
        k: v for k, v in misuse.items() if k in ("profile", "cluster")})
    assert answer.status in (401, 403, 404), answer
    assert (token.spent, certificates(admin)) == (spent, before)
    request_id = answer.headers["X-Request-Id"]
    head = admin.ask("GET", "/audit/checkpoint")["sequence"]
    entry, = (e for e in admin.ask(
        "GET", f"/audit?cursor={head - 20}")["items"]
        if e.get("request_id") == request_id)
    assert (entry["actor"], entry["result"], entry["rule"]) == \
        (f"token:{token.id}", "refused", rule)
    assert entry["source"] == "127.0.0.1"
    assert counted(shared, "refusals_audited") == audited + 1
    if why is None:
        return
    assert counted(shared, "authentication_failures") == failures + 1
    line, = (l for l in shared.log_lines() if l.get("request") == request_id
             and l.get("message") == "authentication refused")
    assert line["why"] == why and line["level"] == "warn"


@pytest.mark.parametrize("authorization", [
    "Bearer", "Bearer ", "Basic YTpi", "Bearer  ", "Bearer \x7f", "x",
    "Bearer " + "A" * 4000, "Bearer a b", "Bearer signet_" + "A" * 42,
    "Bearer signet_" + "A" * 44, "Negotiate AAAA"])
def test_what_is_no_token_is_refused_in_the_same_words(
        shared, admin, refusal, authorization):
    answer = shared.call(
        "POST", "/clusters/web/certificates",
        {"csr": request(dns=["a.web.example.net"]), "profile": "server"},
        headers={"Authorization": authorization})
    assert answer.status == 401, answer
    assert answer.json["code"] == refusal[1]["code"]
    # Nothing of a credential is told back.
    assert authorization[7:] == "" or len(authorization) < 12 or \
        authorization[7:] not in answer.body.decode()


def test_a_token_with_one_octet_changed_is_refused(shared, admin, refusal):
    token = Made(admin)
    for at in (8, len(token.text) // 2, len(token.text) - 1):
        other = "A" if token.text[at] != "A" else "B"
        changed = token.text[:at] + other + token.text[at + 1:]
        assert told(enrol(shared, changed)) == refusal
    assert token.spent == 0


def race(instance, text, requests):
    start = threading.Barrier(len(requests))

    def one(csr):
        client = Client(instance, token=text)
        client.connect()
        start.wait()
        answer = client.call("POST", "/clusters/web/certificates",
                             {"csr": csr, "profile": "server"})
        client.close()
        return answer

    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(one, requests))


def test_sixteen_that_race_for_one_use_get_one_certificate(shared, admin):
    token = Made(admin, uses=1)
    before = certificates(admin)
    answers = race(shared, token.text, [
        request(dns=[f"r{i}.web.example.net"]) for i in range(16)])
    statuses = sorted(a.status for a in answers)
    assert statuses == [201] + [401] * 15, answers
    assert token.spent == 1
    assert certificates(admin) == before + 1


def test_sixteen_that_race_with_one_request_get_the_same_certificate(
        shared, admin):
    token = Made(admin, uses=1)
    csr = request(new_key(), dns=["same.web.example.net"])
    before = certificates(admin)
    answers = race(shared, token.text, [csr] * 16)
    assert {a.status for a in answers} <= {200, 201}, answers
    assert [a.status for a in answers].count(201) == 1
    assert len({a.json["certificate"] for a in answers}) == 1
    assert token.spent == 1
    assert certificates(admin) == before + 1


def test_a_token_stands_in_no_log_and_no_store(shared, admin):
    token = Made(admin, uses=3)
    assert enrol(shared, token.text).status == 201
    assert enrol(shared, token.text, csr="x").status == 400
    token.revoke()
    assert enrol(shared, token.text).status == 401
    secret = token.text.split("_", 1)[1].encode()
    listed = json.dumps(admin.ask("GET", "/clusters/web/tokens?limit=1000"))
    audit = json.dumps(admin.ask("GET", "/audit?limit=1000"))
    assert token.text not in listed and token.text not in audit
    for path in [shared.log, *shared.dir.rglob("*")]:
        if path.is_file():
            octets = path.read_bytes()
            assert secret not in octets, path
            assert token.text.encode() not in octets, path
