"""Real checkpoints and data that development has beside the repository and users do not."""

import os
from pathlib import Path

import pytest

__all__ = ["shared_path"]

ROOT = Path(os.environ.get("KBS_SHARED") or Path(__file__).resolve().parents[3] / "shared")


def shared_path(relative):
    """The path of a shared file or folder; skips the test, saying so, where it is absent."""
    path = ROOT / "assets" / relative
    if not path.exists():
        pytest.skip(f"{path} is absent; set KBS_SHARED to the folder that holds assets/")
    return path
