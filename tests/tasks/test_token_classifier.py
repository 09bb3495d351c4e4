"""Tags are learnt, found, scored and saved: with `transformers` and `seqeval` as the outside truth."""

import itertools
import json

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.checkpoints import load_model
from keras_bert_suite.data.tag_schemes import may_follow, tags_to_spans
from keras_bert_suite.errors import CheckpointError, DataError
from keras_bert_suite.layers import CRF
from keras_bert_suite.tasks.fields import decode_field, forbid_transitions
from keras_bert_suite.tasks.tagging_inputs import check_tags, place_words, read_tagged_input
from keras_bert_suite.tasks.token_classifier import TokenClassifier
from keras_bert_suite.training import Recipe
from tests.support.families import make_inputs, make_model, torch, transformers
from tests.support.selection import rarely_all, slow_to_compile
from tests.tasks.small import CONFIG, FILLER, VOCABULARY

WORDS = [*VOCABULARY, *dict.fromkeys(["ada", "grace", "new", "york", "sings"])]
TOKENIZER = kbs.WordPieceTokenizer(list(dict.fromkeys(WORDS)))


def small_tagger(seed=1, max_length=24, **settings):
    keras.utils.set_random_seed(seed)
    encoder = kbs.models.build_encoder(CONFIG.replace(vocabulary_size=TOKENIZER.vocab_size))
    return TokenClassifier(encoder, TOKENIZER, max_length=max_length, **settings)


def sentences(count, seed=0):
    """Words and their tags: names are persons, New York is a place, all else is neither."""
    rng = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(count):
        row = []
        for _ in range(rng.integers(2, 7)):
            row += [
                lambda: [(str(rng.choice(["Ada", "Grace"])), "B-PER")],
                lambda: [("New", "B-LOC"), ("York", "I-LOC")],
                lambda: [(str(rng.choice(FILLER)), "O")],
                lambda: [(str(rng.choice(FILLER)), "O")],
            ][rng.integers(4)]()
        words.append([word for word, _ in row])
        tags.append([tag for _, tag in row])
    return words, tags


@pytest.fixture(scope="module")
def tagger():
    tagger = small_tagger()
    tagger.compile(learning_rate=5e-3)
    tagger.fit(*sentences(200), epochs=4, batch_size=16, seed=1, verbose=0)
    return tagger


@pytest.fixture(scope="module")
def field_tagger():
    tagger = small_tagger(crf=True)
    tagger.compile(learning_rate=5e-3)
    tagger.fit(*sentences(200), epochs=4, batch_size=16, seed=1, verbose=0, packing=True)
    return tagger


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def conll(path, words, tags):
    rows = ["".join(f"{word} {tag}\n" for word, tag in zip(*row, strict=True)) for row in zip(words, tags, strict=True)]
    return write(path, "\n".join(rows))


# Learning and answering


@pytest.mark.parametrize(
    "options", rarely_all([{"packing": True}, {"directory": True}, {"crf": True}], {"directory": True})
)
def test_each_epoch_has_the_scores_of_spans_and_the_best_one_stays(options, tmp_path):
    options = dict(options)
    tagger = small_tagger(crf=options.pop("crf", False))
    if "directory" in options:
        options["directory"] = tmp_path
    tagger.compile(learning_rate=5e-3, patience=5)
    dev = sentences(20, seed=1)
    fitted = tagger.fit(*sentences(100), validation_data=dev, epochs=3, batch_size=16, seed=1, verbose=0, **options)
    history, scores = fitted.history, tagger.evaluate(*dev)
    assert {"val_f1", "val_precision", "val_recall", "val_accuracy"} <= set(history)
    best = int(np.argmax(history["val_f1"]))
    np.testing.assert_allclose(history["val_f1"][best], scores["f1"], atol=1e-6)
    np.testing.assert_allclose(history["val_recall"][best], scores["recall"], atol=1e-6)
    assert history["val_f1"][best] > 0


