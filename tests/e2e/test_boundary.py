# SPDX-License-Identifier: Apache-2.0
"""Goal: what Signet says of its token is what others find there; nobody brings a
key out, not even with the PIN; and what is secret stands nowhere else: not in
the server on the network, its log, its store, its answers or its backups."""
import base64
import os
import pathlib
import re
import sys

import pytest

from harness import SOFTHSM_MODULE, TOP, check, make_csr, run
from presented import serial_of

TOKEN_LABEL = "signet"
root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="reads another process's memory")


@pytest.fixture(scope="module")
def site(shared):
    shared.cluster("c")
    shared.json("key", "create", "k", "--cluster", "c")
    return shared


# --- what is in the token ---


def reported(instance):
    answer = instance.admin_call("GET", "/hsm/objects")
    assert answer.status == 200, answer
    return answer.json["items"]


def by_pkcs11_tool(instance):
    """(kind, label, id) of each object of pkcs11-tool -O."""
    kinds = {"Private Key Object": "private", "Public Key Object": "public",
             "Secret Key Object": "secret-key", "Certificate Object": "cert",
             "Data object": "data"}
    out = check(["pkcs11-tool", "--module", SOFTHSM_MODULE, "--token-label",
                 TOKEN_LABEL, "--login", "--pin", instance.pin, "-O"],
                env=instance.softhsm).out
    found = []
    for part in re.split(r"^(?=\S)", out, flags=re.M):
        for heading, kind in kinds.items():
            if part.startswith(heading):
                label = re.search(r"^  label: +(.*)$", part, re.M).group(1)
                identity = re.search(r"^  ID: +(\S*)$", part, re.M).group(1)
                found.append((kind, label, identity))
    assert len(found) == len(re.findall(r"^\S.* [Oo]bject", out, re.M)), out
    return sorted(found)


def by_p11tool(instance):
    """The same of p11tool --list-all, which gives URIs."""
    out = check(["p11tool", "--provider", SOFTHSM_MODULE, "--batch", "--login",
                 "--list-all", f"pkcs11:token={TOKEN_LABEL}"],
                env={**instance.softhsm, "GNUTLS_PIN": instance.pin}).out
    found = []
    for part in out.split("Object ")[1:]:
        uri = re.search(r"^\s*URL: (\S+)$", part, re.M).group(1)
        label = re.search(r"^\s*Label: (.*)$", part, re.M).group(1)
        identity = re.search(r"^\s*ID: (\S+)$", part, re.M).group(1)
        kind = re.search(r";type=([a-z-]+)", uri).group(1)
        found.append((kind, label, identity.replace(":", "")))
    return sorted(found)


def test_other_tools_list_exactly_the_objects_that_signet_reports(site):
    said = sorted((o["kind"], o["label"], o["id"]) for o in reported(site))
    assert by_pkcs11_tool(site) == said
    assert by_p11tool(site) == said
    # Each authority and each of its responders has a pair of its own.
    labels = {label for kind, label, _ in said if kind == "private"}
    assert labels == {label for kind, label, _ in said if kind == "public"}
    assert {"signet-root", "signet-issuing-1", "signet-services"} <= labels


def test_an_object_that_others_make_is_reported_and_called_unsafe(make_instance):
    instance = make_instance().start()
    before = reported(instance)
    check(["pkcs11-tool", "--module", SOFTHSM_MODULE, "--token-label",
           TOKEN_LABEL, "--login", "--pin", instance.pin, "--keypairgen",
           "--key-type", "EC:prime256v1", "--label", "stranger", "--id", "0badc0de",
           "--extractable"], env=instance.softhsm)
    after = reported(instance)
    assert sorted((o["kind"], o["label"], o["id"]) for o in after) == \
        by_pkcs11_tool(instance)
    strangers = {o["kind"]: o for o in after if o["label"] == "stranger"}
    assert len(after) == len(before) + 2
    assert strangers["private"]["id"] == "0badc0de"
    assert strangers["private"]["safe"] is False
    assert strangers["private"]["unsafe_because"]
    assert all(o["safe"] for o in before)


