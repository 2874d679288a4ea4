# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from harness import Instance, Ports


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: too slow for sanitized programs")
    config.addinivalue_line(
        "markers", "bounds: holds a time that sanitized programs do not meet")
    config.addinivalue_line(
        "markers", "unsanitized: looks at crashes or freed memory, which "
        "sanitizers keep for themselves")


@pytest.fixture(scope="session")
def ports(tmp_path_factory):
    # All workers of one run share the parent of their base folders.
    return Ports(tmp_path_factory.getbasetemp().parent / "signet-ports")


def check_log(instance):
    """Neither a sanitizer nor the sandbox had anything to say, unless a test
    wants that (instance.refusals)."""
    text = instance.log.read_text(errors="replace")
    assert "Sanitizer" not in text, text[-8000:]
    refused = [l for l in text.splitlines() if "system call refused" in l]
    assert getattr(instance, "refusals", False) or not refused, refused


@pytest.fixture
def make_instance(tmp_path, ports):
    """Makes instances that are stopped, and must have ended well, at the end."""
    made = []

    def make(name="i", **kinds):
        instance = Instance(pathlib.Path(tmp_path) / name, ports, **kinds)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        if instance.server is not None:
            code = instance.stop()
            assert code == 0, instance.log.read_text()[-4000:]
        if instance.log.exists():
            check_log(instance)


@pytest.fixture
def instance(make_instance):
    """A fresh development instance, serving."""
    return make_instance().start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, ports):
    """One instance for a module whose tests do not change each other's world."""
    instance = Instance(tmp_path_factory.mktemp("shared") / "i", ports)
    # Hundreds of refusals come from one address here: test_limits.py limits them.
    with open(instance.config, "a", encoding="ascii") as config:
        config.write("\nlimits:\n  rate:\n    failures: 'off'\n")
    instance.start()
    yield instance
    code = instance.stop()
    assert code == 0, instance.log.read_text()[-4000:]
    check_log(instance)
