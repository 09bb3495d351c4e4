"""Text made ready for pretraining, on disk: shards, and the manifest that vouches for them.

The manifest holds the settings they were made with and the checksum of each;
nothing is read without being compared with it.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

from keras_bert_suite.data.corpus.shard import Shard
from keras_bert_suite.data.corpus.tfrecords import read_tfrecord
from keras_bert_suite.errors import DataError
from keras_bert_suite.files import replaced_file

__all__ = ["MANIFEST", "PAIR_KINDS", "Corpus", "tokenizer_record", "write_manifest"]

#: The file beside the shards.
MANIFEST = "manifest.json"
#: What `pair_labels` tell. Rows of `"documents"` have none.
PAIR_KINDS = ("next_sentence", "sentence_order", "documents")
#: The form of the manifest and the shards that this version writes and reads.
FORMAT = 1


def tokenizer_record(tokenizer):
    """Return what a manifest says of a `text.Tokenizer`: above all the checksum of the `tokenizer.json` it writes."""
    data = json.dumps(tokenizer.definition.content, ensure_ascii=False, indent=2).encode()
    return {"sha256": hashlib.sha256(data).hexdigest(), "kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size}


def write_manifest(directory, values, records):
    """Write the manifest, which makes a directory of shards a corpus; it is written last.

    Args:
        directory: str or path.
        values: dict. `kind`, out of `PAIR_KINDS`, `max_length`, `tokenizer`, a dict
            with the `sha256` of its `tokenizer.json`, and whatever else tells how
            the corpus came about.
        records: list of dicts, what `write_shard` returned, in the order of the shards.
    """
    totals = {name: sum(record[name] for record in records) for name in ("rows", "tokens", "bytes")}
    manifest = {"format": FORMAT, **values, **totals, "shards": records}
    with replaced_file(Path(directory) / MANIFEST) as file:
        json.dump({**manifest, "sha256": _checksum(manifest)}, file, ensure_ascii=False, indent=1)
        file.write("\n")


def _checksum(manifest):
    """Return the SHA-256 of all else that a manifest holds."""
    read = json.loads(json.dumps(manifest))
    read.pop("sha256", None)
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


class Corpus:
    """A directory of shards, read one shard at a time.

    Args:
        directory: str or path, as `kbs pretrain-data` leaves it.
    Attributes:
        directory: `pathlib.Path`. The tokenizer's files are in it too.
        manifest: dict.
        kind: str out of `PAIR_KINDS`.
        max_length: int. Tokens of a row at most.
        num_rows, num_tokens: int, of all shards.
    Raises:
        DataError: if there is no manifest, or it is damaged or of another version.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        path = self.directory / MANIFEST
        try:
            self.manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if not self.directory.exists():
                raise DataError("there is no such file or directory.", self.directory) from None
            raise DataError(
                "a corpus for pretraining must have a manifest. Received: a directory without one. Make the corpus "
                "with kbs pretrain-data; if that was interrupted, run the same command again.",
                path,
            ) from None
        except ValueError as error:
            raise DataError(f"the manifest must be JSON. Received: {error}. Make the corpus again.", path) from None
        try:
            if self.manifest["format"] != FORMAT:
                raise DataError(
                    f"the manifest must be of format {FORMAT}. Received: format {self.manifest['format']!r}. Make the "
                    "corpus again with this version of kbs pretrain-data.",
                    path,
                )
            self.kind, self.max_length = self.manifest["kind"], self.manifest["max_length"]
            self.num_rows, self.num_tokens = self.manifest["rows"], self.manifest["tokens"]
            self._records = self.manifest["shards"]
            if self.manifest.get("sha256", own := _checksum(self.manifest)) != own:
                raise DataError(
                    "the manifest must be as it was written. Received: one whose checksum differs. It was edited or "
                    "damaged; make the corpus again.",
                    path,
                )
        except (KeyError, TypeError) as error:
            raise DataError(f"the manifest is incomplete. Received: no {error}. Make the corpus again.", path) from None

    def __len__(self):
        """Return the number of shards."""
        return len(self._records)

    def shard(self, index):
        """Read one shard, after comparing it with its checksum.

        Args:
            index: int.
        Returns:
            `Shard`.
        Raises:
            DataError: if the file is missing, was cut short or changed.
            ImportError: if it is one of TFRecords and TensorFlow is not installed.
        """
        from safetensors.numpy import load

        record = self._records[index]
        path = self.directory / record["file"]
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise DataError("a shard of the corpus is missing. Make the corpus again.", path) from None
        if hashlib.sha256(data).hexdigest() != record["sha256"]:
            found = f"{len(data)} bytes" if len(data) != record["bytes"] else "other bytes"
            raise DataError(
                f"a shard must be as it was written, {record['bytes']} bytes. Received: {found}. It was cut short or "
                "changed; make the corpus again.",
                path,
            )
        if path.suffix == ".tfrecord":
            labels = {"pair_labels": None} if self.kind == "documents" else {}
            return dataclasses.replace(read_tfrecord(path), **labels)
        return Shard(**load(data))
