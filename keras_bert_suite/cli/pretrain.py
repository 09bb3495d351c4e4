"""Train an encoder on a corpus, from new weights or on from a checkpoint.

A corpus is a directory that kbs pretrain-data made. Several, each with longer
rows than the one before, are trained on in turn. While it trains, its state is
in OUTPUT.training: killed at any moment, the same command goes on from there.
The output has the model, report.html to look at, and log.csv.
"""

import shutil
import sys
import time
from pathlib import Path

from keras_bert_suite.cli.output import hand_over, training_paths
from keras_bert_suite.cli.recipe import add_recipe, recipe_from
from keras_bert_suite.cli.shared import (
    add_dtype,
    add_seed,
    positive_float,
    positive_int,
    print_result,
    start,
    whole_number,
)

EXAMPLE = """\
  kbs pretrain --data corpus --config bert-mini --output my_bert --steps 20000 --validation held_out
  kbs pretrain --data reports --model google-bert/bert-base-uncased --output bert_of_reports --epochs 3
"""


def add_arguments(parser):
    parser.add_argument("--data", required=True, nargs="+", metavar="DIR", help="the corpus, or several in turn")
    parser.add_argument(
        "--shares", nargs="+", type=positive_float, metavar="X", help="of the steps for each corpus: 0.9 0.1"
    )
    beginning = parser.add_mutually_exclusive_group(required=True)
    beginning.add_argument("--config", metavar="FILE|PRESET", help="new weights: a config.json, or bert-mini and so on")
    beginning.add_argument("--model", metavar="DIR|NAME", help="the checkpoint to go on from")
    parser.add_argument(
        "--embeddings",
        choices=("random", "cooccurrence"),
        default="random",
        help="what new weights begin with: from which tokens stand together in the first corpus, a small model learns "
        "sooner (default: random)",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="where the trained model goes")
    parser.add_argument("--overwrite", action="store_true", help="replace the output directory if it is there")
    parser.add_argument("--validation", metavar="DIR|FILE", help="held-out text: a corpus, or a file of texts")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=positive_int, metavar="N", help="batches to train")
    length.add_argument("--epochs", type=positive_int, metavar="N", help="times over the corpus (default: 1)")
    parser.add_argument(
        "--batch-size", nargs="+", type=positive_int, default=[128], metavar="N", help="default: 128; or one a corpus"
    )
    parser.add_argument("--objective", choices=("masked_lm", "replaced_token"), help="default: masked_lm")
    parser.add_argument(
        "--pair-head",
        choices=("auto", "next_sentence", "sentence_order", "none"),
        default="auto",
        help="what to learn of pairs (default: what the corpus has labels for)",
    )
    parser.add_argument(
        "--masking", choices=("token", "word", "ngram", "span", "static"), help="what is masked together"
    )
    parser.add_argument("--masking-rate", type=float, metavar="X", help="share of tokens to mask (default: 0.15)")
    parser.add_argument("--max-predictions", type=positive_int, metavar="N", help="masked tokens of a row at most")
    parser.add_argument(
        "--packing", choices=("auto", "on", "off"), default="auto", help="several texts a row (default: where faster)"
    )
    add_dtype(parser)
    parser.add_argument("--strategy", metavar="NAME", help="how to use several devices; docs/distributed.md")
    parser.add_argument(
        "--report-every", type=positive_int, metavar="N", help="batches between reports (default: 1000)"
    )
    parser.add_argument("--peak-flops", type=float, metavar="X", help="of the device, a second (default: measured)")
    parser.add_argument("--restart", action="store_true", help="begin anew although OUTPUT.training has a state")
    parser.add_argument(
        "--save-every", type=positive_float, default=60.0, metavar="SECONDS", help="between two states (default: 60)"
    )
    parser.add_argument("--keep", type=positive_int, default=2, metavar="N", help="states that stay (default: 2)")
    parser.add_argument("--tensorboard", action="store_true", help="write OUTPUT/tensorboard too")
    parser.add_argument("--warmup-steps", type=whole_number, metavar="N", help="instead of --warmup-ratio")
    add_recipe(parser, peak="2e-4 for new weights, 5e-5 for others,")
    add_seed(parser)


def run(options):
    output, state, overwrite = training_paths(options)
    _check_masking(options)
    if options.model and options.embeddings != "random":
        raise ValueError("--embeddings is of new weights. Received: --model too. Leave one of them out.")
    start()
    from keras_bert_suite.training import distribute

    with distribute(options.strategy) as distribution:
        _train(options, distribution, output, state, overwrite)


