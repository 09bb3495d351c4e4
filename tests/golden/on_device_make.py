"""Writes on_device_cases.json: what the tokenizers and decoders of examples/on_device/ must give.

All of it is what this package gives, under a small vocabulary of our own and
tiny models with random weights. Places are in code points and in UTF-16 units.

Run from the repository root: KERAS_BACKEND=torch python -m tests.golden.on_device_make
"""

import functools
import json
from pathlib import Path

import keras
import numpy as np
import tokenizers

import keras_bert_suite as kbs
from keras_bert_suite.data import TaggedText, find_words
from keras_bert_suite.models import build_viterbi
from keras_bert_suite.tasks.question_answerer import QuestionAnswerer
from keras_bert_suite.tasks.tagging_inputs import TaggedTexts, place_words
from keras_bert_suite.tasks.token_classifier import TokenClassifier
from keras_bert_suite.text import WordPieceTokenizer, encode_windows
from keras_bert_suite.text.definition import from_vocabulary
from keras_bert_suite.text.engines import PROBE
from tests.golden.tokenizer_make import TEXTS
from tests.text.hard_text import KINDS, random_texts, small_vocabulary

OTHER_NAMES = {
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
EXTRA_TOKENS = ["[E1]", "[E1]x", "<unk>-"]
PROSE = (
    "Unaffable Ada hugged a cafe\u0301 in Ko\u0308ln, on the 3rd of May: \U0001f469\u200d\U0001f4bb ab-abba; "
    "na\u00efve \u4e00\u9fff\u3042\u304c \u0e01\u0e32\u0e01 hello\u200dworld \U0001d157\U0001f1e9\U0001f1ea "
    "x\x00y \u2764\ufe0f! o\u0301ne [MASK] pair of \uf900, \U0001f44b\U0001f3fd end."
)
#: Of some of its words the normalizer leaves nothing.
VANISHING = "hello \u200b world \u200eAda \x01 hello\u200b caf\u00e9 \u200d \u00ad hello"
LABELS = {
    "BIO": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
    "BIOES": ["O", "B-A", "E-A", "I-A", "S-A", "B-B", "E-B", "I-B", "S-B"],
    "IO": ["LOC", "O", "PER"],
    "plain": ["ADJ", "M", "NOUN", "S"],
    "BILOU": ["U-X", "B-X", "I-X", "L-X", "O", "U", "B-long-name", "I-long-name"],
}


@functools.cache
def tokenizer_of(kind):
    """One of `KINDS`, or one whose special tokens have other names."""
    if kind != "renamed":
        return WordPieceTokenizer(small_vocabulary(), **KINDS[kind])
    tokenizer = WordPieceTokenizer.__new__(WordPieceTokenizer)
    tokenizer._set(from_vocabulary(vocabulary_of(kind), special_tokens=OTHER_NAMES, extra_tokens=EXTRA_TOKENS))
    return tokenizer


def vocabulary_of(kind):
    if kind != "renamed":
        return small_vocabulary()
    return ["<s>", "<pad>", "</s>", "<unk>", *small_vocabulary()[5:], *EXTRA_TOKENS]


def device_options(kind):
    """The options of the device's tokenizer, as JavaScript spells them."""
    if kind == "renamed":
        names = {name.removesuffix("_token"): token for name, token in OTHER_NAMES.items()}
        return {"specialTokens": names, "extraTokens": EXTRA_TOKENS}
    spelled = {"lowercase": "lowercase", "strip_accents": "stripAccents", "split_chinese": "splitChinese"}
    return {spelled[name]: value for name, value in KINDS[kind].items()}


def places(text, spans):
    """Spans in both units."""
    units = np.cumsum([0, *(1 + (char > "\uffff") for char in text)])
    points = np.asarray(spans, int).reshape(-1, 2)
    return {"code_points": points.tolist(), "utf16": units[points].tolist()}


def text_case(kind, text, pair=None, max_length=64, truncation="longest_first", pad=False):
    """A row, or `error` where the text cannot be cut as asked."""
    case = {"kind": kind, "text": text, "pair": pair, "max_length": max_length, "truncation": truncation, "pad": pad}
    tokenizer, pairs = tokenizer_of(kind), None if pair is None else [pair]
    try:
        row = tokenizer(
            [text], pairs, max_length=max_length, truncation=truncation, padding="max_length", return_offsets=True
        )
    except ValueError:
        return {**case, "error": True}
    length = max_length if pad else int(row["padding_mask"].sum())
    ids, segments, mask, offsets = (
        row[name][0, :length] for name in ("token_ids", "segment_ids", "padding_mask", "offsets")
    )
    one, two = (places(side or "", np.where(segments[:, None] == n, offsets, 0)) for n, side in enumerate((text, pair)))
    return {
        **case,
        "ids": ids.tolist(),
        "segment_ids": segments.tolist(),
        "mask": mask.tolist(),
        **{unit: (np.array(one[unit]) + np.array(two[unit])).tolist() for unit in one},
    }


def window_case(kind, text, question, length, stride):
    tokenizer = tokenizer_of(kind)
    questions = None if question is None else [question]
    windows = encode_windows(tokenizer, [text], questions, max_length=length, stride=stride)
    best = windows.best_places()
    rows = np.searchsorted(windows.encoded.offsets, best, side="right") - 1
    padded = windows.encoded.pad(length=length)
    tokens = np.full(padded["token_ids"].shape, -1)
    tokens[padded["padding_mask"].astype(bool)] = windows.tokens
    return {
        "kind": kind,
        "text": text,
        "question": question,
        "length": length,
        "stride": stride,
        "ids": padded["token_ids"].tolist(),
        "segment_ids": padded["segment_ids"].tolist(),
        "mask": padded["padding_mask"].tolist(),
        "tokens": tokens.tolist(),
        "best": np.stack([rows, best - windows.encoded.offsets[rows]], axis=1).tolist(),
        **places(text, windows.spans),
    }


def words_case(text):
    return {"text": text, **places(text, find_words([text])[0])}


def tag_case(scheme, text):
    """What `TokenClassifier.predict` finds, and the logits of its model."""
    tagger = random_task(TokenClassifier, labels=LABELS[scheme], max_length=24, stride=6)
    rows = encode_windows(tagger.tokenizer, [text], max_length=24, stride=6).encoded.pad(length=24)
    found = tagger.predict([text])[0]["spans"]
    return {
        "kind": "uncased",
        "text": text,
        "length": 24,
        "stride": 6,
        "labels": LABELS[scheme],
        "logits": rounded(tagger.model.predict(rows, verbose=0)),
        "labels_found": [span["label"] for span in found],
        "scores": rounded([span["score"] for span in found]),
        **places(text, [(span["start"], span["end"]) for span in found]),
    }


def chosen_tag_case(scheme, text):
    """What `TokenClassifier.predict` finds with a conditional random field, and the tags that its model chooses."""
    tagger = random_task(TokenClassifier, labels=LABELS[scheme], max_length=24, stride=6, crf=True)
    found = TaggedTexts([TaggedText(text)])
    words = place_words(tagger.tokenizer, found, 24, 6)
    rows = words.encoded.pad(length=24)
    marked = np.zeros(len(words.encoded.token_ids), "int32")
    marked[words.places[words.places >= 0]] = 1
    rows["word_mask"] = np.zeros(rows["token_ids"].shape, "int32")
    rows["word_mask"][rows["padding_mask"].astype(bool)] = marked
    spans = tagger.predict([text])[0]["spans"]
    return {
        "kind": "uncased",
        "text": text,
        "length": 24,
        "stride": 6,
        "labels": LABELS[scheme],
        "word_mask": rows["word_mask"].tolist(),
        "tags": np.asarray(build_viterbi(tagger.model).predict(rows, verbose=0)).tolist(),
        "labels_found": [span["label"] for span in spans],
        **places(text, [(span["start"], span["end"]) for span in spans]),
    }


def answer_case(question, text, null_threshold):
    """What `QuestionAnswerer.predict` finds, and the logits of its model."""
    answerer = random_task(
        QuestionAnswerer, max_length=32, stride=8, max_answer_length=7, null_threshold=null_threshold
    )
    rows = encode_windows(answerer.tokenizer, [text], [question], max_length=32, stride=8).encoded.pad(length=32)
    logits = answerer.model.predict(rows, verbose=0)
    found = answerer.predict([(question, text)], n_best=21)[0]
    answers = [found, *(one for one in found["nbest"] if one["start"] != found["start"] or one["end"] != found["end"])]
    spans = [(one["start"] or 0, one["end"] or 0) for one in answers]
    return {
        "kind": "uncased",
        "text": text,
        "question": question,
        "length": 32,
        "stride": 8,
        "longest": 7,
        "null_threshold": null_threshold,
        "start_logits": rounded(logits[..., 0]),
        "end_logits": rounded(logits[..., 1]),
        "answers": [one["answer"] for one in answers],
        "scores": rounded([one["score"] for one in answers]),
        **places(text, spans),
    }


def random_task(task_class, **options):
    """A task whose tiny model says something different of every token."""
    keras.utils.set_random_seed(3)
    tokenizer = tokenizer_of("uncased")
    config = kbs.EncoderConfig(
        vocabulary_size=tokenizer.vocab_size, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20,
        max_length=32,
    )  # fmt: skip
    task = task_class(kbs.models.build_encoder(config), tokenizer, **options)
    task.model.set_weights([weight * (20 if weight.ndim > 1 else 1) for weight in task.model.get_weights()])
    return task


def rounded(values):
    """Numbers that single precision can tell apart, no longer."""
    text = json.dumps(np.asarray(values, float).tolist())
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.8g}"))


