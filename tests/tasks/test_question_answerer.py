"""Extractive question answering, held against `transformers` and the Rust tokenizers: targets, loss, answers."""

import json

import keras
import numpy as np
import pytest
import tokenizers

import keras_bert_suite as kbs
from keras_bert_suite.checkpoints import load_model
from keras_bert_suite.data import read_questions
from keras_bert_suite.errors import DataError
from keras_bert_suite.reports import write_report
from keras_bert_suite.tasks.answer_spans import answer_targets, best_spans, whole_characters
from keras_bert_suite.tasks.question_answerer import QuestionAnswerer
from keras_bert_suite.text import encode_windows
from keras_bert_suite.training import Recipe, SpanAccuracy, SpanLoss
from tests.support.families import make_inputs, make_model, torch, transformers
from tests.support.selection import slow_to_compile

NAMES = ["ann", "bob", "zoe", "cafe", "甲"]
TOWNS = ["rome", "oslo", "lima", "bern"]
FILLER = ["the", "a", "in", "and", "sings", "it", "now", "then", ".", ",", "with", "of"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "where", "?"),
    *NAMES,
    *TOWNS,
    *FILLER,
    *dict.fromkeys(LETTERS.replace("a", "")),
    *(f"##{letter}" for letter in LETTERS),
]
TOKENIZER = kbs.WordPieceTokenizer(VOCABULARY)


def small_answerer(seed=1, max_length=16, **settings):
    keras.utils.set_random_seed(seed)
    config = kbs.EncoderConfig(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        hidden_dim=24,
        num_heads=3,
        intermediate_dim=40,
        max_length=64,
        initializer_range=0.1,
        pooler=False,
    )
    return QuestionAnswerer(kbs.models.build_encoder(config), TOKENIZER, max_length=max_length, **settings)


