"""The client against the builtin server, and against servers that misbehave."""

import contextlib
import http.server
import json
import subprocess
import sys
import threading

import pytest

from keras_bert_suite.serving import Client, ServerError
from keras_bert_suite.serving.answers import answers_from


def test_texts_get_label_and_score(server):
    client = Client(f"{server.url}/v1/models/toy")
    assert client.predict(["abc", "größe"]) == [{"label": "short", "score": 3.0}, {"label": "long", "score": 7.0}]
    assert client.predict([]) == []


def test_more_texts_than_a_request_takes_are_sent_in_parts(server):
    texts = ["x" * (index % 40) for index in range(100)]
    answers = Client(f"{server.url}/v1/models/toy/versions/1").predict(texts)
    assert [answer["score"] for answer in answers] == [len(text) for text in texts]


def test_other_signatures_answer_with_what_they_have(server):
    client = Client(f"{server.url}/v1/models/toy", signature_name="words")
    assert client.predict(["a b"]) == [["a", "b"]]
    assert Client(f"{server.url}/v1/models/toy", signature_name="ids").run({"token_ids": [[1, 2]]}) == {"total": [3]}
    assert client.metadata()["ids"]["outputs"]["total"]["dtype"] == "DT_INT32"
    assert client.status()[0]["state"] == "AVAILABLE"


def test_a_file_is_answered_line_by_line(server, tmp_path):
    (tmp_path / "in.tsv").write_text("text\tlabel\nabc\tx\ngröße\ty\n", encoding="utf-8")
    client = Client(f"{server.url}/v1/models/toy")
    assert client.predict_file(tmp_path / "in.tsv", tmp_path / "out.jsonl") == 2
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [
        {"text": "abc", "label": "short", "score": 3.0},
        {"text": "größe", "label": "long", "score": 7.0},
    ]
    assert [row["score"] for row in client.predict_stream(tmp_path / "in.tsv")] == [3.0, 7.0]


def test_refusals_are_errors_with_the_servers_words(server):
    with pytest.raises(ServerError, match=r"Servable not found for request: Latest\(none\) \(HTTP 404\)") as caught:
        Client(f"{server.url}/v1/models/none").predict(["abc"])
    assert caught.value.status == 404
    with pytest.raises(ServerError, match="has no signature 'none'. It has .*, ids, "):
        Client(f"{server.url}/v1/models/toy", signature_name="none").predict(["abc"])
    with pytest.raises(ServerError, match=r"must not be fail.* \(HTTP 400\)"):
        Client(f"{server.url}/v1/models/toy").predict(["fail"])
    with pytest.raises(ServerError, match="serves 2 models: moving, toy. Add /v1/models/NAME"):
        Client(server.url).predict(["abc"])


def test_what_the_signature_does_not_take_is_refused(server):
    with pytest.raises(ValueError, match="takes numbers, text. Use run"):
        Client(f"{server.url}/v1/models/toy", signature_name="two").predict(["abc"])
    with pytest.raises(ValueError, match="takes no pairs"):
        Client(f"{server.url}/v1/models/toy").predict(["abc"], pairs=["d"])


@pytest.mark.parametrize("url", ["localhost:8501", "ftp://localhost/v1/models/a", "http://localhost/models/a", ""])
def test_what_is_no_url_of_a_model_is_refused(url):
    with pytest.raises(ValueError, match="url must be http://HOST:PORT/v1/models/NAME"):
        Client(url)


def test_wrong_arguments_are_refused():
    client = Client("http://localhost/v1/models/a")
    with pytest.raises(TypeError, match="must be a list of str"):
        client.predict("a text")
    with pytest.raises(ValueError, match="one pair per text. Received: 2 texts, 1 pairs"):
        client.predict(["a", "b"], pairs=["c"])


@contextlib.contextmanager
def faulty_server(*answers):
    """A server that gives these `(status, body)` in turn; `None` hangs up."""
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer((200, METADATA))

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(left.pop(0))

        def answer(self, answer):
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/models/a"
    finally:
        server.shutdown()
        server.server_close()


SIGNATURE = {"inputs": {"text": {}}, "outputs": {"label": {}, "score": {}, "more": {}}}
METADATA = json.dumps({"metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}}}).encode()
FINE = (200, b'{"outputs": {"label": ["x"], "score": [0.5], "more": [1]}}')


def test_an_overloaded_server_and_a_broken_connection_are_asked_again():
    with faulty_server((503, b'{"error": "overloaded"}'), None, FINE) as url:
        assert Client(url).predict(["abc"]) == [{"label": "x", "score": 0.5}]


def test_in_the_end_a_server_that_stays_overloaded_is_an_error():
    with (
        faulty_server(*[(503, b'{"error": "overloaded"}')] * 2) as url,
        pytest.raises(ServerError, match=r"overloaded \(HTTP 503\)"),
    ):
        Client(url, retries=1).predict(["abc"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, b"<html>"), "the answer is not JSON"),
        ((502, b"<html>Bad gateway"), r"Bad gateway \(HTTP 502\)"),
        ((200, b'{"outputs": {"label": ["x", "y"], "score": [1, 2]}}'), "2 answers came for 1 texts"),
    ],
)
def test_strange_answers_are_errors(answer, message):
    with faulty_server(answer) as url, pytest.raises(ServerError, match=message):
        Client(url).predict(["abc"])


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        (
            {"predicted": [[True, False, True]], "labels": [["a", "b", "c"]], "probabilities": [[0.6, 0.1, 0.9]]},
            {"labels": [{"label": "c", "score": 0.9}, {"label": "a", "score": 0.6}]},
        ),
        ({"score": [[0.5]]}, {"score": 0.5}),
        ({"embedding": [[0.5, 1.0]]}, [0.5, 1.0]),
        (
            {"answer": ["Ann"], "start": [0], "end": [3], "score": [0.9]},
            {"answer": "Ann", "start": 0, "end": 3, "score": 0.9},
        ),
        (
            {"answer": [""], "start": [-1], "end": [-1], "score": [0.9]},
            {"answer": "", "start": None, "end": None, "score": 0.9},
        ),
        (
            {
                "num_spans": [1],
                "start": [[0, -1]],
                "end": [[3, -1]],
                "label": [["PER", ""]],
                "span": [["Ann", ""]],
                "score": [[0.9, 0]],
            },
            {"spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ann", "score": 0.9}]},
        ),
        ({"index": [1], "choice": ["b"]}, {"index": 1, "choice": "b"}),
    ],
)
def test_outputs_of_every_task_become_its_answers(outputs, answer):
    assert answers_from(outputs) == [answer]


