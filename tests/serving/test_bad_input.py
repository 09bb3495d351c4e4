"""Malformed requests, clients that are slow or go away: each has a proper answer, and good ones go on."""

import gzip
import json
import random
import socket
import threading
import time

import pytest

GOOD = json.dumps({"instances": ["abc", "größe"], "signature_name": "serving_default"}).encode()

BAD_BODIES = {
    "empty": b"",
    "no JSON": b"where is my order",
    "an array": b"[]",
    "a number": b"1",
    "cut short": GOOD[:-5],
    "not UTF-8": b'{"instances": ["\xff\xfe"]}',
    "UTF-16": '{"instances": ["a"]}'.encode("utf-16"),
    "half a surrogate pair": b'{"instances": ["\\ud800"]}',
    "deep arrays": b'{"instances": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "deep but whole": b'{"instances": ' + b"[" * 300 + b'"a"' + b"]" * 300 + b"}",
    "a long number": b'{"signature_name": "ids", "instances": [[' + b"9" * 5_000 + b"]]}",
    "a number out of range": b'{"signature_name": "ids", "instances": [[4294967296]]}',
    "a decimal for an integer": b'{"signature_name": "ids", "instances": [[1.0]]}',
    "true for an integer": b'{"signature_name": "ids", "instances": [[true]]}',
    "text for an integer": b'{"signature_name": "ids", "instances": [["a"]]}',
    "a number for text": b'{"instances": [1]}',
    "null for text": b'{"instances": [null]}',
    "ragged rows": b'{"signature_name": "ids", "instances": [[1, 2], [3]]}',
    "mixed depths": b'{"signature_name": "ids", "instances": [[1], 2]}',
    "too deep for text": b'{"instances": [["a"]]}',
    "too shallow for ids": b'{"signature_name": "ids", "instances": [1]}',
    "a wrong size": b'{"signature_name": "two", "instances": [{"text": "", "numbers": [1, 2, 3]}]}',
    "no instances": b"{}",
    "both formats": b'{"instances": ["a"], "inputs": ["a"]}',
    "an empty list": b'{"instances": []}',
    "no list": b'{"instances": "a"}',
    "objects and values": b'{"instances": [{"text": "a"}, "b"]}',
    "values and objects": b'{"instances": ["b", {"text": "a"}]}',
    "another input": b'{"instances": [{"txt": "a"}]}',
    "one input missing": b'{"signature_name": "two", "inputs": {"text": ["a"]}}',
    "columns of unequal length": b'{"signature_name": "two", "inputs": {"text": ["a"], "numbers": [[1, 2], [3, 4]]}}',
    "a signature that is no name": b'{"signature_name": 1, "instances": ["a"]}',
    "no base64": b'{"instances": [{"b64": "****"}]}',
    "base64 of a number": b'{"instances": [{"b64": 1}]}',
    "what the model refuses": b'{"instances": ["fail"]}',
    "too many rows": json.dumps({"instances": ["a"] * 65}).encode(),
    "a long text": json.dumps({"instances": ["a" * 10_001]}).encode(),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_a_400_that_says_why(server, name):
    status, answer = server.predict(BAD_BODIES[name])
    assert status == 400
    assert list(answer) == ["error"]
    assert 5 < len(answer["error"]) < 1100
    assert server.score("abc") == 3.0


def test_a_text_of_ten_megabytes_is_a_413(server):
    status, answer = server.predict({"instances": ["a" * 10_000_000]})
    assert status == 413
    assert "larger than 200000 bytes" in answer["error"]


def test_a_body_that_grows_when_decompressed_is_a_413(server):
    bomb = gzip.compress(b'{"instances": ["' + b"a" * 20_000_000 + b'"]}')
    assert len(bomb) < 100_000
    assert server.predict(bomb, headers={"Content-Encoding": "gzip"})[0] == 413
    assert server.predict(gzip.compress(GOOD), headers={"Content-Encoding": "gzip"})[0] == 200
    assert server.predict(b"no gzip", headers={"Content-Encoding": "gzip"})[0] == 400


def test_an_encoding_that_is_not_known_is_a_415(server):
    status, answer = server.predict(GOOD, headers={"Content-Encoding": "foo"})
    assert (status, answer) == (415, {"error": "Content-Encoding must be gzip or deflate or identity. Received: foo"})
    assert server.predict(GOOD, headers={"Content-Encoding": "identity"})[0] == 200


def test_what_is_at_no_path_of_the_api_is_refused_in_json(server):
    assert server.ask("/") == (404, {"error": "Not Found: GET /"})
    assert server.ask("/metrics", b"x") == (405, {"error": "Method Not Allowed: POST /metrics"})


def test_invalid_utf8_in_base64_is_text_like_any_other(server):
    assert server.predict({"instances": [{"b64": "//79"}]})[1]["predictions"][0]["score"] == 3.0


def test_hundreds_of_mutilated_requests(server):
    source = random.Random(7)
    statuses = []
    for turn in range(400):
        body = bytearray(GOOD)
        for _ in range(source.randint(1, 6)):
            place = source.randrange(len(body))
            change = source.random()
            if change < 0.4:
                body[place] = source.randrange(256)
            elif change < 0.7:
                del body[place : place + source.randint(1, 8)]
            else:
                body[place:place] = source.choice([b"[", b"{", b'"', b"\\u", b"1e999", b"null", b"\x00", b"NaN", b"]"])
            body = body or bytearray(b"x")
        status, answer = server.predict(bytes(body))
        statuses.append(status)
        assert status in (200, 400), body
        assert "error" in answer if status == 400 else "predictions" in answer
        if turn % 40 == 0:
            assert server.score("abc") == 3.0
    assert statuses.count(400) > 300


def test_paths_that_are_none(server):
    source = random.Random(3)
    pieces = [
        "v1",
        "models",
        "toy",
        "versions",
        "labels",
        "1",
        "-1",
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        ":predict",
        "metadata",
    ]
    for _ in range(200):
        path = "/" + "/".join(source.choices(pieces, k=source.randint(1, 6)))
        body = source.choice([None, GOOD])
        status, _ = server.ask(path, body, method=source.choice(["GET", "POST", "PUT", "DELETE"]))
        assert status in (200, 400, 404), path
    assert server.score("abc") == 3.0


def raw(server, data, wait=10):
    """Send bytes as they are, and return what comes back until the server closes or `wait` seconds pass."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET /v1/models/toy HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_400(server, data):
    assert b" 400 " in raw(server, data)[:40]
    assert "Traceback" not in server.log.read_text()
    assert server.score("abc") == 3.0


def test_a_slow_head_and_a_slow_body_are_cut_off(server):
    started = time.monotonic()
    assert raw(server, b"POST /v1/models/toy:predict HTTP/1.1\r\nHo") == b""
    head = b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    answer = raw(server, head + b'{"inst')
    assert b" 408 " in answer[:40]
    assert b"did not arrive within 1.5 seconds" in answer
    assert time.monotonic() - started < 15
    assert server.score("abc") == 3.0


def test_clients_that_hang_up_leave_nothing_behind(server):
    body = json.dumps({"signature_name": "spin", "instances": [20_000]}).encode()
    head = b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for data in (head, head + body[:9], head + body):
        for _ in range(10):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(data)
            connection.close()
    deadline = time.monotonic() + 20
    while "kbs_serving_inside_requests 0.0" not in server.ask("/metrics")[1].decode():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.score("abc") == 3.0


def test_a_bad_request_harms_none_that_share_its_run(server):
    texts = ["fail" if index % 5 == 0 else "x" * (index % 9) for index in range(100)]
    answers = [None] * len(texts)

    def send(index):
        answers[index] = server.predict({"instances": [texts[index]]})

    threads = [threading.Thread(target=send, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text, (status, answer) in zip(texts, answers, strict=True):
        if text == "fail":
            assert (status, "must not be fail" in answer["error"]) == (400, True)
        else:
            assert answer["predictions"][0]["score"] == len(text)
