"""Every script under examples/ runs to its end, on a tiny model and a few rows."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_bert_suite as kbs
from tests.support.selection import rarely_all

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
OPTIONS = {"finetune_classifier.py": [[], ["--output", "saved"]], "keras_script_pydataset.py": [[], ["--own"]]}
RUNS = [(script, options) for script in SCRIPTS for options in OPTIONS.get(script, [[]])]
#: What each backend runs every time.
ALWAYS = {
    "tensorflow": ["finetune_classifier.py", "keras_script_tfdata.py"],
    "jax": ["keras_script_pydataset.py"],
    "torch": ["finetune_classifier.py --output saved", "keras_script_numpy.py", "keras_script_pydataset.py --own"],
}

pytestmark = pytest.mark.per_backend


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The first rows of each file of examples/data/."""
    folder = tmp_path_factory.mktemp("data")
    for path in (EXAMPLES / "data").glob("*.tsv"):
        rows = path.read_text(encoding="utf-8").splitlines(keepends=True)[:161]
        (folder / path.name).write_text("".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint with new weights, in the Hugging Face layout."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = kbs.WordPieceTokenizer([*specials, *letters, *(f"##{letter}" for letter in letters)])
    config = kbs.EncoderConfig(
        vocabulary_size=tokenizer.vocab_size, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20,
        max_length=128,
    )  # fmt: skip
    directory = tmp_path_factory.mktemp("checkpoint") / "model"
    kbs.save_encoder(kbs.models.build_encoder(config), directory, tokenizer)
    return directory


@pytest.mark.parametrize(
    "run", rarely_all([" ".join([script, *options]) for script, options in RUNS], *ALWAYS[keras.backend.backend()])
)
def test_runs(run, model, data, tmp_path):
    script, *options = run.split()
    if "tfdata" in script:
        pytest.importorskip("tensorflow")
    command = [sys.executable, EXAMPLES / script, "--model", model, "--data", data, "--epochs", "1", *options]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONUTF8": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "test: {'accuracy': 0." in run.stdout
    assert "'where is my parcel': " in run.stdout
    if options == ["--output", "saved"]:
        assert (tmp_path / "saved" / "model.safetensors").is_file()


def test_readme_lists_every_script():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [script for script in SCRIPTS if f"]({script})" not in listed] == []
