"""The worked examples of docs run as they stand, one page after the other."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.source import resolve_source

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs" / "tasks").glob("*.md")), ROOT / "docs" / "vocabulary.md"]
BLOCK = re.compile(r"(<!-- needs [^>]*-->\n)?```python\n(.*?)```", re.DOTALL)


@pytest.mark.slow
@pytest.mark.per_backend
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, tmp_path):
    try:
        resolve_source("all-MiniLM-L6-v2")
    except CheckpointError:
        pytest.skip("the examples' model is not installed: make setup-all")
    blocks = [code for needed, code in BLOCK.findall(page.read_text(encoding="utf-8")) if not needed]
    if not blocks:
        pytest.skip("every example of this page needs a model of the Hub")
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "examples" / "data")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
