"""Which parts of a corpus are done, kept on disk so that a build that was killed goes on where it was."""

import hashlib
import json

from keras_bert_suite.data.corpus.identity import check_identity
from keras_bert_suite.files import replaced_file

__all__ = ["JOURNAL", "Journal"]

#: The file beside the shards while a corpus is built.
JOURNAL = "building.jsonl"


class Journal:
    """One line for what the corpus is made of, and one for each part that is done.

    Args:
        directory: `pathlib.Path` of the corpus.
        identity: dict, as JSON can hold it. What all parts depend on.
    Attributes:
        done: dict from the name of a part to what its builder returned. Its
            shards are there and were compared with their checksums.
    Raises:
        DataError: if the corpus was begun with another identity.
    """

    def __init__(self, directory, identity):
        self.path = directory / JOURNAL
        self.done = {}
        if self.path.exists():
            began, *entries = _whole_lines(self.path)
            if entries:
                check_identity(began, identity, directory)
            self.done = {entry["name"]: entry for entry in entries if _intact(directory, entry)}
        with replaced_file(self.path) as file:  # Without what was cut short or does not count any more.
            for values in (identity, *self.done.values()):
                file.write(json.dumps(values) + "\n")

    @staticmethod
    def identity(directory):
        """Return the identity that a corpus was begun with; None where none was."""
        path = directory / JOURNAL
        return _whole_lines(path)[0] if path.exists() else None

    def add(self, entry):
        """Write down that a part is done."""
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            remedy = "Free some space, and run the same command again to go on"
            raise OSError(error.errno, f"cannot write {self.path}: {error.strerror}. {remedy}") from error
        self.done[entry["name"]] = entry

    def remove(self):
        """Delete the file, when the manifest takes its place."""
        self.path.unlink()


def _whole_lines(path):
    values = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            values.append(json.loads(line))
        except ValueError:
            break
    return values or [None]


def _intact(directory, entry):
    for record in entry["shards"]:
        try:
            data = (directory / record["file"]).read_bytes()
        except OSError:
            return False
        if hashlib.sha256(data).hexdigest() != record["sha256"]:
            return False
    return True
