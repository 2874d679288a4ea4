# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: what was sealed for one key and one context comes back for
exactly these, and every other attempt gets one and the same refusal."""
import base64

import pytest

from client import admin_of

CONTEXT = {"table": "users", "node": "db1"}


@pytest.fixture(scope="module")
def admin(shared):
    with admin_of(shared) as client:
        for cluster in ("db", "other"):
            shared.cluster(cluster)
            for key in ("tde", "backup"):
                client.ask("POST", f"/clusters/{cluster}/keys", {"name": key},
                           status=201)
        yield client


def datakey(admin, path="db/keys/tde", **wish):
    return admin.ask("POST", f"/clusters/{path}/datakey", wish)


def unwrap(admin, ciphertext, path="db/keys/tde", **more):
    return admin.call("POST", f"/clusters/{path}/unwrap",
                      {"ciphertext": ciphertext, **more})


def told(answer):
    problem = answer.json
    problem.pop("request_id")
    return answer.status, problem


@pytest.fixture(scope="module")
def refusal(admin):
    """How a wrong context is refused: the one way."""
    made = datakey(admin, context=CONTEXT)
    answer = unwrap(admin, made["ciphertext"], context={"table": "x"})
    assert answer.status == 400, answer
    assert answer.json["code"] == "unwrap-refused"
    return told(answer)


@pytest.mark.parametrize("context", [{}, CONTEXT, {"ü": "\u2603 " * 100}])
@pytest.mark.parametrize("bits", [128, 256, 384, 512])
def test_a_data_key_comes_back_in_its_context(admin, bits, context):
    made = datakey(admin, bits=bits, context=context)
    plaintext = base64.b64decode(made["plaintext"], validate=True)
    assert len(plaintext) * 8 == bits
    assert made["version"] == 1
    back = unwrap(admin, made["ciphertext"], context=context)
    assert back.status == 200, back
    assert back.json == {"version": 1, "plaintext": made["plaintext"]}
    assert back.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("bits", [0, 1, 64, 127, 129, 192, 1024, -256, 2**40])
def test_other_sizes_are_refused(admin, bits):
    answer = admin.call("POST", "/clusters/db/keys/tde/datakey",
                        {"bits": bits})
    assert answer.status == 400, answer
    assert answer.json["code"] == "bad-field"
    assert "bits" in answer.json["detail"]


def test_data_keys_and_ciphertexts_do_not_occur_twice(admin):
    made = [datakey(admin) for _ in range(200)]
    assert len({m["plaintext"] for m in made}) == 200
    assert len({m["ciphertext"] for m in made}) == 200


def test_no_plaintext_is_sent_where_none_is_asked_for(admin):
    made = datakey(admin, plaintext=False)
    assert set(made) == {"version", "ciphertext"}
    back = unwrap(admin, made["ciphertext"])
    assert len(base64.b64decode(back.json["plaintext"])) == 32


def test_the_order_of_the_context_does_not_matter(admin):
    made = datakey(admin, context={"a": "1", "b": "2"})
    assert unwrap(admin, made["ciphertext"],
                  context={"b": "2", "a": "1"}).json["plaintext"] == \
        made["plaintext"]


@pytest.mark.parametrize("context", [
    None, {}, {"table": "users"}, {**CONTEXT, "extra": "1"},
    {"table": "users", "node": "db2"}, {"table": "db1", "node": "users"},
    {"tablen": "users", "ode": "db1"}, {"table": "users ", "node": "db1"},
    {"Table": "users", "node": "db1"}])
def test_another_context_is_refused(admin, refusal, context):
    made = datakey(admin, context=CONTEXT)
    more = {} if context is None else {"context": context}
    assert told(unwrap(admin, made["ciphertext"], **more)) == refusal
    assert unwrap(admin, made["ciphertext"], context=CONTEXT).status == 200


@pytest.mark.parametrize("path", [
    "db/keys/backup", "other/keys/tde", "other/keys/backup"])
def test_another_key_or_cluster_is_refused(admin, refusal, path):
    made = datakey(admin, context=CONTEXT)
    assert told(unwrap(admin, made["ciphertext"], path,
                       context=CONTEXT)) == refusal


def octets_of(ciphertext):
    prefix, text = ciphertext.rsplit(":", 1)
    return prefix + ":", base64.b64decode(text, validate=True)


def test_each_flipped_bit_is_refused(admin, refusal):
    made = datakey(admin, bits=128, context=CONTEXT)
    prefix, octets = octets_of(made["ciphertext"])
    for at in range(len(octets)):
        changed = bytearray(octets)
        changed[at] ^= 1 << at % 8
        text = prefix + base64.b64encode(changed).decode()
        assert told(unwrap(admin, text, context=CONTEXT)) == refusal, at
    assert unwrap(admin, made["ciphertext"], context=CONTEXT).status == 200


def test_each_truncation_and_each_addition_is_refused(admin, refusal):
    made = datakey(admin, context=CONTEXT)
    prefix, octets = octets_of(made["ciphertext"])
    for size in range(len(octets)):
        text = prefix + base64.b64encode(octets[:size]).decode()
        assert told(unwrap(admin, text, context=CONTEXT)) == refusal, size
    for more in (b"\0", b"\0" * 16, octets):
        text = prefix + base64.b64encode(octets + more).decode()
        assert told(unwrap(admin, text, context=CONTEXT)) == refusal


@pytest.mark.parametrize("change", [
    lambda c: c.replace("v1:", "v2:"), lambda c: c.replace("v1:", "v0:"),
    lambda c: c.replace("v1:", "v:"), lambda c: c.replace("v1:", "v01:"),
    lambda c: c.replace("v1:", "v4294967297:"),
    lambda c: c.replace("signet:", "vault:"), lambda c: c + "\n",
    lambda c: " " + c, lambda c: c + "=", lambda c: c[:-1], lambda c: c[:-4],
    lambda c: c.split(":")[-1], lambda c: "x", lambda c: "signet:v1:",
    lambda c: c.replace("signet:v1:", "signet:v1:===="),
    lambda c: "signet:v1:" + "A" * 8000, lambda c: "\u2603" * 100])
def test_what_is_no_ciphertext_is_refused_in_the_same_words(
        admin, refusal, change):
    made = datakey(admin, context=CONTEXT)
    changed = change(made["ciphertext"])
    assert changed != made["ciphertext"]
    assert told(unwrap(admin, changed, context=CONTEXT)) == refusal


@pytest.mark.parametrize("path", ["datakey", "unwrap"])
def test_a_key_that_does_not_exist_is_not_found(admin, path):
    body = {"ciphertext": "x"} if path == "unwrap" else {}
    for name in ("nosuch", "NOSUCH", "a" * 64, "a_b"):
        answer = admin.call("POST", f"/clusters/db/keys/{name}/{path}", body)
        assert answer.status == 404, answer
        assert name in answer.json["detail"]


def test_a_name_is_taken_once_in_a_cluster(admin):
    assert admin.call("POST", "/clusters/db/keys", {"name": "tde"}
                      ).status == 409
    assert admin.call("POST", "/clusters/db/keys", {"name": "fresh"}
                      ).status == 201
    assert admin.call("POST", "/clusters/other/keys", {"name": "fresh"}
                      ).status == 201


def test_a_retired_cluster_makes_and_unwraps_nothing(shared, admin):
    shared.cluster("old")
    admin.ask("POST", "/clusters/old/keys", {"name": "tde"}, status=201)
    made = datakey(admin, "old/keys/tde")
    admin.ask("DELETE", "/clusters/old")
    refused = [unwrap(admin, made["ciphertext"], "old/keys/tde"),
               admin.call("POST", "/clusters/old/keys/tde/datakey", {}),
               admin.call("POST", "/clusters/old/keys", {"name": "b"})]
    for answer in refused:
        assert answer.status == 403, answer
        assert "retired" in answer.json["detail"]
    # Its keys can still be seen, by who decides what becomes of them.
    assert admin.ask("GET", "/clusters/old/keys")["items"][0]["name"] == "tde"


def test_each_use_of_a_key_is_audited_without_its_plaintext(instance):
    """Its own instance: refusals are audited up to a rate a caller."""
    instance.cluster("db")
    with admin_of(instance) as admin:
        admin.ask("POST", "/clusters/db/keys", {"name": "tde"}, status=201)
        check_audit(instance, admin)


def check_audit(instance, admin):
    head = admin.ask("GET", "/audit/checkpoint")["sequence"]
    made = datakey(admin, context={"who": "audit-me"})
    unwrap(admin, made["ciphertext"], context={"who": "audit-me"})
    unwrap(admin, made["ciphertext"])
    entries = admin.ask("GET", f"/audit?cursor={head}")["items"]
    done = [(e["action"], e["result"]) for e in entries]
    # The first is what read the head.
    assert entries.pop(0) and done.pop(0) == ("audit.read", "granted")
    assert done == [("key.datakey", "granted"), ("key.unwrap", "granted"),
                    ("key.use", "refused")], entries
    assert entries[2]["rule"] == "unwrap-refused"
    assert {e["cluster"] for e in entries} == {"db"}
    assert made["plaintext"] not in instance.log.read_text()
    plaintext = base64.b64decode(made["plaintext"])
    for path in instance.dir.rglob("*"):
        if path.is_file():
            assert plaintext not in path.read_bytes(), path


def test_a_data_key_goes_through_the_commands(shared, admin):
    made = shared.json("key", "datakey", "tde", "--cluster", "db",
                       "--bits", "512", "--context", "k=v")
    back = shared.json("key", "unwrap", "tde", "--cluster", "db",
                       "--ciphertext", made["ciphertext"], "--context", "k=v")
    assert back["plaintext"] == made["plaintext"]
    hidden = shared.json("key", "datakey", "tde", "--cluster", "db",
                         "--no-plaintext")
    assert "plaintext" not in hidden
    refused = shared.run("key", "unwrap", "tde", "--cluster", "db",
                         "--ciphertext", made["ciphertext"])
    assert refused.code != 0 and made["plaintext"] not in refused.out