@pytest.mark.parametrize("kind", ["tagger", "field_tagger"])
def test_it_learns(kind, request):
    tagger = request.getfixturevalue(kind)
    assert tagger.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert tagger.scheme == "BIO"
    assert tagger.evaluate(*sentences(60, seed=9))["f1"] > 0.97
    [answer] = tagger.predict(["the order is Ada now New York"])
    assert [(span["text"], span["label"]) for span in answer["spans"]] == [("Ada", "PER"), ("New York", "LOC")]
    assert all(answer["text"][span["start"] : span["end"]] == span["text"] for span in answer["spans"])
    assert all(0 < span["score"] <= 1 for span in answer["spans"])
    [given] = tagger.predict([["Ada", "\u200b", "New", "York"]])  # the second word has no piece
    assert given["tags"] == ["B-PER", "O", "B-LOC", "I-LOC"]
    assert given["text"] == "Ada \u200b New York"
    assert [(span["start"], span["end"]) for span in given["spans"]] == [(0, 3), (6, 14)]
    assert tagger.predict("") == [{"text": "", "spans": []}]
    assert tagger.predict([]) == []


VANISHED = ["\u200b", "\u200e\ufeff", "\x00"]


@pytest.mark.parametrize("kind", ["tagger", "field_tagger"])
def test_words_of_no_pieces_do_not_part_spans(kind, request):
    tagger = request.getfixturevalue(kind)
    plain, *others = (f"Ada the New {word}York" for word in ["", *VANISHED[:2], *(f"{word} " for word in VANISHED[:2])])
    expected = [(span["label"], span["score"]) for span in tagger.predict(plain)[0]["spans"]]
    assert [label for label, _ in expected] == ["PER", "LOC"]
    for text in others:
        spans = tagger.predict(text)[0]["spans"]
        assert [(span["label"], pytest.approx(span["score"], abs=1e-6)) for span in spans] == expected
        assert spans[1]["text"] == text[8:]
    words = ["Ada", VANISHED[0], "the", "New", VANISHED[1], VANISHED[2], "York", VANISHED[0]]
    tags = ["B-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "I-LOC", "O"]
    [answer] = tagger.predict([words])
    assert answer["tags"] == tags
    assert [(span["label"], pytest.approx(span["score"], abs=1e-6)) for span in answer["spans"]] == expected
    assert [answer["text"][span["start"] : span["end"]] for span in answer["spans"]] == ["Ada", " ".join(words[3:7])]
    # Whatever true tags such words have, they are left out, and nothing else of the scores changes.
    for odd in (tags, [tag if word not in VANISHED else "O" for word, tag in zip(words, tags, strict=True)]):
        scores = tagger.evaluate([words], [odd])
        assert scores == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "accuracy": 1.0}
    assert tagger.evaluate([["\u200b", "Ada"]], [["B-PER", "I-PER"]])["f1"] == 1.0


