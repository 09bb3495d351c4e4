"""From files of text to a corpus on disk: the same shards for any number of workers, and after any interruption."""

import json
import logging
import os
import shutil
from pathlib import Path

from tqdm import tqdm

from keras_bert_suite.data.corpus.builder import PartBuilder
from keras_bert_suite.data.corpus.identity import check_identity, corpus_identity
from keras_bert_suite.data.corpus.inputs import find_inputs, open_input, unreadable
from keras_bert_suite.data.corpus.journal import JOURNAL, Journal
from keras_bert_suite.data.corpus.manifest import MANIFEST, Corpus, write_manifest
from keras_bert_suite.data.corpus.parts import PART_BYTES, group_inputs, read_parts
from keras_bert_suite.data.corpus.settings import CorpusSettings
from keras_bert_suite.data.corpus.workers import completed
from keras_bert_suite.errors import DataError, check_positive_int
from keras_bert_suite.files import check_free, emptied, only_process, replaced_file

__all__ = ["INPUTS", "build_corpus"]

#: The file beside the shards that lists what was read: `path`, `bytes` and `sha256`, one file a line.
INPUTS = "inputs.jsonl"

_logger = logging.getLogger(__name__)


def build_corpus(
    files,
    tokenizer,
    directory,
    *,
    segmenter=None,
    workers=1,
    start_method="spawn",
    part_bytes=PART_BYTES,
    overwrite=False,
    progress=False,
    **settings,
):
    r"""Make text ready for pretraining: rows of token ids in shards, with a manifest.

    The shards depend on the files, the tokenizer and the settings alone: not on
    the workers, nor on how often the work was interrupted. Called again after
    it was, it goes on; after it had ended, it compares what is there with the
    checksums. About 300 MB of memory are needed for each worker, whatever the
    size of the corpus.

    Args:
        files: str or path, or a sequence of them: files of plain text, JSON
            Lines (`.jsonl`) or Parquet, directories, or patterns. All but Parquet
            may be compressed: `.gz`, `.bz2`, `.xz`, `.zst`.
        tokenizer: `text.Tokenizer`. It is saved beside the shards.
        directory: str or path. Where the corpus goes.
        segmenter: optional function from a str, one paragraph, to a list of
            str, its sentences. With several workers it must pickle. Defaults to
            sentencex.
        workers: int. Processes that build. With more than one, a script must
            keep its work under `if __name__ == "__main__"`.
        start_method: str. How `multiprocessing` starts them.
        part_bytes: int. Text of a shard at most.
        overwrite: bool. Whether what is in `directory` may be replaced; a corpus
            of the same making that is not finished is gone on with all the same.
        progress: bool. Whether to show a bar on a terminal.
        **settings: those of `CorpusSettings`: `kind`, `max_length`, `short_rate`,
            `copies`, `document`, `lines`, `column`, `language`, `errors`,
            `whole_words`, `masking`, `file_format`, `seed`.
    Returns:
        `Corpus`.
    Raises:
        DataError: if a file cannot be read or decoded, there is no text, or the
            directory holds a corpus that was begun otherwise.
        FileExistsError: if the directory holds something else.
        ValueError: if a setting is out of range.
    Example:
    >>> import pathlib, tempfile
    >>> from keras_bert_suite.text import WordPieceTokenizer
    >>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "sat", "it", "ran"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "text.txt")
    ...     _ = path.write_text("A cat sat.\nIt ran.\n\nIt sat.\nA cat ran.", encoding="utf-8")
    ...     corpus = build_corpus(
    ...         path, tokenizer, pathlib.Path(folder, "corpus"), kind="sentence_order", lines="sentences"
    ...     )
    ...     corpus.num_rows, corpus.manifest["sentences"], sorted(corpus.shard(0).rows().lengths.tolist())
    (2, 4, [10, 10])
    """
    check_positive_int("build_corpus", workers=workers, part_bytes=part_bytes)
    settings = CorpusSettings(**settings)
    inputs = find_inputs(files, outside=directory)
    directory = Path(directory)
    builder = PartBuilder(settings, tokenizer, directory, segmenter)
    identity = corpus_identity(settings, tokenizer, segmenter, part_bytes, inputs)
    _check_apart(directory, inputs)
    if overwrite or not (directory / MANIFEST).exists():
        check_free(directory, overwrite=True)
    with only_process(directory):
        if (directory / MANIFEST).exists() and not overwrite:
            return _finished(directory, identity, inputs)
        _make_room(directory, identity, overwrite)
        return _build(builder, identity, inputs, workers, start_method, overwrite, progress)


