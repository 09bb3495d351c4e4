"""Every task by the commands: trained, scored, and used."""

import json

import pytest

from keras_bert_suite.cli.tasks import TASKS
from keras_bert_suite.tasks.registry import TASKS as CLASSES
from tests.tasks.small import examples

WORDS = [text.split() for text in examples(12)[0]]
DECIDING = ("cancel", "stop", "refund", "money", "where", "parcel")


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def conll(folder):
    """Words in columns: the one that decides is a span."""
    path = folder / "train.conll"
    sentences = ["\n".join(f"{word} {'B-key' if word in DECIDING else 'O'}" for word in row) for row in WORDS]
    path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    return path


def squad(folder):
    """Questions whose answer is the word that decides."""
    paragraphs = []
    for number, row in enumerate(WORDS):
        context = " ".join(row)
        word = next(word for word in row if word in DECIDING)
        answers = [{"text": word, "answer_start": context.index(word)}]
        paragraphs.append({"context": context, "qas": [{"id": str(number), "question": "which", "answers": answers}]})
    path = folder / "train.json"
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}), "utf-8")
    return path


def choices(folder):
    return lines(
        folder / "choices.jsonl",
        [
            {"text": " ".join(row), "choices": ["money", "order"], "label": number % 2}
            for number, row in enumerate(WORDS)
        ],
    )


def relations(folder):
    rows = []
    for number, row in enumerate(row for row in WORDS if len(row) > 2):
        marked = ["<e1>", row[0], "</e1>", *row[1:-1], "<e2>", row[-1], "</e2>"]
        rows.append({"text": " ".join(marked), "label": ("near", "far")[number % 2]})
    return lines(folder / "relations.jsonl", rows)


def pairs(folder):
    return lines(
        folder / "pairs.jsonl",
        [{"text": " ".join(row), "text_b": " ".join(row[::-1])} for row in WORDS],
    )


def labelled(folder):
    texts, labels = examples(12)
    return lines(folder / "few.jsonl", [{"text": t, "label": one} for t, one in zip(texts, labels, strict=True)])


#: Task -> its data, options of its own, and what to ask it.
CASES = {
    "token-classification": (conll, ["--crf", "--columns", "text=0,label=-1"], ["--text", "where is my money"]),
    "question-answering": (squad, ["--stride", 4], ["--text", "which", "--text-b", "where is my money"]),
    "multiple-choice": (choices, [], None),
    "relation-classification": (relations, [], ["--text", "<e1>stop</e1> my <e2>order</e2>"]),
    "sentence-embedding": (pairs, [], ["--text", "where is my money"]),
    "few-shot-classification": (labelled, [], ["--text", "where is my money"]),
}


def test_the_commands_know_the_tasks():
    assert set(TASKS) <= set(CLASSES)
    assert {*CASES, "text-classification"} == set(TASKS)


@pytest.mark.parametrize("task", CASES)
def test_train_score_and_use(kbs, model, tmp_path, task):
    make, settings, asked = CASES[task]
    data = make(tmp_path)
    words = ["--model", model, "--train", data, "--dev", data, "--output", tmp_path / "out"]
    words += [] if task == "few-shot-classification" else ["--epochs", 1]  # its pairs are passed through once
    words += ["--batch-size", 6, "--replace-head", "--json", *settings]
    code, out, errors = kbs("finetune", task, *words)
    assert code == 0, errors
    result = json.loads(out)
    assert result["epochs"] == 1
    code, out, errors = kbs("evaluate", tmp_path / "out", "--data", data, "--json")
    assert code == 0, errors
    scores = json.loads(out)
    main = next(iter(result["dev"]))
    assert scores[main] == pytest.approx(result["dev"][main], abs=1e-4)
    assert (tmp_path / "out" / "report.html").is_file()
    if asked is not None:
        code, out, errors = kbs("predict", tmp_path / "out", *asked, "--json")
        assert code == 0, errors
        assert json.loads(out)
    answers = tmp_path / "answers.jsonl"
    code, _, errors = kbs("predict", tmp_path / "out", "--input", data, "--output", answers, "--json")
    assert code == 0, errors
    assert len(answers.read_text(encoding="utf-8").splitlines()) > 5


def test_a_search_for_few_shots(kbs, model, tmp_path):
    pytest.importorskip("optuna")
    data = labelled(tmp_path)
    words = ["--model", model, "--train", data, "--dev", data, "--output", tmp_path / "out", "--trials", 1]
    code, _, errors = kbs("tune", "few-shot-classification", *words, "--search", "patience=1,2")
    assert (code, "FewShotClassifier: patience" in errors) == (2, True)
    assert not (tmp_path / "out").exists()
    code, out, errors = kbs("tune", "few-shot-classification", *words, "--search", "epochs=1", "--json")
    assert code == 0, errors
    code, scores, _ = kbs("evaluate", tmp_path / "out" / "best", "--data", data, "--json")
    assert json.loads(scores)["accuracy"] == pytest.approx(json.loads(out)["score"])


def test_a_setting_of_another_task_is_refused(kbs, model, tmp_path):
    data = conll(tmp_path)
    words = ["--model", model, "--train", data, "--output", tmp_path / "out", "--crf"]
    code, _, errors = kbs("finetune", "text-classification", *words)
    assert (code, "--crf goes with token-classification" in errors) == (2, True)
