# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: what is easily got wrong, by people and by programs, is said
plainly, once, and with the exit code that fits it."""
import signal
import subprocess

import pytest

from client import admin_of, request
from harness import BUILD, run, wait_until


@pytest.fixture(scope="module")
def admin(shared):
    with admin_of(shared) as client:
        shared.cluster("web")
        shared.cluster("kv", policy="etcd")
        shared.cluster("bank", policy="postgresql")
        yield client


def test_a_server_without_a_configuration_is_not_set_up(shared):
    for arguments in ([], ["--check"]):
        done = run([BUILD / "signetd", *arguments], env=shared.env)
        assert done.code == 6, done
        assert "--config" in done.err and "signet init" in done.err
    assert run([BUILD / "signetd", "--surplus"], env=shared.env).code == 2


def test_a_bad_pin_is_said_once(shared, tmp_path):
    pin = tmp_path / "pin"
    pin.write_text("not-the-pin-of-it")
    pin.chmod(0o600)
    env = {**shared.env, "SOFTHSM2_CONF": str(shared.dir / "softhsm2.conf")}
    done = run([BUILD / "signet", "init", "--dir", tmp_path / "i", "--token",
                "signet", "--pin-file", pin], env=env)
    assert done.code == 6, done
    assert done.err.count("CKR_PIN_INCORRECT") == 1, done.err
    assert '"level"' not in done.err
    # A right PIN clears the token's count of wrong ones.
    shared.run("doctor")


def test_certificates_of_no_cluster_are_not_an_empty_list(shared, admin):
    done = shared.run("cert", "list", "--cluster", "nope")
    assert done.code == 1, done
    assert "nope" in done.err and done.out == ""
    assert admin.call("GET", "/certificates?cluster=nope").status == 404
    assert admin.ask("GET", "/certificates?cluster=kv")["items"] == []


@pytest.mark.parametrize("path", [
    "/certificates", "/clusters", "/clusters/web/tokens", "/clusters/web/keys",
    "/audit", "/issuers"])
def test_an_empty_cursor_is_the_first_page(admin, path):
    first = admin.call("GET", f"{path}?limit=1")
    empty = admin.call("GET", f"{path}?limit=1&cursor=")
    assert empty.status == first.status == 200, (first, empty)
    assert len(empty.json["items"]) == len(first.json["items"])


def test_a_nul_in_a_string_is_named(shared, admin):
    answer = shared.call(
        "POST", "/clusters", b'{"name": "a\\u0000b", "policy": "etcd"}',
        **shared.admin)
    assert answer.status == 400, answer
    assert "NUL" in answer.json["detail"]
    assert "JSON_ALLOW_NUL" not in answer.json["detail"]


def test_a_repeated_answer_says_so(shared, admin, tmp_path):
    csr = tmp_path / "csr.pem"
    csr.write_text(request(dns=["twice.web.example.net"]))
    issue = ["cert", "issue", "--cluster", "web", "--profile", "server",
             "--csr", csr]
    first = shared.check(*issue, "--json")
    assert first.json["repeated"] is False
    assert "answered before" not in first.err
    again = shared.check(*issue, "--ttl", "1h", "--json")
    assert again.json["repeated"] is True
    assert again.json["serial"] == first.json["serial"]
    assert "answered before" in again.err and "--ttl" in again.err


def test_names_that_two_clusters_own_are_warned_of(shared, admin):
    create = ["cluster", "create", "--policy", "generic-tls", "--json"]
    plain = shared.check(*create, "alone", "--dns", "*.alone.example.net",
                         "--ip", "10.9.0.0/24")
    assert "warnings" not in plain.json and plain.err == ""
    done = shared.check(*create, "nosy", "--dns", "db.alone.example.net",
                        "--dns", "*.nosy.example.net", "--ip", "10.9.0.7")
    assert len(done.json["warnings"]) == 2, done
    assert "*.alone.example.net of cluster alone" in done.err
    assert "10.9.0.0/24 of cluster alone" in done.err


def test_two_inits_in_one_folder_leave_one_whole_instance(shared, tmp_path):
    both = [subprocess.Popen(
        [BUILD / "signet", "init", "--dir", tmp_path / "i", "--dev"],
        env=shared.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True) for _ in range(2)]
    told = [one.communicate(timeout=60) for one in both]
    assert sorted(one.returncode for one in both) == [0, 1], told
    loser = told[[one.returncode for one in both].index(1)][1]
    assert "another signet init" in loser or "not an empty folder" in loser
    done = run([BUILD / "signetd", "--config", tmp_path / "i" / "signet.yaml",
                "--check"], env=shared.env)
    assert done.code == 0, done


def test_an_init_that_fails_leaves_what_was_there(shared, tmp_path):
    (tmp_path / "kept").write_text("mine")
    done = run([BUILD / "signet", "init", "--dir", tmp_path, "--dev"],
               env=shared.env)
    assert done.code == 1, done
    assert (tmp_path / "kept").read_text() == "mine"


@pytest.mark.parametrize("cluster, name, plain, special", [
    ("kv", "root", "client", "root"),
    ("bank", "postgres", "client", "superuser")])
def test_a_privileged_name_needs_a_token_that_names_its_profile(
        shared, admin, cluster, name, plain, special):
    def ask(token, profile):
        return shared.call(
            "POST", f"/clusters/{cluster}/certificates",
            {"csr": request(cn=name), "profile": profile},
            headers={"Authorization": f"Bearer {token}"})

    anything = shared.token(cluster, uses=5)
    assert ask(anything, plain).status == 403
    answer = ask(anything, special)
    assert answer.status == 403, answer
    assert special in answer.json["detail"]
    assert ask(shared.token(cluster, profile=special), special).status == 201
    # An operator who names the profile has named it.
    assert admin.call("POST", f"/clusters/{cluster}/certificates",
                      {"csr": request(cn=f"{name}@{cluster}"),
                       "profile": special}).status == 201


def test_the_time_of_signatures_is_measured(shared, admin):
    text = shared.get_ops("/metrics").body.decode()
    count = [line for line in text.splitlines()
             if line.startswith("signet_hsm_sign_duration_seconds_count ")]
    assert len(count) == 1 and int(count[0].split()[1]) > 0
    assert 'signet_hsm_sign_duration_seconds_bucket{le="+Inf"} ' in text
    assert "# TYPE signet_hsm_sign_duration_seconds histogram" in text


def test_a_reload_names_what_needs_a_restart(shared, admin):
    def told():
        return [line["keys"] for line in shared.log_lines()
                if line.get("message", "").endswith("need a restart")]

    before = shared.config.read_text()
    try:
        shared.config.write_text(
            before.replace("\nlimits:\n", "\nlimits:\n  queue: 77\n") +
            "repeat_window: 11m\nlog:\n  level: debug\n")
        shared.server.send_signal(signal.SIGHUP)
        wait_until(told, "word of the changed settings")
    finally:
        shared.config.write_text(before)
    assert told()[-1] == "limits.queue, repeat_window"
