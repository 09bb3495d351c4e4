"""The same corpus from an Apache Beam pipeline, for text that outgrows one machine."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from keras_bert_suite.data.corpus.build import INPUTS, lending_groups, listing_line, write_corpus_manifest
from keras_bert_suite.data.corpus.builder import PartBuilder
from keras_bert_suite.data.corpus.identity import corpus_identity
from keras_bert_suite.data.corpus.inputs import describe_input, find_inputs
from keras_bert_suite.data.corpus.manifest import MANIFEST
from keras_bert_suite.data.corpus.parts import PART_BYTES, read_parts
from keras_bert_suite.data.corpus.settings import CorpusSettings
from keras_bert_suite.errors import DataError, require
from keras_bert_suite.files import check_free, replaced_file

__all__ = ["beam_pipeline", "run_pipeline"]


def run_pipeline(files, tokenizer, directory, options=(), **settings):
    """Make a corpus with a Beam pipeline of its own, and wait for it.

    Args:
        files, tokenizer, directory, **settings: as in `beam_pipeline`.
        options: list of str. Beam's own options, e.g. `["--runner=DirectRunner"]`.
    Returns:
        dict: the manifest.
    """
    beam = require("apache_beam", "Building a corpus with Beam")
    beam_options = require("apache_beam.options.pipeline_options", "Building a corpus with Beam")
    with beam.Pipeline(options=beam_options.PipelineOptions(list(options))) as pipeline:
        beam_pipeline(pipeline, files, tokenizer, directory, **settings)
    if not _is_remote(directory):
        return json.loads(Path(directory, MANIFEST).read_bytes())
    with _file_systems().open(_file_systems().join(str(directory), MANIFEST)) as file:
        return json.loads(file.read())


def beam_pipeline(pipeline, files, tokenizer, directory, *, segmenter=None, part_bytes=PART_BYTES, **settings):
    """Add the stages that make a corpus to a Beam pipeline: read, build, finish.

    Every runner writes the bytes that `build_corpus` writes. Files and the
    directory must be where all workers see them: on a shared file system, or in
    any other that Beam knows, such as `gs://bucket/corpus`.

    Args:
        pipeline: `apache_beam.Pipeline`.
        files, tokenizer, directory, segmenter, part_bytes, **settings: as in
            `build_corpus`; other file systems have files and patterns, but no
            directories of files. The directory must be absent or empty.
    Returns:
        `apache_beam.PCollection` of one dict, the number of `rows`, `tokens` and
        `shards`, when the manifest is written.
    Raises:
        DataError: if there are no such files.
        FileExistsError: if the directory holds anything.
    """
    beam = require("apache_beam", "Building a corpus with Beam")
    settings = CorpusSettings(**settings)
    found = {}
    for source in (source for path in _listed(files) for source in _found(path)):
        found.setdefault(source.path if _is_remote(source.path) else os.path.realpath(source.path), source)
    inputs = list(found.values())
    directory = str(directory)
    if _is_remote(directory):
        _check_absent(directory)
    else:
        check_free(directory)
    identity = corpus_identity(settings, tokenizer, segmenter, part_bytes, inputs)
    stages = _Stages(PartBuilder(settings, tokenizer, directory, segmenter), identity, directory, part_bytes)

    groups = pipeline | "Groups" >> beam.Create(list(lending_groups(inputs, settings, part_bytes)))
    read = groups | "Spread groups" >> beam.Reshuffle() | "Read" >> beam.FlatMap(stages.read)
    parts = read | "Parts" >> beam.Filter(lambda found: not isinstance(found, dict))
    sums = read | "Checksums" >> beam.Filter(lambda found: isinstance(found, dict))
    entries = parts | "Spread parts" >> beam.Reshuffle() | "Build" >> beam.Map(stages.build)
    return (
        pipeline
        | "End" >> beam.Create([[source.path for source in inputs]])
        | "Finish" >> beam.Map(stages.finish, beam.pvalue.AsList(entries), beam.pvalue.AsList(sums))
    )


class _Stages:
    """What the workers do."""

    def __init__(self, builder, identity, directory, part_bytes):
        self.builder, self.identity, self.directory, self.part_bytes = builder, identity, directory, part_bytes

    def read(self, planned):
        """Yield the parts of a group of files, and a dict for each file that was read."""
        number, group, other = planned
        settings, sums = self.builder.settings, []

        def add(source, sha256):
            sums.append({"path": names[source.path], "line": listing_line(names[source.path], source.size, sha256)})

        with contextlib.ExitStack() as stack:
            local = [stack.enter_context(_local(source)) for source in [*group, *([other] if other else [])]]
            names = {source.path: original.path for source, original in zip(local, group, strict=False)}
            lent = local[len(group)] if other else None
            yield from read_parts(
                local[: len(group)],
                number,
                settings.document,
                settings.column,
                lent,
                self.part_bytes,
                add,
                settings.errors,
            )
            yield from sums

    def build(self, part):
        """Write the shards of a part and return its entry."""
        with _written(self.directory) as directory:
            self.builder.directory = directory
            return self.builder(part)

    def finish(self, paths, entries, sums):
        """Write what stands beside the shards, the manifest last."""
        lines = {found["path"]: found["line"] for found in sums}
        with _written(self.directory) as directory:
            self.builder.tokenizer.save_pretrained(directory)
            with replaced_file(directory / INPUTS) as listing:
                listing.writelines(lines[path] for path in paths)
            write_corpus_manifest(directory, self.identity, entries)
        records = [record for entry in entries for record in entry["shards"]]
        totals = {name: sum(record[name] for record in records) for name in ("rows", "tokens")}
        return {**totals, "shards": len(records)}


def _is_remote(path):
    return "://" in str(path)


def _file_systems():
    return require("apache_beam.io.filesystems", "Building a corpus with Beam").FileSystems


def _listed(files):
    return [str(files)] if isinstance(files, str | Path) else list(map(str, files))


def _found(path):
    if not _is_remote(path):
        return find_inputs([path])
    (found,) = _file_systems().match([path])
    if not found.metadata_list:
        raise DataError("no such file.", path)
    return [describe_input(one.path, one.size_in_bytes) for one in sorted(found.metadata_list, key=lambda x: x.path)]


def _check_absent(directory):
    (found,) = _file_systems().match([_file_systems().join(directory, "*")], limits=[1])
    if found.metadata_list:
        raise FileExistsError(f"{directory} already exists and is not empty. Choose another path or remove it.")


@contextlib.contextmanager
def _local(source):
    """Yield an `Input` on this machine, a copy where it is remote."""
    if not _is_remote(source.path):
        yield source
        return
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory, source.path.rsplit("/", 1)[-1]))
        systems = _file_systems()
        plain = require("apache_beam.io.filesystem", "Building a corpus with Beam").CompressionTypes.UNCOMPRESSED
        with systems.open(source.path, compression_type=plain) as remote, open(path, "wb") as file:
            shutil.copyfileobj(remote, file, 1 << 20)
        yield source._replace(path=path)


@contextlib.contextmanager
def _written(directory):
    """Yield a directory on this machine whose files are in `directory` when the block ends well."""
    if not _is_remote(directory):
        yield Path(directory)
        return
    systems = _file_systems()
    plain = require("apache_beam.io.filesystem", "Building a corpus with Beam").CompressionTypes.UNCOMPRESSED
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        files = [path for path in Path(temporary).iterdir() if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == "manifest.json"):
            with systems.create(systems.join(directory, path.name), compression_type=plain) as remote:
                remote.write(path.read_bytes())
