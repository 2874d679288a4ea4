# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: the commands of doc/admin-guide.md do what it says.  They are
run as they stand there, one after the other, with a systemctl that acts on this
instance."""
import os
import re
import signal

from client import admin_of, issue
from harness import BUILD, TOP, run, wait_until



def blocks():
    text = (TOP / "doc" / "admin-guide.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)


def systemctl(instance, what):
    """Acts as systemd would."""
    verb, unit = what.split()
    assert unit == "signetd.service"
    if verb == "stop":
        assert instance.stop() == 0
    elif verb == "start":
        instance.start()
    else:
        assert verb == "reload"
        def reloaded():
            return instance.log.read_text().count('"reloaded"')
        before = reloaded()
        instance.server.send_signal(signal.SIGHUP)
        wait_until(lambda: reloaded() > before, "the reload")


def run_block(instance, script, env, folder):
    """A block in the one shell folder; systemctl is played by this process."""
    parts = re.split(r"^systemctl (\w+ \S+)\n", script, flags=re.M)
    for at, part in enumerate(parts):
        if at % 2:
            systemctl(instance, part)
            continue
        done = run(["sh", "-eu", "-c", part], env={**env, "PWD": str(folder)})
        assert done.code == 0, (part, done)


def test_the_commands_of_the_guide_do_what_it_says(
        make_instance, tmp_path, monkeypatch):
    instance = make_instance()
    witness, work = tmp_path / "witness.jsonl", tmp_path / "work"
    work.mkdir()
    with open(instance.config, "a", encoding="ascii") as config:
        config.write(f"audit:\n  witness:\n    - file:{witness}\n")
    instance.start()
    instance.cluster("orders")
    node = issue(instance, tmp_path, "orders", dns=["n2.orders.example.net"])
    with admin_of(instance) as admin:
        token = admin.ask("POST", "/clusters/orders/tokens", {}, status=201)
        other = admin.ask("POST", "/identities",
                          {"name": "stolen", "roles": ["admin"]}, status=201)
    env = {**instance.env, "PATH": f"{BUILD}:{os.environ['PATH']}",
           "DIR": str(instance.dir), "URL": instance.url,
           "WITNESS": str(witness), "AUDIT": str(tmp_path / "export"),
           "SIGNET_CONFIG": str(instance.config), "SERIAL": node.serial,
           "TOKEN": token["id"], "ID": other["id"],
           "XDG_STATE_HOME": str(tmp_path / "state")}
    monkeypatch.chdir(work)
    found = blocks()
    assert len(found) > 10
    for script in found:
        run_block(instance, script, env, work)
    # Also after the store was restored from a backup of before.
    shown = instance.json("cert", "show", node.serial)
    assert shown["state"] == "revoked"
