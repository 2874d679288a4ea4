# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: what signet prints is what a person looks for, and how it ends
tells a script which kind of mistake it was."""
import re

import pytest

from client import admin_of


@pytest.fixture(scope="module")
def it(shared):
    shared.cluster("commands")
    return shared


def everything(admin):
    """All audit entries."""
    entries, path = [], "/audit?limit=1000"
    while path:
        page = admin.ask("GET", path)
        entries += page["items"]
        path = page.get("next") and f"/audit?limit=1000&cursor={page['next']}"
    return entries


# --- what is printed ---


def test_certificates_come_in_the_order_of_their_issue(it):
    listed = it.json("cert", "list")["items"]
    issued = [one["created"] for one in listed]
    assert issued == sorted(issued)
    head, *rows = it.check("cert", "list").out.splitlines()
    assert head.split()[-2:] == ["ISSUED", "EXPIRES"]
    assert [row.split()[0] for row in rows] == \
        [one["serial"] for one in it.json("cert", "list")["items"]]
    assert all(one["created"] in row for one, row in zip(listed, rows))


def test_the_newest_entries_are_those_at_the_end(it):
    with admin_of(it) as admin:
        for _ in range(3):
            admin.ask("GET", "/status")
        entries = everything(admin)
    last = it.json("audit", "list", "--last", "4")["items"]
    assert len(last) == 4
    # This command's own look at the head is among them, nothing older is left out.
    numbers = [one["sequence"] for one in last]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert numbers[-1] > entries[-1]["sequence"]
    oldest = it.json("audit", "list", "--limit", "4")["items"]
    assert [one["sequence"] for one in oldest] == [1, 2, 3, 4]


def test_the_newest_that_fit_are_found_however_far_back(it):
    with admin_of(it) as admin:
        entries = everything(admin)
    created = [e["sequence"] for e in entries if e["action"] == "ceremony.run"]
    assert created == [1]
    found = it.json("audit", "list", "--last", "3", "--action", "ceremony.")
    assert [e["sequence"] for e in found["items"]] == [1]
    reads = [e["sequence"] for e in entries if e["action"] == "cluster.create"]
    found = it.json("audit", "list", "--last", "1", "--action",
                    "cluster.create")
    assert [e["sequence"] for e in found["items"]] == reads[-1:]
    done = it.run("audit", "list", "--last", "3", "--actor", "nobody")
    assert (done.code, done.out) == (0, "") and "no entries" in done.err
    # Older than all that fits.
    since = entries[-1]["time"]
    for one in it.json("audit", "list", "--last", "500", "--since",
                       since)["items"]:
        assert one["time"] >= since


def test_a_token_for_everything_says_so(it):
    done = it.check("token", "create", "--cluster", "commands")
    assert re.search(r"^profiles: +every profile$", done.out, re.M), done
    assert re.search(r"^from: +anywhere$", done.out, re.M), done
    told = it.json("token", "create", "--cluster", "commands")
    assert told["profiles"] == [] and told["from"] == []
    done = it.check("token", "create", "--cluster", "commands", "--profile",
                    "server", "--from", "127.0.0.0/8")
    assert "every profile" not in done.out and "anywhere" not in done.out
    assert "every profile" in it.check("token", "list", "--cluster",
                                       "commands").out


def test_status_is_for_people_and_its_json_exact(it):
    text = it.check("status").out
    assert re.search(r"^up for: +(\d+ (d|h|min|s) ?)+$", text, re.M), text
    assert re.search(r"^store: +writable, .* (KiB|MiB) used of .* [GM]iB$",
                     text, re.M), text
    assert re.search(r" UTC \(in \d+ ", text) and not re.search(r"\dT\d", text)
    exact = it.json("status")
    assert isinstance(exact["uptime_seconds"], int)
    assert exact["store"]["map_size"] % 4096 == 0
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", i["not_after"])
               for i in exact["issuers"])


# --- how it ends ---

WRONG = [
    ("token create --cluster commands --ttl banana", "ttl"),
    ("token create --cluster commands --uses x", "--uses"),
    ("token create --cluster commands --uses 0", "uses"),
    ("token create --cluster commands --from x", "range"),
    ("token create --cluster commands --profile nosuch", "nosuch"),
    ("cert list --state bogus", "bogus"),
    ("cert list --expires-within x", "--expires-within"),
    ("cert revoke 00 --reason bogus", "bogus"),
    ("cluster create A_B --policy etcd", "A_B"),
    ("cluster create x --policy etcd --ip 1.2.3", "1.2.3"),
    ("identity create --role nosuch", "nosuch"),
    ("audit list --last 0", "--last"),
    ("audit list --last 100001", "100000 entries at most"),
    ("audit list --last 1 --limit 1", "--limit"),
    ("audit list --result maybe", "--result"),
    ("audit list --since yesterday", "since"),
    ("audit export --out /nonexistent/a/b", "no folder /nonexistent/a"),
    ("init --dev --dir /nonexistent/a/b", "no folder /nonexistent/a"),
    ("status --url nowhere", "https://"),
    ("help bogus", "bogus"),
]


@pytest.mark.parametrize("line,told", WRONG)
def test_a_value_that_cannot_be_is_2_whoever_finds_it(it, line, told):
    done = it.run(*line.split())
    assert done.code == 2 and told in done.err and done.out == "", done


@pytest.mark.parametrize("line,code", [
    ("cert show 00", 1), ("token list --cluster nosuch", 1), ("help", 0),
    ("help cert", 0), ("help cert list", 0), ("cluster --help", 0)])
def test_what_is_no_wrong_use_ends_otherwise(it, line, code):
    done = it.run(*line.split())
    assert done.code == code, done
    assert done.out.startswith("Usage: signet ") == (code == 0), done
