"""`kbs pretrain` end to end: new weights, a checkpoint, an interruption; and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.selection import slow_to_compile
from tests.tasks.small_corpus import CONFIG, write_corpus

KBS = [sys.executable, "-c", "import sys; from keras_bert_suite.cli.main import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the corpora train, held_out and long, and config.json."""
    folder = tmp_path_factory.mktemp("pretrain")
    write_corpus(folder / "train")
    write_corpus(folder / "held_out", rows=24, shards=1, seed=5)
    write_corpus(folder / "long", max_length=24)
    (folder / "config.json").write_text(json.dumps(CONFIG.to_dict()), encoding="utf-8")
    return folder


@slow_to_compile
@pytest.mark.per_backend
def test_from_new_weights_and_on_from_them(kbs, folder, tmp_path):
    output = tmp_path / "model"
    words = ["pretrain", "--data", folder / "train", "--config", folder / "config.json", "--output", output]
    words += ["--validation", folder / "held_out", "--steps", 30, "--batch-size", 8, "--report-every", 10]
    words += ["--learning-rate", 0.02, "--warmup-steps", 3, "--masking", "word", "--json"]
    code, out, errors = kbs(*words)
    assert code == 0, errors
    result = json.loads(out)
    assert (result["steps"], result["pair_head"], result["objective"]) == (30, "next_sentence", "masked_lm")
    assert {"tokens_per_second", "flops_utilization", "loss"} <= set(result)
    first = result["validation"]
    assert set(first) >= {"masked_lm_loss", "masked_lm_accuracy", "next_sentence_accuracy", "perplexity"}
    assert {"model.safetensors", "report.html", "report.json", "log.csv", "tokenizer.json"} <= set(os.listdir(output))
    assert not (tmp_path / "model.training").exists()
    assert len((output / "log.csv").read_text().splitlines()) == 4

    words = ["pretrain", "--data", folder / "train", "--model", output, "--output", tmp_path / "more"]
    words += ["--validation", folder / "held_out", "--epochs", 2, "--batch-size", 8, "--learning-rate", 0.005]
    code, out, errors = kbs(*words, "--masking", "word", "--json")
    assert code == 0, errors
    result = json.loads(out)
    assert result["before"] == pytest.approx(first, rel=1e-3)
    assert result["validation"]["masked_lm_loss"] < result["before"]["masked_lm_loss"]


def test_what_patience_left_out_is_not_told_as_done(kbs, folder, tmp_path):
    words = ["pretrain", "--data", folder / "train", "--config", folder / "config.json", "--output", tmp_path / "model"]
    words += ["--validation", folder / "held_out", "--steps", 60, "--batch-size", 8, "--report-every", 3]
    code, out, errors = kbs(*words, "--learning-rate", 5, "--patience", 1, "--json")
    assert code == 0, errors
    result, reports = json.loads(out), len((tmp_path / "model" / "log.csv").read_text().splitlines()) - 1
    assert result["steps"] == 3 * reports < 60
    assert result["tokens"] < 3 * reports * 8 * 16


def _stop(*arguments, **options):
    raise KeyboardInterrupt


def test_in_stages_and_stopped_before_its_report(kbs, folder, tmp_path, monkeypatch):
    words = ["pretrain", "--data", folder / "train", folder / "long", "--config", folder / "config.json"]
    words += ["--shares", 0.75, 0.25, "--batch-size", 8, 4, "--steps", 8, "--output", tmp_path / "model"]
    words += ["--embeddings", "cooccurrence"]
    with monkeypatch.context() as patch:
        patch.setattr("keras_bert_suite.reports.write_report", _stop)
        assert kbs(*words)[0] == 130
    assert os.listdir(tmp_path) == ["model.training"]
    code, out, errors = kbs(*words, "--json")
    assert code == 0, errors
    assert "it is finished" in errors
    assert json.loads(out)["steps"] == 8
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.slow
def test_killed_and_ended_by_sigterm_it_comes_to_the_same_weights(folder, tmp_path):
    words = ["pretrain", "--data", folder / "train", "--config", folder / "config.json", "--steps", 200]
    words += ["--report-every", 50, "--batch-size", 8, "--save-every", 0.2, "--seed", 3, "--json"]
    command = KBS + [str(word) for word in words]
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    options = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    model, states = tmp_path / "model", tmp_path / "model.training" / "states"
    for number, signal_number in enumerate((signal.SIGKILL, signal.SIGTERM)):
        before = set(states.glob("step-*"))
        process = subprocess.Popen([*command, "--output", str(model)], **options)
        while process.poll() is None and not set(states.glob("step-*")) - before:
            time.sleep(0.01)
        process.send_signal(signal_number)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == (-signal.SIGKILL, 75)[number], errors
    assert "its state is saved" in errors
    done = [
        subprocess.run([*command, "--output", str(output)], check=True, **options)
        for output in (model, tmp_path / "whole")
    ]
    assert "going on from" in done[0].stderr
    first, second = (json.loads(one.stdout) for one in done)
    assert first["loss"] == second["loss"]
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("model", "whole"))
    assert one == other


def test_masks_are_those_of_the_objective_that_the_family_has():
    from argparse import Namespace

    from keras_bert_suite.cli.pretrain import _masking

    options = Namespace(masking=None, masking_rate=0.2, max_predictions=None)
    assert (_masking(options, "replaced_token").mask_rate, _masking(options, "replaced_token").random_rate) == (0.85, 0)
    assert _masking(options, "masked_lm").mask_rate == 0.8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "absent", "--config", "bert-tiny"], "no such file or directory"),
        (["--data", "train", "--config", "bert-tini"], "must be a config.json or one of"),
        (["--data", "train", "--config", "config.json", "--pair-head", "sentence_order"], "family albert"),
        (["--data", "train", "--config", "config.json", "--masking", "static"], "static masks must be built"),
        (["--data", "train", "--config", "config.json", "--masking", "static", "--masking-rate", "0.2"], "rate"),
        (["--data", "train", "long", "--config", "config.json", "--shares", "1"], "one a corpus"),
        (["--data", "train", "--model", "absent", "--embeddings", "cooccurrence"], "of new weights"),
    ],
)
def test_what_is_refused(kbs, folder, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    code, _, errors = kbs("pretrain", *words, "--output", tmp_path / "model")
    assert code == 2
    assert message in errors
    assert not (tmp_path / "model").exists()


def test_a_damaged_shard_is_named(kbs, tmp_path):
    directory = write_corpus(tmp_path / "corpus")
    shard = directory / "shard-00001.safetensors"
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(data)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()), encoding="utf-8")
    words = ["--data", directory, "--config", tmp_path / "config.json", "--output", tmp_path / "model"]
    code, _, errors = kbs("pretrain", *words)
    assert code == 2
    assert "shard-00001.safetensors" in errors
    assert "other bytes" in errors
