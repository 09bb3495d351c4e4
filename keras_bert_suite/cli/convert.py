"""Write a checkpoint in another format, heads, labels and tokenizer included.

What was written is opened again and its numbers are held against the source's
before it is called done. What the target cannot express is refused by name.
"""

from keras_bert_suite.cli.shared import positive_float, print_result, start

EXAMPLE = """\
  kbs convert google-bert/bert-base-cased bert-tf1 --to tf1
  kbs convert saved_models/intents intents-kerashub --to kerashub --tolerance 0.02
"""

FORMATS = ("huggingface", "tf1", "kerashub", "sentence-transformers")


def add_arguments(parser):
    parser.add_argument("source", metavar="SOURCE", help="a directory in any of the formats, or a model's name")
    parser.add_argument("target", metavar="TARGET", help="the directory to write")
    parser.add_argument("--to", required=True, choices=FORMATS, help="the format to write")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a model on the Hub")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), help="of the weights (default: as is)")
    parser.add_argument(
        "--drop", nargs="+", default=(), metavar="PART", help="leave out the pooler, the tokenizer, or a head by name"
    )
    parser.add_argument("--pooling", choices=("mean", "first", "max"), help="for sentence-transformers (default: mean)")
    parser.add_argument(
        "--tolerance",
        type=positive_float,
        default=1e-4,
        metavar="X",
        help="largest difference of outputs accepted (default: 1e-4); above it, another GELU or epsilon will do",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the target directory if it is there")


def run(options):
    from keras_bert_suite.files import check_free

    check_free(options.target, options.overwrite)
    start()
    from keras_bert_suite.conversion import convert_checkpoint

    done = convert_checkpoint(
        options.source,
        options.target,
        options.to,
        revision=options.revision,
        dtype=options.dtype,
        tolerance=options.tolerance,
        drop=options.drop,
        pooling=options.pooling,
        overwrite=options.overwrite,
    )
    heads = ", ".join(done.heads) or "no head"
    text = (
        f"Saved {options.target}: {done.source_format} to {done.target_format}, {heads}, {done.dtype}, "
        f"{'with' if done.tokenizer else 'without'} tokenizer.\n"
        f"Largest difference of outputs: {done.difference:.2g}."
    )
    print_result(options, {"target": options.target, **done._asdict()}, text)
