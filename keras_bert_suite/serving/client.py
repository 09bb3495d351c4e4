"""A client of TF Serving's REST API, for the stock server and for `kbs serve`. Needs the standard library alone."""

import urllib.parse
from pathlib import Path

from keras_bert_suite.data.chunks import chunked
from keras_bert_suite.files import write_json_lines
from keras_bert_suite.serving.answers import answers_from
from keras_bert_suite.serving.rows import file_rows, given_rows
from keras_bert_suite.serving.transport import ServerError, Transport

__all__ = ["Client", "ServerError"]

#: Rows and characters of one request; both fit any server's defaults.
ROWS = 32
CHARACTERS = 500_000

#: What signatures call the texts, and the seconds of their pairs.
FIRST, SECOND = ("text", "question"), ("text_b", "context", "choices")


class Client:
    """Sends texts to a served model and returns its answers. May be used by several threads.

    Args:
        url: str. The model, `http://HOST:PORT/v1/models/NAME`, optionally with
            `/versions/N` or `/labels/LABEL`; or `http://HOST:PORT` of a `kbs serve`
            that serves one model.
        signature_name: optional str. Defaults to the server's, `serving_default`.
        timeout: float. Seconds to wait for an answer. Defaults to 60.
        retries: int. How often a request is sent again when the server is
            overloaded or the connection breaks. Defaults to 5.
    Raises:
        ValueError: if the URL is not of this form.
    Example:
        client = Client("http://localhost:8501/v1/models/intents")
        client.predict(["Where is my order?"])  # [{"label": "track_order", "score": 0.98}]
    """

    def __init__(self, url, signature_name=None, timeout=60.0, retries=5):
        parts = urllib.parse.urlsplit(url)
        path = parts.path.rstrip("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not (not path or "/v1/models/" in path):
            raise ValueError(f"Client: url must be http://HOST:PORT/v1/models/NAME. Received: {url!r}.")
        self.url = url
        self.signature_name = signature_name
        self._path = path
        self._transport = Transport(url, timeout, retries)
        self._found = None

    def predict(self, texts, pairs=None):
        """Return the answers for texts, as `predict` of the task does.

        Args:
            texts: list of str.
            pairs: optional list of str, the second texts, or the contexts of questions;
                of multiple choice a list of lists, the choices.
        Returns:
            list, one for each text, as `answers_from` makes them.
        Raises:
            ServerError: if the server refuses, or does not answer.
        """
        return list(self.predict_stream(texts, pairs=pairs))

    def predict_stream(self, x, *, pairs=None, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as it has come.

        Args:
            x: a list of str, or the path of a file as `pathlib.Path`, of any size.
            pairs: optional list, as in `predict`.
            columns: optional dict, as in `data.read_examples`.
            progress: not used; it makes the method a task's.
        """
        for _, answer in self._stream(self._rows(x, pairs, columns)):
            yield answer

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Answer the texts of a file into a JSON Lines file, which appears when it is complete.

        Args:
            path: str or path of a file that the served task reads: of texts, of
                questions as SQuAD has them, of choices, or of words in columns.
            output: str or path. Each line has `text`, `text_b` for pairs, or what
                the task writes, and the answer.
            columns: optional dict, as in `data.read_examples`.
            progress: not used; it makes the method a task's.
        Returns:
            int. Texts answered.
        """
        return write_json_lines(
            output,
            (row.answered(answer) for row, answer in self._stream(self._rows(Path(path), None, columns))),
        )

    def run(self, inputs):
        """Send arrays and return the outputs of the signature.

        Args:
            inputs: dict from input name to nested list; the column format.
        Returns:
            dict from output name to nested list.
        """
        body = {"inputs": inputs}
        if self.signature_name is not None:
            body["signature_name"] = self.signature_name
        outputs = self._transport.ask("POST", f"{self._model()}:predict", body)["outputs"]
        names = list(self._signature()["outputs"])
        return outputs if len(names) > 1 else {names[0]: outputs}

    def status(self):
        """Return the states of the model's versions, as the server says them."""
        return self._transport.ask("GET", self._model())["model_version_status"]

    def metadata(self):
        """Return the signatures of the model: dict from name to inputs and outputs."""
        return self._transport.ask("GET", f"{self._model()}/metadata")["metadata"]["signature_def"]["signature_def"]

    def _rows(self, x, pairs, columns):
        return file_rows(x, columns, self._signature()) if isinstance(x, Path) else given_rows(x, pairs)

    def _stream(self, rows):
        for chunk in _chunks(rows):
            answers = answers_from(self.run(self._inputs([row.text for row in chunk], _pairs(chunk))))
            if len(answers) != len(chunk):
                raise ServerError(f"{self.url}: {len(answers)} answers came for {len(chunk)} texts")
            for row, answer in zip(chunk, answers, strict=True):
                if isinstance(answer, dict) and ("spans" in answer or "gaps" in answer):
                    answer = {"text": row.text, **answer}
                elif row.choices is not None and answer["index"] >= 0:
                    answer = answer | {"choice": row.choices[answer["index"]]}
                yield row, answer

    def _inputs(self, texts, pairs):
        """Name the texts as the signature does."""
        names = set(self._signature()["inputs"])
        first = next((name for name in FIRST if name in names), None)
        seconds = names - {first}
        if first is None or len(seconds) > 1 or not seconds <= set(SECOND):
            raise ValueError(
                f"Client: texts go to a signature of {' or '.join(FIRST)}, and at most one of {', '.join(SECOND)}. "
                f"{self.url} takes {', '.join(sorted(names))}. Use run(inputs), or another signature_name."
            )
        if bool(seconds) != (pairs is not None):
            wanted = f"takes {first} and {seconds.pop()}: pass pairs" if seconds else "takes no pairs"
            raise ValueError(f"Client.predict: the model {wanted}.")
        return {first: texts} if pairs is None else {first: texts, seconds.pop(): pairs}

    def _signature(self):
        """Return the signature, asked for once."""
        if self._found is None:
            name = self.signature_name or "serving_default"
            signatures = self.metadata()
            if name not in signatures:
                raise ServerError(f"{self.url} has no signature {name!r}. It has {', '.join(sorted(signatures))}")
            self._found = signatures[name]
        return self._found

    def _model(self):
        """Return the path of the model; a server that is named alone is asked which one it has."""
        if not self._path:
            models = self._transport.ask("GET", "/healthz").get("models", [])
            if len(models) != 1:
                raise ServerError(
                    f"{self.url} serves {len(models)} models: {', '.join(models)}. Add /v1/models/NAME to the URL"
                )
            self._path = f"/v1/models/{urllib.parse.quote(models[0])}"
        return self._path


def _chunks(rows):
    """Yield lists of rows of a bearable size."""
    return chunked(rows, lambda row: len(row.text) + sum(map(len, row.pair or "")), CHARACTERS, ROWS)


def _pairs(rows):
    """Return the pairs of rows, or `None` where there are none; choices are as many in each, "" for none."""
    pairs = [row.pair for row in rows]
    if all(pair is None for pair in pairs):
        return None
    if any(isinstance(pair, (list, tuple)) for pair in pairs):
        most = max(len(pair or ()) for pair in pairs)
        return [[*(pair or ()), *[""] * (most - len(pair or ()))] for pair in pairs]
    return ["" if pair is None else pair for pair in pairs]