def _build(builder, identity, inputs, workers, start_method, overwrite, progress):
    """Write what is not there yet of the corpus, and return it."""
    settings, directory, part_bytes = builder.settings, builder.directory, identity["settings"]["part_bytes"]
    journal = Journal(directory, identity)
    builder.tokenizer.save_pretrained(directory)
    total = sum(source.size for source in inputs)
    bar = tqdm(total=total, desc="Building", unit="B", unit_scale=True, disable=None if progress else True)
    with bar, replaced_file(directory / INPUTS) as listing:
        of_this_text = set()

        def listed(source, sha256):
            listing.write(listing_line(source.path, source.size, sha256))

        errors = settings.errors
        parts = (
            part
            for number, group, other in lending_groups(inputs, settings, part_bytes)
            for part in read_parts(group, number, settings.document, settings.column, other, part_bytes, listed, errors)
        )

        def parts_to_do():
            for part in parts:
                of_this_text.add(part.name)
                if not _is_done(part, journal, directory, overwrite):
                    yield part
                bar.update(part.bytes_read)

        for entry in completed(parts_to_do(), builder, workers, start_method):
            journal.add(entry)
    for name in journal.done.keys() - of_this_text:  # of a text that was replaced since
        for record in journal.done.pop(name)["shards"]:
            (directory / record["file"]).unlink(missing_ok=True)
    write_corpus_manifest(directory, identity, journal.done.values())
    journal.remove()
    return Corpus(directory)


def listing_line(path, size, sha256):
    """Return the line of `INPUTS` for a file."""
    return json.dumps({"path": path, "bytes": size, "sha256": sha256}) + "\n"


def lending_groups(inputs, settings, part_bytes):
    """Yield `(number, group, other)` for each group of files: what `read_parts` takes.

    Where a file is a document, a part may hold a single one; `other`, of the
    next group, has another for it.
    """
    groups = group_inputs(inputs, part_bytes)
    lends = settings.kind == "next_sentence" and len(groups) > 1
    for number, group in enumerate(groups):
        yield number, group, groups[(number + 1) % len(groups)][0] if lends else None


def _is_done(part, journal, directory, overwrite):
    if part.name not in journal.done:
        return False
    same = journal.done[part.name]["sha256"] == part.sha256
    if not same and not overwrite:
        raise DataError(
            f"the text of {part.pieces[0].path} changed since this corpus was begun. Bring the old text back, choose "
            "another output, or overwrite this one.",
            directory,
        )
    return same


def _check_apart(directory, inputs):
    place = os.path.realpath(directory) + os.sep
    for source in inputs:
        if os.path.realpath(source.path).startswith(place):
            raise ValueError(f"build_corpus: the files must not lie in the output directory. Received: {source.path}.")


def _make_room(directory, identity, overwrite):
    """Check that the directory is free, or holds a corpus to go on with; clear what a killed process left."""
    for left in directory.glob(f".{JOURNAL}.*.partial"):  # of one that was killed before all else
        shutil.rmtree(left)
    begun = Journal.identity(directory)
    if overwrite and (begun != identity or (directory / MANIFEST).exists()):
        emptied(directory)
    check_free(directory, overwrite=begun is not None)
    for left in directory.glob(".*.partial"):
        shutil.rmtree(left)


def write_corpus_manifest(directory, identity, entries):
    """Write the manifest of a corpus whose parts are done.

    Args:
        directory: `pathlib.Path`. It is removed when there are no rows.
        identity: dict, as `corpus_identity` returned it.
        entries: iterable of dicts, what `PartBuilder` returned, in any order.
    Raises:
        DataError: if there are no rows.
    """
    entries = sorted(entries, key=lambda entry: entry["name"])
    records = [record for entry in entries for record in entry["shards"]]
    counts = {name: sum(entry[name] for entry in entries) for name in ("documents", "sentences")}
    if not records:
        emptied(directory)
        if not directory.is_symlink():
            directory.rmdir()
        if not counts["sentences"]:
            raise DataError(f"a corpus needs text. Received: none in {identity['inputs']['files']} file(s).")
        raise DataError(
            f"no rows can be made of {counts['documents']} document(s) of {counts['sentences']} sentence(s): pairs "
            "need two sentences. Check what is said to be a document."
        )
    alone = sum(entry["single_document"] for entry in entries)
    if alone:
        _logger.info(
            f"{alone} of {len(entries)} parts of the corpus hold a single document; there, random next texts are "
            "from another place of the same document."
        )
    write_manifest(directory, {**identity, **counts, "single_document_parts": alone}, records)


def _finished(directory, identity, inputs):
    """The corpus that is there already, its files and shards compared with their checksums."""
    corpus = Corpus(directory)
    check_identity({name: corpus.manifest.get(name) for name in identity}, identity, directory)
    for source, sha256 in zip(inputs, _listed(directory / INPUTS, len(inputs)), strict=True):
        with open_input(source._replace(compression="")) as (_, hashed), unreadable(source.path):
            if hashed.finish() != sha256:
                raise DataError(
                    f"{source.path} changed since the corpus was made. Choose another output, or overwrite this one.",
                    directory,
                )
    for index in range(len(corpus)):
        corpus.shard(index)
    (directory / JOURNAL).unlink(missing_ok=True)
    return corpus


def _listed(path, count):
    """Return the checksums of the files that a corpus was made of."""
    try:
        found = [json.loads(line)["sha256"] for line in path.read_text(encoding="utf-8").splitlines()]
        if len(found) != count:
            raise ValueError(f"{len(found)}")
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"the list of what the corpus was made of must name its {count} file(s). Received: none, or a damaged one. "
            "Choose another output, or overwrite this one.",
            path,
        ) from None
    return found