def examples(count, seed=0, longest=10, impossible=True):
    """Contexts with one name, a third of them without, and who is asked."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        words, answers = rng.choice(FILLER + TOWNS, rng.integers(3, longest)).tolist(), []
        if not impossible or number % 3:
            name, place = str(rng.choice(NAMES)), int(rng.integers(len(words) + 1))
            start = len(" ".join([*words[:place], ""]))
            words.insert(place, name)
            answers = [{"text": name, "answer_start": start}]
        rows.append({"id": f"{seed}-{number}", "question": "who ?", "context": " ".join(words), "answers": answers})
    return rows


@pytest.fixture(scope="module")
def trained():
    """An answerer that has learnt its task. Tests must not train it."""
    answerer = small_answerer()
    answerer.compile(learning_rate=5e-3)
    answerer.fit(examples(360), validation_data=examples(60, seed=1), epochs=6, batch_size=16, seed=1, verbose=0)
    return answerer


# The loss


def test_the_loss_is_that_of_transformers():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 9, 2)).astype("float32")
    places = np.array([[1, 3], [0, 0], [8, 8], [9, 2], [4, 20], [2, 12]])  # 9 and above are outside
    model = make_model("bert", "ForQuestionAnswering")
    expected = []
    for end in (0, 1):
        expected.append(
            torch.nn.functional.cross_entropy(
                torch.tensor(logits[..., end]), torch.tensor(places[:, end]).clamp(0, 9), ignore_index=9
            )
        )
    loss = SpanLoss()
    assert float(loss(places, logits)) == pytest.approx(float(sum(expected)) / 2, rel=1e-5)
    assert SpanLoss.from_config(loss.get_config()).name == loss.name
    weights = np.array([1, 1, 1, 0, 0, 0], "float32")
    assert float(loss(places, logits, weights)) >= 0
    inputs = make_inputs(model)
    places = np.array([[1, 3], [0, 0], [2, 2], [0, 0]])
    theirs = model(
        input_ids=torch.tensor(inputs["token_ids"]).long(),
        attention_mask=torch.tensor(inputs["padding_mask"]).long(),
        token_type_ids=torch.tensor(inputs["segment_ids"]).long(),
        start_positions=torch.tensor(places[:, 0]),
        end_positions=torch.tensor(places[:, 1]),
    )
    logits = torch.stack([theirs.start_logits, theirs.end_logits], dim=-1).detach().numpy()
    assert float(loss(places, logits)) == pytest.approx(float(theirs.loss.detach()), rel=1e-5)


def test_the_loss_follows_transformers_for_30_steps(tmp_path):
    steps = 30
    still = {name: 0.0 for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")}
    theirs = make_model("bert", "ForQuestionAnswering", **still)
    theirs.save_pretrained(tmp_path)
    recipe = Recipe(learning_rate=2e-3)
    ours = load_model(tmp_path, "question_answering")
    ours.compile(optimizer=recipe.build_optimizer(ours, steps), loss=SpanLoss())
    batches = []
    for step in range(steps):
        inputs = make_inputs(theirs, seed=step)
        first = inputs["token_ids"][:, 0] % 5
        batches.append((inputs, np.stack([first, first + 2], axis=-1).astype("int32")))
    found = [float(keras.ops.convert_to_numpy(ours.train_on_batch(*batch))) for batch in batches]

    theirs.train()
    plain = [weight for name, weight in theirs.named_parameters() if name.endswith("bias") or "norm" in name.lower()]
    decayed = [weight for weight in theirs.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * recipe.warmup_ratio), steps)
    expected = []
    for inputs, places in batches:
        loss = theirs(
            input_ids=torch.tensor(inputs["token_ids"]).long(),
            attention_mask=torch.tensor(inputs["padding_mask"]).long(),
            token_type_ids=torch.tensor(inputs["segment_ids"]).long(),
            start_positions=torch.tensor(places[:, 0]).long(),
            end_positions=torch.tensor(places[:, 1]).long(),
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), recipe.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected.append(float(loss.detach()))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_metric_counts_rows_with_both_ends_right():
    logits = np.zeros((3, 4, 2), "float32")
    logits[0, 1, 0] = logits[0, 2, 1] = logits[1, 1, 0] = logits[2, 3] = 1
    metric = SpanAccuracy()
    metric.update_state(np.array([[1, 2], [1, 2], [3, 3]]), logits, sample_weight=np.array([1, 1, 2]))
    assert float(metric.result()) == pytest.approx(0.75)
    assert SpanAccuracy.from_config(metric.get_config()).name == "accuracy"


# Windows and targets

HARD = [
    (
        "naïve cafe\u0301 😀 bob, 👩\u200d👩\u200d👧 in Rome",
        ["cafe\u0301", "bob", "Rome", "naïve", "👩\u200d👩\u200d👧"],
    ),
    ("甲在rome，乙in oslo。", ["甲", "rome", "oslo", "甲在rome"]),
    ("مرحبا ann שלום zoe", ["ann", "zoe"]),
    ("  ann\u00a0sings\u2028in\tlima  ", ["ann", "lima", "ann\u00a0sings"]),
    ("ＡＮＮ ﬁne Ⅳ ann", ["ann", "ＡＮＮ"]),
]


@pytest.mark.parametrize(("max_length", "stride"), [(12, 3), (16, 0), (24, 8), (512, 128)])
def test_targets_stand_where_the_rust_tokenizers_see_the_answer(max_length, stride):
    rows = [(context, answer) for context, answers in HARD for answer in answers]
    rows += [(one["context"], one["answers"][0]["text"]) for one in examples(40, longest=40, impossible=False)]
    contexts = [context for context, _ in rows]
    places = [(context.index(answer), context.index(answer) + len(answer)) for context, answer in rows]
    windows = encode_windows(TOKENIZER, contexts, ["who ?"] * len(rows), max_length=max_length, stride=stride)
    found = answer_targets(windows, places)
    theirs = tokenizers.Tokenizer.from_str(TOKENIZER.to_json())
    theirs.enable_truncation(max_length, stride=stride, strategy="only_second")
    expected = []
    for (start, end), context in zip(places, contexts, strict=True):
        whole = theirs.encode("who ?", context)
        for encoding in (whole, *whole.overflowing):
            ends = [encoding.char_to_token(start, 1)]
            # Backwards over what has no token, such as an accent.
            ends.append(next((t for c in range(end - 1, start - 1, -1) if (t := encoding.char_to_token(c, 1))), None))
            expected.append((0, 0) if None in ends else tuple(ends))
    assert list(map(tuple, found.tolist())) == expected
    assert (found[:, 0] > 0).sum() >= len(rows) * 0.8


def test_windows_without_the_answer_point_at_cls():
    windows = encode_windows(TOKENIZER, ["ann in rome", ""], ["who ?"] * 2, max_length=16, stride=2)
    assert answer_targets(windows, [None, None]).tolist() == [[0, 0], [0, 0]]
    assert answer_targets(windows, [(0, 3), (0, 1)]).tolist() == [[4, 4], [0, 0]]


@pytest.mark.parametrize(("longest", "count"), [(1, 3), (3, 5), (4, 20), (30, 20)])
def test_the_best_spans_are_those_of_a_search_through_all(longest, count):
    rng = np.random.default_rng(longest)
    logits = rng.normal(size=(5, 13, 2)).astype("float32")
    allowed = rng.random((5, 13)) < 0.7
    allowed[4] = False
    scores, firsts, lasts = best_spans(logits, allowed, longest, count)
    for row in range(5):
        every = sorted(
            (-float(logits[row, first, 0] + logits[row, last, 1]), first, last)
            for first in range(13)
            for last in range(first, min(13, first + longest))
            if allowed[row, first] and allowed[row, last]
        )[:count]
        real = scores[row] > -np.inf
        assert real.sum() == len(every)
        found = zip(-scores[row][real], firsts[row][real], lasts[row][real], strict=True)
        assert [(float(score), int(first), int(last)) for score, first, last in found] == every


def test_spans_end_with_whole_characters():
    family = "👩\u200d👩\u200d👧"
    assert whole_characters("cafe\u0301!", 0, 4) == (0, 5)
    assert whole_characters("cafe\u0301!", 0, 3) == (0, 3)
    assert whole_characters(f"a{family}b", 1, 2) == (1, 1 + len(family))
    assert whole_characters(f"a{family}b", 3, 4) == (1, 1 + len(family))
    assert whole_characters("👍🏽", 0, 1) == (0, 2)
    assert whole_characters("\u0301", 0, 1) == (0, 1)
    england = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    assert whole_characters(f"{england} x", 0, 1) == (0, len(england))
    assert whole_characters("", 0, 0) == (0, 0)


# Answers


@slow_to_compile
def test_each_epoch_has_the_official_scores_and_the_best_one_stays():
    train, dev = ([row for row in examples(count, seed) if row["answers"]] for count, seed in ((120, 0), (30, 1)))
    answerer = small_answerer()
    answerer.compile(learning_rate=5e-3, patience=2)
    history = answerer.fit(train, validation_data=dev, epochs=3, batch_size=16, seed=1, verbose=0).history
    scores = answerer.evaluate(dev)
    best = int(np.argmax(history["val_f1"]))
    assert history["val_f1"][best] == pytest.approx(scores["f1"])
    assert history["val_exact_match"][best] == pytest.approx(scores["exact_match"])


def test_it_learns(trained):
    scores = trained.evaluate(examples(120, seed=2))
    assert scores["exact_match"] > 90
    assert scores["unanswerable_exact_match"] > 80
    assert scores["best_f1"] >= scores["f1"]
    assert trained.null_threshold is not None
    assert trained.score_names == ("exact_match", "f1")


def test_answers_are_parts_of_the_context_as_written(trained):
    contexts = ["the Cafe\u0301 😀 sings ,", "it is 甲， and", "😀😀 BOB\u0301\u0302 sings", "\tZoe\u200d then"]
    answers = trained.predict(["who ?"] * 4, pairs=contexts)
    for context, answer in zip(contexts, answers, strict=True):
        assert answer["answer"] == context[answer["start"] : answer["end"]]
    assert [answer["answer"] for answer in answers[:3]] == ["Cafe\u0301", "甲", "BOB\u0301\u0302"]


def test_an_answer_far_into_a_long_document(trained):
    words = np.random.default_rng(0).choice(FILLER, 3000).tolist()
    words.insert(2500, "Zoe")
    context = " ".join(words)
    found = trained.predict({"question": "who ?", "context": context}, n_best=3)[0]
    assert found["answer"] == "Zoe"
    assert (found["start"], found["end"]) == (context.index("Zoe"), context.index("Zoe") + 3)
    assert found["nbest"][0] == {name: found[name] for name in ("answer", "start", "end", "score")}
    assert len({(one["start"], one["end"]) for one in found["nbest"]}) == 3


def test_the_answers_are_those_of_a_plain_loop_over_transformers(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    rows = examples(30, seed=3, longest=60)
    for row, answer in zip(rows, trained.predict(rows, n_best=1), strict=True):
        encoded = tokenizer(
            row["question"], row["context"], truncation="only_second", max_length=16, stride=8,
            return_overflowing_tokens=True, return_offsets_mapping=True, padding=True, return_tensors="pt",
        )  # fmt: skip
        offsets = encoded.pop("offset_mapping").numpy()
        encoded.pop("overflow_to_sample_mapping")
        with torch.no_grad():
            outputs = theirs(**encoded)
        best, null = [], []
        for window in range(len(offsets)):
            start, end = outputs.start_logits[window].numpy(), outputs.end_logits[window].numpy()
            null.append(start[0] + end[0])
            inside = [place for place, side in enumerate(encoded.sequence_ids(window)) if side == 1]
            for first in inside:
                for last in inside:
                    if first <= last < first + 30:
                        span = offsets[window]
                        best.append((start[first] + end[last], span[first][0], span[last][1]))
        score, start, end = max(best)
        says_nothing = min(null) - score > trained.null_threshold
        assert answer["answer"] == ("" if says_nothing else row["context"][start:end])


def test_saved_and_opened_again(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    opened = QuestionAnswerer.from_pretrained(tmp_path / "model")
    assert (opened.stride, opened.max_answer_length, opened.max_length) == (128, 30, 16)
    assert opened.null_threshold == trained.null_threshold
    rows = examples(20, seed=4)
    ours, theirs = trained.predict(rows), opened.predict(rows)
    assert [one["answer"] for one in ours] == [one["answer"] for one in theirs]
    np.testing.assert_allclose([one["score"] for one in ours], [one["score"] for one in theirs], atol=1e-5)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]
    assert QuestionAnswerer.from_pretrained(tmp_path / "model", null_threshold=3.5).null_threshold == 3.5
    with pytest.raises(TypeError, match="QuestionAnswerer has no labels"):
        QuestionAnswerer.from_pretrained(tmp_path / "model", labels=["a"])


def test_files_in_and_out(trained, tmp_path):
    rows = examples(12, seed=5)
    paragraphs = [{"context": row["context"], "qas": [row]} for row in rows]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"version": "v2.0", "data": [{"paragraphs": paragraphs}]}))
    assert trained.predict_file(path, tmp_path / "answers.jsonl") == 12
    found = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [one["id"] for one in found] == [row["id"] for row in rows]
    assert [one["answer"] for one in found] == [one["answer"] for one in trained.predict(str(path))]
    hidden = [{**row, "answers": "n/a", "is_impossible": False} for row in rows]
    assert trained.predict(hidden) == trained.predict(rows)
    path_hidden = tmp_path / "hidden.jsonl"
    path_hidden.write_text("".join(json.dumps({**row, "answers": []}) + "\n" for row in hidden))
    assert trained.predict_file(path_hidden, tmp_path / "more.jsonl") == 12
    assert trained.evaluate(path) == trained.evaluate(rows)
    report = trained.report(path, summary={"note": "x"})
    assert tuple(report.summary)[:2] == trained.score_names
    assert report.summary["questions"] == 12
    write_report(tmp_path / "report.html", report, json_path=tmp_path / "report.json")


def test_the_report_has_the_worst_answers_first():
    report = small_answerer().report(examples(40))
    assert report.mistakes
    shares = [mistake["f1"] for mistake in report.mistakes]
    assert shares == sorted(shares)
    for mistake in report.mistakes:
        for start, end, kind in mistake["spans"]:
            assert mistake["text_b"][start:end] in (mistake["true"], mistake["predicted"])
            assert kind in ("true", "predicted")


@slow_to_compile
def test_training_only_on_answered_questions_always_answers(tmp_path):
    answerer = small_answerer()
    answerer.fit(examples(16, impossible=False), epochs=1, batch_size=16, verbose=0)
    assert answerer.null_threshold is None
    assert all(one["answer"] for one in answerer.predict(examples(9)))
    empty = answerer.predict([("who ?", ""), ("", "ann"), ("who ?", " ")])
    assert [one["answer"] for one in empty] == ["", "ann", ""]
    assert empty[0] == {"answer": "", "start": None, "end": None, "score": 1.0}
    assert answerer.predict([]) == []


def test_bad_requests_are_refused(tmp_path):
    answerer = small_answerer()
    rows = examples(6, impossible=False)
    with pytest.raises(ValueError, match="packing must be False for question-answering"):
        answerer.fit(rows, packing=True)
    with pytest.raises(ValueError, match="Leave y and columns out"):
        answerer.fit(rows, ["ann"] * 6)
    with pytest.raises(ValueError, match="one of pairs, a context, per question"):
        answerer.predict(["who ?"], pairs=["a", "b"])
    with pytest.raises(DataError, match="question '0-1': its answer 'Eve' must stand in its context"):
        answerer.fit([rows[0], {**rows[1], "answers": ["Eve"]}])
    with pytest.raises(DataError, match="it must say its answers"):
        answerer.evaluate([("who ?", "ann")])
    with pytest.raises(DataError, match="training needs questions with answers"):
        answerer.fit([{**row, "answers": []} for row in rows])
    with pytest.raises(ValueError, match="scoring must be one of"):
        answerer.evaluate(rows, scoring="bleu")
    answerer.compile(label_smoothing=0.1)
    with pytest.raises(ValueError, match="label_smoothing is for labels, not for spans"):
        answerer.fit(rows, verbose=0)
    for settings, message in (
        ({"stride": -1}, "stride must be an int, 0 or above"),
        ({"max_answer_length": 0}, "max_answer_length must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            small_answerer(**settings)


def test_an_ordinary_keras_script():
    """Windows, targets, loss and metric without the task."""
    rows = read_questions(examples(16, impossible=False))
    windows = encode_windows(
        TOKENIZER, [row.context for row in rows], [row.question for row in rows], max_length=24, stride=4
    )
    targets = answer_targets(windows, [(row.answers[0].start, row.answers[0].start + 3) for row in rows])
    model = small_answerer().model
    model.compile("adam", SpanLoss(), metrics=[SpanAccuracy()])
    history = model.fit(windows.encoded.pad(), targets, epochs=1, verbose=0).history
    assert set(history) == {"loss", "accuracy"}
