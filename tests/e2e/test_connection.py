# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: on one connection each request gets its own answer, whole and
in its turn, however many are sent ahead of it, and without waiting for more."""
import contextlib
import http.client
import io
import json
import socket

import pytest


def ask(path, method="GET", body=None):
    data = b"" if body is None else json.dumps(body).encode()
    kind = "" if body is None else "Content-Type: application/json\r\n"
    return (f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n{kind}"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


@contextlib.contextmanager
def connected(instance):
    context = instance.tls(**instance.admin)
    with socket.create_connection(("127.0.0.1", instance.api), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            yield tls


class Answers:
    """Reads answer after answer off one stream."""

    def __init__(self, stream):
        self.stream = stream

    def makefile(self, *_):
        return self.stream

    def next(self, method="GET"):
        response = http.client.HTTPResponse(self, method=method)
        # It closes what it read from; the next answer is still in there.
        response.fp = Kept(self.stream)
        response.begin()
        return response.status, response.read()


class Kept(io.BufferedIOBase):
    def __init__(self, stream):
        self.stream = stream

    def readable(self):
        return True

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def read(self, *size):
        return self.stream.read(*size)

    def readline(self, *size):
        return self.stream.readline(*size)

    def readinto(self, into):
        return self.stream.readinto(into)

    def close(self):
        pass


def test_requests_sent_ahead_get_their_answers_in_turn(shared):
    shared.cluster("web")
    wanted = [
        (ask("/self"), "GET", 200, b'"roles"'),
        (ask("/ping"), "GET", 204, b""),
        (ask("/clusters/web"), "GET", 200, b'"web"'),
        (ask("/clusters/none"), "GET", 404, b"none"),
        (ask("/clusters", "POST", {"name": 1}), "POST", 400, b"bad-field"),
        (ask("/clusters/web", "HEAD"), "HEAD", 200, b""),
        (ask("/openapi.json"), "GET", 200, b'"openapi"'),
    ]
    requests = wanted * 6
    with connected(shared) as tls:
        tls.sendall(b"".join(request for request, *_ in requests))
        answers = Answers(tls.makefile("rb"))
        for request, method, status, part in requests:
            got, body = answers.next(method)
            assert got == status, (request, got, body)
            assert part in body if part else body == b"", (request, body)


@pytest.mark.parametrize("request_text,status,size", [
    (ask("/self", "HEAD"), 200, 0),
    (ask("/clusters/none", "HEAD"), 404, 0),
    (ask("/ping"), 204, 0),
    (ask("/self"), 200, 1),
], ids=["head of a job", "head refused", "without a body", "with one"])
def test_an_answer_is_sent_without_waiting_for_more(
        shared, request_text, status, size):
    """Nothing is asked after it that would push it out."""
    with connected(shared) as tls:
        for _ in range(3):
            tls.sendall(request_text)
            answers = Answers(tls.makefile("rb"))
            got, body = answers.next(request_text.split(b" ")[0].decode())
            assert got == status and (len(body) > 0) == (size > 0)


def test_answers_are_whole_for_a_client_that_reads_late(shared):
    """The socket takes parts of records, and of heads that wait for bodies."""
    count = 40
    context = shared.tls(**shared.admin)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(30)
        plain.connect(("127.0.0.1", shared.api))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            tls.sendall(ask("/openapi.json") * count)
            answers = Answers(tls.makefile("rb"))
            bodies = {answers.next() for _ in range(count)}
    assert len(bodies) == 1
    status, body = bodies.pop()
    assert status == 200 and json.loads(body)["openapi"]
