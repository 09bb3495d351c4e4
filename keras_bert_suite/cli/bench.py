"""Time exported artifacts: latency, size, time to open and peak memory of each, in its own runtime."""

from keras_bert_suite.cli.shared import positive_int, print_result

EXAMPLE = """\
  kbs bench saved_models/intents-export
  kbs bench saved_models/intents-export --length 32 128 --batch-size 1 --threads 1
"""


def add_arguments(parser):
    parser.add_argument("artifacts", metavar="ARTIFACTS", help="the directory that kbs export wrote, or one artifact")
    parser.add_argument("--length", nargs="+", type=positive_int, default=[128], metavar="N", help="default: 128")
    parser.add_argument(
        "--batch-size", nargs="+", type=positive_int, default=[1, 32], metavar="N", help="default: 1 32"
    )
    parser.add_argument("--threads", type=positive_int, metavar="N", help="of the runtime (default: its choice)")


def run(options):
    from keras_bert_suite.export.bench import bench_artifacts, bench_table

    rows = bench_artifacts(options.artifacts, options.length, options.batch_size, options.threads)
    print_result(options, {"artifacts": rows}, bench_table(rows))