def test_each_key_says_of_itself_that_it_cannot_leave(site):
    for item in reported(site):
        if item["kind"] not in ("private", "secret-key"):
            continue
        has = set(item["attributes"])
        assert {"token", "private", "sensitive", "always-sensitive",
                "never-extractable", "local"} <= has, item
        assert not {"extractable", "modifiable", "derive", "encrypt",
                    "decrypt"} & has, item
        assert not ("sign" in has and has & {"wrap", "unwrap"}), item
        assert item["safe"] is True, item


# --- with the PIN and ill intent ---


@pytest.fixture(scope="module")
def tried(site):
    """What came of every attempt, by a program that loads the module itself."""
    return check([sys.executable, "-B", TOP / "tests" / "e2e" / "p11.py",
                  SOFTHSM_MODULE, TOKEN_LABEL, site.dir / "pin"],
                 env=site.softhsm).json


def test_no_key_is_read_wrapped_copied_or_loosened_with_the_user_pin(site, tried):
    """The attempts (p11.py): read the value; wrap by a key of one's own and by
    the root key-encryption key; copy or set attributes to extractable, not
    sensitive, decrypting, wrapping, modifiable; decrypt what is wrapped."""
    secret = {f"{o['label']} {'secret' if o['kind'] == 'secret-key' else 'private'}"
              for o in reported(site) if o["kind"] in ("private", "secret-key")}
    assert set(tried["keys"]) == secret
    for key, attempts in tried["keys"].items():
        for attempt, gave in attempts.items():
            assert gave["rv"] != 0 and gave["got"] == 0, (key, attempt, gave)
        assert len(attempts) >= 15


def test_the_same_attempts_succeed_on_a_key_that_is_not_protected(tried):
    """Else the test above could pass for a slip in the attempts."""
    for attempt, gave in tried["control"].items():
        assert gave["rv"] == 0 or attempt == "set modifiable", (attempt, gave)
    assert tried["control"]["read"]["got"] == 32


def test_the_root_kek_does_not_unwrap_into_a_key_that_can_be_read(tried):
    """A blob of the store and the PIN would open every data key otherwise."""
    by_root = tried["downgrade"]["signet-kms-root"]
    assert by_root.pop("wrapped") == 0
    assert len(by_root) == 3
    for how, gave in by_root.items():
        assert gave["rv"] != 0 and gave["got"] == 0, (how, gave)
    by_own = tried["downgrade"]["own key"]
    assert by_own["extractable"]["got"] > 0


def test_pkcs11_tool_reads_no_key(site):
    for item in reported(site):
        if item["kind"] not in ("private", "secret-key"):
            continue
        kind = {"private": "privkey", "secret-key": "secrkey"}[item["kind"]]
        out = site.folder / "read.der"
        done = run(["pkcs11-tool", "--module", SOFTHSM_MODULE, "--token-label",
                    TOKEN_LABEL, "--login", "--pin", site.pin, "--read-object",
                    "--type", kind, "--id", item["id"], "-o", out],
                   env=site.softhsm)
        # It exits with 0 where it does not even try (OpenSC 0.23).
        assert "sorry" in done.err or done.code != 0, (item, done)
        assert not out.exists() or out.read_bytes() == b"", item


# --- the program on the network ---


def mapped_files(pid):
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines
            if len(line.split(maxsplit=5)) == 6}


def memory(pid):
    """All that a process could read of itself."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if "r" not in mode or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            # Sanitizers reserve terabytes that nothing was ever written to.
            if end - start > 1 << 32:
                continue
            try:
                mem.seek(start)
                yield mem.read(end - start)
            except (OSError, OverflowError):
                continue


def found_in_memory(pid, *wanted):
    """Which of the octet strings stand in a process's memory."""
    found = set()
    for piece in memory(pid):
        found |= {w for w in wanted if w in piece}
    return found


