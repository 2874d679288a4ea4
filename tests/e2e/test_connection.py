# SPDX-License-Identifier: Apache-2.0
"""Goal of this test: on one connection each request gets its own answer, whole and
in its turn, however many are sent ahead of it; and a small answer is one record
of TLS."""
import contextlib
import http.client
import io
import json
import socket
import ssl

import pytest

APPLICATION_DATA = 23


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


def records_of(octets):
    """The lengths of the whole records of application data."""
    lengths = []
    while len(octets) >= 5:
        kind, size = octets[0], int.from_bytes(octets[3:5], "big")
        if len(octets) < 5 + size:
            break
        if kind == APPLICATION_DATA:
            lengths.append(size)
        octets = octets[5 + size:]
    return lengths


def answer_records(instance, request, end):
    """The records that answer REQUEST, up to the one that ends with END."""
    arrived, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = instance.tls(**instance.admin).wrap_bio(
        arrived, sent, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", instance.api), timeout=30) as plain:
        def exchange(step):
            octets = b""
            while True:
                try:
                    done = step()
                    plain.sendall(sent.read())
                    return done, octets
                except ssl.SSLWantReadError:
                    plain.sendall(sent.read())
                    got = plain.recv(65536)
                    assert got, "the connection ended"
                    octets += got
                    arrived.write(got)
        exchange(tls.do_handshake)
        exchange(lambda: tls.write(request))
        text, octets = b"", b""
        while not text.endswith(end):
            got, raw = exchange(lambda: tls.read(65536))
            text += got
            octets += raw
        return records_of(octets)


@pytest.mark.parametrize("request_text,end", [
    (ask("/self"), b"}"),
    (ask("/clusters/none"), b"}"),
    (ask("/ping"), b"\r\n\r\n"),
], ids=["by a job", "refused", "without a body"])
def test_a_small_answer_is_one_record(shared, request_text, end):
    assert len(answer_records(shared, request_text, end)) == 1
