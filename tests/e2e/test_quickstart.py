# SPDX-License-Identifier: Apache-2.0
"""Goal: who has only this repository gets a running Signet by one command, again
and again, with next commands that work as printed, and nothing left of a run
that failed."""
import os
import pathlib
import re
import shutil

import pytest

from harness import TOP, get, run, wait_until

# The first run compiles everything, on whatever machine.
BUILD_TIME = 1800


def quickstart(folder, timeout=BUILD_TIME, **more_env):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("SIGNET_", "SOFTHSM2_"))}
    if shutil.which("ccache"):
        env.setdefault("CC", "ccache gcc")
    env.update(more_env)
    return run([TOP / "scripts" / "quickstart", folder], env=env,
               timeout=timeout)


def printed(done, begin, end):
    """The commands that stand between two lines of what was printed."""
    return re.search(rf"^{begin}\n(.*?)^{end}", done.out, re.M | re.S).group(1)


def ready(folder):
    port = re.search(r'ops: "127.0.0.1:(\d+)"',
                     (folder / "signet.yaml").read_text()).group(1)
    try:
        return get(f"http://127.0.0.1:{port}/readyz").status == 200
    except OSError:
        return False


def shell(script):
    return run(["bash", "-euc", script], env=dict(os.environ), timeout=120)


def stop(done):
    return shell(printed(done, "Stop it with:", "and remove it with:"))


@pytest.mark.slow
def test_a_second_quickstart_leaves_the_first_running(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    runs = []
    try:
        for folder in folders:
            runs.append(quickstart(folder))
            done = runs[-1]
            assert done.code == 0, done
            assert f"{folder}/node1/cert.pem: OK" in done.out
            assert f"{folder}/node1/cert.pem: good" in done.out
            assert "Response verify OK" in done.out
            assert "the same bytes came back" in done.out
        assert all(ready(folder) for folder in folders)
        # The next commands do what they say, word for word.
        serial = run(["openssl", "x509", "-in", folders[0] / "node1" / "cert.pem",
                      "-noout", "-serial"]).out.strip().split("=")[1].lower()
        script = printed(runs[0], "Go on with:", "Stop it with:")
        went = shell(script)
        assert went.code == 0, went
        assert serial in went.out and "signet-issuing-1" in went.out
    finally:
        for done in runs:
            if done.code == 0:
                stopped = stop(done)
                assert stopped.code == 0, stopped
    for folder in folders:
        wait_until(lambda f=folder: not ready(f), "the server to stop")


@pytest.mark.slow
def test_a_quickstart_that_fails_leaves_no_server_and_no_folder(tmp_path):
    # The last but one step fails: openssl ocsp.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "openssl").write_text(
        "#!/bin/sh\n[ \"$1\" != ocsp ] || exit 1\nexec /usr/bin/openssl \"$@\"\n")
    (tools / "openssl").chmod(0o755)
    folder = tmp_path / "one"
    done = quickstart(folder, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.code != 0, done
    assert "Starting the server" in done.out
    assert "quickstart: failed" in done.err
    assert not folder.exists()
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(folder) not in process.read_bytes().decode(
                errors="replace").split("\0"), process
        except OSError:
            continue


def test_a_folder_that_exists_is_kept(tmp_path):
    (tmp_path / "mine").write_text("mine")
    done = quickstart(tmp_path)
    assert done.code == 1, done
    assert "exists" in done.err
    assert (tmp_path / "mine").read_text() == "mine"


def stubs(folder, **scripts):
    """Commands of a world in which one package is missing."""
    folder.mkdir()
    for name, text in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.slow
def test_a_build_that_fails_shows_its_errors_and_else_says_little(tmp_path):
    env = stubs(tmp_path / "tools", make="for n in $(seq 150); do\n"
                "echo \"  CC       $n.o\"; done\n"
                "echo 'a.c:1:1: error: broken here' >&2; exit 2\n")
    done = quickstart(tmp_path / "one", PATH=env["PATH"])
    assert done.code == 1, done
    assert "100 files made" in done.out and "CC  " not in done.out, done
    assert "broken here" in done.err and "quickstart: failed" in done.err
    assert not (tmp_path / "one").exists()


MISSING = "case $4 in lmdb*|liblmdb*) exit 1;; esac; echo 'install ok installed'\n"


def test_a_user_installs_what_is_missing_by_sudo_and_nothing_else(tmp_path):
    said = tmp_path / "said"
    env = stubs(tmp_path / "tools", dpkg_query=MISSING, id="echo 1000\n",
                sudo=f'echo "$@" >>{said}; cat >/dev/null\n')
    done = run([TOP / "scripts" / "deps", "build"], env=env)
    assert done.code == 0, done
    installed = [l for l in said.read_text().splitlines() if " install " in l]
    assert len(installed) == 1
    assert installed[0].endswith("--no-install-recommends liblmdb-dev")


def test_where_there_is_no_sudo_a_user_is_told_what_to_install(tmp_path):
    env = stubs(tmp_path / "tools", dpkg_query=MISSING, id="echo 1000\n")
    if shutil.which("sudo", path="/usr/bin:/bin"):
        pytest.skip("there is sudo")
    done = run([TOP / "scripts" / "deps", "build"], env=env)
    assert done.code == 1, done
    assert "install: liblmdb-dev" in done.err


def test_deps_installs_nothing_where_all_is_there(tmp_path):
    env = stubs(tmp_path / "tools", dpkg_query="echo 'install ok installed'\n",
                apt_get="exit 9\n", sudo="exit 9\n", id="echo 1000\n")
    done = run([TOP / "scripts" / "deps"], env=env)
    assert (done.code, done.out, done.err) == (0, "", ""), done


def test_an_argument_that_is_no_folder_makes_nothing():
    script = TOP / "scripts" / "quickstart"
    done = run([script, "--help"])
    assert done.code == 0 and done.out.startswith("usage:"), done
    for wrong in (["--dir", "x"], ["-P"], ["a", "b"]):
        done = run([script, *wrong])
        assert done.code == 2 and "usage:" in done.err, done
