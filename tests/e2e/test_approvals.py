# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: what approvals.yaml says needs the consent of others happens
only with it, once, and as it was asked."""
import signal
import threading

import pytest

from client import Node, admin_of, new_key, request
from harness import BUILD, run, wait_until

RULES = """\
version: 1
approvals:
  - actions: [identity.create, cluster.retire, key.destroy]
    needed: 2
    roles: [admin]
    identities: [Otto]
  - actions: [identity.revoke]
    needed: 1
    roles: [admin]
"""


@pytest.fixture(scope="module")
def world(shared, tmp_path_factory):
    class World:
        pass
    world = World()
    world.folder = tmp_path_factory.mktemp("approvals")
    world.instance = shared
    with admin_of(world.instance) as admin:
        world.admin = admin
        # Before there are rules nobody is asked, and so the approvers are made.
        world.people = {name: member(world, name, role) for name, role in (
            ("Ann", "admin"), ("Bob", "admin"), ("Otto", "key-officer"),
            ("Kay", "key-officer"), ("Uwe", "auditor"))}
        use_rules(world, RULES)
        yield world


def member(world, name, role):
    made = world.admin.ask("POST", "/identities",
                           {"name": name, "roles": [role]}, status=201)
    key = new_key()
    answer = world.instance.call("POST", "/identities/enroll",
                                 {"csr": request(key)}, token=made["code"])
    assert answer.status == 201, answer
    node = Node(world.folder, name, key, answer.json)
    node.identity = made["id"]
    return node


def reloads(world):
    return sum(line.get("message") == "reloaded" for line in world.instance.log_lines())


def use_rules(world, text):
    policies = world.instance.dir / "policies"
    (policies / "approvals.yaml").write_text(text)
    before = reloads(world)
    world.instance.server.send_signal(signal.SIGHUP)
    wait_until(lambda: reloads(world) > before, "a reload")


def call(world, who, method, path, body=None):
    return world.instance.call(method, path, body, **world.people[who].tls)


def approve(world, who, asked, digest=None):
    return call(world, who, "POST", f"/approvals/{asked['id']}/approve",
                {"digest": digest or asked["digest"]})


def ask(world, method, path, body=None, who=None):
    """The first request: it waits."""
    answer = world.admin.call(method, path, body) if who is None else \
        call(world, who, method, path, body)
    assert answer.status == 202, answer
    assert answer.json["state"] == "pending"
    return answer.json


def cli(world, who, *arguments):
    tls = world.people[who].tls
    return run([BUILD / "signet", *arguments, "--url", world.instance.url,
                "--ca", world.instance.ca, "--cert", tls["cert"], "--key",
                tls["key"]], env=world.instance.env)


def actions(world, asked):
    head = world.admin.ask("GET", "/audit/checkpoint")["sequence"]
    items = world.admin.ask(
        "GET", f"/audit?cursor={max(0, head - 60)}&limit=60")["items"]
    return [(i["action"], i["result"], i["actor"]) for i in items
            if i.get("object") == f"approval:{asked['id']}"
            and asked["digest"] in i["detail"]]


def actor(world, who):
    return call(world, who, "GET", "/self").json["id"]


def test_two_others_consent_and_the_command_given_again_does_it_once(world):
    order = ("identity", "create", "--role", "admin", "--name", "Eve")
    waits = world.instance.run(*order, "--json")
    assert waits.code == 5, waits
    asked = waits.json
    assert asked["id"] in waits.err and "2 more" in waits.err
    assert world.instance.run(*order, "--json").json["id"] == asked["id"]
    shown = cli(world, "Ann", "approval", "show", asked["id"])
    assert shown.code == 0 and '"Eve"' in shown.out
    assert asked["digest"] in shown.out
    done = cli(world, "Ann", "approval", "approve", asked["id"],
               "--digest", asked["digest"], "--json")
    assert done.code == 0 and done.json["approvals"] == 1, done
    # Twice is once.
    assert approve(world, "Ann", asked).json["approvals"] == 1
    still = world.instance.run(*order)
    assert still.code == 5 and "1 more approval;" in still.err
    assert cli(world, "Otto", "approval", "approve", asked["id"]).code == 0
    assert "approved" in cli(world, "Uwe", "approval", "list").out
    made = world.instance.json(*order)
    assert made["code"].startswith("sgc_")
    again = world.instance.run(*order, "--json")
    assert again.code == 5 and again.json["id"] != asked["id"]
    ended = world.admin.ask("GET", f"/approvals/{asked['id']}")
    assert ended["state"] == "executed"
    admin = world.admin.ask("GET", "/self")["id"]
    assert actions(world, asked) == [
        ("approval.request", "granted", admin),
        ("approval.approve", "granted", actor(world, "Ann")),
        ("approval.approve", "granted", actor(world, "Otto")),
        ("approval.execute", "granted", admin)]


def test_what_gives_no_power_to_approve_needs_nobody(world):
    for role in ("auditor", "operator"):
        world.admin.ask("POST", "/identities", {"name": "x", "roles": [role]},
                        status=201)
    # One of the name of an approver does.
    ask(world, "POST", "/identities", {"name": "Otto", "roles": ["auditor"]})
    # What is wrong is told before others are asked.
    answer = world.admin.call("POST", "/identities",
                              {"name": "x", "roles": ["king"]})
    assert answer.status == 400


def test_nobody_approves_their_own_and_only_approvers_do(world):
    world.instance.cluster("own")
    asked = ask(world, "DELETE", "/clusters/own", who="Ann")
    assert asked["cluster"] == "own"
    own = approve(world, "Ann", asked)
    assert (own.status, own.json["code"]) == (403, "refused-by-policy")
    # Ann's own credential executes it: another's request is another.
    other = ask(world, "DELETE", "/clusters/own", who="Bob")
    assert other["digest"] != asked["digest"]
    assert approve(world, "Kay", asked).json["code"] == "forbidden"
    assert approve(world, "Uwe", asked).json["code"] == "forbidden"
    mine = cli(world, "Ann", "approval", "approve", asked["id"])
    assert mine.code == 4, mine
    assert world.admin.ask("GET", f"/approvals/{asked['id']}")["approvals"] \
        == 0


def test_consent_to_other_content_is_refused(world):
    world.instance.cluster("exact")
    asked = ask(world, "DELETE", "/clusters/exact")
    other = ask(world, "POST", "/identities",
                {"name": "Eva", "roles": ["admin"]})
    wrong = cli(world, "Bob", "approval", "approve", asked["id"], "--digest",
                other["digest"])
    assert wrong.code == 4 and "digest" in wrong.err, wrong
    answer = approve(world, "Bob", asked, "sha256:00")
    assert answer.status == 400, answer
    for who in ("Ann", "Bob"):
        assert approve(world, who, other).status == 200
    # Approved is what was shown, and nothing that differs from it.
    for body in ({"name": "Eva", "roles": ["admin"], "ttl": "30d"},
                 {"name": "Eva", "roles": ["admin", "auditor"]},
                 {"name": "Eva", "roles": ["key-officer"]}):
        ask(world, "POST", "/identities", body)
    # The order of the members is none of the content.
    made = world.admin.call("POST", "/identities",
                            b'{"roles":["admin"], "name":"Eva"}')
    assert made.status == 201, made


def test_a_rejection_ends_it_and_says_why(world):
    world.instance.cluster("kept")
    asked = ask(world, "DELETE", "/clusters/kept")
    assert approve(world, "Ann", asked).status == 200
    assert cli(world, "Bob", "approval", "reject", asked["id"]).code == 2
    done = cli(world, "Bob", "approval", "reject", asked["id"], "--reason",
               "still in use")
    assert done.code == 0 and "rejected" in done.out, done
    late = cli(world, "Otto", "approval", "approve", asked["id"])
    assert late.code == 4 and "rejected" in late.err
    shown = world.admin.ask("GET", f"/approvals/{asked['id']}")
    assert shown["state"] == "rejected"
    assert shown["decisions"][-1]["reason"] == "still in use"
    assert world.admin.ask("GET", "/clusters/kept")["state"] == "active"
    assert ask(world, "DELETE", "/clusters/kept")["id"] != asked["id"]
    assert actions(world, asked)[-1][:2] == ("approval.reject", "granted")


def test_who_is_revoked_consents_no_more(world):
    world.instance.cluster("count")
    asked = ask(world, "DELETE", "/clusters/count")
    for who in ("Ann", "Bob"):
        approve(world, who, asked)
    assert world.admin.ask("GET", f"/approvals/{asked['id']}")["state"] == \
        "approved"
    # Bob's end needs one consent itself: that of Ann.
    end = f"/identities/{world.people['Bob'].identity}"
    first = ask(world, "DELETE", end)
    assert approve(world, "Ann", first).status == 200
    assert world.admin.ask("DELETE", end)["state"] == "revoked"
    waits = ask(world, "DELETE", "/clusters/count")
    assert (waits["id"], waits["approvals"]) == (asked["id"], 1)
    assert approve(world, "Otto", asked).json["state"] == "approved"
    assert world.admin.ask("DELETE", "/clusters/count")["state"] == "retired"
    # What is retired already is asked of nobody.
    assert world.admin.ask("DELETE", "/clusters/count")["state"] == "retired"


def test_a_certificate_of_an_approver_is_not_the_way_around(world):
    shown = world.admin.ask("GET",
                            f"/identities/{world.people['Kay'].identity}")
    path = f"/certificates/{shown['certificates'][0]}/revoke"
    ask(world, "POST", path, {"reason": "keyCompromise"})
    shown = world.admin.ask("GET",
                            f"/identities/{world.people['Uwe'].identity}")
    path = f"/certificates/{shown['certificates'][0]}/revoke"
    world.admin.ask("POST", path, {"reason": "superseded"})


def test_of_many_who_execute_at_once_one_does(world):
    body = {"name": "Sol", "roles": ["admin"]}
    asked = ask(world, "POST", "/identities", body)
    for who in ("Ann", "Otto"):
        assert approve(world, who, asked).status == 200
    statuses = []

    def execute():
        statuses.append(world.instance.admin_call(
            "POST", "/identities", body).status)
    threads = [threading.Thread(target=execute) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [202] * 7
    assert sum(i["name"] == "Sol" for i in world.admin.ask(
        "GET", "/identities?limit=1000")["items"]) == 1


def test_a_file_of_approvals_is_checked_beside_its_roles(world, tmp_path):
    file = tmp_path / "approvals.yaml"
    file.write_text(RULES)
    done = world.instance.run("policy", "check", file)
    assert done.code == 0 and "needs 2 of role admin or of Otto" in done.out
    file.write_text(RULES.replace("[admin]", "[operator]"))
    done = world.instance.run("policy", "check", file)
    assert done.code == 1 and "approvals.yaml:5" in done.err, done
