"""A corpus on disk: the same bytes however it is built, and refused where something else was meant."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_bert_suite.data.corpus import Corpus, build_corpus
from keras_bert_suite.errors import DataError
from keras_bert_suite.files import only_process
from tests.support.shared import shared_path
from tests.support.tiny import WORDS, tiny_tokenizer

ROOT = Path(__file__).resolve().parents[3]
PART = 6000


def write_text(path, num=300, seed=0):
    rng = np.random.default_rng(seed)
    documents = [
        "\n".join(" ".join(rng.choice(WORDS[:-2], rng.integers(2, 9))) + "." for _ in range(rng.integers(1, 12)))
        for _ in range(num)
    ]
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return path


def build(path, directory, **options):
    return build_corpus(
        path,
        tiny_tokenizer(),
        directory,
        **{"part_bytes": PART, "lines": "sentences", "max_length": 24, "segmenter": by_lines, **options},
    )


def by_lines(paragraph):
    return paragraph.split("\n")


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(Path(directory).iterdir())}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text") / "a.txt")


@pytest.fixture(scope="module")
def built(text, tmp_path_factory):
    directory = tmp_path_factory.mktemp("built") / "corpus"
    build(text, directory)
    return directory


def test_rows_are_pairs_in_the_frame_of_the_tokenizer(built):
    corpus, tokenizer = Corpus(built), tiny_tokenizer()
    assert len(corpus) > 5
    assert corpus.num_rows == sum(len(corpus.shard(number).rows()) for number in range(len(corpus)))
    assert sorted(path.name for path in built.iterdir() if "safetensors" not in path.name) == [
        "inputs.jsonl", "manifest.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"
    ]  # fmt: skip
    for index in range(len(corpus)):
        shard = corpus.shard(index)
        assert shard.token_ids.dtype == np.uint16
        rows = shard.rows()
        assert rows.lengths.max() <= 24
        for row in range(len(rows)):
            ids, second = rows[row].tolist(), int(rows.second_starts[row])
            assert ids[0] == tokenizer.cls_token_id
            assert [place for place, token in enumerate(ids) if token == tokenizer.sep_token_id] == [
                second - 1, len(ids) - 1
            ]  # fmt: skip
            assert 2 < second < len(ids) - 1
        assert set(shard.pair_labels) <= {0, 1}


def test_token_ids_are_those_of_tokenizers_on_the_same_sentences(text, tmp_path):
    from tokenizers import Tokenizer

    corpus = build(text, tmp_path / "out", kind="documents", max_length=1000)
    reference = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    expected = sorted(
        tuple(reference.encode(document.replace("\n", " ")).ids)
        for document in text.read_text(encoding="utf-8").split("\n\n")
    )
    shards = [corpus.shard(index).rows() for index in range(len(corpus))]
    assert sorted(tuple(rows[row].tolist()) for rows in shards for row in range(len(rows))) == expected
    assert corpus.manifest["documents"] == 300


@pytest.mark.parametrize(("workers", "method"), [(1, "spawn"), (2, "fork"), (2, "spawn"), (3, "forkserver")])
def test_workers_write_the_same_bytes(text, built, tmp_path, workers, method):
    build(text, tmp_path / "out", workers=workers, start_method=method)
    assert contents(tmp_path / "out") == contents(built)


def test_the_seed_decides_and_copies_differ(text, built, tmp_path):
    other = build(text, tmp_path / "seed", seed=1)
    assert contents(tmp_path / "seed").keys() == contents(built).keys()
    assert contents(tmp_path / "seed")["000000-000000.safetensors"] != contents(built)["000000-000000.safetensors"]
    copies = build(text, tmp_path / "copies", copies=3)
    assert len(copies) == 3 * len(other)
    files = contents(tmp_path / "copies")
    assert files["000000-000000-00.safetensors"] == contents(built)["000000-000000.safetensors"]
    assert files["000000-000000-01.safetensors"] != files["000000-000000-00.safetensors"]


KILLED = """
import os, signal, sys
from tests.data.corpus.test_build import build, by_lines
calls = 0
def segmenter(paragraph):
    global calls
    calls += 1
    if calls == {calls}:
        os.kill(os.getpid(), signal.SIGKILL)
    return by_lines(paragraph)
segmenter.__module__, segmenter.__qualname__ = by_lines.__module__, by_lines.__qualname__
if __name__ == "__main__":
    build({text!r}, {out!r}, segmenter=segmenter, lines="paragraphs")