@pytest.mark.parametrize("crf", [False, True])
def test_words_of_no_pieces_have_no_part_in_training(crf):
    full = (
        [["Ada", "\u200b", "New", "\u200b", "York"], ["\u200b", "Ada"]],
        [["B-PER", "O", "B-LOC", "O", "I-LOC"], ["B-PER", "I-PER"]],
    )
    short = [["Ada", "New", "York"], ["Ada"]], [["B-PER", "B-LOC", "I-LOC"], ["B-PER"]]
    tagger = small_tagger(crf=crf, labels=["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
    (_, *ours), (_, *expected) = (
        tagger._dataset(tagger._read(*given, require_label=True), 2, False, shuffle=False)[0] for given in (full, short)
    )
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_tags_of_every_scheme_go_on_over_words_of_no_pieces():
    inside = {
        "BIOES": ("B-X", "I-X", "E-X"),
        "BILOU": ("B-X", "I-X", "L-X"),
        "IO": ("X", "X", "X"),
        "IOB1": ("I-X",) * 3,
    }
    for first, middle, last in inside.values():
        tagger = small_tagger(labels=sorted({"O", first, middle, last}))
        spans = tags_to_spans([first, last])
        assert tagger._all_tags([first, last], spans, [0, 2], 4) == [first, middle, last, "O"]


def test_scores_are_those_of_seqeval(tagger):
    metrics = pytest.importorskip("seqeval.metrics")
    words, tags = sentences(60, seed=3)
    rng = np.random.default_rng(0)
    tags = [[str(rng.choice([tag, "I-PER", "B-LOC"], p=[0.7, 0.15, 0.15])) for tag in row] for row in tags]
    found = [answer["tags"] for answer in tagger.predict(words)]
    scores = tagger.evaluate(words, tags)
    assert scores["f1"] == pytest.approx(metrics.f1_score(tags, found))
    assert scores["precision"] == pytest.approx(metrics.precision_score(tags, found))
    assert scores["recall"] == pytest.approx(metrics.recall_score(tags, found))
    report = tagger.report(words, tags)
    theirs = metrics.classification_report(tags, found, output_dict=True)
    for index, label in enumerate(report.labels):
        assert report.scores["f1"][index] == pytest.approx(theirs[label]["f1-score"])
        assert report.scores["support"][index] == theirs[label]["support"]
    assert report.scores["weighted"]["f1"] == pytest.approx(theirs["weighted avg"]["f1-score"])
    assert tuple(report.summary)[:4] == tagger.score_names == tuple(scores)


def test_answers_are_those_of_transformers_pipeline(tagger, tmp_path):
    tagger.save_pretrained(tmp_path / "model")
    pipe = transformers.pipeline("token-classification", str(tmp_path / "model"), aggregation_strategy="first")
    rng = np.random.default_rng(2)
    parts = ["Ada", "grace,", "New York", "the parcel's", "zzzz", "caf\u00e9", "Ada-Grace"]
    texts = [" ".join(rng.choice(parts, 5)) for _ in range(20)]
    for text, ours in zip(texts, tagger.predict(texts), strict=True):
        theirs = pipe(text)
        assert [(span["start"], span["end"], span["label"]) for span in ours["spans"]] == [
            (span["start"], span["end"], span["entity_group"]) for span in theirs
        ]
        np.testing.assert_allclose(
            [span["score"] for span in ours["spans"]], [float(span["score"]) for span in theirs], atol=1e-5
        )


def test_long_texts_are_tagged_where_each_word_has_most_context(tagger):
    words, tags = sentences(60, seed=4)
    long_words, long_tags = list(itertools.chain(*words)), list(itertools.chain(*tags))
    assert tagger.evaluate([long_words], [long_tags])["f1"] > 0.9
    [answer] = tagger.predict([" ".join(long_words)])
    assert len(answer["spans"]) > 30
    # Each word counts once, whatever rows overlap.
    dataset = tagger._dataset(read_tagged_input([long_words], [long_tags]), 4, False, shuffle=False)
    assert sum(float(dataset[index][2].sum()) for index in range(len(dataset))) == len(long_words)


def test_files_in_and_out(tagger, tmp_path):
    words, tags = sentences(20, seed=5)
    path = conll(tmp_path / "test.conll", words, tags)
    assert tagger.evaluate(path) == tagger.evaluate(words, tags)
    assert tagger.predict_file(path, tmp_path / "out.jsonl") == 20
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [json.loads(json.dumps(answer)) for answer in tagger.predict(words)]
    texts = write(tmp_path / "texts.txt", "Ada\n\nNew York\n")
    assert [[span["text"] for span in row["spans"]] for row in tagger.predict(texts)] == [["Ada"], [], ["New York"]]
    assert tagger.evaluate(tmp_path / "out.jsonl")["f1"] == 1.0  # what it wrote is data


def test_spans_are_learnt_as_tags_are(tmp_path):
    words, tags = sentences(40)
    rows = []
    for row, sequence in zip(words, tags, strict=True):
        starts = np.cumsum([0, *(len(word) + 1 for word in row)]).tolist()
        spans = [
            {"start": starts[first], "end": starts[end] - 1, "label": label}
            for first, end, label in tags_to_spans(sequence)
        ]
        rows.append({"text": " ".join(row), "spans": spans})
    path = write(tmp_path / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    batches = []
    for x, y in ((path, None), (rows, None), (words, tags)):
        tagger = small_tagger()
        found = tagger._read(x, y, require_label=True)
        tagger._learn_from(found)
        batches.append((tagger.labels, tagger._dataset(found, 8, False, shuffle=False)))
    for labels, dataset in batches[1:]:
        assert labels == batches[0][0]
        for index in range(len(dataset)):
            for one, other in zip(batches[0][1][index][1:], dataset[index][1:], strict=True):
                assert np.array_equal(one, other)


# Places of words


def test_labels_stand_at_the_first_piece_as_in_transformers(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    words = [["Ada", "zzz9", "\u200b", "caf\u00e9's", "New"], ["x" * 300, "the"], ["order"]]
    found = read_tagged_input(words, labels=False)
    placed = place_words(TOKENIZER, found, max_length=39, stride=5)
    for row, given in enumerate(words):
        ids = theirs(given, is_split_into_words=True).word_ids()
        firsts = [ids.index(word) if word in ids else -1 for word in range(len(given))]
        if len(ids) <= 39:
            start = placed.encoded.offsets[row]
            ours = np.full(len(given), -1)
            ours[placed.numbers[placed.of(row)]] = placed.places[placed.of(row)] - start
            assert ours.tolist() == firsts


def test_a_span_that_ends_inside_a_word_is_widened_to_it():
    found = read_tagged_input([{"text": "the parcels, now", "spans": [{"start": 5, "end": 11, "label": "X"}]}])
    true = place_words(TOKENIZER, found, 24, 4).true_spans(found)
    assert true == ([[(1, 2, "X")]], [[(5, 11, "X")]], 1, 0)
    two = [
        {"start": 4, "end": 6, "label": "X"},
        {"start": 6, "end": 9, "label": "Y"},
        {"start": 3, "end": 4, "label": "Z"},
    ]
    found = read_tagged_input([{"text": "the parcels, now", "spans": two}])
    true = place_words(TOKENIZER, found, 24, 4).true_spans(found)
    assert true == ([[(1, 2, "X")]], [[(3, 4, "Z"), (4, 6, "X"), (6, 9, "Y")]], 1, 2)
    spaced = [{"text": " the  order ", "spans": [{"start": 0, "end": 6, "label": "X"}]}]
    found = read_tagged_input(spaced)
    assert place_words(TOKENIZER, found, 24, 4).true_spans(found) == ([[(0, 1, "X")]], [[(1, 4, "X")]], 0, 0)


def test_no_span_ends_with_a_character_without_a_form(tagger):
    text = "Ada\u200b the New\u200d York\u200b\u200e"
    [answer] = tagger.predict([text])
    assert [span["text"] for span in answer["spans"]] == ["Ada", "New\u200d York"]
    for beyond in (0, 1):  # as people mark them, or machines
        spans = [{**span, "end": span["end"] + beyond} for span in answer["spans"]]
        assert tagger.evaluate([text], [spans])["f1"] == 1.0


def test_scores_are_of_the_spans_as_they_were_written(tagger, tmp_path, caplog):
    text = "Ada the New York"
    [answer] = tagger.predict([text])
    spans = [{name: span[name] for name in ("start", "end", "label")} for span in answer["spans"]]
    assert [(span["start"], span["end"]) for span in spans] == [(0, 3), (8, 16)]
    assert tagger.evaluate([text], [spans])["f1"] == 1.0
    assert not caplog.text
    cut = [{**spans[0], "end": 2}, {**spans[0], "start": 2}, spans[1]]  # one widened, and no word left for the other
    path = write(tmp_path / "cut.jsonl", json.dumps({"text": text, "spans": cut}))
    scores = tagger.evaluate(path)
    assert (scores["precision"], scores["recall"]) == (1 / 2, pytest.approx(1 / 3))
    assert f"{path}: 1 spans begin or end inside a word, and 1 hold no word of their own" in caplog.text
    report = tagger.report(path)
    assert report.tagged[0]["true"] == [(0, 2, "PER"), (2, 3, "PER"), (8, 16, "LOC")]
    assert report.summary["spans"] == 3
    space = [{"start": 3, "end": 4, "label": "PER"}]
    assert tagger.report([text], [space]).tagged[0]["true"] == [(3, 4, "PER")]
    caplog.clear()
    found = tagger._read(path, require_label=True)
    tagger._dataset(found, 1, False, shuffle=False)
    assert "Training widens those to whole words and leaves these out" in caplog.text
    caplog.clear()
    assert tagger._epoch_scores(found) == scores
    assert not caplog.text  # each epoch; the batches of these texts had their warning


# Schemes


@pytest.mark.parametrize("scheme", ["IO", "IOB1", "BIO", "BIOES"])
def test_the_scheme_of_the_data_is_kept_and_another_can_be_asked_for(scheme):
    words, tags = [["Ada", "New", "York", "Ada", "Ada"]], [["B-PER", "B-LOC", "I-LOC", "B-PER", "B-PER"]]
    tagger = small_tagger(scheme=scheme)
    tagger._learn_from(tagger._read(words, tags, require_label=True))
    assert tagger.scheme == scheme
    assert all(
        may_follow(tag, before, scheme) for tag in tagger.labels[:1] for before in tagger.labels if scheme == "IO"
    )
    targets = tagger._dataset(tagger._read(words, tags, require_label=True), 1, False, shuffle=False)[0][1]
    learnt = [tagger.labels[index] for index in targets[0, 1:6]]
    expected = {
        "IO": ["I-PER", "I-LOC", "I-LOC", "I-PER", "I-PER"],
        "IOB1": ["I-PER", "I-LOC", "I-LOC", "I-PER", "B-PER"],
        "BIO": tags[0],
        "BIOES": ["S-PER", "B-LOC", "E-LOC", "S-PER", "S-PER"],
    }
    assert learnt == expected[scheme]
    kept = small_tagger()
    kept._learn_from(kept._read(words, [expected[scheme]], require_label=True))
    assert kept.scheme == scheme


def test_tags_that_break_their_scheme_are_named_and_taken(tmp_path, caplog):
    path = write(tmp_path / "train.conll", "Ada B-PER\nsings O\n\nthe O\nYork I-LOC\nNew B-LOC\n")
    tagger = small_tagger()
    tagger._learn_from(tagger._read(path, require_label=True))
    assert f"{path}:5: the tag I-LOC breaks the scheme BIO" in caplog.text
    assert tagger.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


@slow_to_compile
def test_plain_tags_are_learnt_as_they_are():
    tagger = small_tagger()
    tagger.compile(learning_rate=5e-3)
    tagger.fit([["Ada", "sings"], ["Grace", "now"]], [["NOUN", "VERB"], ["NOUN", "ADV"]], epochs=1, verbose=0)
    assert tagger.labels == ["ADV", "NOUN", "VERB"]
    assert set(tagger.predict([["Ada", "sings"]])[0]["tags"]) <= {"ADV", "NOUN", "VERB"}


def test_plain_tags_may_be_letters_that_are_prefixes_elsewhere():
    words, tags = [["Ada", "sings", "now"], ["the", "order"]], [["NR", "S", "M"], ["M", "L"]]
    tagger = small_tagger()
    tagger._learn_from(tagger._read(words, tags, require_label=True))
    assert (tagger.labels, tagger.scheme) == (["L", "M", "NR", "S"], "IO")
    targets = tagger._dataset(tagger._read(words, tags, require_label=True), 2, False, shuffle=False)[0][1]
    assert [tagger.labels[index] for index in targets[0, 1:4]] == tags[0]
    [answer] = tagger.predict([["Ada", "sings"]])
    assert set(answer["tags"]) <= {*tagger.labels}
    assert [span["label"] for span in answer["spans"]] == list(dict.fromkeys(answer["tags"]))
    # The labels tell what the letters of a text are that has no others.
    _, scores, _, true, *_ = tagger._compared(tagger._read(words[1:], tags[1:], require_label=True))
    assert true == [[(0, 3, "M"), (4, 9, "L")]]
    assert {"M", "L"} <= {*scores["labels"]} <= {*tagger.labels}
    assert small_tagger(labels=tagger.labels).scheme == "IO"


# Refusals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ada B-PER\nsings VERB\n", "train.conll:2: tags must be O or have a prefix, as B-PER, where any has one"),
        ("Ada O\nsings O\n", "train.conll: training needs words of two kinds at least.* Received: only 'O'"),
        ("Ada X\nsings X\n", "Received: only 'X'"),
    ],
)
def test_what_cannot_be_learnt_is_refused(tmp_path, text, message):
    path = write(tmp_path / "train.conll", text)
    with pytest.raises(DataError, match=message):
        small_tagger().fit(path, epochs=1, verbose=0)


def test_labels_that_training_may_not_have_are_refused_and_others_count_as_missed(tagger, tmp_path, caplog):
    path = write(tmp_path / "data.conll", "Ada B-PER\n\nthe O\norder B-ORG\n")
    with pytest.raises(DataError, match="data.conll:4: spans must be of the kinds .* 'LOC', 'PER'. Received: 'ORG'"):
        tagger.fit(path, epochs=1, verbose=0)
    assert tagger.evaluate(path)["recall"] == 0.5
    assert f"{path}:4: 'ORG' is not among the labels of training; such spans count as missed" in caplog.text


def test_misuse_is_explained():
    with pytest.raises(ValueError, match="the tags are not known yet"):
        small_tagger().predict(["Ada"])
    with pytest.raises(ValueError, match="labels must be tags of the scheme IO. Received: 'B-PER'"):
        small_tagger(labels=["O", "B-PER"], scheme="IO")
    with pytest.raises(ValueError, match="a text has no pair"):
        small_tagger().fit(["Ada"], [["O"]], pairs=["x"])
    with pytest.raises(ValueError, match="Spans or tags are needed"):
        small_tagger().fit([["Ada"]])
    with pytest.raises(DataError, match="text 0: there must be one tag per word. Received: 1 words, 2 tags"):
        small_tagger().fit([["Ada"]], [["O", "O"]])
    with pytest.raises(ValueError, match="There must be spans or tags for each text"):
        small_tagger().fit([["Ada"]], [])
    tagger = small_tagger()
    tagger.compile(r_drop=1.0)
    with pytest.raises(ValueError, match="r_drop"):
        tagger.fit([["Ada"]], [["B-PER"]], verbose=0)


# Saving


@pytest.mark.parametrize("kind", ["tagger", "field_tagger"])
def test_it_is_saved_and_opens_in_transformers(kind, request, tmp_path):
    tagger = request.getfixturevalue(kind)
    tagger.save_pretrained(tmp_path / "model")
    loaded = TokenClassifier.from_pretrained(tmp_path / "model")
    texts = ["Ada, the order to New York", "Grace"]
    assert (loaded.scheme, loaded.crf, loaded.stride) == (tagger.scheme, tagger.crf, tagger.stride)
    for one, other in zip(loaded.predict(texts), tagger.predict(texts), strict=True):
        assert [{**span, "score": 0} for span in one["spans"]] == [{**span, "score": 0} for span in other["spans"]]
    theirs = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "model")
    encoded = tagger.tokenizer(texts)
    outputs = keras.ops.convert_to_numpy(tagger.model.predict_on_batch(encoded))[:, -encoded["token_ids"].shape[1] :]
    with torch.no_grad():
        logits = theirs(
            input_ids=torch.tensor(encoded["token_ids"], dtype=torch.long),
            attention_mask=torch.tensor(encoded["padding_mask"], dtype=torch.long),
        ).logits.numpy()
    real = encoded["padding_mask"].astype(bool)
    np.testing.assert_allclose(outputs[real], logits[real], atol=1e-4)
    with pytest.raises(CheckpointError, match="conditional random field"):
        TokenClassifier.from_pretrained(tmp_path / "model", crf=not tagger.crf)


def test_labels_of_a_trained_head_are_kept(tagger, tmp_path):
    tagger.save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="its head was trained for the labels"):
        TokenClassifier.from_pretrained(tmp_path / "model", labels=["O", "B-X"])
    fresh = TokenClassifier.from_pretrained(tmp_path / "model", labels=["O", "B-X"], replace_head=True, crf=True)
    assert (fresh.labels, fresh.scheme, fresh.crf) == (["O", "B-X"], "BIO", True)


