"""Building a corpus side by side: `kbs pretrain-data` against google-research/bert's create_pretraining_data.py.

Both get the same documents, one sentence a line, and the same vocabulary, each
in a process of its own, one after the other in the same run. What counts is
processor time, so that other work on the machine and the number of cores do not.
A run on a few sentences tells what a process costs before it works.

    git clone https://github.com/google-research/bert
    python benchmarks/corpus.py novels/*.txt --google bert
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_bert_suite.data.corpus import Corpus, convert_tfrecords
from keras_bert_suite.data.corpus.sentences import default_segmenter, document_sentences
from keras_bert_suite.text import load_tokenizer

#: Runs the script, which was written for TensorFlow 1, on TensorFlow 2.
GOOGLE = """
import runpy, sys
import tensorflow.compat.v1 as tf
sys.modules["tensorflow"] = tf
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[1] + "/create_pretraining_data.py", *sys.argv[2:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
KBS = "import sys; from keras_bert_suite.cli.main import main; sys.exit(main())"


def write_texts(paths, megabytes, document_sentences_count, folder):
    """Write `raw.txt` and the same as `sentences.txt`, blank lines between documents of some sentences each."""
    segment, size, raw, lined = default_segmenter("en"), 0, [], []
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")[: int(megabytes * 1e6 - size)]
        found = [found.strip() for found in document_sentences(text, "wrapped", segment)]
        found = [sentence for sentence in found if sentence]
        for first in range(0, len(found), document_sentences_count):
            document = found[first : first + document_sentences_count]
            raw.append(" ".join(document))
            lined.append("\n".join(document))
        size += len(text.encode())
        if size >= megabytes * 1e6:
            break
    (folder / "raw.txt").write_text("\n\n".join(raw), encoding="utf-8")
    (folder / "sentences.txt").write_text("\n\n".join(lined), encoding="utf-8")
    (folder / "few.txt").write_text("\n\n".join(lined[:3]), encoding="utf-8")
    return (folder / "sentences.txt").stat().st_size


def measured(*command):
    """Seconds of processor time and megabytes of memory at most of one process."""
    process = subprocess.Popen([sys.executable, "-c", *map(str, command)], stdout=subprocess.DEVNULL, stderr=-1)
    errors = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[1:4]} ended with {process.returncode}:\n{errors[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def median(command, repeats, output):
    """Of the seconds and megabytes of some turns, each from the beginning."""
    turns = []
    for _ in range(repeats):
        shutil.rmtree(output, ignore_errors=True)
        turns.append(measured(*command))
    return statistics.median_low(turns)


def contenders(folder, google, copies, max_length):
    """dict from a name to a function from a text file to a command."""

    def ours(*options):
        def command(text):
            return (
                KBS, "pretrain-data", text, "--tokenizer", folder / "vocabulary", "--output", folder / "ours",
                "--json", "--copies", copies, "--max-length", max_length, *options,
            )  # fmt: skip

        return command

    def theirs(text):
        return (
            GOOGLE, google, f"--input_file={text}", f"--output_file={folder / 'theirs.tfrecord'}",
            f"--vocab_file={folder / 'vocabulary' / 'vocab.txt'}", "--do_lower_case=True",
            f"--dupe_factor={copies}", f"--max_seq_length={max_length}", "--random_seed=12345",
        )  # fmt: skip

    runs = {
        "kbs, text to be parted into sentences": (ours(), folder / "raw.txt"),
        "kbs, a sentence a line": (ours("--lines", "sentences"), folder / "sentences.txt"),
    }
    if importlib.util.find_spec("tensorflow"):
        options = ("--lines", "sentences", "--format", "tfrecord", "--max-predictions", 20)
        runs["kbs, a sentence a line, to TFRecords"] = (ours(*options), folder / "sentences.txt")
    if google:
        runs["create_pretraining_data.py"] = (theirs, folder / "sentences.txt")
    return runs


def portrait(corpus):
    """What a corpus of pairs looks like."""
    shards = [corpus.shard(index) for index in range(len(corpus))]
    lengths = np.concatenate([np.diff(shard.offsets) for shard in shards])
    labels = np.concatenate([shard.pair_labels for shard in shards])
    firsts = np.concatenate([shard.second_starts for shard in shards])
    return {
        "rows": len(lengths),
        "random next": round(float(labels.mean()), 3),
        "mean length": round(float(lengths.mean()), 1),
        "full rows": round(float((lengths == lengths.max()).mean()), 3),
        "mean first text": round(float(firsts.mean()), 1),
    }


def machine():
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return f"{found[1] if found else platform.processor()}, Python {platform.python_version()}, {platform.system()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="+", type=Path, help="files of plain text")
    parser.add_argument("--google", type=Path, help="a checkout of google-research/bert; needs TensorFlow and six")
    parser.add_argument("--tokenizer", default="all-MiniLM-L6-v2", help="a WordPiece tokenizer that lower-cases")
    parser.add_argument("--megabytes", type=float, default=8.0, help="how much text to use at most")
    parser.add_argument("--sentences", type=int, default=40, help="of a document")
    parser.add_argument("--repeats", type=int, default=5, help="turns of ours, which are short; the median counts")
    parser.add_argument("--copies", type=int, default=1, help="Google's dupe_factor")
    parser.add_argument("--max-length", type=int, default=128, help="tokens")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        size = write_texts(arguments.text, arguments.megabytes, arguments.sentences, folder) / 1e6
        tokenizer = load_tokenizer(arguments.tokenizer)
        tokenizer.save_pretrained(folder / "vocabulary")
        print(f"{machine()}\n{size:.1f} MB, {arguments.copies} copies, rows of {arguments.max_length} tokens")
        print(f"{'':40}{'CPU s':>9}{'start s':>9}{'MB/s':>9}{'slower':>9}{'MB memory':>11}")
        best, found = None, {}
        for name, (command, text) in contenders(
            folder, arguments.google, arguments.copies, arguments.max_length
        ).items():
            repeats = 1 if name == "create_pretraining_data.py" else arguments.repeats
            start, _ = median(command(folder / "few.txt"), repeats, folder / "ours")
            seconds, memory = median(command(text), repeats, folder / "ours")
            work = max(seconds - start, 1e-3)
            best = best or work
            print(f"{name:40}{seconds:9.1f}{start:9.1f}{size / work:9.2f}{work / best:9.1f}{memory:11.0f}")
            if name == "create_pretraining_data.py":
                found[name] = convert_tfrecords([folder / "theirs.tfrecord"], tokenizer, folder / "theirs")
            else:
                found[name] = Corpus(folder / "ours")
            print(f"    {json.dumps(portrait(found[name]))}")


if __name__ == "__main__":
    main()
