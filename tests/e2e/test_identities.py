# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: people and programs get identities by a code that works once,
may what their roles say and no more, and are nobody from the moment that they
are revoked, also on a connection that stands."""
import contextlib
import shutil
import signal

import pytest

from client import Client, Node, admin_of, issue, new_key, request
from harness import BUILD, check, run, wait_until


@pytest.fixture(scope="module")
def world(shared):
    class World:
        pass
    world = World()
    world.instance = shared
    with admin_of(shared) as admin:
        world.admin = admin
        for cluster in ("mine", "theirs"):
            shared.cluster(cluster)
            admin.ask("POST", f"/clusters/{cluster}/keys", {"name": "k"},
                      status=201)
        yield world


def create(world, *roles, **fields):
    body = {"name": "someone", "roles": list(roles), **fields}
    return world.admin.ask("POST", "/identities", body, status=201)


def enroll(world, made, csr, status=201):
    answer = world.instance.call("POST", "/identities/enroll", {"csr": csr},
                                 token=made["code"])
    assert answer.status == status, answer
    return answer.json


def member(world, folder, *roles, **fields):
    """An identity that has enrolled: its record, and its certificate."""
    made = create(world, *roles, **fields)
    key = new_key()
    return made, Node(folder, made["id"], key,
                      enroll(world, made, request(key)))


def last_audit(world, count=1):
    """What was decided last, apart from what was read."""
    head = world.admin.ask("GET", "/audit/checkpoint")["sequence"]
    items = world.admin.ask("GET", f"/audit?cursor={max(head - count - 50, 0)}")["items"]
    return [i for i in items if i["result"] != "granted" or not (
        i["action"].endswith(".read") or i["action"] == "self")][-count:]


def signet(world, *arguments, **kinds):
    return run([BUILD / "signet", *arguments], env=world.instance.env, **kinds)


def test_an_identity_enrols_once_and_has_its_roles(world, tmp_path):
    made = create(world, "auditor", "key-officer", name="Ann")
    assert made["state"] == "pending" and "certificates" not in made
    key = new_key()
    csr = request(key, cn="Ann")
    issued = enroll(world, made, csr)
    # The answer was lost: the same request gets the same certificate.
    assert enroll(world, made, csr, status=200)["serial"] == issued["serial"]
    refused = enroll(world, made, request(), status=401)
    assert "used up" in refused["detail"]
    ann = Node(tmp_path, "ann", key, issued)
    told = world.instance.call("GET", "/self", **ann.tls).json
    assert told["roles"] == ["auditor", "key-officer"]
    assert (told["identity"], told["name"]) == (made["id"], "Ann")
    assert world.instance.call("GET", "/audit", **ann.tls).status == 200
    assert world.instance.call("POST", "/clusters", {}, **ann.tls).status \
        == 403
    shown = world.admin.ask("GET", f"/identities/{made['id']}")
    assert shown["state"] == "active"
    assert shown["certificates"] == [issued["serial"]]
    assert "code" not in shown
    names = ann.certificate.subject.rfc4514_string()
    assert names == "CN=Ann"
    assert "Services CA" in ann.certificate.issuer.rfc4514_string()


def test_a_code_is_good_for_nothing_else_and_not_for_ever(world):
    made = create(world, "admin", code_ttl="1s")
    for method, path in (("GET", "/self"), ("GET", "/status"),
                         ("POST", "/identities"),
                         ("POST", "/clusters/mine/certificates")):
        answer = world.instance.call(
            method, path, {} if method == "POST" else None,
            token=made["code"])
        assert answer.status == 401, (path, answer)
    wait_until(lambda: world.admin.ask(
        "GET", f"/identities/{made['id']}")["state"] == "expired", "the end")
    refused = enroll(world, made, request(), status=401)
    unknown = world.instance.call("POST", "/identities/enroll",
                                  {"csr": request()}, token="sgc_" + "A" * 43)
    assert unknown.status == 401
    assert refused["detail"] == unknown.json["detail"]
    entry = last_audit(world)[0]
    assert (entry["result"], entry["actor"]) == \
        ("refused", f"identity:{made['id']}")


@pytest.mark.parametrize("names", [
    {"cn": "root"}, {"dns": ["a.example.net"]}, {"uri": ["signet:x"]}])
def test_a_name_that_is_not_its_own_is_refused(world, names):
    made = create(world, "auditor")
    assert enroll(world, made, request(**names), status=403)["code"] == \
        "refused-by-policy"
    enroll(world, made, request())


def test_a_revoked_identity_is_nobody_on_a_connection_that_stands(
        world, tmp_path):
    made, node = member(world, tmp_path, "auditor")
    standing = Client(world.instance, **node.tls)
    assert standing.call("GET", "/status").status == 200
    socket = standing.connect().sock
    ended = world.admin.ask("DELETE", f"/identities/{made['id']}")
    assert ended["state"] == "revoked" and ended["certificates"] == []
    answer = standing.call("GET", "/status")
    assert answer.status == 401, answer
    assert standing._connection is None or standing.connect().sock is socket
    standing.close()
    record = world.admin.ask("GET", f"/certificates/{node.serial}")
    assert (record["state"], record["reason"]) == \
        ("revoked", "privilegeWithdrawn")
    actions = [e["action"] for e in last_audit(world, 8)]
    assert "identity.revoke" in actions and "certificate.revoke" in actions
    # Once more changes nothing; and it does not come back.
    world.admin.ask("DELETE", f"/identities/{made['id']}")
    answer = world.instance.call("POST", "/identities/renew",
                                 {"csr": request()}, **node.tls)
    assert answer.status == 401


def test_other_roles_hold_at_once_on_a_connection_that_stands(
        world, tmp_path):
    made, node = member(world, tmp_path, "operator")
    path = f"/identities/{made['id']}"
    with contextlib.closing(Client(world.instance, **node.tls)) as standing:
        assert standing.call("GET", "/certificates").status == 200
        assert standing.call("GET", "/audit").status == 403
        socket = standing.connect().sock
        changed = world.admin.ask("PATCH", path, {"roles": ["auditor"]})
        assert changed["roles"] == ["auditor"]
        assert standing.call("GET", "/audit").status == 200
        assert standing.call("POST", "/issuers/issuing-1/crl", {}).status == 403
        assert standing.call("GET", "/self").json["roles"] == ["auditor"]
        # From elsewhere it is nobody; and it was one connection throughout.
        world.admin.ask("PATCH", path, {"from": ["192.0.2.0/24"]})
        assert standing.connect().sock is socket
        assert standing.call("GET", "/self").status == 401
    world.admin.ask("PATCH", path, {"from": [], "name": "Ann"})
    key = new_key()
    renewed = world.instance.call("POST", "/identities/renew",
                                  {"csr": request(key)}, **node.tls)
    assert renewed.status == 201, renewed
    fresh = Node(tmp_path, "fresh", key, renewed.json)
    assert fresh.certificate.subject.rfc4514_string() == "CN=Ann"
    own = world.admin.ask("GET", "/self")["identity"]
    answer = world.admin.call("PATCH", f"/identities/{own}", {"ttl": "1h"})
    assert answer.status == 403 and "itself" in answer.json["detail"]


def test_a_lost_code_or_certificate_is_replaced_by_command(world, tmp_path):
    config = ["--config", world.instance.config]
    made = create(world, "auditor")

    def draw():
        return check([BUILD / "signet", *config, "identity", "code",
                      made["id"], "--json"], env=world.instance.env).json
    second = draw()
    assert second["code"] != made["code"] and second["state"] == "pending"
    assert world.instance.call("POST", "/identities/enroll",
                               {"csr": request()},
                               token=made["code"]).status == 401
    first = enroll(world, second, request())
    third = draw()
    assert third["state"] == "active" and third["code_expires"]
    key = new_key()
    issued = enroll(world, third, request(key))
    shown = world.admin.ask("GET", f"/identities/{made['id']}")
    assert sorted(shown["certificates"]) == \
        sorted([first["serial"], issued["serial"]])
    node = Node(tmp_path, "again", key, issued)
    assert world.instance.call("GET", "/self", **node.tls).status == 200
    ended = signet(world, *config, "identity", "set", made["id"])
    assert ended.code == 2 and "what is to change" in ended.err
    text = signet(world, *config, "identity", "set", made["id"], "--name",
                  "Bo", "--role", "operator", "--anywhere")
    assert text.code == 0 and "Bo" in text.out and "operator" in text.out
    roles = check([BUILD / "signet", *config, "role", "list", "--json"],
                  env=world.instance.env).json
    assert {"admin", "node", "kms"} <= {r["name"] for r in roles["items"]}
    assert "identity.write" in signet(world, *config, "role", "list").out


def test_an_identity_renews_its_own_certificate(world, tmp_path):
    made, node = member(world, tmp_path, "operator", ttl="1h")
    key = new_key()
    answer = world.instance.call("POST", "/identities/renew",
                                 {"csr": request(key)}, **node.tls)
    assert answer.status == 201, answer
    fresh = Node(tmp_path, "fresh", key, answer.json)
    told = world.instance.call("GET", "/self", **fresh.tls).json
    assert (told["identity"], told["roles"]) == (made["id"], ["operator"])
    # Not without end.
    for _ in range(6):
        assert world.instance.call("POST", "/identities/renew",
                                   {"csr": request()}, **node.tls).status == 201
    answer = world.instance.call("POST", "/identities/renew",
                                 {"csr": request()}, **node.tls)
    assert answer.status == 403 and "8 certificates" in answer.json["detail"]
    ended = world.admin.ask("DELETE", f"/identities/{made['id']}")
    assert ended["certificates"] == []
    assert world.instance.call("GET", "/self", **fresh.tls).status == 401


def test_nobody_revokes_themselves(world):
    own = world.admin.ask("GET", "/self")["identity"]
    answer = world.admin.call("DELETE", f"/identities/{own}")
    assert answer.status == 403
    assert world.admin.ask("GET", f"/identities/{own}")["state"] == "active"


def test_an_operator_ends_no_identity_and_no_service(world, tmp_path):
    _, operator = member(world, tmp_path, "operator")
    made, auditor = member(world, tmp_path, "auditor")
    node = issue(world.instance, tmp_path, "mine", "peer",
                 dns=["o.mine.example.net"])
    ask = Client(world.instance, **operator.tls)
    for serial, missing in ((auditor.serial, "identity.revoke"),
                            (service_serial(world), "service.revoke")):
        answer = ask.call("POST", f"/certificates/{serial}/revoke",
                          {"reason": "keyCompromise"})
        assert answer.status == 403, answer
        assert missing in answer.json["detail"]
    assert ask.call("DELETE", f"/identities/{made['id']}").status == 403
    assert ask.call("POST", f"/certificates/{node.serial}/revoke",
                    {"reason": "keyCompromise"}).status == 200
    ask.close()
    assert world.instance.call("GET", "/status", **auditor.tls).status == 200
    world.admin.ask("POST", f"/certificates/{auditor.serial}/revoke",
                    {"reason": "keyCompromise"})
    assert world.instance.call("GET", "/status", **auditor.tls).status == 401


def service_serial(world):
    items = world.admin.ask("GET", "/certificates?limit=1000")["items"]
    return next(i["serial"] for i in items if i["profile"] == "api-server")


def use(world, cluster, **credentials):
    return world.instance.call("POST", f"/clusters/{cluster}/keys/k/datakey",
                               {}, **credentials)


@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_a_program_uses_the_keys_of_its_cluster_alone(world, tmp_path, kind):
    if kind == "token":
        made = create(world, "kms", cluster="mine", kind="token")
        assert made["token"].startswith("sgk_") and made["expires"]
        credentials = {"token": made["token"]}
    else:
        made, node = member(world, tmp_path, "kms", cluster="mine")
        credentials = node.tls
    answer = use(world, "mine", **credentials)
    assert answer.status == 200, answer
    opened = world.instance.call(
        "POST", "/clusters/mine/keys/k/unwrap",
        {"ciphertext": answer.json["ciphertext"]}, **credentials)
    assert opened.json["plaintext"] == answer.json["plaintext"]
    theirs, nothing = (use(world, name, **credentials)
                       for name in ("theirs", "nosuch"))
    assert theirs.status == nothing.status == 404
    theirs, nothing = theirs.json, nothing.json
    del theirs["request_id"], nothing["request_id"]
    theirs["detail"] = theirs["detail"].replace("theirs", "nosuch")
    assert theirs == nothing
    for method, path in (("GET", "/clusters"), ("GET", "/certificates"),
                         ("POST", "/clusters/mine/keys"), ("GET", "/status"),
                         ("POST", "/clusters/mine/certificates")):
        answer = world.instance.call(
            method, path, {} if method == "POST" else None, **credentials)
        assert answer.status == (401 if kind == "token" else 403), path
    world.admin.ask("DELETE", f"/identities/{made['id']}")
    assert use(world, "mine", **credentials).status == 401


@pytest.mark.parametrize("fields,word", [
    ({"roles": ["kms"]}, "cluster"),
    ({"roles": ["node"], "cluster": "mine"}, "bootstrap token"),
    ({"roles": ["root"]}, "root"),
    ({"roles": ["admin"], "kind": "token", "cluster": "mine"}, "kms alone"),
    ({"roles": ["kms"], "kind": "token", "cluster": "mine", "ttl": "400d"},
     "ttl"),
])
def test_what_makes_no_sense_is_not_made(world, fields, word):
    answer = world.admin.call("POST", "/identities", {"name": "x", **fields})
    assert answer.status == 400 and word in answer.json["detail"], answer
    answer = world.admin.call("POST", "/identities", {
        "name": "x", "roles": ["kms"], "cluster": "nosuch"})
    assert answer.status == 404


def test_a_token_ends(world):
    made = create(world, "kms", cluster="mine", kind="token", ttl="2s")
    assert use(world, "mine", token=made["token"]).status == 200
    wait_until(lambda: use(world, "mine", token=made["token"]).status == 401,
               "the end of the token")
    far = create(world, "kms", cluster="mine", kind="token",
                 **{"from": ["192.0.2.0/24"]})
    assert use(world, "mine", token=far["token"]).status == 401


def test_the_commands_bring_an_application_from_nothing_to_a_data_key(
        world, tmp_path):
    config = ["--config", world.instance.config]
    made = check([BUILD / "signet", *config, "identity", "create", "--role",
                  "kms", "--cluster", "mine", "--json"],
                 env=world.instance.env).json
    assert made["name"] == "kms-mine"
    code = tmp_path / "code"
    code.touch(mode=0o600)
    code.write_text(made["code"] + "\n")
    own = ["--url", f"https://127.0.0.1:{world.instance.api}",
           "--ca", world.instance.ca, "--cert", tmp_path / "app.pem",
           "--key", tmp_path / "app-key.pem"]
    missing = signet(world, *config, "identity", "enroll", "--code-file", code)
    assert missing.code == 2 and "--cert" in missing.err
    check([BUILD / "signet", *own, "identity", "enroll", "--code-file", code],
          env=world.instance.env)
    assert (tmp_path / "app-key.pem").stat().st_mode & 0o777 == 0o600
    again = signet(world, *own, "identity", "enroll", "--code-file", code)
    assert again.code == 1 and "already" in again.err
    for _ in range(2):
        made_key = check([BUILD / "signet", *own, "--json", "key", "datakey",
                          "k", "--cluster", "mine"], env=world.instance.env)
        assert made_key.json["plaintext"]
        before = (tmp_path / "app.pem").read_text()
        quiet = signet(world, *own, "identity", "renew")
        assert quiet.code == 0 and "not due" in quiet.err
        assert (tmp_path / "app.pem").read_text() == before
        check([BUILD / "signet", *own, "identity", "renew", "--force"],
              env=world.instance.env)
        assert (tmp_path / "app.pem").read_text() != before
        assert not (tmp_path / "app-key.pem.next").exists()
    check([BUILD / "signet", *config, "identity", "revoke", made["id"]],
          env=world.instance.env)
    refused = signet(world, *own, "key", "datakey", "k", "--cluster", "mine")
    assert refused.code != 0 and not refused.out


def test_roles_of_a_file_are_what_they_say_until_they_are_taken_out(
        instance, tmp_path):
    """Its own instance: the file is the whole server's."""
    roles = instance.dir / "policies" / "roles.yaml"
    if not roles.parent.is_dir():
        roles = instance.data / "policies" / "roles.yaml"
    roles.write_text("version: 1\nroles:\n  - name: release\n"
                     "    description: sees certificates\n"
                     "    actions: [cert.read]\n")
    instance.server.send_signal(signal.SIGHUP)
    class World:
        pass
    world = World()
    world.instance = instance
    with admin_of(instance) as world.admin:
        wait_until(lambda: not create_refused(world, "release"), "the role")
        _, node = member(world, tmp_path, "release")
        assert instance.call("GET", "/certificates", **node.tls).status == 200
        assert instance.call("GET", "/clusters", **node.tls).status == 403
        assert instance.call("GET", "/self", **node.tls).json["roles"] == \
            ["release"]
        roles.write_text("version: 1\nroles: []\n")
        instance.server.send_signal(signal.SIGHUP)
        wait_until(lambda: instance.call(
            "GET", "/certificates", **node.tls).status == 403, "its end")
        assert create_refused(world, "release")


def create_refused(world, role):
    answer = world.admin.call(
        "POST", "/identities", {"name": "x", "roles": [role]})
    return answer.status == 400


def test_the_key_of_one_identity_is_not_anothers(world):
    key = new_key()
    one, two = (create(world, "auditor") for _ in range(2))
    enroll(world, one, request(key))
    assert enroll(world, two, request(key), status=400)["code"] == "bad-key"
    enroll(world, two, request())


def test_a_new_key_that_cannot_take_its_place_is_told(world, tmp_path):
    admin = world.instance.dir / "admin"
    shutil.copy(admin / "cert.pem", tmp_path / "cert.pem")
    shutil.copy(admin / "key.pem", tmp_path / "key.pem.next")
    (tmp_path / "key.pem").mkdir()
    done = world.instance.run("status", "--cert", tmp_path / "cert.pem",
                              "--key", tmp_path / "key.pem")
    assert done.code > 0 and "cannot become" in done.err, done
