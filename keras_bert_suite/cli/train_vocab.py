"""Learn a WordPiece vocabulary from text files, and save the tokenizer.

Files of plain text, JSON Lines and Parquet, compressed or not, of any size. The
same files and options give the same vocabulary each time.
"""

from keras_bert_suite.cli.shared import positive_int, print_result, whole_number

EXAMPLE = """\
  kbs train-vocab books/*.txt --output my_tokenizer --size 8000
  kbs train-vocab corpus.jsonl.gz --output my_tokenizer --size 21000 --cased --reserved COVID tocilizumab
"""


def add_arguments(parser):
    parser.add_argument("files", nargs="+", metavar="FILE", help="text files, directories or patterns")
    parser.add_argument("--output", required=True, metavar="DIR", help="where to save the tokenizer")
    parser.add_argument("--size", type=positive_int, default=30000, metavar="N", help="tokens (default: 30000)")
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents")
    parser.add_argument("--strip-accents", action="store_true", help="drop accents though capitals are kept")
    parser.add_argument("--keep-accents", action="store_true", help="keep accents though capitals are not kept")
    parser.add_argument("--whole-chinese", action="store_true", help="do not make each Chinese character a word")
    parser.add_argument("--reserved", nargs="+", default=(), metavar="WORD", help="words that are tokens in any case")
    parser.add_argument(
        "--unused", type=whole_number, default=0, metavar="N", help="tokens [unusedN] for later (default: 0)"
    )
    parser.add_argument(
        "--min-frequency", type=positive_int, default=2, metavar="N", help="leave out what is rarer (default: 2)"
    )
    parser.add_argument(
        "--max-alphabet",
        type=positive_int,
        metavar="N",
        help="different characters at most (default: three quarters of the size, or more if there is room)",
    )
    parser.add_argument("--max-length", type=positive_int, default=512, metavar="N", help="of rows (default: 512)")
    parser.add_argument("--column", default="text", metavar="NAME", help="of JSON Lines and Parquet (default: text)")
    parser.add_argument(
        "--errors", choices=("strict", "replace"), default="strict", help="what to do about invalid UTF-8"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output directory if it is there")


def run(options):
    from tqdm import tqdm

    from keras_bert_suite.data.corpus.texts import CorpusTexts
    from keras_bert_suite.files import check_free, replaced_directory
    from keras_bert_suite.text.train_word_piece import train_word_piece

    if options.strip_accents and options.keep_accents:
        raise ValueError("--strip-accents and --keep-accents exclude each other. Received: both. Choose one.")
    check_free(options.output, options.overwrite)
    texts = CorpusTexts(options.files, options.column, options.errors, lambda count: bar.update(count))
    # Read twice: for the characters, and for the words.
    with tqdm(
        total=2 * texts.size, desc="reading", unit="B", unit_scale=True, disable=True if options.json else None
    ) as bar:
        tokenizer = train_word_piece(
            texts,
            options.size,
            lowercase=not options.cased,
            strip_accents=True if options.strip_accents else False if options.keep_accents else None,
            split_chinese=not options.whole_chinese,
            reserved=options.reserved,
            num_unused=options.unused,
            min_frequency=options.min_frequency,
            max_alphabet=options.max_alphabet,
            max_length=options.max_length,
        )
    with replaced_directory(options.output, options.overwrite) as directory:
        tokenizer.save_pretrained(directory)
    found = {"output": options.output, "tokens": tokenizer.vocab_size, "files": len(texts.inputs), "bytes": texts.size}
    text = f"Saved {options.output}: {tokenizer.vocab_size:,} tokens from {len(texts.inputs):,} files."
    if tokenizer.vocab_size < options.size:
        text += (
            f"\nThe text had no pairs for more: {options.size:,} were asked for. Lower --min-frequency, or add text."
        )
    print_result(options, found, text)