# The field


def test_long_texts_have_the_best_path_and_its_marginals():
    rng = np.random.default_rng(0)
    tags, lengths = ["O", "B-X", "I-X"], [3, 0, 5, 1]
    layer = CRF()
    layer.build((None, None, 3))
    forbid_transitions(layer, tags, "BIO")
    start, end, steps = (
        np.asarray(keras.ops.convert_to_numpy(weight.value), "float64")
        for weight in (layer.start_transitions, layer.end_transitions, layer.transitions)
    )
    assert start.tolist() == [0, 0, -10]
    assert steps.tolist() == [[0, 0, -10], [0, 0, 0], [0, 0, 0]]
    emissions = rng.normal(size=(sum(lengths), 3)).astype("float32")
    offsets = np.cumsum([0, *lengths])
    best, certainty = decode_field(emissions, offsets, layer)
    for first, last in itertools.pairwise(offsets):
        if first == last:
            continue
        scores = {}
        for path in itertools.product(range(3), repeat=int(last - first)):
            scores[path] = start[path[0]] + end[path[-1]] + sum(steps[pair] for pair in itertools.pairwise(path))
            scores[path] += sum(emissions[first + word, tag] for word, tag in enumerate(path))
        assert tuple(best[first:last]) == max(scores, key=scores.get)
        total = sum(map(np.exp, scores.values()))
        for word, tag in enumerate(best[first:last]):
            share = sum(np.exp(score) for path, score in scores.items() if path[word] == tag) / total
            assert certainty[first + word] == pytest.approx(share, abs=1e-5)
    assert decode_field(emissions[:0], np.zeros(3, int), layer)[0].shape == (0,)


