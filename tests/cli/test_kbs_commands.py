"""The commands end to end, as a person types them; and what Ctrl-C leaves: nothing."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import pytest

from keras_bert_suite.export import FORMATS
from keras_bert_suite.files import exchange
from tests.tasks.small import LABELS, small_classifier

KBS = [sys.executable, "-c", "import sys; from keras_bert_suite.cli.main import main; sys.exit(main())"]


@pytest.mark.per_backend
def test_train_score_and_label(kbs, model, data, tmp_path):
    output = tmp_path / "new" / "intents"
    words = ["finetune", "text-classification", "--model", model, "--train", data / "train.tsv"]
    words += ["--dev", data / "test.tsv", "--output", output, "--epochs", 1, "--batch-size", 12, "--json"]
    run = subprocess.run(KBS + [str(word) for word in words], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["labels"] == LABELS
    assert set(result) == {"task", "output", "labels", "epochs", "loss", "seconds", "dev"}

    code, out, _ = kbs("evaluate", output, "--data", data / "test.tsv", "--json")
    assert code == 0
    scores = json.loads(out)
    assert scores["accuracy"] == pytest.approx(result["dev"]["accuracy"])
    assert scores["loss"] == pytest.approx(result["dev"]["loss"], abs=1e-4)

    code, out, _ = kbs("predict", output, "--text", "where is my order", "--json")
    assert code == 0
    assert json.loads(out)["label"] in LABELS
    code, out, _ = kbs("predict", output, "--text", "where is it", "größe", "--text-b", "a", "b")
    assert code == 0
    assert [line.split("\t")[0] in LABELS for line in out.splitlines()] == [True, True]

    answers = tmp_path / "answers.jsonl"
    code, out, _ = kbs("predict", output, "--input", data / "test.tsv", "--output", answers, "--json")
    assert (code, json.loads(out)) == (0, {"output": str(answers), "texts": 9})
    code, out, _ = kbs("predict", output, "--input", data / "test.tsv", "--json")
    assert code == 0
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    assert [{"label": row["label"], "score": row["score"]} for row in rows] == list(map(json.loads, out.splitlines()))


def test_columns_by_name_and_by_position(kbs, model, tmp_path):
    (tmp_path / "named.csv").write_text('kind,body\ntrack,"where, oh where"\n', encoding="utf-8")
    (tmp_path / "bare.tsv").write_text("track\twhere, oh where\n", encoding="utf-8")
    results = [
        kbs("evaluate", model, "--data", tmp_path / name, "--columns", columns, "--json")
        for name, columns in (("named.csv", "text=body,label=kind"), ("bare.tsv", "text=1,label=0"))
    ]
    assert [code for code, _, _ in results] == [0, 0]
    assert json.loads(results[0][1]) == json.loads(results[1][1])


@pytest.mark.parametrize("words", [["--text-b", "a", "--input", "x.tsv"], ["--output", "x", "--text", "a"]])
def test_options_that_do_not_go_together(kbs, model, words):
    code, out, errors = kbs("predict", model, *words)
    assert (code, out) == (2, "")
    assert "goes with --" in errors


@pytest.mark.parametrize("words", [["evaluate", "--data"], ["predict", "--json", "--input"]])
def test_the_type_to_compute_in(kbs, model, data, words):
    command, *given = words
    found = [kbs(command, model, *given, data / "test.tsv", *more) for more in ([], ["--dtype", "mixed_bfloat16"])]
    assert [code for code, _, _ in found] == [0, 0]
    assert found[0][1] != found[1][1]  # to the last digit
    code, _, errors = kbs(command, model, *given, data / "test.tsv", "--dtype", "nonsense")
    assert code == 2
    assert "nonsense" in errors


@pytest.mark.parametrize("words", [["model.onnx"], ["--server", "http://localhost:1/v1/models/a"]])
def test_a_type_is_for_a_trained_model(kbs, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    code, _, errors = kbs("predict", *words, "--text", "a", "--dtype", "mixed_bfloat16")
    assert code == 2
    assert "--dtype goes with" in errors


def test_a_line_of_a_megabyte_is_read(kbs, model, tmp_path):
    path = tmp_path / "long.tsv"
    path.write_text("text\tlabel\n" + "where is it " * 90_000 + "\ttrack\nstop\tcancel\n", encoding="utf-8")
    code, out, errors = kbs("predict", model, "--input", path, "--json")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "1 of 2 texts fill all 16 tokens" in errors


def test_an_existing_answer_file_is_replaced_whole(kbs, model, data, tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text("old", encoding="utf-8")
    (tmp_path / "bad.tsv").write_bytes(b"text\nok\n\xff\n")
    assert kbs("predict", model, "--input", tmp_path / "bad.tsv", "--output", answers)[0] == 2
    assert answers.read_text(encoding="utf-8") == "old"
    assert kbs("predict", model, "--input", data / "test.tsv", "--output", answers)[0] == 0
    assert len(answers.read_text(encoding="utf-8").splitlines()) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "bad.tsv"]


def test_doctor_says_what_works_and_how_to_get_the_rest(kbs, monkeypatch):
    chosen = os.environ["KERAS_BACKEND"]
    find = importlib.util.find_spec
    others = {"tensorflow", "jax", "torch"} - {chosen}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in others else find(name, *more))
    code, out, _ = kbs("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["backends"][chosen] == {"works": True, "detail": found["backends"][chosen]["detail"]}
    for other in others:
        detail = f'not installed. Run: pip install "keras_bert_suite[{other}]"'
        assert found["backends"][other] == {"works": False, "detail": detail}
    assert set(found["formats"]) == set(FORMATS)
    assert found["packages"]["keras"]


def train(model, data, *words, folder):
    """Start `kbs finetune` in a process of its own."""
    command = ["finetune", "text-classification", "--model", model, "--train", data / "train.tsv", "--output", "out"]
    return subprocess.Popen(
        KBS + [str(word) for word in (*command, *words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    )


def wait_for(process, start):
    assert any(line.startswith(start) for line in process.stderr), process.stdout.read()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_a_signal_during_training_saves_its_state(model, data, tmp_path):
    processes = {}
    for sent in (signal.SIGINT, signal.SIGTERM):
        (tmp_path / sent.name).mkdir()
        processes[sent] = train(model, data, "--epochs", 100_000, folder=tmp_path / sent.name)
    for sent, code in ((signal.SIGINT, 130), (signal.SIGTERM, 75)):
        with processes[sent] as process:
            wait_for(process, "epoch 2/")
            process.send_signal(sent)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        assert "its state is saved in " in errors
        assert [path.name for path in (tmp_path / sent.name).iterdir()] == ["out.training"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_a_killed_training_goes_on_to_the_same_weights(model, data, tmp_path):
    words = ["--epochs", 8, "--batch-size", 4, "--save-every", 0.001, "--dev", data / "test.tsv"]
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    with train(model, data, *words, folder=tmp_path / "killed") as process:
        wait_for(process, "epoch 2/")
        process.kill()
    with train(model, data, *words[:1], 9, *words[2:], folder=tmp_path / "killed") as process:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "epochs" in errors
        assert "Traceback" not in errors
    for name in ("killed", "whole"):
        with train(model, data, *words, folder=tmp_path / name) as process:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        assert [path.name for path in (tmp_path / name).iterdir()] == ["out"]
    killed, whole = (tmp_path / name / "out" for name in ("killed", "whole"))
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert len((killed / "log.csv").read_text().splitlines()) == 9
    assert "<h1>out: text-classification</h1>" in (killed / "report.html").read_text(encoding="utf-8")


def _stop(*arguments, **options):
    raise KeyboardInterrupt


def _stop_before_exchange(written, path, aside):
    if path.name == "out":  # not the model within the state
        raise KeyboardInterrupt
    exchange(written, path, aside)


def _exchange_and_stop(written, path, aside):
    exchange(written, path, aside)
    if path.name == "out":
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "stop", "is_there"),
    [
        ("keras_bert_suite.reports.write_report", _stop, False),
        ("keras_bert_suite.files.exchange", _stop_before_exchange, False),
        ("keras_bert_suite.files.exchange", _exchange_and_stop, True),
    ],
    ids=["before the report", "before it is handed over", "before the state is removed"],
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["new", "overwrite"])
def test_what_is_stopped_after_training_goes_on(
    kbs, model, data, tmp_path, monkeypatch, place, stop, is_there, overwrite
):
    output = tmp_path / "out"
    words = ["finetune", "text-classification", "--model", model, "--train", data / "train.tsv", "--epochs", 1]
    words += ["--output", output, *overwrite]
    if overwrite:
        output.mkdir()
        (output / "mine").touch()
    with monkeypatch.context() as patch:
        patch.setattr(place, stop)
        assert kbs(*words)[0] == 130
    assert (output / "mine").exists() == bool(overwrite and not is_there)
    assert (output / "report.html").exists() == is_there
    code, _, errors = kbs(*words)
    assert code == 0, errors
    assert "it is finished" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {"model.safetensors", "report.html", "report.json", "log.csv"} <= {path.name for path in output.iterdir()}
    assert not (output / "mine").exists()
    if not overwrite:
        assert kbs(*words)[0] == 2  # once it is done, it is refused as ever


def test_a_search_keeps_its_best_model(kbs, model, data, tmp_path):
    pytest.importorskip("optuna")
    words = ["--model", model, "--train", data / "train.tsv", "--dev", data / "test.tsv"]
    words += [
        "--output",
        tmp_path / "found",
        "--trials",
        2,
        "--epochs",
        1,
        "--search",
        "learning_rate=1e-3:1e-2",
        "frozen_blocks=0,1",
    ]
    code, output, errors = kbs("tune", "text-classification", *words, "--json")
    assert code == 0, errors
    found = json.loads(output)
    assert sorted(found["best"]) == ["frozen_blocks", "learning_rate"]
    code, output, _ = kbs("evaluate", tmp_path / "found" / "best", "--data", data / "test.tsv", "--json")
    assert json.loads(output)["accuracy"] == pytest.approx(found["score"])
    assert (tmp_path / "found" / "report.html").is_file()
    code, _, errors = kbs("tune", "text-classification", *words[:-1], "frozen_blocks=2")
    assert code == 2
    assert "searched another space" in errors
    code, _, errors = kbs("tune", "text-classification", *words[:-2], "frozen=2")
    assert code == 2
    assert "frozen" in errors


def test_a_search_goes_on_only_with_what_it_began_with(kbs, model, data, tmp_path):
    pytest.importorskip("optuna")

    def search(**changed):
        found = {
            "model": model,
            "train": data / "train.tsv",
            "dev": data / "test.tsv",
            "trials": 1,
            "epochs": 1,
            "search": "batch_size=8,16",
            **changed,
        }
        words = [word for name, value in found.items() for word in (f"--{name}", value)]
        return kbs("tune", "text-classification", *words, "--output", tmp_path / "found")

    code, _, errors = search()
    assert code == 0, errors
    same = tmp_path / "same.tsv"
    same.write_bytes((data / "train.tsv").read_bytes())
    code, _, errors = search(train=same, trials=2)  # more trials, on the same data in another place
    assert code == 0, errors
    other = tmp_path / "other"
    small_classifier(labels=LABELS, max_length=16, num_layers=1, seed=5).save_pretrained(other)
    for name, value in (("model", other), ("train", data / "test.tsv"), ("dev", data / "train.tsv"), ("epochs", 2)):
        code, _, errors = search(**{name: value, "trials": 3})
        assert (code, f"{name} was " in errors, "--output" in errors) == (2, True, True)
        assert errors.count(" was ") == 1
