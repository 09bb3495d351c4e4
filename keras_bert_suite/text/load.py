"""Opens whatever tokenizer a directory holds."""

from pathlib import Path

from keras_bert_suite.errors import DataError
from keras_bert_suite.source import INSTALLED_MODELS, resolve_source
from keras_bert_suite.text.definition import model_type, read_json
from keras_bert_suite.text.word_piece import WordPieceTokenizer

__all__ = ["load_tokenizer"]

#: Which class runs each model type that a `tokenizer.json` can name.
TOKENIZERS = {"WordPiece": WordPieceTokenizer}


def load_tokenizer(source):
    """Load the tokenizer of a checkpoint.

    Args:
        source: str or path. A directory, a `tokenizer.json` or a `vocab.txt`, or
            the name of an installed model, e.g. `"all-MiniLM-L6-v2"`.
    Returns:
        `WordPieceTokenizer`.
    Raises:
        DataError: if the files are missing, damaged, or of a kind not supported.
    """
    path = Path(source)
    if not path.exists() and str(source) in INSTALLED_MODELS:
        path = resolve_source(source)
    file = path / "tokenizer.json" if path.is_dir() else path
    kind = model_type(read_json(file)) if file.suffix == ".json" and file.is_file() else "WordPiece"
    if kind not in TOKENIZERS:
        raise DataError(
            f"tokenizers of kind {', '.join(TOKENIZERS)} are supported; this file holds a {kind} model. "
            "Use a BERT-style checkpoint.",
            file,
        )
    return TOKENIZERS[kind].from_pretrained(path)