def test_kbs_predict_asks_a_server_and_imports_no_backend(server, tmp_path):
    (tmp_path / "in.tsv").write_text("text\nabc\n", encoding="utf-8")
    code = (
        "import sys; from keras_bert_suite.cli.main import main; code = main();"
        "sys.exit(code or bool({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "predict", "--server", f"{server.url}/v1/models/toy", "--json"]
    done = subprocess.run([*command, "--text", "abc", "größe"], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == [{"label": "short", "score": 3.0}, {"label": "long", "score": 7.0}]
    files = ["--input", str(tmp_path / "in.tsv"), "--output", str(tmp_path / "out.jsonl")]
    subprocess.run([*command, *files], capture_output=True, check=True)
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"text": "abc", "label": "short", "score": 3.0}
    refused = subprocess.run([*command[:-2], "http://x", "--text", "a", "b"], capture_output=True, text=True)
    assert refused.returncode == 2


def test_no_server_is_an_error():
    with pytest.raises(ServerError, match="no answer from the server"):
        Client("http://127.0.0.1:9/v1/models/a", retries=0).predict(["abc"])


def test_the_client_imports_no_backend_and_no_server():
    code = (
        "import sys; from keras_bert_suite.serving import Client;"
        "print({'keras', 'tensorflow', 'jax', 'torch', 'aiohttp', 'grpc'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


SQUAD = {
    "data": [{"title": "t", "paragraphs": [{"context": "Ann sings.", "qas": [{"id": "a1", "question": "Who sings?"}]}]}]
}


@pytest.mark.parametrize(
    ("inputs", "outputs", "name", "content", "sent", "written"),
    [
        (
            ["question", "context"],
            {"answer": ["Ann"], "start": [0], "end": [3], "score": [0.9]},
            "in.json",
            json.dumps(SQUAD),
            {"question": ["Who sings?"], "context": ["Ann sings."]},
            {"id": "a1", "question": "Who sings?", "answer": "Ann", "start": 0, "end": 3, "score": 0.9},
        ),
        (
            ["text", "choices"],
            {"choice": ["Why? b"], "index": [1], "score": [0.9], "probabilities": [[0.1, 0.9]]},
            "in.jsonl",
            '{"text": "It rains.", "question": "Why?", "choices": ["a", "b"]}',
            {"text": ["It rains."], "choices": [["Why? a", "Why? b"]]},
            {"text": "It rains. Why?", "choice": "b", "index": 1, "score": 0.9},
        ),
        (
            ["text"],
            {"num_spans": [1], "start": [[0]], "end": [[3]], "label": [["PER"]], "span": [["Ann"]], "score": [[0.9]]},
            "in.conll",
            "Ann B-PER\nsings O\n",
            {"text": ["Ann sings"]},
            {"text": "Ann sings", "spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ann", "score": 0.9}]},
        ),
        (
            ["text"],
            {"num_gaps": [1], "token": [[["a", "b"]]], "score": [[[0.9, 0.1]]]},
            "in.txt",
            "[MASK] b\n",
            {"text": ["[MASK] b"]},
            {"text": "[MASK] b", "gaps": [[{"token": "a", "score": 0.9}, {"token": "b", "score": 0.1}]]},
        ),
    ],
    ids=["questions", "choices", "tagging", "gaps"],
)
def test_files_of_every_task_are_read(tmp_path, monkeypatch, inputs, outputs, name, content, sent, written):
    client = Client("http://localhost:1/v1/models/a")
    client._found = {"inputs": dict.fromkeys(inputs), "outputs": outputs}
    asked = []
    monkeypatch.setattr(client, "run", lambda columns: asked.append(columns) or outputs)
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert client.predict_file(tmp_path / name, tmp_path / "out.jsonl") == 1
    assert asked == [sent]
    assert json.loads((tmp_path / "out.jsonl").read_text()) == written


def test_fewer_choices_than_others_are_filled_up(monkeypatch):
    client = Client("http://localhost:1/v1/models/a")
    client._found = {"inputs": {"text": {}, "choices": {}}, "outputs": {"choice": {}}}
    asked = []
    answers = {"choice": ["b", "d"], "index": [1, 1], "score": [0.5, 0.5]}
    monkeypatch.setattr(client, "run", lambda columns: asked.append(columns) or answers)
    assert client.predict(["x", "y"], pairs=[["a", "b", "c"], ["d", "e"]])[0] == {
        "choice": "b",
        "index": 1,
        "score": 0.5,
    }
    assert asked[0]["choices"] == [["a", "b", "c"], ["d", "e", ""]]
