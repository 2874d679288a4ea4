# SPDX-License-Identifier: Apache-2.0
"""Goal: systemd finds no fault with the units, and little that they leave open;
and the packages leave nothing out."""
import fnmatch
import json
import re
import shutil

import pytest

from harness import BUILD, TOP, check, run

UNITS = TOP / "scripts" / "systemd"
# Of 10, as systemd-analyze counts: 0 is closest.
EXPOSURE_MOST = {"signetd.service": 2.0, "signet-agent@a.service": 4.5}
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed")


@pytest.fixture(name="folder")
def units(tmp_path):
    """The units as make install writes them, with programs that are there."""
    for path in UNITS.iterdir():
        if path.suffix not in (".in", ".socket", ".timer"):
            continue
        text = path.read_text()
        text = re.sub(r"@s?bindir@", str(BUILD), text)
        # Manual pages are not installed here.
        text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
        (tmp_path / path.name.removesuffix(".in").replace("@.", "@a.")
         ).write_text(text)
    return tmp_path


@needs_systemd
def test_where_systemd_is_installed_it_finds_no_fault_with_the_units(folder):
    for path in sorted(folder.iterdir()):
        done = run(["systemd-analyze", "verify", "--man=no",
                    "--recursive-errors=no", path])
        assert done.code == 0 and str(folder) not in done.err, done


@needs_systemd
@pytest.mark.parametrize("name", sorted(EXPOSURE_MOST))
def test_where_systemd_is_installed_what_the_units_leave_open_is_bounded(folder, name):
    said = check(["systemd-analyze", "security", "--offline=true",
                  "--json=short", folder / name])
    assert isinstance(json.loads(said.out), list)
    done = run(["systemd-analyze", "security", "--offline=true",
                f"--threshold={int(EXPOSURE_MOST[name] * 10)}", folder / name])
    assert done.code == 0, done


def test_each_socket_has_the_name_that_the_server_knows():
    for name in ("api", "public", "ops"):
        text = (UNITS / f"signetd-{name}.socket").read_text()
        assert f"FileDescriptorName={name}\n" in text


def of_package(name):
    """The patterns of what goes into the package NAME."""
    return (TOP / "debian" / f"{name}.install").read_text().split()


def takes(pattern, path):
    return fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/")


def test_all_that_is_installed_goes_into_one_package_and_no_other(tmp_path):
    check(["make", "-s", "-C", BUILD, "install", f"DESTDIR={tmp_path}",
           "prefix=/usr", "systemdsystemunitdir=/lib/systemd/system"])
    installed = [str(path.relative_to(tmp_path))
                 for path in tmp_path.rglob("*") if path.is_file()]
    patterns = of_package("signet") + of_package("signet-agent")
    assert len(installed) > 20
    for path in installed:
        assert sum(takes(one, path) for one in patterns) == 1, path
    for one in patterns:
        assert any(takes(one, path) for path in installed), one
