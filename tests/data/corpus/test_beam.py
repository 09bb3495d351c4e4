"""The Beam pipeline writes the bytes that `build_corpus` writes, on local and on remote file systems."""

import gzip

import pytest

beam = pytest.importorskip("apache_beam")

from apache_beam.io.filesystem import BeamIOError, FileMetadata, MatchResult  # noqa: E402
from apache_beam.io.localfilesystem import LocalFileSystem  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

from keras_bert_suite.data.corpus.beam import beam_pipeline, run_pipeline  # noqa: E402
from keras_bert_suite.errors import DataError  # noqa: E402
from tests.data.corpus.test_build import PART, build, by_lines, contents, write_text  # noqa: E402
from tests.support.tiny import tiny_tokenizer  # noqa: E402


class FarFileSystem(LocalFileSystem):
    """Local files under another scheme, as if they were far away."""

    @classmethod
    def scheme(cls):
        return "far"

    def _near(self, path):
        assert path.startswith("far://"), path
        return "/" + path[len("far://") :].lstrip("/")

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def create(self, path, *arguments, **options):
        return super().create(self._near(path), *arguments, **options)

    def open(self, path, *arguments, **options):
        return super().open(self._near(path), *arguments, **options)

    def match(self, patterns, limits=None):
        found = super().match([self._near(pattern) for pattern in patterns], limits)
        return [
            MatchResult(
                one.pattern, [FileMetadata(f"far:/{meta.path}", meta.size_in_bytes) for meta in one.metadata_list]
            )
            for one in found
        ]


def run(files, directory, *options, **settings):
    with beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner", *options])) as pipeline:
        beam_pipeline(
            pipeline, files, tiny_tokenizer(), directory,
            **{"part_bytes": PART, "lines": "sentences", "max_length": 24, "segmenter": by_lines, **settings},
        )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    for seed, name in enumerate(("a.txt", "b.txt", "c.txt", "d.txt")):
        write_text(folder / name, 120 if seed == 1 else 20, seed)
    packed = folder / "e.txt.gz"
    packed.write_bytes(gzip.compress((folder / "b.txt").read_bytes(), mtime=0))
    return folder


@pytest.mark.parametrize("settings", [{}, {"document": "file", "seed": 3}, {"kind": "documents", "copies": 2}])
def test_the_direct_runner_writes_the_same_bytes(files, tmp_path, settings):
    build(files, tmp_path / "here", **settings)
    run(files, tmp_path / "beam", **settings)
    assert contents(tmp_path / "beam") == contents(tmp_path / "here")
    assert len(contents(tmp_path / "here")) > 10


def test_several_processes_write_the_same_bytes(files, tmp_path):
    build(files, tmp_path / "here")
    run(files, tmp_path / "beam", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert contents(tmp_path / "beam") == contents(tmp_path / "here")


def test_other_file_systems_get_the_same_bytes(files, tmp_path):
    build(files, tmp_path / "here")
    (tmp_path / "beam").mkdir()
    run(f"far:/{files}/*", f"far:/{tmp_path}/beam")
    here, there = contents(tmp_path / "here"), contents(tmp_path / "beam")
    assert there.pop("inputs.jsonl") == here.pop("inputs.jsonl").replace(b'"path": "/', b'"path": "far://')
    assert there == here
    with pytest.raises(FileExistsError, match="not empty"):
        run(f"far:/{files}/*", f"far:/{tmp_path}/beam")
    with pytest.raises((DataError, BeamIOError), match="no such file"):
        run(f"far:/{files}/nothing*", f"far:/{tmp_path}/other")


def test_the_command_can_run_a_pipeline(files, tmp_path, capsys):
    import json

    from keras_bert_suite.cli.main import main

    pytest.importorskip("sentencex")
    tiny_tokenizer().save_pretrained(tmp_path / "vocabulary")
    words = ["pretrain-data", str(files), "--tokenizer", str(tmp_path / "vocabulary"), "--json", "--seed", "5"]
    assert main([*words, "--output", str(tmp_path / "here")]) == 0
    assert main([*words, "--output", str(tmp_path / "beam"), "--beam=--runner=DirectRunner"]) == 0
    here, there = map(json.loads, capsys.readouterr().out.splitlines())
    assert here["rows"] == there["rows"] > 100
    assert contents(tmp_path / "beam") == contents(tmp_path / "here")
    manifest = run_pipeline(str(files), tiny_tokenizer(), f"far:/{tmp_path}/far", ["--runner=DirectRunner"], seed=5)
    assert manifest["rows"] == here["rows"]


def test_a_directory_in_use_is_refused(files, tmp_path):
    with pytest.raises(FileExistsError, match="not empty"):
        run(files, files)
