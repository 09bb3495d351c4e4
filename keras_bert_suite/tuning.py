"""Search for the recipe that suits some data, in trials that are cut short when hopeless, and resumed when killed."""

import logging
import math
from pathlib import Path

from keras_bert_suite.errors import check_positive_int, require, shortened
from keras_bert_suite.reports import SECTIONS, Report, write_report
from keras_bert_suite.reports.charts import line_chart
from keras_bert_suite.reports.markup import number, section, table, text

__all__ = ["SPACE", "parse_space", "tune"]

logger = logging.getLogger(__name__)

INTERRUPTED = "interrupted"

#: What is searched by default: a range is searched on a logarithmic scale, a list as it stands.
SPACE = {"learning_rate": (1e-5, 1e-3), "batch_size": [16, 32, 64], "weight_decay": [0.0, 0.01, 0.1]}


def parse_space(words):
    """Return the space that words such as `learning_rate=1e-5:1e-3` and `batch_size=16,32` describe.

    Args:
        words: sequence of str: a name, `=`, and a range of floats or a list.
    Returns:
        dict from a name to `(low, high)` or to a list.
    Raises:
        ValueError: naming the word that is neither.
    Example:
    >>> parse_space(["learning_rate=1e-5:1e-3", "epochs=2,3"])
    {'learning_rate': (1e-05, 0.001), 'epochs': [2, 3]}
    """
    space = {}
    for word in words:
        name, separator, values = word.partition("=")
        try:
            if not separator or not name.isidentifier():
                raise ValueError
            if ":" in values:
                low, high = map(float, values.split(":"))
                if not 0 < low < high < math.inf:
                    raise ValueError
                space[name] = (low, high)
            else:
                space[name] = [_parsed(value) for value in values.split(",")]
        except ValueError:
            raise ValueError(
                f"search must be NAME=LOW:HIGH, a range above 0, or NAME=VALUE,VALUE,... Received: {word!r}."
            ) from None
    return space


def _parsed(value):
    if not value:
        raise ValueError
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(value.lower(), value)


def tune(train, directory, *, space=None, num_trials=20, seed=0, title="Search", maximize=True):
    """Try values out of a space, the next ones where the last were good, and write down what was found.

    A trial that is worse at an epoch than the median of those before is cut
    short. Killed, the same call goes on: trials that ended count, those that
    were under way are tried again. `report.html` in `directory` shows the search.

    Args:
        train: function from `(values, report)` to a float, the score of a trial:
            `values` is a dict, one value for each name in the space; `report(epoch,
            score)` after each epoch may end the trial.
        directory: str or path. Where the trials are kept.
        space: optional dict from a name to `(low, high)`, floats searched on a
            logarithmic scale, or to a list of choices. Defaults to `SPACE`.
        num_trials: int. Trials in all.
        seed: int. Governs what is tried.
        title: str. Of the report.
        maximize: bool. Whether a higher score is better. Defaults to true.
    Returns:
        `(values, score)` of the best trial.
    Raises:
        ValueError: if `directory` holds the trials of another space.

    Source: Bergstra et al. 2011, for the sampler; Akiba et al. 2019 (Optuna).
    """
    check_positive_int("tune", num_trials=num_trials)
    optuna = require("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = SPACE if space is None else space
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(directory / "trials.log"))
    study = optuna.create_study(
        study_name="search",
        storage=optuna.storages.JournalStorage(backend),
        direction="maximize" if maximize else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        load_if_exists=True,
    )
    _check_space(study, space, directory)
    states = optuna.trial.TrialState
    _try_again(study, states)
    done = len(study.get_trials(states=(states.COMPLETE, states.PRUNED)))
    study.sampler = optuna.samplers.TPESampler(seed=seed + done, n_startup_trials=5)

    def objective(trial):
        def report(epoch, score):
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        values = {name: _suggest(trial, name, choices) for name, choices in space.items()}
        logger.info("trial %d of %d: %s", done + 1, num_trials, _spelled(values))
        try:
            return train(values, report)
        except (KeyboardInterrupt, SystemExit):
            trial.set_user_attr(INTERRUPTED, True)
            raise

    while done < num_trials:
        study.optimize(objective, n_trials=1)
        done += 1
        _write(directory, study, title, states)
    _write(directory, study, title, states)
    return study.best_params, study.best_value


def _check_space(study, space, directory):
    known = {name: list(choices) for name, choices in space.items()}
    before = study.user_attrs.get("space", known)
    if before != known:
        names = [name for name in {**before, **known} if before.get(name) != known.get(name)]
        raise ValueError(
            f"{directory}: the trials there searched another space. Received: other values of {shortened(names)}. "
            "Use the same search, or another directory."
        )
    study.set_user_attr("space", known)


def _try_again(study, states):
    """Put the trials that were under way when the process ended in front of all others."""
    ended = [trial.params for trial in study.get_trials(states=(states.COMPLETE, states.PRUNED))]
    for trial in study.get_trials(states=(states.RUNNING, states.FAIL)):
        if trial.state == states.RUNNING:
            study.tell(trial.number, state=states.FAIL)
        elif INTERRUPTED not in trial.user_attrs:
            continue  # it failed by itself
        if trial.params not in ended:
            study.enqueue_trial(trial.params)


def _suggest(trial, name, choices):
    if isinstance(choices, tuple):
        return trial.suggest_float(name, *choices, log=True)
    return trial.suggest_categorical(name, choices)


def _spelled(values):
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def _write(directory, study, title, states):
    trials = [trial for trial in study.trials if trial.state in (states.COMPLETE, states.PRUNED)]
    complete = [trial for trial in trials if trial.state == states.COMPLETE]
    if not complete:
        return
    summary = {"best score": study.best_value, "trials": len(trials), "cut short": len(trials) - len(complete)}
    report = Report(title, summary={**summary, "best": _spelled(study.best_params)})
    sections = (SECTIONS[0], lambda _: _progress(trials, complete, study))
    write_report(directory / "report.html", report, sections=sections)


def _progress(trials, complete, study):
    """The score of each trial, in order, and all of them, the best first."""
    scores = [trial.value if trial in complete else None for trial in trials]
    chart = line_chart("Score by trial", list(range(1, len(trials) + 1)), {"validation": scores})
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    names = list(study.user_attrs["space"])
    rows = [
        [str(trial.number + 1), number(trial.value), *(_cell(trial.params.get(name)) for name in names)]
        for trial in sorted(complete, key=lambda trial: sign * trial.value)
    ]
    listing = table("Trials, the best first", ["trial", "score", *names], rows, numeric=range(len(names) + 2))
    return section("Trials", chart + listing)


def _cell(value):
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else text(value)
