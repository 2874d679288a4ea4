# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: signet doctor finds nothing wrong with an instance that is
well, and names each thing that is not; signet hsm selftest tells what holds."""
import contextlib
import http.server
import os
import shutil
import threading

import pytest

from harness import BUILD, SOFTHSM_MODULE, Instance, check, run

SHIM = BUILD / "p11_shim.so"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, ports):
    """An instance whose server does not run, with the shim before its token."""
    instance = Instance(tmp_path_factory.mktemp("doctor") / "i", ports)
    rules = instance.folder / "rules"
    rules.write_text("")
    # Who owns the folders of the build does not matter here.
    shim = shutil.copy(SHIM, instance.folder / SHIM.name)
    instance.config.write_text(instance.config.read_text().replace(
        SOFTHSM_MODULE, str(shim)).replace(
            "  environment:\n",
            "  environment:\n"
            f'    - "SIGNET_SHIM_MODULE={SOFTHSM_MODULE}"\n'
            f'    - "SIGNET_SHIM_RULES={rules}"\n'
            '    - "ASAN_OPTIONS=handle_segv=0"\n'))
    instance.rules = rules
    return instance


@contextlib.contextmanager
def changed(path, text):
    """PATH with another content for a while."""
    before, mode = path.read_text(), path.stat().st_mode
    path.write_text(text(before) if callable(text) else text)
    try:
        yield
    finally:
        path.write_text(before)
        path.chmod(mode)


def doctor(instance, code=None, wrap=(), env=None):
    """What it found: check -> list of (state, detail)."""
    done = run([*wrap, BUILD / "signet", "doctor", "--json", "--config",
                instance.config], env={**instance.env, **(env or {})})
    assert code is None or done.code == code, done
    found = {}
    for one in done.json["checks"]:
        found.setdefault(one["check"], []).append(
            (one["state"], one["detail"]))
    return found


def states(found, check):
    return {state for state, _ in found[check]}


def failing(found):
    return {name for name in found if "fail" in states(found, name)}


def test_an_instance_that_is_well_is_called_so(shared):
    found = doctor(shared, 0)
    # Of the machine that the tests run on nothing is known.
    machine = {"clock.sync", "memlock", "disk"}
    for name in set(found) - machine:
        assert states(found, name) == {"ok"}, found[name]
    assert {"config", "store", "clock", "files", "policies", "token", "keys",
            "mechanisms", "root-token", "chain", "expiry", "crl", "ocsp",
            "server", "workers", "writes", "rows", "ready"} <= set(found)
    # As many as the token has, public halves aside.
    held = [o for o in shared.json("key", "report")["items"]
            if o["kind"] != "public"]
    assert [detail for _, detail in found["keys"]] == [
        f"all {len(held)} keys of Signet are in the token, with safe "
        "attributes"]
    # root, issuing and services CA, two responders, TLS and the admin.
    assert len(found["expiry"]) == 7
    assert len(found["crl"]) == 3 and len(found["ocsp"]) == 2


def test_people_get_a_line_for_each_check_and_the_next_step(shared):
    done = shared.check("doctor")
    lines = done.out.splitlines()
    assert any(line.startswith("ok    keys ") for line in lines), done
    assert lines[-1].endswith("0 failed, 0 could not be judged"), done


def test_without_a_server_what_it_serves_cannot_be_judged(stopped):
    found = doctor(stopped, 3)
    for name in ("crl", "ocsp", "server", "ready"):
        assert states(found, name) == {"unknown"}, found[name]
    for name in ("store", "token", "keys", "files", "mechanisms"):
        assert states(found, name) == {"ok"}, found[name]


def test_no_configuration_is_not_set_up_and_a_bad_one_has_failed(stopped):
    done = run([BUILD / "signet", "doctor", "--config",
                stopped.folder / "none.yaml"], env=stopped.env)
    assert done.code == 6, done
    with changed(stopped.config, lambda text: text + "surplus: 1\n"):
        found = doctor(stopped, 1)
    assert failing(found) == {"config"}
    assert "surplus" in found["config"][0][1]


@pytest.mark.parametrize("name, mode", [
    ("tls/server-key.pem", 0o644), ("admin/key.pem", 0o640), ("pin", 0o604),
    ("signet.yaml", 0o666), ("policies", 0o777),
    # As the server judges them: each policy, and the folders of the token.
    ("policies/generic-tls.yaml", 0o666), ("tokens", 0o777)])
def test_a_file_that_is_open_to_others_is_found(stopped, name, mode):
    path = stopped.dir / name
    before = path.stat().st_mode & 0o7777
    path.chmod(mode)
    try:
        found = doctor(stopped, 1)
    finally:
        path.chmod(before)
    # A PIN that others can read is refused by the worker, too.
    assert "files" in failing(found)
    assert any(str(path) in detail for _, detail in found["files"])


def test_a_file_that_is_missing_is_found(stopped):
    path = stopped.dir / "tls" / "server.pem"
    path.rename(path.with_suffix(".away"))
    try:
        found = doctor(stopped, 1)
    finally:
        path.with_suffix(".away").rename(path)
    assert failing(found) == {"files", "expiry"}


def test_a_policy_that_is_malformed_is_found(stopped):
    policies = next((stopped.dir / "policies").glob("generic*.yaml"))
    with changed(policies, "nonsense: [\n"):
        assert failing(doctor(stopped, 1)) == {"policies"}


def test_a_wrong_pin_is_found_and_costs_one_try(stopped):
    with changed(stopped.dir / "pin", "0000000000000000"):
        found = doctor(stopped, 1)
    assert failing(found) == {"token"}
    assert "PIN" in found["token"][0][1]
    assert states(doctor(stopped), "token") == {"ok"}


def test_a_token_that_is_not_there_is_found(stopped):
    with changed(stopped.config,
                 lambda t: t.replace("pkcs11:token=signet", "pkcs11:token=x")):
        found = doctor(stopped, 1)
    assert failing(found) == {"token", "mechanisms"}


def test_a_key_whose_attributes_are_not_safe_is_found(stopped):
    with changed(stopped.rules,
                 "C_GetAttributeValue every:1 attr:0x162:1\n"):
        found = doctor(stopped, 1)
    assert "keys" in failing(found)
    assert all("extractable" in detail for _, detail in found["keys"])


def test_a_mechanism_that_the_token_lacks_is_found(stopped):
    with changed(stopped.rules, "C_GetMechanismInfo 2 0x70\n"):
        found = doctor(stopped, 1)
    assert failing(found) == {"mechanisms"}
    assert "CKM_ECDSA (signing)" in found["mechanisms"][0][1]


def test_a_token_that_is_out_of_reach_cannot_be_judged(stopped):
    with changed(stopped.rules, "C_GetTokenInfo every:1 0xe0\n"):
        found = doctor(stopped)
    assert states(found, "token") <= {"unknown", "fail"}, found["token"]


def fake_time(instance, offset, code):
    return doctor(instance, code, wrap=["faketime", "-f", offset],
                  env={"ASAN_OPTIONS": "verify_asan_link_order=0"})


def test_a_clock_behind_the_records_is_found(stopped):
    found = fake_time(stopped, "-2d", 1)
    assert failing(found) == {"clock"}
    assert "behind the latest record" in found["clock"][0][1]


def test_what_has_expired_is_found_and_what_will_is_warned_of(stopped):
    found = fake_time(stopped, "+2y", 1)
    told = "\n".join(f"{state} {text}" for state, text in found["expiry"])
    assert "fail the API's TLS certificate expired" in told
    assert "fail the admin's own certificate expired" in told
    assert "fail the OCSP responder of services expired" in told
    assert "ok the CA issuing-1 lasts" in told
    found = fake_time(stopped, "+350d", 1)
    told = "\n".join(f"{state} {text}" for state, text in found["expiry"])
    assert "warn the admin's own certificate expires" in told


def test_a_store_that_does_not_open_is_found(stopped):
    store = stopped.dir / "store"
    store.rename(stopped.dir / "store.away")
    try:
        found = doctor(stopped, 1)
    finally:
        (stopped.dir / "store.away").rename(store)
    assert "store" in failing(found)


class Liar(http.server.BaseHTTPRequestHandler):
    """Serves what SAYS has for a path, to GET and POST."""
    says = {}

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = self.says.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def lies(port, says):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", port), type("Says", (Liar,), {"says": says}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_crl_and_ocsp_that_are_not_true_are_found(stopped, shared):
    foreign = shared.get_public("/crl/root.crl").body
    with lies(stopped.public, {"/crl/root.crl": foreign,
                               "/crl/issuing-1.crl": b"no CRL",
                               # malformedRequest, not signed
                               "/ocsp": bytes.fromhex("30030a0101")}):
        found = doctor(stopped, 1)
    told = "\n".join(text for _, text in found["crl"])
    assert "root.crl is not signed by its issuer" in told
    assert "issuing-1.crl is no CRL" in told
    assert "services.crl answers 404" in told
    assert states(found, "crl") == {"fail"}
    assert states(found, "ocsp") == {"fail"}


def test_a_crl_that_is_old_is_found(stopped, shared):
    # Behind the publisher's back: days later, and the same CRL.
    del stopped
    env = {"ASAN_OPTIONS": "verify_asan_link_order=0"}
    found = doctor(shared, 1, ["faketime", "-f", "+2d"], env)
    told = [text for _, text in found["crl"]]
    assert any("issuing-1.crl is past its next update" in t for t in told)
    assert states(found, "ocsp") == {"fail"}
    found = doctor(shared, None, ["faketime", "-f", "+13h"], env)
    assert ("warn", "the CRL of issuing-1 ends too soon: nobody has renewed "
            "it") in found["crl"]
    assert any("CRL of root is fresh" in text for _, text in found["crl"])
    found = doctor(shared, None, ["faketime", "-f", "+350d"], env)
    assert any("CRL of root ends too soon" in text
               for _, text in found["crl"])


def test_selftest_finds_signets_keys_protected_on_softhsm(stopped):
    done = stopped.run("hsm", "selftest", "--json")
    assert done.code == 0, done
    told = done.json
    assert told["exposed"] == 0 and told["unknown"] == 0
    attacks = {a["attack"]: a for a in told["attacks"]}
    assert len(attacks) == 16
    # Known of SoftHSM, and said.
    assert attacks["wrap-and-decrypt"]["result"] == "vulnerable"
    assert attacks["wrap-and-decrypt"]["signet_keys"] == "protected"


def test_selftest_fails_where_signets_keys_are_exposed(stopped):
    with changed(stopped.rules, "C_GenerateKey every:1 attr:0x162:1\n"
                                "C_GetAttributeValue every:1 attr:0x162:0\n"):
        done = stopped.run("hsm", "selftest")
    assert done.code == 1, done
    assert "Signet's own keys are not protected" in done.out


def test_selftest_that_does_not_end_is_not_called_good(stopped):
    with changed(stopped.rules, "C_CopyObject 1 segv\n"):
        done = stopped.run("hsm", "selftest", "--json")
    assert done.code == 3, done
    assert done.json["unknown"] > 0


def test_selftest_leaves_the_token_as_it_was(stopped):
    def objects():
        return check(["pkcs11-tool", "--module", SOFTHSM_MODULE, "--login",
                      "--pin", (stopped.dir / "pin").read_text(),
                      "--list-objects"],
                     env={**os.environ, "SOFTHSM2_CONF":
                          str(stopped.dir / "softhsm2.conf")}).out

    before = objects()
    assert "signet-issuing-1" in before
    text = stopped.check("hsm", "selftest", "--root").out
    assert "Signet's keys: none of them has both uses" in text
    assert "0 of them on keys as Signet makes them" in text
    assert objects() == before