def _train(options, distribution, output, state, overwrite):
    from keras_bert_suite.data.corpus import Corpus
    from keras_bert_suite.files import check_free
    from keras_bert_suite.training import CSVLog, ProgressBar, TensorBoardLog

    began = time.perf_counter()
    corpora = [Corpus(directory) for directory in options.data]
    pretrainer = _open(options, corpora)
    masking = _masking(options, pretrainer.objective)
    check_free(state, overwrite=True, room=16 * pretrainer.encoder.count_params())
    if options.restart and distribution.is_chief:
        shutil.rmtree(state, ignore_errors=True)
    how = {
        "steps": options.steps,
        "epochs": options.epochs,
        "batch_size": options.batch_size * (len(corpora) if len(options.batch_size) == 1 else 1),
        "masking": masking,
        "packing": {"auto": "auto", "on": True, "off": False}[options.packing],
        "seed": options.seed,
        "report_steps": options.report_every,
    }
    shares = options.shares or [1 / len(corpora)] * len(corpora)
    if len(shares) != len(corpora):
        raise ValueError(f"--shares must be one a corpus. Received: {len(shares)} shares, {len(corpora)} corpora.")
    stages = [(corpus, share / sum(shares)) for corpus, share in zip(corpora, shares, strict=True)]
    training = pretrainer.dataset(stages, **how)
    recipe = recipe_from(options)
    if options.warmup_steps is not None:
        recipe["warmup_ratio"] = min(1.0, options.warmup_steps / sum(training.steps))
    pretrainer.compile(**recipe)
    scored = {"masking": masking} if masking != "static" else {}
    before = None
    alone = options.validation and distribution.num_processes == 1  # several would have to score together
    if options.model and alone:
        before = pretrainer.evaluate(options.validation, **scored)
        _say(options, f"before: {_scores(before)}")
    callbacks = []
    if distribution.is_chief:
        callbacks += [] if options.json else [ProgressBar(training.num_examples_of)]
        callbacks += [CSVLog(state / "log.csv")]
        callbacks += [TensorBoardLog(state / "tensorboard")] if options.tensorboard else []
    in_fit = options.validation
    if in_fit and pretrainer.pair_head and Path(in_fit).is_file():
        in_fit = None
        _say(options, f"{options.validation} is text without pairs: it is scored at the end, not after each epoch")
    history = pretrainer.fit(
        stages,
        **how,
        validation_data=in_fit,
        directory=state / "states",
        save_every=options.save_every,
        keep=options.keep,
        peak_flops=options.peak_flops,
        callbacks=callbacks,
        verbose=0,
    ).history
    if not distribution.is_chief:
        return
    pretrainer.save_pretrained(state / "model", overwrite=True)
    result = {
        "output": options.output,
        "objective": pretrainer.objective,
        "pair_head": pretrainer.pair_head,
        "steps": len(history["loss"]) * training.num_batches,  # fewer than asked for where patience ended it
        "tokens": round(sum(map(training.tokens_of, range(len(history["loss"]))))),
        "loss": history["loss"][-1],
        "seconds": round(time.perf_counter() - began, 1),
    }
    for name in ("tokens_per_second", "flops_utilization"):
        result |= {name: history[name][-1]} if name in history else {}
    if alone:
        result |= {} if before is None else {"before": before}
        result["validation"] = pretrainer.evaluate(options.validation, **scored)
    _write_report(options, pretrainer, history, result, state)
    hand_over(state, output, overwrite)
    held_out = f", held-out {_scores(result['validation'])}" if alone else ""
    print_result(
        options,
        result,
        f"Saved {options.output}: {result['steps']} steps, loss {result['loss']:.4f}{held_out}, "
        f"{result['seconds']:.0f} s. {output / 'report.html'} shows more.",
    )


def _open(options, corpora):
    """Return the `Pretrainer` that the options ask for."""
    from keras_bert_suite.checkpoints import open_checkpoint
    from keras_bert_suite.checkpoints.families import FAMILIES
    from keras_bert_suite.source import resolve_source
    from keras_bert_suite.tasks.config_source import read_encoder_config
    from keras_bert_suite.tasks.pretrainer import Pretrainer
    from keras_bert_suite.text import load_tokenizer

    source = options.model and resolve_source(options.model)
    config = open_checkpoint(source).config if source else read_encoder_config(options.config)
    objective = options.objective
    if objective is None:
        objective = "replaced_token" if config.family == "electra" else "masked_lm"
    pair_head = None if options.pair_head == "none" else options.pair_head
    if pair_head == "auto":
        [kind, *others] = {corpus.kind for corpus in corpora}
        learnt = objective == "masked_lm" and not others and kind in FAMILIES[config.family].heads
        pair_head = kind if learnt else None
    given = {"dtype": options.dtype, "objective": objective, "pair_head": pair_head}
    if source:
        return Pretrainer.from_pretrained(source, seed=options.seed, **given)
    pretrainer = Pretrainer.from_config(config, load_tokenizer(corpora[0].directory), seed=options.seed, **given)
    if options.embeddings == "cooccurrence":
        _say(options, "counting which tokens stand together ...")
        pretrainer.start_embeddings(corpora[0], seed=options.seed)
    return pretrainer


def _check_masking(options):
    if options.masking == "static" and (options.masking_rate, options.max_predictions) != (None, None):
        raise ValueError("--masking static has the rates of the corpus. Received: a rate or a limit too.")
    _masking(options, options.objective)


def _masking(options, objective):
    """Return what `Pretrainer.fit` takes as `masking`."""
    from keras_bert_suite.data.masking import Masking

    if options.masking == "static":
        return "static"
    given = {"strategy": options.masking, "rate": options.masking_rate, "max_predictions": options.max_predictions}
    given = {name: value for name, value in given.items() if value is not None}
    if objective == "replaced_token" and given:
        given |= {"mask_rate": 0.85, "random_rate": 0.0}
    return Masking(**given) if given else None


def _scores(scores):
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in scores.items())


def _say(options, text):
    if not options.json:
        print(text, file=sys.stderr)


def _write_report(options, pretrainer, history, result, state):
    import keras

    from keras_bert_suite.reports import Report, write_report

    facts = {
        "trained on": ", ".join(options.data),
        "from": options.model or f"new weights, {options.config}",
        "parameters": pretrainer.encoder.count_params(),
        **{name: result[name] for name in ("steps", "tokens", "seconds")},
        **{f"held-out {name}": value for name, value in result.get("validation", {}).items()},
        **{f"held-out {name}, before": value for name, value in result.get("before", {}).items()},
        "seed": str(options.seed),
        "backend": keras.backend.backend(),
        "command": " ".join(["kbs", *sys.argv[1:]]),
    }
    report = Report(f"{Path(options.output).name}: pretraining", facts, history=history)
    write_report(state / "report.html", report, json_path=state / "report.json")
