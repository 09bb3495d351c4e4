"""What the commands know of tasks: their names, and the options that only some of them have."""

from keras_bert_suite.cli.shared import positive_int

__all__ = ["TASKS", "add_settings", "add_task", "settings_from"]

#: Those of `tasks.registry`, which imports Keras, that files and options can say all of.
TASKS = (
    "text-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "relation-classification",
    "sentence-embedding",
    "few-shot-classification",
)

#: Option -> (setting of the task's class, the tasks that have it, what argparse is told of it).
SETTINGS = {
    "--problem-type": (
        "problem_type",
        ("text-classification",),
        {
            "choices": ("single_label_classification", "multi_label_classification", "regression"),
            "help": "text-classification: what the labels are (default: as they look)",
        },
    ),
    "--separator": (
        "separator",
        ("text-classification",),
        {"metavar": "MARK", "help": "text-classification: what parts several labels in a cell (default: |)"},
    ),
    "--scheme": (
        "scheme",
        ("token-classification",),
        {"metavar": "NAME", "help": "token-classification: IO, IOB1, BIO or BIOES (default: the data's)"},
    ),
    "--crf": (
        "crf",
        ("token-classification",),
        {"action": "store_const", "const": True, "help": "token-classification: a conditional random field on top"},
    ),
    "--stride": (
        "stride",
        ("token-classification", "question-answering"),
        {"type": positive_int, "metavar": "N", "help": "tokens that the windows of a long text share"},
    ),
}


def add_task(parser):
    """Add the task, as the first argument."""
    parser.add_argument("task", choices=TASKS, metavar="TASK", help=f"one of: {', '.join(TASKS)}")


def add_settings(parser):
    """Add the options that only some tasks have."""
    group = parser.add_argument_group("what some tasks take")
    for option, (name, _, described) in SETTINGS.items():
        group.add_argument(option, dest=name, default=None, **described)


def settings_from(options):
    """Return the settings given for the task, by name.

    Raises:
        ValueError: if one is given that the task does not have.
    """
    found = {}
    for option, (name, tasks, _) in SETTINGS.items():
        value = getattr(options, name, None)
        if value is None:
            continue
        if options.task not in tasks:
            raise ValueError(f"{option} goes with {' and '.join(tasks)}. Received: {options.task}. Leave it out.")
        found[name] = value
    return found
