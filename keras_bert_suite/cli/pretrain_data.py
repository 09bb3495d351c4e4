"""Turn text into a corpus for pretraining: shards of token ids, with a manifest and the tokenizer's files.

Text is plain, JSON Lines or Parquet, compressed or not, of any size. Killed at
any moment, the same command goes on from there; shards are the same bytes for
any number of workers.
"""

import importlib
import shlex
import time

from keras_bert_suite.cli.shared import add_seed, positive_int, print_result

EXAMPLE = """\
  kbs pretrain-data books/*.txt --tokenizer vocabulary --output corpus --workers 4
  kbs pretrain-data wiki.jsonl.gz --tokenizer vocabulary --output corpus --kind documents --max-length 512
"""


#: What is told of a corpus.
COUNTS = ("documents", "sentences", "rows", "tokens")


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
    parser.add_argument(
        "--whole-words",
        action="store_true",
        help="keep where words begin, for masking of whole words in Chinese and in byte-level vocabularies",
    )
    parser.add_argument(
        "--masking",
        choices=("token", "word", "ngram", "span"),
        help="mask once and for all, and what together (default: in training, anew in each epoch)",
    )
    parser.add_argument("--masking-rate", type=float, metavar="X", help="share of tokens to mask (default: 0.15)")
    parser.add_argument("--max-predictions", type=positive_int, metavar="N", help="masked tokens of a row at most")
    parser.add_argument(
        "--format",
        choices=("shards", "tfrecord"),
        default="shards",
        help="tfrecord: the features of google-research/bert; it needs TensorFlow (default: shards)",
    )
    parser.add_argument("--errors", choices=("strict", "replace"), default="strict", help="where text is not UTF-8")
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--beam", metavar="OPTIONS", help='build in an Apache Beam pipeline, e.g. --beam="--runner=DirectRunner"'
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the output directory")
    add_seed(parser)


def run(options):
    from keras_bert_suite.text import load_tokenizer

    began = time.perf_counter()
    tokenizer = load_tokenizer(options.tokenizer)
    settings = {
        "segmenter": _segmenter(options.segmenter),
        "kind": options.kind,
        "max_length": options.max_length,
        "short_rate": options.short_rate,
        "copies": options.copies,
        "document": options.document,
        "lines": options.lines,
        "column": options.column,
        "language": options.language,
        "errors": options.errors,
        "whole_words": options.whole_words,
        "masking": _masking(options),
        "file_format": options.format,
        "seed": options.seed,
    }
    manifest = (_build if options.beam is None else _build_with_beam)(options, tokenizer, settings)
    result = {"output": options.output, "kind": options.kind, **{name: manifest[name] for name in COUNTS}}
    result.update(shards=len(manifest["shards"]), seconds=round(time.perf_counter() - began, 1))
    text = (
        f"Saved {options.output}: {result['rows']:,} rows of {result['tokens']:,} tokens in {result['shards']} "
        f"shard(s), from {result['documents']:,} documents of {result['sentences']:,} sentences, in "
        f"{result['seconds']} s."
    )
    if alone := manifest["single_document_parts"]:
        text += (
            f"\n{alone} part(s) hold a single document: there, random next texts come from elsewhere in it. "
            "Check --document if it should be several."
        )
    print_result(options, result, text)


def _build(options, tokenizer, settings):
    from keras_bert_suite.data.corpus import build_corpus

    return build_corpus(
        options.files,
        tokenizer,
        options.output,
        workers=options.workers,
        overwrite=options.overwrite,
        progress=not options.json,
        **settings,
    ).manifest


def _build_with_beam(options, tokenizer, settings):
    from keras_bert_suite.data.corpus.beam import run_pipeline

    if options.overwrite:
        raise ValueError("--overwrite is not for --beam, whose directory may be anywhere. Remove it, or name another.")
    return run_pipeline(options.files, tokenizer, options.output, shlex.split(options.beam), **settings)


def _masking(options):
    from keras_bert_suite.data.masking import Masking

    given = {"rate": options.masking_rate, "max_predictions": options.max_predictions}
    given = {name: value for name, value in given.items() if value is not None}
    if options.masking is None and options.format == "shards":
        if given:
            raise ValueError("--masking-rate and --max-predictions go with --masking. Received: them alone.")
        return None
    return Masking(strategy=options.masking or "token", **given)


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