def test_answers_of_a_new_field_keep_to_the_scheme():
    tagger = small_tagger(labels=["O", "B-X", "I-X", "B-Y", "I-Y"], crf=True)
    tags = [answer["tags"] for answer in tagger.predict(sentences(20)[0])]
    assert all(may_follow(tag, before, "BIO") for row in tags for before, tag in itertools.pairwise(["O", *row]))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is of TensorFlow")
def test_the_best_tags_leave_in_a_saved_model(field_tagger, tmp_path):
    import tensorflow as tf

    from keras_bert_suite.models.token_classifier import build_viterbi

    words = sentences(8, seed=6)[0]
    model = build_viterbi(field_tagger.model)
    names = ("token_ids", "segment_ids", "padding_mask", "word_mask")
    signature = [{name: tf.TensorSpec((None, None), tf.int32, name=name) for name in names}]
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    module.tag = tf.function(lambda inputs: model(inputs, training=False), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "saved"))
    placed = place_words(TOKENIZER, read_tagged_input(words, labels=False), 24, 4)
    inputs = placed.encoded.pad()
    mask = np.zeros(len(placed.encoded.token_ids), "int32")
    mask[placed.places] = 1
    inputs["word_mask"] = np.zeros_like(inputs["token_ids"])
    inputs["word_mask"][inputs["padding_mask"].astype(bool)] = mask
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    found = loaded.tag({name: tf.constant(inputs[name]) for name in names}).numpy()
    for row, answer in zip(found, field_tagger.predict(words), strict=True):
        assert [field_tagger.labels[index] for index in row[row >= 0]] == answer["tags"]


