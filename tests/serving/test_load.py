"""Many clients at once, more than there is room for, and the end of a server."""

import json
import socket
import threading
import time


def head(body, path="/v1/models/toy:predict"):
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)


def concurrently(function, count):
    """Call `function` with 0 to count - 1, each in a thread, and return what came back."""
    answers = [None] * count

    def run(index):
        answers[index] = function(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_concurrent_requests_of_many_shapes_each_get_their_own_answer(server):
    def ask(index):
        texts = ["x" * (index * 37 % 300), "y" * (index % 11)]
        ids = [[index] * (1 + index % 7)]
        scores = [row["score"] for row in server.predict({"instances": texts})[1]["predictions"]]
        words = server.predict({"signature_name": "words", "instances": ["a " * (1 + index % 5)]})[1]["predictions"]
        totals = server.predict({"signature_name": "ids", "instances": ids})[1]["predictions"]
        return (scores, words, totals) == ([len(text) for text in texts], [["a"] * (1 + index % 5)], [sum(ids[0])])

    assert all(concurrently(ask, 60))


def test_more_requests_than_there_is_room_for_are_told_so(narrow_server):
    slow = json.dumps({"signature_name": "spin", "instances": [100_000]}).encode()
    answers = concurrently(lambda _: narrow_server.predict(slow, timeout=60), 24)
    refused = [answer for status, answer in answers if status == 503]
    assert len([answer for status, answer in answers if status == 200]) + len(refused) == 24
    assert 1 <= len(refused) <= 16
    assert all("overloaded" in answer["error"] for answer in refused)
    assert narrow_server.score("abc") == 3.0


def test_the_end_waits_for_what_is_in_flight(narrow_server):
    slow = json.dumps({"signature_name": "spin", "instances": [300_000]}).encode()
    idle = socket.create_connection(("127.0.0.1", narrow_server.port))
    with socket.create_connection(("127.0.0.1", narrow_server.port), timeout=60) as connection:
        connection.sendall(head(slow))
        deadline = time.monotonic() + 20
        while "kbs_serving_inside_requests 1.0" not in narrow_server.ask("/metrics")[1].decode():
            assert time.monotonic() < deadline
        assert narrow_server.stop() == 0
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"predictions": [300000]' in answer
    idle.close()
    log = narrow_server.log.read_text()
    assert "Traceback" not in log, log
