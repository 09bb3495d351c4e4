"""Where a training of the command line keeps its state, and how what it made gets its place in one step."""

import filecmp
import shutil
from pathlib import Path

__all__ = ["hand_over", "training_paths"]


def training_paths(options):
    """Return where a training of a command goes, where its state is until then, and whether the former may be replaced.

    Raises:
        OSError: if something else is in the way.
    """
    from keras_bert_suite.files import check_free

    output = Path(options.output)
    state = output.with_name(f"{output.name}.training")
    overwrite = options.overwrite or (not options.restart and _is_from(state, output))
    check_free(output, overwrite)
    return output, state, overwrite


def _is_from(state, output):
    """Whether `output` is of the training in `state`, which was killed before it could remove that."""
    reports = [folder / "report.json" for folder in (state, output)]
    return all(path.is_file() for path in reports) and filecmp.cmp(*reports, shallow=False)


def hand_over(state, output, overwrite):
    """Put report and logs beside the model, give it its place, and only then remove the state.

    Args:
        state: path. Has the directory `model`, and files beside it that go with it.
        output: path. Where the model goes.
        overwrite: bool. Whether a directory already there may be replaced.
    """
    from keras_bert_suite.files import check_free, exchange

    model, replaced = state / "model", state / "replaced"
    others = shutil.ignore_patterns("states", "model", "replaced", ".*")
    shutil.copytree(state, model, ignore=others, dirs_exist_ok=True)
    check_free(output, overwrite)
    shutil.rmtree(replaced, ignore_errors=True)
    exchange(model, output, aside=replaced)
    # Under another name at once, as what is left of half a state would train anew.
    removed = state.with_name(f".{state.name}.partial")
    shutil.rmtree(removed, ignore_errors=True)
    state.replace(removed)
    shutil.rmtree(removed)
