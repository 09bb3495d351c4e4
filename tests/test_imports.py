"""Imports go down only, importing costs nothing, and the public names are the agreed ones."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import keras_bert_suite
from tests.support.selection import slow_to_compile

PACKAGE = Path(keras_bert_suite.__file__).parent
BACKENDS = {"tensorflow", "jax", "torch", "keras"}

#: Floor -> the floors it may import at module level.
GROUND = {"errors", "files", "source"}
ALLOWED = {
    "errors": set(),
    "files": set(),
    "hub": {"errors"},
    "kaggle": {"errors"},
    "source": {"errors", "hub", "kaggle"},
    "config": {"errors"},
    "layers": {"errors"},
    "models": {"errors", "config", "layers"},
    "checkpoints": GROUND | {"config", "layers", "models"},
    "text": GROUND,
    "data": GROUND | {"text"},
    "reports": {"errors", "files"},
    "training": {"errors", "files", "config", "layers", "models", "text", "data"},
    "tasks": GROUND | {"config", "layers", "models", "checkpoints", "training", "text", "data", "reports"},
    "export": GROUND | {"config", "layers", "models", "checkpoints", "training", "text", "data", "tasks"},
    "serving": {"errors", "files", "data"},
    "conversion": GROUND | {"config", "layers", "models", "checkpoints", "text"},
    "tuning": {"errors", "reports"},
    "inspection": GROUND | {"config", "checkpoints", "text"},
    "cli": GROUND
    | {"conversion", "inspection", "tuning"}
    | {"data", "export", "reports", "serving", "training", "tasks", "text", "checkpoints"},
    "__main__": {"cli"},
}

#: The calls upwards that are made inside a function: (file, floor it imports).
DEFERRED = {("tasks/exportable.py", "export")}


def modules():
    """Every file of the package, with its floor."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.as_posix() != "__init__.py":
            yield relative, relative.parts[0].removesuffix(".py")


def imported(path):
    """Yield `(module, at_module_level)` for every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            yield name, id(node) in top


def test_imports_go_down_only():
    wrong = []
    for relative, floor in modules():
        for name, _ in imported(PACKAGE / relative):
            parts = name.split(".")
            if parts[0] != "keras_bert_suite" or len(parts) < 2 or parts[1] == floor:
                continue
            if parts[1] not in ALLOWED[floor] and (relative.as_posix(), parts[1]) not in DEFERRED:
                wrong.append(f"{relative} imports {name}")
    assert not wrong


@pytest.mark.parametrize(
    "floor",
    ["errors", "files", "hub", "kaggle", "source", "config", "text", "data", "reports", "serving", "tuning", "cli"],
)
def test_floors_without_keras(floor):
    for relative, found in modules():
        if found == floor:
            names = {name.split(".")[0] for name, at_top in imported(PACKAGE / relative) if at_top}
            assert not names & BACKENDS, relative


def test_importing_the_package_starts_nothing():
    code = "import sys, keras_bert_suite; print([m for m in sys.modules if '.' not in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(ast.literal_eval(done.stdout)) & {*BACKENDS, "numpy", "tokenizers", "safetensors", "tqdm"}


def test_public_names():
    assert keras_bert_suite.__all__ == [
        "ArtifactError",
        "BytePairTokenizer",
        "CheckpointError",
        "DataError",
        "EncoderConfig",
        "FeatureExtractor",
        "FewShotClassifier",
        "MaskedLM",
        "MultiTask",
        "MultipleChoice",
        "PRESETS",
        "Pretrainer",
        "PromptClassifier",
        "QuestionAnswerer",
        "RelationClassifier",
        "SemanticSearch",
        "TextClassifier",
        "TextEmbedder",
        "TokenClassifier",
        "UnigramTokenizer",
        "WordPieceTokenizer",
        "ZeroShotClassifier",
        "__version__",
        "checkpoints",
        "config",
        "conversion",
        "convert_checkpoint",
        "data",
        "errors",
        "export",
        "find_topics",
        "inspect_checkpoint",
        "inspection",
        "layers",
        "load_encoder",
        "load_model",
        "load_tokenizer",
        "models",
        "open_task",
        "reports",
        "save_encoder",
        "save_model",
        "tasks",
        "text",
        "training",
    ]
    for name in keras_bert_suite.__all__:
        assert getattr(keras_bert_suite, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        keras_bert_suite.nothing  # noqa: B018


@slow_to_compile
@pytest.mark.per_backend
def test_examples_in_docstrings_run():
    import numpy as np

    tried = 0
    for found in pkgutil.walk_packages([str(PACKAGE)], "keras_bert_suite."):
        if ".export.worker" in found.name:
            continue
        module = importlib.import_module(found.name)
        result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE)
        assert not result.failed, found.name
        tried += result.attempted
    assert tried > 20
