"""An export that cannot be finished says one thing and leaves nothing."""

import os
import resource
import signal
import subprocess
import sys
import time

import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import ArtifactError
from keras_bert_suite.export import FORMATS, available_formats, export_task
from keras_bert_suite.export.process import run_worker

pytestmark = pytest.mark.tensorflow

EXPORT = """
import sys
from tests.export.conftest import make_task
make_task().export(sys.argv[1], formats=["saved_model", "litert", "onnx"])
"""


def test_an_unknown_format_lists_the_known_ones(task, tmp_path):
    with pytest.raises(ValueError, match=f"{', '.join(FORMATS)}.*'savedmodel'"):
        export_task(task, tmp_path / "out", ["onnx", "savedmodel"])


@pytest.mark.parametrize("lengths", [{"max_length": 65}, {"litert_length": 3}, {"litert_length": [16, 65]}])
def test_an_impossible_length_is_refused(task, tmp_path, lengths):
    with pytest.raises(ValueError, match="from 4 to 64"):
        export_task(task, tmp_path / "out", **lengths)


@pytest.mark.parametrize("named", [{"model_name": "a/b"}, {"model_name": ""}, {"version": 0}])
def test_a_name_that_tf_serving_cannot_use_is_refused(task, tmp_path, named):
    with pytest.raises(ValueError, match="Received"):
        export_task(task, tmp_path / "out", ["saved_model"], **named)


def test_what_is_missing_comes_with_its_pip_line(task, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name))
    assert available_formats()["litert"] is None
    assert "tf2onnx" in available_formats()["onnx"]
    with pytest.raises(ImportError, match=r'tf2onnx.*pip install "keras_bert_suite\[export\]"'):
        export_task(task, tmp_path / "out", ["onnx"])


def test_a_directory_in_use_is_left_alone(task, tmp_path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not empty"):
        export_task(task, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_named(task, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="out"):
        export_task(task, tmp_path / "file" / "out", ["onnx"], progress=False)


def test_a_small_disk_is_refused_before_any_work(task, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 0))
    with pytest.raises(OSError, match=r"it needs .* MB, and the disk has 0\.0 MB left"):
        export_task(task, tmp_path / "out", ["onnx"], progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_during_export(task, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))  # inherited by the worker
    try:
        with pytest.raises(ArtifactError, match=r"saved_model: .*File too large"):
            export_task(task, tmp_path / "out", ["saved_model"], progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_that_differs_is_not_kept(task, tmp_path, monkeypatch):
    from keras_bert_suite.export import verify

    honest = verify.ReferenceOutputs
    monkeypatch.setattr(
        verify,
        "ReferenceOutputs",
        lambda *arguments: [
            (rows, {name: output + 2e-4 for name, output in outputs.items()}) for rows, outputs in honest(*arguments)
        ],
    )
    with pytest.raises(ArtifactError, match=r"onnx: probabilities must be within 0\.0001.*difference of 0\.0002"):
        task.export(tmp_path / "out", ["onnx"], progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_worker_is_one_line(tmp_path):
    job = {"task": {"module": "keras_bert_suite.tasks", "name": "Nothing", "directory": "nowhere"}, "output": ""}
    with pytest.raises(ArtifactError) as caught:
        run_worker({**job, "formats": []}, {}, tmp_path, progress=False)
    assert "Nothing" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("code", "message"), [(-9, "too much memory"), (-11, "signal 11"), (1, "code 1")])
def test_a_worker_that_dies_is_explained(code, message):
    from keras_bert_suite.export.process import death

    assert message in death(code, "exporting litert", ["last words"])


def test_interrupting_leaves_nothing(tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    seen = b""
    while b"exporting" not in seen:
        piece = os.read(process.stderr.fileno(), 4096)
        assert piece, seen.decode()
        seen += piece
    (job,) = tmp_path.glob(".out.*.partial/job.json")
    assert workers_of(job)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read().decode()
    assert process.wait(timeout=20) != 0
    assert "KeyboardInterrupt" in rest
    assert list(tmp_path.iterdir()) == []
    assert not workers_of(job)


def test_a_worker_ends_with_its_parent(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(tmp_path / "out")],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 60
    while not (jobs := list(tmp_path.glob(".out.*.partial/job.json"))) or not workers_of(jobs[0]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    while workers_of(jobs[0]):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def workers_of(job):
    """The processes that have the job on their command line."""
    found = subprocess.run(["pgrep", "-f", str(job)], capture_output=True, text=True)
    return found.stdout.split()


def test_importing_export_starts_nothing():
    code = (
        "import sys, keras_bert_suite.export\n"
        "print(sorted({'tensorflow', 'keras', 'torch', 'jax', 'onnx', 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=package_root())
    assert done.stdout.strip() == "[]", done.stderr


def package_root():
    return os.path.dirname(os.path.dirname(kbs.__file__))