def make_use(instance, tmp_path):
    """Signing, key operations and refusals, so that all code has run."""
    token = instance.token("c", profile="server", uses=2)
    done = instance.enroll(tmp_path / "n", "server", token,
                           "--dns", "n.c.example.net")
    assert done.code == 0, done
    done = instance.enroll(tmp_path / "m", "server", token,
                           "--dns", "n.elsewhere.example.net")
    assert done.code == 4, done
    made = instance.json("key", "datakey", "k", "--cluster", "c",
                         "--context", "t=1")
    opened = instance.json("key", "unwrap", "k", "--cluster", "c",
                           "--ciphertext", made["ciphertext"], "--context", "t=1")
    assert opened["plaintext"] == made["plaintext"]
    refused = instance.run("key", "unwrap", "k", "--cluster", "c", "--ciphertext",
                           made["ciphertext"], "--context", "t=2")
    assert refused.code != 0, refused
    instance.check("cert", "revoke", serial_of(tmp_path / "n" / "cert.pem"),
                   "--reason", "superseded")
    return token, base64.b64decode(made["plaintext"])


@root_only
def test_as_root_the_server_is_seen_to_map_no_pkcs11_library(site, tmp_path):
    make_use(site, tmp_path)
    suspicious = re.compile(r"p11|pkcs|softhsm|opensc|cryptoki", re.I)
    libraries = {pathlib.Path(f).name for f in mapped_files(site.server.pid)
                 if ".so" in f and suspicious.search(pathlib.Path(f).name)}
    # GnuTLS is linked with p11-kit; no module is loaded by it.
    assert libraries == {n for n in libraries if n.startswith("libp11-kit.so.")}
    # The search does find what a worker has.
    workers = site.workers()
    assert workers
    for pid in workers:
        names = {pathlib.Path(f).name for f in mapped_files(pid)}
        assert pathlib.Path(SOFTHSM_MODULE).name in names
        assert any(n.startswith("libp11.so") for n in names)


@root_only
def test_as_root_the_memory_of_the_server_is_seen_to_hold_no_pin(site, tmp_path):
    make_use(site, tmp_path)
    pins = [(site.dir / name).read_bytes().strip() for name in ("pin", "so-pin")]
    assert all(len(p) >= 8 for p in pins)
    # On the stack from the command line, on the heap from a policy file.
    controls = [str(site.config).encode(), b"any service that speaks TLS"]
    assert found_in_memory(site.server.pid, *pins, *controls) == set(controls)


# --- what is written ---


def places_with(folder, *secrets):
    """Files below a folder that hold one of the octet strings."""
    found = []
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [str(path) for s in secrets if s in content]
    return found


def test_no_secret_is_in_log_store_backup_or_audit(make_instance, tmp_path):
    instance = make_instance()
    with open(instance.config, "a", encoding="utf-8") as config:
        config.write("log:\n  level: debug\n")
    instance.start()
    instance.cluster("c")
    instance.json("key", "create", "k", "--cluster", "c")
    token, plaintext = make_use(instance, tmp_path)
    # In a header that is refused, too.
    spent = instance.call("GET", "/self", token=token[:-1] + "A" * 3)
    assert spent.status == 401, spent
    _, csr = make_csr(tmp_path, "x", dns=["x.c.example.net"])
    answer = instance.call("POST", "/clusters/c/certificates",
                           {"csr": csr, "profile": "nonsense"}, token=token)
    assert 400 <= answer.status < 500, answer
    secrets = [instance.pin.encode(), (instance.dir / "so-pin").read_bytes().strip(),
               token.encode(), token.split("_", 1)[1].encode(), plaintext,
               base64.b64encode(plaintext), plaintext.hex().encode()]
    assert all(len(s) >= 8 for s in secrets)
    audit = instance.check("audit", "list", "--json").out.encode()
    for s in secrets:
        assert s not in audit
        assert s not in answer.body and s not in spent.body
    backup = tmp_path / "backup"
    instance.check("backup", backup)
    assert backup.exists()
    instance.stop()
    written = [instance.dir / "store", instance.log, backup]
    for place in written:
        hits = places_with(place, *secrets) if place.is_dir() else [
            s for s in secrets if s in place.read_bytes()]
        assert hits == [], place
    # What is not secret is found there, so the search does search.
    assert places_with(instance.dir / "store", b"c.example.net")
    assert b"/clusters/{cluster}/certificates" in instance.log.read_bytes()
    # The PINs stand in their own files alone, readable by their owner alone.
    pins = secrets[:2]
    assert sorted(places_with(instance.dir, *pins)) == sorted(
        str(instance.dir / n) for n in ("pin", "so-pin"))
    for name in ("pin", "so-pin"):
        assert (instance.dir / name).stat().st_mode & 0o077 == 0
