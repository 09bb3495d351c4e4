"""Search for the recipe that suits some data, in trials that are cut short when hopeless, and resumed when killed."""

import collections
import json
import logging
import math
from pathlib import Path

from keras_bert_suite.errors import CheckpointError, DataError, check_positive_int, require, shortened
from keras_bert_suite.reports import SECTIONS, Report, write_report
from keras_bert_suite.reports.charts import line_chart
from keras_bert_suite.reports.markup import number, section, table, text

__all__ = ["SPACE", "parse_space", "tune"]

logger = logging.getLogger(__name__)

#: The attribute of a trial that says why it failed.
FAILED = "failed"

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


def tune(train, directory, *, space=None, num_trials=20, seed=0, title="Search", maximize=True, settings=None):
    """Try values out of a space, the next ones where the last were good, and write down what was found.

    A trial that is worse at an epoch than the median of those before is cut
    short. One that fails with `FloatingPointError`, `MemoryError` or `ValueError`,
    or whose score is not a finite number, is recorded with the reason, and the
    search goes on; a fault of the data or the checkpoint ends it. Killed, the same
    call goes on: trials that ended count, the one that was under way is tried
    again. `report.html` in `directory` shows the search.

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
        settings: optional dict of JSON values: what else decides a score, such as
            a digest of the data. Trials of one search have the same.
    Returns:
        `(values, score)` of the best trial.
    Raises:
        ValueError: if `directory` holds trials of another space or of other
            settings, or if every trial failed.

    Source: Bergstra et al. 2011, for the sampler; Akiba et al. 2019 (Optuna).
    """
    check_positive_int("tune", num_trials=num_trials)
    optuna = require("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
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
    done = len(_ended(study, states))
    _check_settings(study, settings, directory, done)
    _try_again(study, states)
    study.sampler = optuna.samplers.TPESampler(seed=seed + done, n_startup_trials=5)

    def objective(trial):
        def report(epoch, score):
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        values = {name: _suggest(trial, name, choices) for name, choices in space.items()}
        logger.info("trial %d of %d: %s", done, num_trials, _spelled(values))
        score = train(values, report)
        if not math.isfinite(score):
            raise FloatingPointError(f"the score is {score}")
        return score

    while done < num_trials:
        done += 1
        trial = study.ask()  # under way, also for the next process, until it is told how it ended
        try:
            score = objective(trial)
        except optuna.TrialPruned:
            study.tell(trial, state=states.PRUNED)
        except (CheckpointError, DataError):  # no other values would help
            raise
        except (FloatingPointError, MemoryError, ValueError) as error:
            reason = ": ".join(filter(None, (type(error).__name__, str(error))))
            logger.warning("trial %d failed with %s", done, reason)
            trial.set_user_attr(FAILED, reason)
            study.tell(trial, state=states.FAIL)
        else:
            study.tell(trial, score)
        _write(directory, study, title, states)
    _write(directory, study, title, states)
    trials = _ended(study, states)
    if all(trial.state == states.FAIL for trial in trials):
        raise ValueError(
            f"{directory}: every trial failed, the last one with {trials[-1].user_attrs[FAILED].rstrip('.')}. "
            "Search other values, in another directory."
        )
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


def _check_settings(study, settings, directory, done):
    now = json.loads(json.dumps(settings or {}))  # a tuple comes back as a list
    before = study.user_attrs.get("settings", now) if done else now  # no trial of others, no mixture
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        differences = [f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names]
        raise ValueError(
            f"{directory}: the trials there are of another search. Received: {shortened(differences)}. "
            "Use what they had, or another directory (--output)."
        )
    study.set_user_attr("settings", now)


def _ended(study, states):
    """The trials that count: those that ended, well or by a failure of their own."""
    trials = study.get_trials(states=(states.COMPLETE, states.PRUNED, states.FAIL))
    return [trial for trial in trials if trial.state != states.FAIL or FAILED in trial.user_attrs]


def _try_again(study, states):
    """Put the trial that was under way when the process ended in front of all others."""
    for trial in study.get_trials(states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
        study.enqueue_trial({**trial.system_attrs.get("fixed_params", {}), **trial.params})


def _suggest(trial, name, choices):
    if isinstance(choices, tuple):
        return trial.suggest_float(name, *choices, log=True)
    return trial.suggest_categorical(name, choices)


def _spelled(values):
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def _write(directory, study, title, states):
    trials = _ended(study, states)
    count = collections.Counter(trial.state for trial in trials)
    summary = {"trials": len(trials), "cut short": count[states.PRUNED], "failed": count[states.FAIL]}
    if count[states.COMPLETE]:
        summary = {"best score": study.best_value, **summary, "best": _spelled(study.best_params)}
    sections = (SECTIONS[0], lambda _: _progress(trials, study, states))
    write_report(directory / "report.html", Report(title, summary=summary), sections=sections)


def _progress(trials, study, states):
    """The score of each trial, in order; all of them, the best first; and why others failed."""
    numbered = list(enumerate(trials, 1))
    complete = [(row, trial) for row, trial in numbered if trial.state == states.COMPLETE]
    failed = [(row, trial) for row, trial in numbered if trial.state == states.FAIL]
    scores = [trial.value if trial.state == states.COMPLETE else None for trial in trials]
    body = line_chart("Score by trial", [row for row, _ in numbered], {"validation": scores})
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    names = list(study.user_attrs["space"])

    def listing(caption, heading, told, numeric):
        rows = [[str(row), cell, *(_cell(trial.params.get(name)) for name in names)] for row, trial, cell in told]
        return table(caption, ["trial", heading, *names], rows, numeric=numeric) if rows else ""

    complete.sort(key=lambda one: sign * one[1].value)
    told = [(row, trial, number(trial.value)) for row, trial in complete]
    body += listing("Trials, the best first", "score", told, range(len(names) + 2))
    told = [(row, trial, text(trial.user_attrs[FAILED])) for row, trial in failed]
    body += listing("Trials that failed", "reason", told, (0, *range(2, len(names) + 2)))
    return section("Trials", body)


def _cell(value):
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else text(value)