def cases():
    texts = [*dict.fromkeys([*TEXTS, *PROBE, PROSE]), *random_texts(24, seed=11, longest=20)]
    renamed = ["a<s>b </s><pad>", "<unk>-<unk>", "x[E1]x[E1] [e1]x", "[CLS] [MASK]", PROSE]
    pairs = list(zip(texts, texts[::-1], strict=True))[::3]
    cut = [("hello world unaffable", PROSE), (PROSE, "hello world"), (PROSE, PROSE), ("", PROSE), ("hello", "")]
    return {
        "made_with": f"tokenizers {tokenizers.__version__}: python -m tests.golden.on_device_make",
        "vocabularies": {kind: vocabulary_of(kind) for kind in ("uncased", "renamed")},
        "options": {kind: device_options(kind) for kind in (*KINDS, "renamed")},
        "texts": [
            *(text_case(kind, text, max_length=512) for kind in KINDS for text in texts),
            *(text_case("renamed", text) for text in renamed),
            *(text_case("uncased", text, pair, max_length=512) for text, pair in pairs),
            *(
                text_case("uncased", text, pair, max_length, truncation, pad=True)
                for text, pair in [*cut, (PROSE, None)]
                for max_length in (3, 4, 9, 20)
                for truncation in ("longest_first", "only_first", "only_second")
            ),
        ],
        "windows": [
            window_case(kind, text, question, length, stride)
            for kind, text in (("uncased", PROSE), ("cased", PROSE), ("uncased", ""))
            for question in (None, "Who hugged it?", PROSE)
            for length, stride in ((16, 4), (24, 0), (9, 8), (128, 32))
        ],
        "words": [words_case(text) for text in texts],
        "tags": [tag_case(scheme, text) for scheme in LABELS for text in (PROSE, TEXTS[3], VANISHING)]
        + [tag_case("BIO", "")],
        # A field chooses the tags of all of a text together, the model on a device those of a row: one row each.
        "chosen_tags": [chosen_tag_case(scheme, text) for scheme in LABELS for text in (TEXTS[3], VANISHING)],
        "answers": [
            answer_case(question, text, threshold)
            for question, text in (("Who is \u00e4?", PROSE), ("Where?", TEXTS[3]), ("What?", "\x00"))
            for threshold in (None, 0.0, -100.0)
        ],
    }


if __name__ == "__main__":
    Path(__file__).with_name("on_device_cases.json").write_text(json.dumps(cases(), separators=(",", ":")) + "\n")
