"""Help costs nothing: no Keras, no backend, and an example for every command."""

import json
import subprocess
import sys

import pytest

from keras_bert_suite.cli.main import COMMANDS

SCRIPT = """
import contextlib, io, json, sys
from keras_bert_suite.cli.main import COMMANDS, main
found = {}
for words in ([], *([command] for command in COMMANDS)):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            main([*words, "--help"])
        except SystemExit as end:
            found[" ".join(words)] = {"code": end.code, "text": output.getvalue()}
loaded = sorted({"keras", "tensorflow", "jax", "torch", "numpy", "tokenizers"} & set(sys.modules))
print(json.dumps({"help": found, "loaded": loaded}))
"""


@pytest.fixture(scope="module")
def found():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_neither_keras_nor_a_backend_is_imported(found):
    assert set(found["loaded"]) <= {"numpy"}


def test_the_overview_lists_every_command_and_exit_code(found):
    overview = found["help"][""]
    assert overview["code"] == 0
    for command, line in COMMANDS.items():
        assert command in overview["text"]
        assert line[:30] in overview["text"]
    for code in ("0", "1", "2", "3", "75", "130", "143"):
        assert f"\n  {code} " in overview["text"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command, found):
    one = found["help"][command]
    assert one["code"] == 0
    assert "example:\n" in one["text"]
    assert f"kbs {command}" in one["text"].split("example:\n")[1]
    assert "--json" in one["text"]
    assert "--backend" in one["text"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train"],
        ["finetune"],
        ["finetune", "regression"],
        ["predict", "model"],
        ["predict", "model", "--text", "a", "--input", "b"],
        ["evaluate", "model", "--data", "x.tsv", "--backend", "mxnet"],
        ["finetune", "text-classification", "--model", "m", "--train", "t", "--output", "o", "--epochs", "0"],
        ["finetune", "text-classification", "--model", "m", "--train", "t", "--output", "o", "--learning-rate", "-1"],
    ],
)
def test_wrong_usage_is_exit_code_2(words, kbs, capsys):
    with pytest.raises(SystemExit) as end:
        kbs(*words)
    assert end.value.code == 2
    assert "usage: kbs" in capsys.readouterr().err


def test_the_version(kbs, capsys):
    import keras_bert_suite

    with pytest.raises(SystemExit) as end:
        kbs("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{keras_bert_suite.__version__}\n"


def test_python_runs_the_package_as_the_command():
    run = subprocess.run(
        [sys.executable, "-m", "keras_bert_suite", "--help"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("usage: kbs ")
