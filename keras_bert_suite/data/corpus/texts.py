"""The texts of a corpus, gone through as often as wanted."""

import os

from keras_bert_suite.data.corpus.decoding import documents_of
from keras_bert_suite.data.corpus.inputs import find_inputs
from keras_bert_suite.data.corpus.pieces import read_pieces
from keras_bert_suite.errors import DataError

__all__ = ["CorpusTexts"]

#: Bytes of text that are held at a time; only a longer JSON object comes whole.
PIECE_BYTES = 1 << 20


class CorpusTexts:
    r"""Lines of plain text files, and the texts of JSON Lines and Parquet, streamed anew by each loop over it.

    Args:
        paths: sequence of str or path: files, directories or patterns, as in `find_inputs`.
        column: str. Where JSON Lines and Parquet have the text. Defaults to `"text"`.
        errors: `"strict"` to refuse what is not UTF-8, `"replace"` to put U+FFFD in its place.
        progress: optional function, called with the number of bytes read on disk since the last call.
    Attributes:
        inputs: list of `Input`.
        size: int. Bytes of all files on disk.
    Raises:
        DataError: if there is no such file, or it is a pipe; in the loop, if one cannot be read.
    Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.txt").write_text("one\ntwo\n")
    ...     list(CorpusTexts([folder]))
    ['one', 'two', '']
    """

    def __init__(self, paths, column="text", errors="strict", progress=None):
        self.inputs = find_inputs(paths)
        for source in self.inputs:
            if not os.path.isfile(source.path):
                message = "a pipe cannot be gone through twice. Write the text to a file, and name that."
                raise DataError(message, source.path)
        self.size = sum(source.size for source in self.inputs)
        self._column, self._errors, self._progress = column, errors, progress

    def __iter__(self):
        for source in self.inputs:
            for piece in read_pieces(source, "line", self._column, PIECE_BYTES, errors=self._errors):
                yield from documents_of(piece, self._column, self._errors)
                if self._progress is not None:
                    self._progress(piece.bytes_read)
