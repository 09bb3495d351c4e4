"""Multiple choice, held against `transformers`; any number of choices a question."""

import json

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.checkpoints import load_model
from keras_bert_suite.data import ChoiceExample, read_choices
from keras_bert_suite.errors import DataError
from keras_bert_suite.reports import write_report
from keras_bert_suite.tasks.multiple_choice import MultipleChoice
from keras_bert_suite.training import ChoiceAccuracy, ChoiceLoss, ClassificationLoss, Recipe
from tests.support.families import make_inputs, make_model, torch, transformers

GOOD, BAD = ["good", "fine", "great"], ["bad", "awful", "poor"]
FILLER = ["the", "a", "food", "was", "it", "place", "now", "and"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "which", "?", *GOOD, *BAD, *FILLER]


def small_chooser(seed=1):
    keras.utils.set_random_seed(seed)
    config = kbs.EncoderConfig(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        hidden_dim=24,
        num_heads=3,
        intermediate_dim=40,
        max_length=32,
        initializer_range=0.1,
    )
    return MultipleChoice(kbs.models.build_encoder(config), kbs.WordPieceTokenizer(VOCABULARY), max_length=16)


def examples(count, seed=0):
    """Two to four choices, of which the one with a good word is right."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        label = int(rng.integers(size := 2 + number % 3))
        choices = [
            " ".join([*rng.choice(FILLER, rng.integers(1, 4)), str(rng.choice(GOOD if index == label else BAD))])
            for index in range(size)
        ]
        rows.append({"text": " ".join(rng.choice(FILLER, 3)), "choices": choices, "label": label})
    return rows


@pytest.fixture(scope="module")
def trained():
    chooser = small_chooser()
    chooser.compile(learning_rate=5e-3)
    chooser.fit(examples(120), validation_data=examples(30, seed=1), epochs=4, batch_size=16, seed=1, verbose=0)
    return chooser


# Reading


def test_every_form_of_the_same_row_reads_alike(tmp_path):
    expected = ChoiceExample("She sat down.", ("ate.", "flew."), 1, "Then she")
    row = {"context": "She sat down.", "question": "Then she", "choices": ["ate.", "flew."]}
    for label in (1, "1", 1.0, "B", "b", "flew."):
        assert read_choices([{**row, "label": label}]) == [expected]
    assert expected.continuations == ["Then she ate.", "Then she flew."]
    swag = "video-id,sent1,sent2,gold-source,ending0,ending1,ending2,label\n"
    path = tmp_path / "train.csv"
    path.write_text(swag + '7,"She sat down.",Then she,gold,ate.,flew.,,1\n', encoding="utf-8")
    found = read_choices(path, require_labels=True)[0]
    assert (found.text, found.prefix, found.choices, found.label, found.line) == (
        "She sat down.", "Then she", ("ate.", "flew."), 1, 2,
    )  # fmt: skip
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({**row, "label": 1}) + "\n", encoding="utf-8")
    assert read_choices(path)[0].choices == expected.choices
    alone = read_choices(
        [{"question": "Which?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}]
    )
    assert (alone[0].text, alone[0].prefix, alone[0].label) == ("Which?", "", 1)


def test_choices_may_bring_keys_of_their_own():
    def label_of(label, keys, texts=("ice", "1", "2", "steam")):
        row = {"question": "Which?", "choices": {"text": list(texts), "label": keys}, "answerKey": label}
        return read_choices([row])[0].label

    numbers = ["1", "2", "3", "4"]
    assert [label_of(key, numbers) for key in numbers] == [0, 1, 2, 3]
    assert [label_of(key, list("ABCD")) for key in "ABCD"] == [0, 1, 2, 3]
    assert label_of(4, [1, 2, 3, 4]) == 3
    assert label_of("steam", numbers) == label_of(3, list("ABCD")) == 3
    for label, keys in (("0", numbers), ("E", list("ABCD")), (4, numbers)):
        with pytest.raises(DataError, match=r"from 0, one of their keys, \['.', .*\], or a choice itself"):
            label_of(label, keys)
    with pytest.raises(DataError, match="lists text and label of one length"):
        label_of("A", ["A"])


@pytest.mark.parametrize(
    ("row", "text", "prefix"),
    [
        ({"premise": "It fell.", "question": "cause", "choice1": "a", "choice2": "b"}, "It fell.", "cause"),
        ({"ctx": "She sat.", "ctx_a": "She", "endings": ["a", "b"]}, "She sat.", ""),
        ({"sentence": "The _ fell.", "option1": "a", "option2": "b"}, "The", "_ fell."),
        ({"goal": "Cool soup.", "sol1": "a", "sol2": "b"}, "Cool soup.", ""),
        ({"context": "It fell.", "question": "Why?", "answerA": "a", "answerB": "b"}, "It fell.", "Why?"),
        ({"question": "Why?", "choices": ["a", "b"]}, "Why?", ""),
    ],
)
def test_names_of_other_data_sets(row, text, prefix):
    found = read_choices([{**row, "label": 1}])[0]
    assert (found.text, found.prefix, found.choices, found.label) == (text, prefix, ("a", "b"), 1)


def test_labels_may_count_from_one():
    def labels_of(given, name="label", **columns):
        columns = columns or {"answerA": "x", "answerB": "y", "answerC": "z"}
        return [row.label for row in read_choices([{"text": "a", **columns, name: label} for label in given])]

    assert labels_of([1, "3", "2", 1]) == [0, 2, 1, 0]
    assert labels_of([1, 2, 1]) == [1, 2, 1]  # nothing shows that they do
    rows = [{"text": "a", "choices": ["x", "y", "z"], "label": label} for label in (2, 3)]
    assert [row.label for row in read_choices(rows, first_label=1)] == [1, 2]
    zero = [{**rows[0], "label": 0}]
    assert [row.label for row in read_choices(zero, first_label=1)] == [0]  # which it tells
    assert labels_of(["2", "1"], "answer", option1="x", option2="y") == [1, 0]
    assert labels_of(["1"], "answer", option1="x", option2="y") == [0]
    assert labels_of(["1"], option1="x", option2="y") == [1]
    for given, wrong in (([0, 1, 3], 3), ([3], 3)):
        with pytest.raises(DataError, match=f"from 0, .* Received: {wrong}"):
            labels_of(given)
    with pytest.raises(DataError, match="from 1, .* Received: 0"):
        labels_of([0], "answer", option1="x", option2="y")


def test_numbers_are_choices_only_where_all_labels_are():
    def labels_of(given):
        return [
            row.label
            for row in read_choices([{"text": "a", "choices": ["3", "1", "0"], "label": one} for one in given])
        ]

    assert labels_of(["0", "1", "2"]) == [0, 1, 2]
    assert labels_of(["0", "1", "3"]) == [2, 1, 0]


def test_an_emoticon_is_no_blank():
    for text in ("She smiled ^_^ at him", "so -_- then", "A_B"):
        assert read_choices([{"text": text, "choices": ["a", "b"]}])[0].text == text
    for text in ("It is _.", "_ is it", "so (_)"):
        assert "_" in read_choices([{"text": text, "choices": ["a", "b"]}])[0].prefix


def test_choices_stand_in_a_blank():
    sentence = "The cup did not fit into the bag because the _ was too big."
    found = read_choices([{"sentence": sentence, "option1": "cup", "option2": "bag", "answer": "1"}])[0]
    assert (found.text, found.label) == ("The cup did not fit into the bag because the", 0)
    assert found.continuations == ["cup was too big.", "bag was too big."]
    race = read_choices([{"article": "An A_B story.", "question": "Tom is _ .", "options": ["ill", "well"]}])[0]
    assert (race.text, race.continuations) == ("An A_B story.", ["Tom is ill .", "Tom is well ."])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "a text is needed: text, context"),
        ({"text": 3}, "text must be a string. Received: 3"),
        ({"choices": ["a"]}, "choices must be a list of two or more"),
        ({"choices": None}, "choices must be a list of two or more. Received: None"),
        ({"choices": ["a", None]}, "a choice must be a string. Received: None"),
        ({"label": 2}, "index of one of the 2 choices, from 0.*Received: 2"),
        ({"label": "C"}, "Received: 'C'"),
        ({"label": True}, "Received: True"),
        ({"label": None}, "each row must have a label"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path, changes, message):
    path = tmp_path / "train.jsonl"
    path.write_text("\n" + json.dumps({"text": "a", "choices": ["b", "c"], "label": 0, **changes}) + "\n")
    with pytest.raises(DataError, match=message) as error:
        read_choices(path, require_labels=True)
    assert str(error.value).startswith(f"{path}:2: ")


def test_bad_files_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text,ending0,ending1\na,b\n")
    with pytest.raises(DataError, match=r"a.csv:2: each row must have as many columns.*Expected 3, received 2"):
        read_choices(tmp_path / "a.csv")
    (tmp_path / "a.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="each line must be one JSON object"):
        read_choices(tmp_path / "a.jsonl")
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(DataError, match="the suffix must be one of .jsonl"):
        read_choices(tmp_path / "a.txt")
    with pytest.raises(DataError, match="at least one row"):
        read_choices([])
    with pytest.raises(DataError, match="row 1: each row must be an object"):
        read_choices([{"text": "a", "choices": ["b", "c"]}, "b"])


# The loss


def test_choices_that_only_fill_up_do_not_count():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4)).astype("float32")
    targets = np.array([[1, 2], [0, 3], [3, 4]])
    for smoothing in (0.0, 0.2):
        expected = [
            float(ClassificationLoss(smoothing)(np.array([label]), logits[row : row + 1, :count]))
            for row, (label, count) in enumerate(targets.tolist())
        ]
        loss = ChoiceLoss(smoothing)
        assert float(loss(targets, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
        assert ChoiceLoss.from_config(loss.get_config()).label_smoothing == smoothing
        moved = np.where(np.arange(4) < targets[:, 1:], logits, 50.0).astype("float32")
        assert float(loss(targets, moved)) == pytest.approx(np.mean(expected), rel=1e-5)
        metric = ChoiceAccuracy()
        metric.update_state(targets, moved)
        right = [logits[row, :count].argmax() == label for row, (label, count) in enumerate(targets.tolist())]
        assert float(metric.result()) == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_the_loss_follows_transformers_for_30_steps(tmp_path):
    steps = 30
    still = {name: 0.0 for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")}
    theirs = make_model("bert", "ForMultipleChoice", **still)
    theirs.save_pretrained(tmp_path)
    recipe = Recipe(learning_rate=2e-3)
    ours = load_model(tmp_path, "multiple_choice")
    ours.compile(optimizer=recipe.build_optimizer(ours, steps), loss=ChoiceLoss())
    batches = []
    for step in range(steps):
        inputs = make_inputs(theirs, choices=3, seed=step)
        shown = (inputs["token_ids"] == theirs.config.pad_token_id) & (inputs["padding_mask"] == 1)
        inputs["token_ids"] = np.where(shown, 7, inputs["token_ids"]).astype("int32")
        batches.append((inputs, inputs["token_ids"][:, :, 0].argmax(axis=1).astype("int32")))
    found = [
        float(keras.ops.convert_to_numpy(ours.train_on_batch(inputs, np.stack([labels, labels * 0 + 3], axis=-1))))
        for inputs, labels in batches
    ]
    theirs.train()
    plain = [weight for name, weight in theirs.named_parameters() if name.endswith("bias") or "norm" in name.lower()]
    decayed = [weight for weight in theirs.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * recipe.warmup_ratio), steps)
    expected = []
    for inputs, labels in batches:
        loss = theirs(
            input_ids=torch.tensor(inputs["token_ids"]).long(),
            attention_mask=torch.tensor(inputs["padding_mask"]).long(),
            token_type_ids=torch.tensor(inputs["segment_ids"]).long(),
            labels=torch.tensor(labels).long(),
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), recipe.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected.append(float(loss.detach()))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# The task


def test_it_learns(trained):
    scores = trained.evaluate(examples(60, seed=2))
    assert scores["accuracy"] > 0.95
    assert tuple(scores) == trained.score_names


def test_answers_are_those_of_transformers(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    theirs = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    rows = examples(9, seed=3)
    opened = MultipleChoice.from_pretrained(tmp_path / "model")
    for row, answer, again in zip(rows, trained.predict(rows), opened.predict(rows), strict=True):
        count = len(row["choices"])
        encoded = tokenizer([row["text"]] * count, row["choices"], padding=True, return_tensors="pt")
        with torch.no_grad():
            chances = theirs(**{name: ids[None] for name, ids in encoded.items()}).logits[0].softmax(-1).numpy()
        assert answer["index"] == again["index"] == chances.argmax()
        assert answer["choice"] == row["choices"][answer["index"]]
        assert answer["score"] == pytest.approx(chances.max(), abs=1e-4)
    with pytest.raises(TypeError, match="MultipleChoice has no labels"):
        MultipleChoice.from_pretrained(tmp_path / "model", labels=["a"])


def test_files_in_and_out(trained, tmp_path):
    rows = examples(10, seed=4)
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert trained.predict_file(path, tmp_path / "answers.jsonl") == 10
    found = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [one["index"] for one in found] == [one["index"] for one in trained.predict(path)]
    hidden = [{**row, "label": -1} for row in rows]
    assert trained.predict(hidden) == trained.predict(rows)
    path_hidden = tmp_path / "hidden.jsonl"
    path_hidden.write_text("".join(json.dumps(row) + "\n" for row in hidden), encoding="utf-8")
    assert trained.predict_file(path_hidden, tmp_path / "more.jsonl") == 10
    with pytest.raises(DataError, match="Received: -1"):
        trained.evaluate(path_hidden)
    assert trained.evaluate(path) == trained.evaluate(rows)
    assert trained.predict("it was", pairs=[["good", "bad"]])[0]["choice"] == "good"
    assert trained.predict([]) == []
    report = trained.report([{**row, "label": (row["label"] + 1) % len(row["choices"])} for row in rows])
    assert tuple(report.summary)[:2] == trained.score_names
    assert report.mistakes[0]["score"] >= report.mistakes[-1]["score"]
    write_report(tmp_path / "report.html", report, json_path=tmp_path / "report.json")


def test_what_labels_count_from_is_kept_with_the_model(tmp_path):
    chooser = small_chooser()
    rows = [{"text": "it was", "choices": ["good", "bad", "late"], "label": label} for label in (1, 2, 3, 1)]
    chooser.fit(rows, epochs=1, batch_size=2, verbose=0)
    chooser.save_pretrained(tmp_path / "model")
    opened = MultipleChoice.from_pretrained(tmp_path / "model")
    best = opened.predict(rows[:1])[0]["index"]
    assert opened.evaluate([{**rows[0], "label": best + 1}, {**rows[0], "label": 2}])["accuracy"] >= 0.5
    with pytest.raises(DataError, match="from 1, .* Received: 4"):
        opened.evaluate([{**rows[0], "label": 4}])


def test_bad_requests_are_refused():
    chooser = small_chooser()
    with pytest.raises(ValueError, match="packing must be False for multiple-choice"):
        chooser.fit(examples(4), packing=True)
    with pytest.raises(ValueError, match="one of pairs per text"):
        chooser.predict(["a"], pairs=[["a", "b"], ["a", "b"]])
    with pytest.raises(DataError, match="row 0: each row must have a label"):
        chooser.evaluate(["a"], pairs=[["a", "b"]])
    chooser.compile(r_drop=1.0)
    with pytest.raises(ValueError, match="r_drop is for labels, not for choices"):
        chooser.fit(examples(4), verbose=0)