# The loss


@pytest.mark.parametrize("steps", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_the_loss_follows_transformers(steps, tmp_path):
    still = {name: 0.0 for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")}
    theirs = make_model("bert", "ForTokenClassification", **still)
    theirs.save_pretrained(tmp_path)
    recipe = Recipe(learning_rate=2e-3)

    batches = []
    for step in range(steps):
        inputs = make_inputs(theirs, seed=step)
        shown = (inputs["token_ids"] == theirs.config.pad_token_id) & (inputs["padding_mask"] == 1)
        inputs["token_ids"] = np.where(shown, 7, inputs["token_ids"]).astype("int32")
        scored = (inputs["padding_mask"] == 1) & (np.random.default_rng(step).random(shown.shape) < 0.6)
        scored[0, 0] = True
        batches.append((inputs, inputs["token_ids"] % 5, scored))

    model = load_model(tmp_path, "token_classifier")
    model.compile(optimizer=recipe.build_optimizer(model, steps), loss=recipe.build_classification_loss())
    ours = [
        float(
            keras.ops.convert_to_numpy(
                model.train_on_batch(inputs, labels, sample_weight=scored.astype("float32"))
            )
        )
        for inputs, labels, scored in batches
    ]  # fmt: skip

    theirs.train()
    plain = [weight for name, weight in theirs.named_parameters() if name.endswith("bias") or "norm" in name.lower()]
    decayed = [weight for weight in theirs.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * recipe.warmup_ratio), steps)
    expected = []
    for inputs, labels, scored in batches:
        loss = theirs(
            input_ids=torch.tensor(inputs["token_ids"], dtype=torch.long),
            attention_mask=torch.tensor(inputs["padding_mask"], dtype=torch.long),
            token_type_ids=torch.tensor(inputs["segment_ids"], dtype=torch.long),
            labels=torch.tensor(np.where(scored, labels, -100), dtype=torch.long),
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), recipe.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected.append(float(loss.detach()))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize("spelling", ["{0}-{1}", "{0}_{1}", "{1}-{0}", "{1}_{0}"])
@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_prefixes_in_other_spellings_are_prefixes(spelling, case):
    words, tags = sentences(6)
    odd = [[tag if tag == "O" else spelling.format(case(tag[0]), tag[2:]) for tag in row] for row in tags]
    assert read_tagged_input(words, odd).rows != []
    one, other = read_tagged_input(words, tags), read_tagged_input(words, odd)
    for found in (one, other):
        check_tags(found)
    assert other.given_tags == one.given_tags
    few = read_tagged_input([["ada"]], [[spelling.format(case("B"), "PER")]])
    check_tags(few, ["O", "B-PER", "I-PER"])
    assert few.given_tags == [["B-PER"]]


def test_what_cannot_be_words_is_refused():
    tagger = small_tagger()
    for rows, message in (
        ([None], "str or a list of words. Received: NoneType"),
        ([["a", ""]], "not blank. Received: ''"),
    ):
        with pytest.raises(DataError, match=message):
            tagger._read(rows)
    with pytest.raises(DataError, match="there must be words to learn from"):
        tagger.fit([["\u200b", "\u200b"]], [["B-X", "O"]], epochs=1, verbose=0)
