"""Opens whatever tokenizer a directory holds."""

from pathlib import Path

from keras_bert_suite.source import resolve_source
from keras_bert_suite.text.byte_pair import BytePairTokenizer
from keras_bert_suite.text.reading import read_definition
from keras_bert_suite.text.unigram import UnigramTokenizer
from keras_bert_suite.text.word_piece import WordPieceTokenizer

__all__ = ["load_tokenizer"]

#: Which class runs each kind of model.
TOKENIZERS = {tokenizer.kind: tokenizer for tokenizer in (WordPieceTokenizer, BytePairTokenizer, UnigramTokenizer)}


def load_tokenizer(source, lowercase=None, revision=None):
    """Load the tokenizer of a checkpoint, whichever kind it is.

    Reads the forms of Hugging Face (`tokenizer.json`, `vocab.txt`,
    `vocab.json` with `merges.txt`), of SentencePiece (`.model`), of TF1
    releases (`vocab.txt` beside `bert_config.json`) and of KerasHub presets.

    Args:
        source: str or path. A directory, one of these files, the name of an
            installed model, e.g. `"all-MiniLM-L6-v2"`, or of one on the Hugging
            Face Hub, e.g. `"google-bert/bert-base-cased"`.
        lowercase: optional bool, for WordPiece and ALBERT: lower-case the text.
            None does as the files say. Where none says it, as in TF1 releases,
            text is lower-cased unless the words of the vocabulary have capitals.
        revision: optional str. Branch, tag or commit on the Hub.
    Returns:
        `WordPieceTokenizer`, `BytePairTokenizer` or `UnigramTokenizer`.
    Raises:
        CheckpointError: if there is nothing of that name.
        DataError: if the files are missing, damaged, or of a kind not supported.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        path = resolve_source(source, revision, weights=False)
    definition = read_definition(path, lowercase)
    return TOKENIZERS[definition.content["model"]["type"]].from_definition(definition, path)
