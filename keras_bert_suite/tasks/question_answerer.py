"""A question and a context in; the part of the context that answers it out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_bert_suite.data import Question, read_questions
from keras_bert_suite.data.chunks import chunked
from keras_bert_suite.errors import DataError, check_choice, check_positive_int
from keras_bert_suite.files import write_json_lines
from keras_bert_suite.models import build_question_answering
from keras_bert_suite.reports import (
    MOST_MISTAKES,
    SCORINGS,
    Report,
    answer_scores,
    best_threshold,
    score_answers,
    scoring_for,
)
from keras_bert_suite.tasks.answer_spans import answer_targets, best_spans, context_tokens, whole_characters
from keras_bert_suite.tasks.inference import predict_batches, progress_bar
from keras_bert_suite.tasks.inputs import is_batched
from keras_bert_suite.tasks.pretrained import own_values
from keras_bert_suite.tasks.task import Task
from keras_bert_suite.text import Ragged, encode_windows
from keras_bert_suite.text.ragged import row_offsets
from keras_bert_suite.training import SpanAccuracy, SpanLoss

__all__ = ["QuestionAnswerer"]

#: Spans of a question that its answer is chosen from, and that share its probability.
CANDIDATES = 20
#: Characters of contexts that are encoded at a time.
CHUNK_CHARACTERS = 4_000_000

SETTINGS = ("stride", "max_answer_length", "null_threshold")


class QuestionAnswerer(Task):
    """A finder of answers: a `keras.Model` and its tokenizer.

    A context of any length is read through windows that overlap. Answers are
    parts of the context, exactly as written there.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.Tokenizer`.
        max_length: optional int. Tokens of a window, the question's included.
            Defaults to what the encoder and the tokenizer allow.
        stride: int. Tokens that neighbouring windows share. Defaults to 128.
        max_answer_length: int. Tokens of an answer at most. Defaults to 30.
        null_threshold: optional float. No answer is given where the logits
            speak for none by more than this, in logits. `None` always gives an
            answer. `fit` chooses it on its validation data where the training
            data has questions without an answer.
    Attributes:
        model: `keras.Model` from token arrays to logits `(B, T, 2)`, of an
            answer's first and last token.
        encoder, tokenizer, max_length, stride, max_answer_length, null_threshold: as above.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks.question_answerer import QuestionAnswerer
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "ann", "sings"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=8, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> answerer = QuestionAnswerer(kbs.models.build_encoder(config), tokenizer)
    >>> rows = [{"question": "who", "context": "Ann sings", "answers": [{"text": "Ann", "answer_start": 0}]}]
    >>> history = answerer.fit(rows, epochs=1, verbose=0)
    >>> sorted(answerer.predict(rows)[0])
    ['answer', 'end', 'score', 'start']

    Source: Devlin et al. 2018, sections 4.2 and 4.3.
    """

    task = "question-answering"
    head = "question_answering"
    score_names = ("exact_match", "f1")
    monitor = ("val_f1", "max")
    scores_texts = True

    def __init__(self, encoder, tokenizer, max_length=None, stride=128, max_answer_length=30, null_threshold=None):
        super().__init__(encoder, tokenizer, max_length)
        check_positive_int("QuestionAnswerer", max_answer_length=max_answer_length)
        if type(stride) is not int or stride < 0:
            raise ValueError(f"QuestionAnswerer: stride must be an int, 0 or above. Received: stride={stride!r}.")
        self.stride = stride
        self.max_answer_length = max_answer_length
        self.null_threshold = null_threshold

    # Opening and saving

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        own = own_values(checkpoint)
        found = super()._settings_from(checkpoint, trained, labels)
        return found | {name: own[name] for name in SETTINGS if name in own}

    def _values(self):
        return {"keras_bert_suite": {name: getattr(self, name) for name in SETTINGS}}

    @staticmethod
    def _reads_pooler(config):
        return False

    def _build(self):
        return build_question_answering(self.encoder)

    # Training

    def _default_loss(self):
        for name in ("label_smoothing", "r_drop"):
            if value := getattr(self.recipe, name):
                raise ValueError(f"compile: {name} is for labels, not for spans. Received: {name}={value}. Use 0.")
        return SpanLoss()

    def _default_metrics(self):
        return [SpanAccuracy()]

    def _packs(self, packing):
        if packing not in ("auto", False):
            raise ValueError(
                f"fit: packing must be False for {self.task}, whose loss is over the tokens of one row. "
                f"Received: packing={packing!r}."
            )
        return False

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        return read_questions(_rows(x, y, pairs, columns), require_places=require_label)

    def _learn_from(self, examples):
        impossible = sum(example.is_impossible for example in examples)
        if impossible == len(examples):
            raise DataError(
                "training needs questions with answers. Received: not one question whose context answers it. "
                "Check that the answers are in the file."
            )
        if impossible and self.null_threshold is None:
            self.null_threshold = 0.0

    def _dataset(self, examples, batch_size, packed, shuffle, seed=0):
        parts, targets = [], []
        for chunk in chunked(examples, _num_characters, CHUNK_CHARACTERS):
            windows = self._windows(chunk)
            parts.append(windows.encoded)
            targets.append(answer_targets(windows, list(map(_place, chunk))))
        return self._batches(
            _joined(parts), np.concatenate(targets), batch_size, packed=packed, shuffle=shuffle, seed=seed
        )

    def _settle(self, examples):
        if self.null_threshold is None or not any(example.is_impossible for example in examples):
            return
        texts, margins = self._texts_and_margins(examples)
        answers = _texts(examples)
        f1 = score_answers(answers, texts, _scoring(examples))[1]
        answerable = [len(one) > 0 for one in answers]
        self.null_threshold = best_threshold(f1, margins, answerable, [text == "" for text in texts])[1]

    def _windows(self, examples):
        return encode_windows(
            self.tokenizer,
            [example.context for example in examples],
            [example.question for example in examples],
            max_length=self.max_length,
            stride=self.stride,
        )

    # Use

    def evaluate(self, x, y=None, *, pairs=None, columns=None, scoring="auto", progress=False):
        """Score the answers as the official scripts of SQuAD and CMRC 2018 do.

        Args:
            x: path of a file, questions, or batches, as in `fit`.
            y, pairs, columns: as in `fit`.
            scoring: str: `"squad"`, `"squad_v2"`, `"cmrc2018"` (Chinese), or
                `"auto"`: by the language of the questions, and whether some have no answer.
            progress: bool. Whether to show a bar.
        Returns:
            dict of floats in percent, from 0 to 100: `exact_match` and `f1`. Where
            some questions have no answer, also those of `reports.answer_scores`,
            and `best_f1` with `best_f1_threshold`: what `null_threshold` would
            have given the most.
        """
        if is_batched(x):
            self._compile_model(self.model)
            return self.model.evaluate(x, y, verbose=int(progress), return_dict=True)
        examples = read_questions(_rows(x, y, pairs, columns), require_answers=True)
        return self._scores(examples, *self._texts_and_margins(examples, progress), scoring)

    def _epoch_scores(self, examples):
        return self._scores(examples, *self._texts_and_margins(examples), "auto")

    def _scores(self, examples, texts, margins, scoring):
        answers = _texts(examples)
        scoring = _scoring(examples, scoring)
        scores = answer_scores(answers, self._given(texts, margins), scoring)
        if not all(answers):
            f1 = score_answers(answers, texts, scoring)[1]
            best = best_threshold(f1, margins, [len(one) > 0 for one in answers], [text == "" for text in texts])
            scores["best_f1"], scores["best_f1_threshold"] = best
        return scores

    def _given(self, texts, margins):
        """The answers that are given, with the threshold."""
        if self.null_threshold is None:
            return texts
        return ["" if margin > self.null_threshold else text for text, margin in zip(texts, margins, strict=True)]

    def _texts_and_margins(self, examples, progress=False):
        """Return the best span of each question as text, and by how much the logits prefer none to it."""
        texts, margins = [], []
        with progress_bar(None, "answering", progress) as bar:
            for example, spans, null_score in self._found(examples, bar):
                score, start, end = spans[0] if spans else (-np.inf, 0, 0)
                texts.append(example.context[start:end])
                margins.append(null_score - score)
        return texts, margins

    def report(
        self, x, y=None, *, pairs=None, columns=None, title="Question answering", summary=None, history=None,
        scoring="auto",
    ):  # fmt: skip
        """Score the answers in full, for `reports.write_report`.

        Args:
            x: path of a file, or questions, as in `fit`.
            y, pairs, columns: as in `fit`.
            title: str.
            summary: optional dict of facts to show beside the scores.
            history: optional dict of lists, what `fit` returned as `history.history`.
            scoring: as in `evaluate`.
        Returns:
            `reports.Report`: the scores of `evaluate`, and the answers that have
            least in common with the right ones, with their contexts.
        """
        examples = read_questions(_rows(x, y, pairs, columns), require_answers=True)
        scoring = _scoring(examples, scoring)
        found = list(self._found(examples))
        chosen = [self._answer(*one) for one in found]
        best = [example.context[slice(*spans[0][1:])] if spans else "" for example, spans, _ in found]
        margins = [null_score - (spans[0][0] if spans else -np.inf) for _, spans, null_score in found]
        exact, f1 = score_answers(_texts(examples), [answer["answer"] for answer in chosen], scoring)
        wrong = np.flatnonzero(exact == 0)
        certainty = np.array([answer["score"] for answer in chosen])
        order = wrong[np.lexsort((-certainty[wrong], f1[wrong]))][:MOST_MISTAKES]
        return Report(
            title,
            {**self._scores(examples, best, margins, scoring), "questions": len(examples), **(summary or {})},
            history or {},
            mistakes=[_mistake(examples[row], chosen[row], f1[row]) for row in order.tolist()],
        )

    def predict(self, x, *, pairs=None, columns=None, n_best=None, progress=False):
        """Answer questions.

        Args:
            x: dicts with `question` and `context`, or `(question, context)`
                tuples; or one of them; or a list of questions, with `pairs`; or
                the path of a file as in `fit`. Answers are not looked at.
            pairs: optional list of str, the contexts.
            columns: not used by this task.
            n_best: optional int. How many answers to give of each question, up to 20.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts in the order of `x`: `answer`, the context's own text,
            empty where it has none; `start` and `end`, its first and
            last-plus-one character there, or `None`; `score`, its probability
            among the 20 best. With `n_best` also `nbest`, a list of such dicts.
        Example:
            answerer.predict([{"question": "Who sings?", "context": "Ann sings."}])
            # [{"answer": "Ann", "start": 0, "end": 3, "score": 0.97}]
        """
        return list(self.predict_stream(x, pairs=pairs, columns=columns, n_best=n_best, progress=progress))

    def predict_stream(self, x, *, pairs=None, columns=None, n_best=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done."""
        rows = _rows(x, None, pairs, columns)
        if isinstance(rows, list) and not rows:
            return
        with progress_bar(None, "answering", progress) as bar:
            for example, spans, null_score in self._found(read_questions(rows, answers=False), bar):
                yield self._answer(example, spans, null_score, n_best)

    def predict_file(self, path, output, *, columns=None, n_best=None, progress=False):
        """Answer the questions of a file into a JSON Lines file.

        Args:
            path: str or path of a SQuAD JSON or JSON Lines file.
            output: str or path. Each line has `id`, `question`, and what
                `predict` returns. It appears when it is complete.
            columns, n_best, progress: as in `predict`.
        Returns:
            int. Questions answered.
        """
        examples = read_questions(_rows(Path(path), None, None, columns), answers=False)
        with progress_bar(None, "answering", progress) as bar:
            return write_json_lines(
                output,
                (
                    {"id": example.id, "question": example.question} | self._answer(example, spans, null_score, n_best)
                    for example, spans, null_score in self._found(examples, bar)
                ),
            )

    def _answer(self, example, spans, null_score, n_best=None):
        """Return what `predict` says of one question."""
        found = [(score, example.context[start:end], start, end) for score, start, end in spans]
        says_nothing = not found
        if self.null_threshold is not None or says_nothing:
            says_nothing = says_nothing or null_score - found[0][0] > self.null_threshold
            found.append((null_score, "", None, None))
            found.sort(key=lambda one: -one[0])
        chances = np.exp(np.array([one[0] for one in found], "float64") - found[0][0])
        chances = (chances / chances.sum()).tolist()
        best = [
            {"answer": text, "start": start, "end": end, "score": chance}
            for (_, text, start, end), chance in zip(found, chances, strict=True)
        ]
        answer = next(one for one in best if (one["start"] is None) == says_nothing)
        return answer if n_best is None else {**answer, "nbest": best[:n_best]}

    def _found(self, examples, bar=None):
        """Yield `(example, spans, null_score)` for each question.

        Spans are `(score, start, end)` in characters of the context, the best
        first; a score is the sum of two logits. That of no answer is the least
        sum of those of `[CLS]` in any window.
        """
        for chunk in chunked(examples, _num_characters, CHUNK_CHARACTERS):
            windows = self._windows(chunk)
            scores, tokens, null_scores = self._candidates(windows, bar)
            borders = np.searchsorted(windows.texts, np.arange(len(chunk) + 1))
            for number, example in enumerate(chunk):
                rows = slice(borders[number], borders[number + 1])
                spans = _unique_spans(scores[rows].reshape(-1), tokens[rows].reshape(-1, 2))
                characters = [
                    (score, *whole_characters(example.context, windows.spans[first, 0], windows.spans[last, 1]))
                    for score, first, last in spans
                ]
                yield (
                    example,
                    [(score, int(start), int(end)) for score, start, end in characters],
                    float(null_scores[rows].min()),
                )

    def _candidates(self, windows, bar=None):
        """Return the best spans of each window, float `(W, N)` and their tokens int `(W, N, 2)`, and null scores."""
        scores = np.full((len(windows.encoded), CANDIDATES), -np.inf, "float32")
        tokens = np.zeros((*scores.shape, 2), np.int64)
        null_scores = np.zeros(len(scores), "float32")

        def finish(rows, logits):
            placed = context_tokens(windows, rows, logits.shape[1])
            found, firsts, lasts = best_spans(logits, placed >= 0, self.max_answer_length, CANDIDATES)
            lasts = np.minimum(lasts, logits.shape[1] - 1)  # of no span at all
            return found, np.take_along_axis(placed, firsts, 1), np.take_along_axis(placed, lasts, 1), logits[:, 0]

        for rows, found in predict_batches(self.model, windows.encoded, self.max_length, finish=finish):
            count = found[0].shape[1]
            scores[rows, :count], tokens[rows, :count, 0], tokens[rows, :count, 1], nulls = found
            null_scores[rows] = nulls.sum(axis=-1)
            if bar is not None:
                bar.update(len(rows))
        return scores, tokens, null_scores


def _unique_spans(scores, tokens):
    """Return `(score, first, last)` of the best spans, each once though several windows have it."""
    found = {}
    for index in np.argsort(-scores, kind="stable").tolist():
        if scores[index] == -np.inf or len(found) == CANDIDATES:
            break
        found.setdefault((int(tokens[index, 0]), int(tokens[index, 1])), float(scores[index]))
    return [(score, *span) for span, score in found.items()]


def _rows(x, y, pairs, columns):
    """Return what `read_questions` takes: a path, or a list of dicts."""
    if y is not None or columns is not None:
        raise ValueError("question answering: answers stand beside their questions. Leave y and columns out.")
    if isinstance(x, str) and pairs is not None:
        x, pairs = [x], [pairs] if isinstance(pairs, str) else pairs
    if isinstance(x, (str, Path)):
        return x
    if isinstance(x, (Mapping, Question)) or (isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], str)):
        x = [x]
    rows = list(x)
    if pairs is not None:
        if len(pairs) != len(rows):
            raise ValueError(
                f"There must be one of pairs, a context, per question. Received: {len(rows)} questions, {len(pairs)}."
            )
        rows = list(zip(rows, pairs, strict=True))
    if rows and all(isinstance(row, str) for row in rows):
        raise ValueError(
            "question answering: each question needs its context. Received: questions alone. Pass the contexts as "
            "pairs (--text-b)."
        )
    return [{"question": row[0], "context": row[1]} if isinstance(row, (tuple, list)) else row for row in rows]


def _num_characters(example):
    return len(example.context) + len(example.question)


def _joined(parts):
    """Return the rows of several `Ragged` as one."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Ragged(
        np.concatenate([part.token_ids for part in parts]),
        row_offsets(lengths),
        np.concatenate([part.second_starts for part in parts]),
        parts[0].pad_token_id,
    )


def _place(example):
    """Return the characters of the first answer that stands in the context, or `None`."""
    for text, start in example.answers:
        if start is not None:
            return start, start + len(text)
    return None


def _texts(examples):
    return [[answer.text for answer in example.answers] for example in examples]


def _scoring(examples, scoring="auto"):
    check_choice("evaluate", "scoring", scoring, ("auto", *SCORINGS))
    if scoring != "auto":
        return scoring
    return scoring_for([example.question for example in examples], any(example.is_impossible for example in examples))


def _mistake(example, answer, f1):
    """Return a mistake for a report, with the places of the answers in the context."""
    spans = [(one.start, one.start + len(one.text), "true") for one in example.answers if one.start is not None]
    if answer["start"] is not None:
        spans.append((answer["start"], answer["end"], "predicted"))
    return {
        "id": example.id,
        "text": example.question,
        "text_b": example.context,
        "true": " | ".join(dict.fromkeys(one.text for one in example.answers)) or "no answer",
        "predicted": answer["answer"] or "no answer",
        "score": answer["score"],
        "f1": 100 * float(f1),
        "spans": sorted(spans),
    }
