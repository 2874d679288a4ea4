# SPDX-License-Identifier: Apache-2.0
"""Goal: each package holds what it should and nothing else, installs without
starting anything, and what it holds runs from where it is unpacked.

scripts/package builds the packages, unpacks them and names the folder."""
import os
import pathlib
import subprocess

import pytest

FOLDER = pathlib.Path(os.environ["SIGNET_PACKAGES"])
TREE = FOLDER / "tree"
SERVER, AGENT = TREE / "signet", TREE / "signet-agent"
PROGRAMS = {
    SERVER: ["usr/bin/signet", "usr/sbin/signetd",
             "usr/libexec/signet/signet-hsm",
             "usr/libexec/signet/signet-witness"],
    AGENT: ["usr/bin/signet-agent"],
}
PLAIN = {
    SERVER: ["lib/systemd/system/signetd-api.socket",
             "lib/systemd/system/signetd-ops.socket",
             "lib/systemd/system/signetd-public.socket",
             "lib/systemd/system/signetd.service",
             "usr/lib/sysusers.d/signet.conf",
             "usr/lib/tmpfiles.d/signet.conf",
             "usr/share/man/man1/signet.1.gz",
             "usr/share/man/man5/signet-policy.5.gz",
             "usr/share/man/man5/signet.yaml.5.gz",
             "usr/share/man/man8/signet-hsm.8.gz",
             "usr/share/man/man8/signet-witness.8.gz",
             "usr/share/man/man8/signetd.8.gz",
             "usr/share/signet/policies/approvals.yaml.example",
             "usr/share/signet/policies/etcd.yaml",
             "usr/share/signet/policies/generic-tls.yaml",
             "usr/share/signet/policies/postgresql.yaml",
             "usr/share/signet/policies/yugabytedb.yaml"],
    AGENT: ["lib/systemd/system/signet-agent@.service",
            "lib/systemd/system/signet-agent@.timer",
            "usr/share/man/man1/signet-agent.1.gz"],
}
# Of 10, as systemd-analyze counts: 0 is closest.
EXPOSURE_MOST = {"signetd.service": 20, "signet-agent@.service": 45}


def run(*command, **more):
    env = dict(os.environ, SIGNET_DATADIR=str(SERVER / "usr/share/signet"),
               SIGNET_HSM_WORKER=str(
                   SERVER / "usr/libexec/signet/signet-hsm"))
    done = subprocess.run([str(word) for word in command], text=True, env=env,
                          capture_output=True, timeout=120, check=False, **more)
    assert done.returncode == 0, done
    return done.stdout


def files(tree):
    return {str(path.relative_to(tree)) for path in tree.rglob("*")
            if not path.is_dir()}


@pytest.mark.parametrize("tree", [SERVER, AGENT], ids=lambda tree: tree.name)
def test_a_package_holds_what_it_should_and_nothing_else(tree):
    wanted = {*PROGRAMS[tree], *PLAIN[tree]}
    have = {path for path in files(tree)
            if not path.startswith(f"usr/share/doc/{tree.name}/")}
    assert have == wanted
    for name in ("README.Debian", "changelog.gz", "copyright"):
        assert (tree / "usr/share/doc" / tree.name / name).is_file()


@pytest.mark.parametrize("tree", [SERVER, AGENT], ids=lambda tree: tree.name)
def test_modes_let_nobody_but_root_change_what_is_installed(tree):
    for path in tree.rglob("*"):
        runs = path.is_dir() or str(path.relative_to(tree)) in PROGRAMS[tree]
        assert path.lstat().st_mode & 0o7777 == (0o755 if runs else 0o644), path


def test_the_folder_of_the_store_is_the_services_alone():
    text = (SERVER / "usr/lib/tmpfiles.d/signet.conf").read_text()
    assert "d /var/lib/signet 0700 signet signet -" in text.splitlines()
    assert (SERVER / "etc/signet").is_dir()


@pytest.mark.parametrize("package", ["signet", "signet-agent"])
def test_installing_enables_and_starts_nothing(package):
    """systemd-helper enables only what an administrator had enabled; a server
    that runs is started again on an upgrade, and no other is."""
    path = FOLDER / "control" / package / "postinst"
    lines = path.read_text().splitlines() if path.exists() else []
    guarded = 0
    for number, line in enumerate(lines):
        words = line.split()
        if "deb-systemd-invoke" in words and "start" in words:
            raise AssertionError(line)
        if "deb-systemd-helper" not in words or "enable" not in words:
            continue
        assert "--quiet was-enabled" in "\n".join(lines[number - 3:number])
        guarded += 1
    assert guarded == (4 if package == "signet" else 0)


def test_each_program_runs_where_it_is_unpacked():
    for tree, paths in PROGRAMS.items():
        for path in paths:
            out = run(tree / path, "--version")
            assert out.startswith(path.rsplit("/", 1)[1] + " "), out


def test_an_instance_can_be_made_and_checked_with_what_is_in_the_package(
        tmp_path):
    folder = tmp_path / "instance"
    run(SERVER / "usr/bin/signet", "init", "--dir", folder, "--dev")
    run(SERVER / "usr/sbin/signetd", "--config", folder / "signet.yaml",
        "--check")


@pytest.fixture(name="root")
def programs_where_the_units_name_them(tmp_path):
    """The units, with the programs at their unpacked places."""
    for tree, names in PROGRAMS.items():
        for unit in (tree / "lib/systemd/system").iterdir():
            text = unit.read_text()
            for name in names:
                text = text.replace(f"=/{name} ", f"={tree}/{name} ")
            # Manual pages are not installed here.
            lines = [line for line in text.splitlines()
                     if not line.startswith("Documentation=")]
            (tmp_path / unit.name.replace("@.", "@a.")).write_text(
                "\n".join(lines) + "\n")
    return tmp_path


def test_systemd_finds_no_fault_with_the_packaged_units(root):
    for unit in sorted(root.iterdir()):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
             unit], text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0 and str(root) not in done.stderr, done


@pytest.mark.parametrize("name", sorted(EXPOSURE_MOST))
def test_what_the_packaged_units_leave_open_is_bounded(root, name):
    run("systemd-analyze", "security", "--offline=true",
        f"--threshold={EXPOSURE_MOST[name]}",
        root / name.replace("@.", "@a."))
