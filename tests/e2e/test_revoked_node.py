# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: a node whose certificate was revoked does not come back by the
token by which it came, and nobody else loses theirs."""
import pytest

from client import Node, admin_of, new_key, request
from test_token import Made, enrol, told


@pytest.fixture(scope="module")
def admin(shared):
    with admin_of(shared) as client:
        shared.cluster("web")
        yield client


@pytest.fixture(scope="module")
def refusal(shared, admin):
    """How a token that never was is refused."""
    return told(enrol(shared, "sgt_" + "A" * 43))


def revoke(admin, serial, reason):
    admin.ask("POST", f"/certificates/{serial}/revoke", {"reason": reason})


@pytest.mark.parametrize("renewed", [False, True])
def test_a_revoked_node_does_not_come_back_by_its_token(
        shared, admin, refusal, tmp_path, renewed):
    token, key = Made(admin, uses=5), new_key()
    given = enrol(shared, token.text, csr=request(key, dns=["a.web.example.net"]))
    assert given.status == 201
    serial = given.json["serial"]
    if renewed:
        node = Node(tmp_path, "n", key, given.json)
        again = shared.call("POST", "/clusters/web/certificates/renew",
                            {"csr": request(dns=["a.web.example.net"])},
                            **node.tls)
        assert again.status == 201, again
        serial = again.json["serial"]
    assert token.record["revoked"] is False
    revoke(admin, serial, "keyCompromise")
    assert token.record["revoked"] is True
    assert told(enrol(shared, token.text)) == refusal
    # Nor as another node.
    assert told(enrol(shared, token.text, dns="b.web.example.net")) == refusal
    entries = admin.ask(
        "GET", "/audit?action=token.revoke&limit=1000")["items"]
    assert [e["rule"] for e in entries
            if e["object"] == f"token:{token.id}"] == ["certificate.revoke"]


def test_a_superseded_certificate_leaves_its_node_the_token(shared, admin):
    token = Made(admin, uses=5)
    revoke(admin, enrol(shared, token.text).json["serial"], "superseded")
    assert token.record["revoked"] is False
    assert enrol(shared, token.text).status == 201


def test_revoking_one_node_leaves_the_tokens_of_others(shared, admin):
    one, two = Made(admin, uses=5), Made(admin, uses=5)
    serial = enrol(shared, one.text).json["serial"]
    assert enrol(shared, two.text).status == 201
    revoke(admin, serial, "keyCompromise")
    assert (one.record["revoked"], two.record["revoked"]) == (True, False)
    # What an admin issued came by no token.
    by_hand = admin.ask("POST", "/clusters/web/certificates",
                        {"csr": request(dns=["c.web.example.net"]),
                         "profile": "server"}, status=201)
    revoke(admin, by_hand["serial"], "keyCompromise")
    assert two.record["revoked"] is False
