"""Turn text into a corpus for pretraining: shards of token ids, with a manifest and the tokenizer's files.

Text is plain, JSON Lines or Parquet, compressed or not, of any size. Killed at
any moment, the same command goes on from there; shards are the same bytes for
any number of workers.
"""

import importlib
import time

from keras_bert_suite.cli.shared import add_seed, positive_int, print_result

EXAMPLE = """\
  kbs pretrain-data books/*.txt --tokenizer vocabulary --output corpus --workers 4
  kbs pretrain-data wiki.jsonl.gz --tokenizer vocabulary --output corpus --kind documents --max-length 512
"""


def add_arguments(parser):
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, directories or patterns")
    parser.add_argument("--tokenizer", required=True, metavar="DIR", help="a directory that holds one, or a name")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the corpus goes")
    parser.add_argument(
        "--kind",
        choices=("next_sentence", "sentence_order", "documents"),
        default="next_sentence",
        help="rows: pairs as of BERT, of ALBERT, or pieces of documents as of RoBERTa (default: next_sentence)",
    )
    parser.add_argument(
        "--document",
        choices=("block", "line", "file"),
        default="block",
        help="what is a document in plain text; a block is between blank lines (default: block)",
    )
    parser.add_argument(
        "--lines",
        choices=("wrapped", "paragraphs", "sentences"),
        default="wrapped",
        help="what a line is: part of a paragraph, a paragraph, or a sentence (default: wrapped)",
    )
    parser.add_argument("--column", default="text", metavar="NAME", help="of JSON Lines and Parquet (default: text)")
    parser.add_argument("--language", default="en", metavar="CODE", help="whose rules part sentences (default: en)")
    parser.add_argument(
        "--segmenter", metavar="MODULE:FUNCTION", help="what parts sentences: str to list of str (default: sentencex)"
    )
    parser.add_argument("--max-length", type=positive_int, default=128, metavar="N", help="tokens (default: 128)")
    parser.add_argument("--short-rate", type=float, metavar="X", help="of shorter rows (default: 0.1; documents: 0)")
    parser.add_argument(
        "--copies", type=positive_int, default=1, metavar="N", help="times each text is paired anew (default: 1)"
    )
    parser.add_argument("--errors", choices=("strict", "replace"), default="strict", help="where text is not UTF-8")
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the output directory")
    add_seed(parser)


def run(options):
    from keras_bert_suite.data.corpus import build_corpus
    from keras_bert_suite.text import load_tokenizer

    began = time.perf_counter()
    corpus = build_corpus(
        options.files,
        load_tokenizer(options.tokenizer),
        options.output,
        segmenter=_segmenter(options.segmenter),
        workers=options.workers,
        overwrite=options.overwrite,
        progress=not options.json,
        kind=options.kind,
        max_length=options.max_length,
        short_rate=options.short_rate,
        copies=options.copies,
        document=options.document,
        lines=options.lines,
        column=options.column,
        language=options.language,
        errors=options.errors,
        seed=options.seed,
    )
    result = {
        "output": options.output,
        "kind": corpus.kind,
        "documents": corpus.manifest["documents"],
        "sentences": corpus.manifest["sentences"],
        "rows": corpus.num_rows,
        "tokens": corpus.num_tokens,
        "shards": len(corpus),
        "seconds": round(time.perf_counter() - began, 1),
    }
    text = (
        f"Saved {options.output}: {corpus.num_rows:,} rows of {corpus.num_tokens:,} tokens in {len(corpus)} shard(s), "
        f"from {result['documents']:,} documents of {result['sentences']:,} sentences, in {result['seconds']} s."
    )
    if alone := corpus.manifest["single_document_parts"]:
        text += (
            f"\n{alone} part(s) hold a single document: there, random next texts come from elsewhere in it. "
            "Check --document if it should be several."
        )
    print_result(options, result, text)


def _segmenter(name):
    if name is None:
        return None
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"--segmenter must be MODULE:FUNCTION that can be imported. Received: {name} ({error})."
        ) from error
