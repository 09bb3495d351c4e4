"""Which class does which task, by the name that config.json and the command line use."""

import importlib
from pathlib import Path

from keras_bert_suite.checkpoints import open_checkpoint
from keras_bert_suite.checkpoints.sentence_transformers import has_modules
from keras_bert_suite.errors import CheckpointError, check_choice
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.pretrained import own_values

__all__ = ["INDEX", "TASKS", "open_task", "task_class", "task_of"]

#: Name of a task -> (its module in this package, its class).
TASKS = {
    "text-classification": ("text_classifier", "TextClassifier"),
    "token-classification": ("token_classifier", "TokenClassifier"),
    "question-answering": ("question_answerer", "QuestionAnswerer"),
    "multiple-choice": ("multiple_choice", "MultipleChoice"),
    "relation-classification": ("relation_classifier", "RelationClassifier"),
    "prompt-classification": ("prompt_classifier", "PromptClassifier"),
    "sentence-embedding": ("text_embedder", "TextEmbedder"),
    "few-shot-classification": ("few_shot", "FewShotClassifier"),
    "fill-mask": ("masked_lm", "MaskedLM"),
}
#: The file of a directory of several tasks that names them, in order.
INDEX = "tasks.json"


def task_class(name):
    """Return the class of a task, e.g. `TextClassifier` for `"text-classification"`."""
    check_choice("task", "task", name, tuple(TASKS))
    module, found = TASKS[name]
    return getattr(importlib.import_module(f"keras_bert_suite.tasks.{module}"), found)


def task_of(source, revision=None):
    """Return the name of the task that a model was trained for.

    Args:
        source: str or path, as `from_pretrained` of a task takes it.
        revision: optional str. Branch, tag or commit on the Hub.
    Raises:
        CheckpointError: if it has no head of a task that this package trains, and is no sentence-transformers model.
    """
    directory = Path(resolve_source(source, revision))
    if (directory / INDEX).is_file():
        raise CheckpointError(
            f"{directory}: it holds several tasks. Open one of its folders, or all with MultiTask.from_pretrained."
        )
    checkpoint = open_checkpoint(directory)
    named = own_values(checkpoint).get("task")
    if named in TASKS:
        return named
    if has_modules(directory):
        return "sentence-embedding"
    for name in TASKS:
        if name != "prompt-classification" and getattr(task_class(name), "head", None) in checkpoint.heads:
            return name
    raise CheckpointError(
        f"{checkpoint.path}: it is not trained for a task. Received: a checkpoint with "
        f"{', '.join(checkpoint.heads) or 'no head'}. Train it with `kbs finetune`."
    )


def open_task(source, **options):
    """Open a trained model as the task that it was trained for.

    Args:
        source: str or path, as `from_pretrained` of a task takes it.
        **options: as in `from_pretrained` of that task.
    """
    return task_class(task_of(source, options.get("revision"))).from_pretrained(source, **options)