"""


@pytest.mark.parametrize("calls", [1, 700, 1200])
def test_a_build_that_was_killed_goes_on_to_the_same_bytes(text, tmp_path, calls):
    build(text, tmp_path / "whole", lines="paragraphs")
    script = KILLED.format(calls=calls, text=str(text), out=str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "manifest.json").exists()
    with pytest.raises(DataError, match="run the same command again"):
        Corpus(tmp_path / "out")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.safetensors")}
    assert bool(kept) == (calls > 1)
    build(text, tmp_path / "out", lines="paragraphs")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def killed_worker(paragraph):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_told_of(text, tmp_path):
    killed_worker.__qualname__ = "by_lines"
    try:
        with pytest.raises(MemoryError, match="fewer than 2 workers"):
            build(text, tmp_path / "out", workers=2, start_method="fork", segmenter=killed_worker, lines="paragraphs")
    finally:
        killed_worker.__qualname__ = "killed_worker"
    build(text, tmp_path / "out", lines="paragraphs")


def waiting(paragraph):
    """A segmenter that says who runs it, and never ends."""
    Path(os.environ["KBS_TEST_PIDS"], str(os.getpid())).touch()
    signal.pause()


ORPHANED = """
from tests.data.corpus.test_build import build, waiting
if __name__ == "__main__":
    build({text!r}, {out!r}, segmenter=waiting, lines="paragraphs", workers=2, start_method={method!r})
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_with_a_parent_that_was_killed(text, tmp_path, method):
    script, pids = tmp_path / "script.py", tmp_path / "pids"
    pids.mkdir()
    script.write_text(ORPHANED.format(text=str(text), out=str(tmp_path / "out"), method=method))
    environment = {**os.environ, "KBS_TEST_PIDS": str(pids), "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)
    until(lambda: len(list(pids.iterdir())) == 2)
    parent.kill()
    parent.wait()
    until(lambda: not any(is_alive(int(path.name)) for path in pids.iterdir()))


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def interrupted(text, directory, **options):
    """A directory in which building ended with a full disk after some shards."""
    import keras_bert_suite.data.corpus.builder as module

    whole, written = module.write_shard, []

    def full(path, shard):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return whole(path, shard)

    module.write_shard = full
    try:
        with pytest.raises(OSError, match="No space left"):
            build(text, directory, **options)
    finally:
        module.write_shard = whole
    return directory


def test_a_full_disk_leaves_what_is_done(text, built, tmp_path):
    directory = interrupted(text, tmp_path / "out")
    assert len(list(directory.glob("*.safetensors"))) == 3
    build(text, directory)
    assert contents(directory) == contents(built)


def test_a_full_disk_names_the_file(text, tmp_path, monkeypatch):
    import keras_bert_suite.files as files

    replace = os.replace

    def full(source, target):
        if str(target).endswith(".safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match=r"cannot write .*000000-000000\.safetensors: No space left"):
        build(text, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.safetensors*"))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"seed": 1}, "seed 0 -> 1"), ({"max_length": 32}, "max_length: 24 -> 32"), ({"kind": "documents"}, "kind")],
)
def test_other_settings_do_not_mix(text, built, tmp_path, options, named):
    directory = interrupted(text, tmp_path / "begun")
    shutil.copytree(built, tmp_path / "finished")
    for path in (directory, tmp_path / "finished"):
        with pytest.raises(DataError, match=f"Received others: .*{named}"):
            build(text, path, **options)
        corpus = build(text, path, overwrite=True, **options)
        assert corpus.num_rows > 0


def test_overwriting_goes_on_with_the_same_corpus_and_replaces_others(text, built, tmp_path):
    directory = interrupted(text, tmp_path / "begun")
    kept = {path: path.stat().st_mtime_ns for path in directory.glob("*.safetensors")}
    build(text, directory, overwrite=True)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    (directory / "something.txt").write_text("else")
    assert build(text, directory, overwrite=True).num_rows == Corpus(built).num_rows
    assert not (directory / "something.txt").exists()
    build(text, directory, overwrite=True, seed=3)
    build(text, directory, overwrite=True)
    assert contents(directory) == contents(built)


def test_a_build_that_was_killed_at_its_very_beginning_goes_on(text, built, tmp_path):
    (tmp_path / "out" / ".building.jsonl.abc.partial").mkdir(parents=True)
    build(text, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(built)
    begun = interrupted(text, tmp_path / "begun")
    for path in begun.iterdir():
        if path.name != "building.jsonl":
            path.unlink()
    build(text, begun)
    assert contents(begun) == contents(built)


def test_other_text_does_not_mix(tmp_path):
    path = write_text(tmp_path / "a.txt")
    before = path.read_text(encoding="utf-8")
    directory = interrupted(path, tmp_path / "begun")
    build(path, tmp_path / "finished")
    path.write_text(before.replace("good", "poor", 1), encoding="utf-8")
    for corpus in (directory, tmp_path / "finished"):
        with pytest.raises(DataError, match=r"a\.txt changed since"):
            build(path, corpus)
    shutil.copytree(directory, tmp_path / "again")
    build(path, tmp_path / "again", overwrite=True)
    build(path, tmp_path / "fresh")
    assert contents(tmp_path / "again") == contents(tmp_path / "fresh")
    path.write_text(before + "x", encoding="utf-8")
    for corpus in (directory, tmp_path / "finished"):
        with pytest.raises(DataError, match="inputs: bytes"):
            build(path, corpus)


def test_damaged_shards_are_made_again_or_refused(text, built, tmp_path):
    directory = interrupted(text, tmp_path / "begun")
    damaged = sorted(directory.glob("*.safetensors"))
    damaged[0].write_bytes(damaged[0].read_bytes()[:-5])
    damaged[1].unlink()
    (directory / "building.jsonl").write_text((directory / "building.jsonl").read_text() + '{"name": "0000')
    build(text, directory)
    assert contents(directory) == contents(built)
    shard = sorted(directory.glob("*.safetensors"))[2]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 4
    shard.write_bytes(data)
    with pytest.raises(DataError, match=f"{shard.name}: a shard must be as it was written.*other bytes"):
        build(text, directory)
    with pytest.raises(DataError, match="other bytes"):
        Corpus(directory).shard(2)
    shard.write_bytes(data[:-1])
    with pytest.raises(DataError, match="cut short"):
        Corpus(directory).shard(2)
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        Corpus(directory).shard(2)


def test_a_manifest_of_another_corpus_does_not_pass(text, built, tmp_path):
    build(text, tmp_path / "other", seed=7)
    shutil.copy(built / "manifest.json", tmp_path / "other")
    with pytest.raises(DataError, match="a shard must be as it was written"):
        Corpus(tmp_path / "other").shard(0)
    manifest = json.loads((built / "manifest.json").read_text())
    for damaged, message in (("{", "must be JSON"), ("{}", "incomplete"), ({**manifest, "format": 9}, "format 9")):
        (tmp_path / "other" / "manifest.json").write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
        with pytest.raises(DataError, match=message):
            Corpus(tmp_path / "other")


@pytest.mark.parametrize("edit", [{"rows": 3}, {"kind": "sentence_order"}, {"tokenizer": None}, {"shards": []}])
def test_an_edited_manifest_is_refused(built, tmp_path, edit):
    shutil.copytree(built, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(DataError, match="edited or damaged"):
        Corpus(tmp_path / "out")


def test_a_damaged_list_of_files_is_refused(text, built, tmp_path):
    shutil.copytree(built, tmp_path / "out")
    listing = tmp_path / "out" / "inputs.jsonl"
    for damaged in ("", "{", '{"path": "a.txt"}', "1\n", listing.read_text() * 2):
        listing.write_text(damaged)
        with pytest.raises(DataError, match=r"inputs\.jsonl: the list of what the corpus was made of must name its 1"):
            build(text, tmp_path / "out")
    listing.unlink()
    with pytest.raises(DataError, match="Choose another output, or overwrite"):
        build(text, tmp_path / "out")
    build(text, tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == contents(built)


@pytest.mark.skipif(sys.platform == "win32", reason="has no locks of this kind")
def test_two_processes_do_not_write_to_one_corpus(text, built, tmp_path):
    with only_process(tmp_path / "out"), pytest.raises(BlockingIOError, match="another process is writing to"):
        build(text, tmp_path / "out")
    build(text, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(built)


def test_a_corpus_may_lie_beside_the_text_it_is_made_of(text, built, tmp_path):
    shutil.copy(text, tmp_path)
    for _ in range(2):
        build(tmp_path, tmp_path / "corpus")
    for pattern in (f"{tmp_path}/**", f"{tmp_path}/*"):
        build(pattern, tmp_path / "corpus", overwrite=True)
    assert {name: data for name, data in contents(tmp_path / "corpus").items() if name != "inputs.jsonl"} == {
        name: data for name, data in contents(built).items() if name != "inputs.jsonl"
    }
    with pytest.raises(ValueError, match="must not lie in the output directory"):
        build(tmp_path / "corpus" / "inputs.jsonl", tmp_path / "corpus")


def test_no_part_of_a_text_that_was_replaced_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(["good food. bad food. poor food."] * 800), encoding="utf-8")

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("keras_bert_suite.data.corpus.build.write_corpus_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            build(path, tmp_path / "out")
    size = path.stat().st_size
    path.write_text(("good food.\n" * size)[: size - 1] + "\n", encoding="utf-8")  # one document: fewer parts
    build(path, tmp_path / "out", overwrite=True)
    build(path, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_file_that_is_named_twice_counts_once(text, tmp_path, monkeypatch):
    monkeypatch.chdir(text.parent)
    twice = build([text, f"./{text.name}", text.name], tmp_path / "twice")
    assert twice.manifest["inputs"]["files"] == 1


def test_a_finished_corpus_is_only_looked_at(text, built):
    times = {path: path.stat().st_mtime_ns for path in built.iterdir()}
    assert build(text, built).num_rows == Corpus(built).num_rows
    assert {path: path.stat().st_mtime_ns for path in built.iterdir()} == times


def test_the_manifest_vouches_for_the_tokenizer_and_the_files(text, built):
    import hashlib

    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["tokenizer"]["sha256"] == hashlib.sha256((built / "tokenizer.json").read_bytes()).hexdigest()
    (listed,) = map(json.loads, (built / "inputs.jsonl").read_text().splitlines())
    assert listed["sha256"] == hashlib.sha256(text.read_bytes()).hexdigest()
    assert manifest["inputs"]["bytes"] == text.stat().st_size
    assert manifest["settings"]["seed"] == 0


def test_text_without_rows_is_refused_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    for content, kind, message in (
        ("", "next_sentence", "a corpus needs text. Received: none in 1 file"),
        ("\n \n\n", "documents", "a corpus needs text"),
        ("good food", "next_sentence", "no rows can be made of 1 document"),
        ("good\n\nbad\n\npoor", "sentence_order", r"no rows can be made of 3 document\(s\) of 3 sentence"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            build(path, tmp_path / "out", kind=kind)
        assert not (tmp_path / "out").exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no rows can be made"):
        build(path, tmp_path / "link", kind=kind)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_directory_of_something_else_is_left_alone(text, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not empty"):
        build(text, tmp_path)
    with pytest.raises(ValueError, match="must not lie in the output directory"):
        build(tmp_path / "thesis.txt", tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pairs"}, "kind must be one of"),
        ({"document": "page"}, "document must be one of"),
        ({"lines": "long"}, "lines must be one of"),
        ({"errors": "ignore"}, "errors must be one of"),
        ({"max_length": 4}, "must hold the 3 special tokens"),
        ({"short_rate": 1.0}, r"short_rate must be in \[0, 1\)"),
        ({"seed": -1}, "seed must be an int of at least 0"),
        ({"copies": 0}, "copies must be above 0"),
        ({"workers": 0}, "workers must be above 0"),
    ],
)
def test_settings_are_checked(text, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        build(text, tmp_path / "out", **options)


def test_a_million_tiny_documents_and_a_giant_one(tmp_path):
    tiny = tmp_path / "tiny.txt"
    tiny.write_text("good food\n" * 100_000, encoding="utf-8")
    corpus = build(tiny, tmp_path / "tiny", document="line", part_bytes=1 << 19)
    assert corpus.manifest["documents"] == corpus.num_rows == 100_000
    giant = tmp_path / "giant.txt"
    giant.write_text("the good food. " * 40_000, encoding="utf-8")
    corpus = build(
        giant, tmp_path / "giant", lines="wrapped", part_bytes=1 << 18, segmenter=lambda text: text.split(".")
    )
    assert len(corpus) == 3
    assert corpus.manifest["single_document_parts"] == 3


def test_files_that_are_documents_lend_each_other_random_texts(tmp_path):
    for name, word in (("a.txt", "good"), ("b.txt", "poor")):
        (tmp_path / name).write_text(f"{word} {word} food.\n" * 350, encoding="utf-8")
    corpus = build([tmp_path / "a.txt", tmp_path / "b.txt"], tmp_path / "out", document="file", lines="sentences")
    assert corpus.manifest["single_document_parts"] == 0
    tokenizer = tiny_tokenizer()
    good, poor = tokenizer.token_to_id("good"), tokenizer.token_to_id("poor")
    for index in range(len(corpus)):
        shard = corpus.shard(index)
        rows = shard.rows()
        mixed = [good in rows[row] and poor in rows[row] for row in range(len(rows))]
        assert np.array_equal(mixed, shard.pair_labels.astype(bool))


def test_real_books_with_the_real_segmenter(tmp_path):
    pytest.importorskip("sentencex")
    book = min(shared_path("corpus").glob("*.txt"))
    corpus = build_corpus(book, tiny_tokenizer(), tmp_path / "out")
    labels = np.concatenate([corpus.shard(index).pair_labels for index in range(len(corpus))])
    assert 0.45 < labels.mean() < 0.8
    assert corpus.manifest["sentences"] > 1000
