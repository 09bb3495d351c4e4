"""How exactly each family, head and format is read and written, as the table of docs/checkpoints.md.

For every cell a tiny random model, of unequal sizes, with random masks and
segments, is computed here and by the format's own library: `transformers` for
Hugging Face, KerasHub for its presets. TF1 has no library left to run; its
numbers are held against a reference in the tests, and here its files have to
give back what went into them. Each backend runs in a process of its own; the
largest difference of the three is printed.

    python benchmarks/exactness.py
    KERAS_BACKEND=jax python benchmarks/exactness.py --one
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BACKENDS = ("tensorflow", "jax", "torch")
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra", "modernbert")
HEADS = (
    None,
    "masked_lm",
    "next_sentence",
    "sentence_order",
    "replaced_token",
    "text_classifier",
    "token_classifier",
    "multiple_choice",
    "question_answering",
)
#: Head -> end of the `transformers` class that has it, where tests.support.families does not say.
ENDINGS = {None: "Model", "sentence_order": "ForPreTraining"}
FORMATS = ("huggingface", "tf1", "kerashub")


def measure(family, head, folder):
    """The largest difference in each format that has such a cell."""
    from keras_bert_suite.checkpoints.families import FAMILIES as NAMES

    if head is not None and head not in NAMES[family].heads:
        return {}
    found = {"huggingface": against_transformers(family, head, folder / "huggingface")}
    if family == "bert":
        from keras_bert_suite.checkpoints.tf1 import HEAD_TABLES, read_tf1, write_tf1

        if head is None or head in HEAD_TABLES:
            found["tf1"] = there_and_back(head, folder, write_tf1, read_tf1)
    found["kerashub"] = against_keras_hub(family, head, folder / "kerashub")
    return {name: value for name, value in found.items() if value is not None}


def against_transformers(family, head, folder):
    from keras_bert_suite.checkpoints import load_encoder, load_model
    from tests.support.families import class_ending, difference, make_inputs, make_model, outside, outside_both, predict

    theirs = make_model(family, ENDINGS.get(head) or class_ending(head))
    theirs.save_pretrained(folder)
    inputs = make_inputs(theirs, choices=3 if head == "multiple_choice" else None)
    mask = inputs["padding_mask"]
    if head is None:
        outputs = predict(load_encoder(folder), inputs)
        expected = outside(theirs, inputs)
        gaps = [difference(outputs["sequence_output"], expected.last_hidden_state, mask)]
        if "pooled_output" in outputs:
            gaps.append(difference(outputs["pooled_output"], expected.pooler_output, mask))
        return max(gaps)
    expected = outside_both(theirs, inputs)[1] if head == "sentence_order" else outside(theirs, inputs)
    return difference(predict(load_model(folder, head), inputs), expected, mask)


def there_and_back(head, folder, write, read):
    from keras_bert_suite.checkpoints import open_checkpoint
    from keras_bert_suite.conversion import largest_difference
    from tests.support.families import class_ending, make_model

    model = make_model("bert", ENDINGS.get(head) or class_ending(head), layer_norm_eps=1e-12)
    model.save_pretrained(folder / "source")
    source = open_checkpoint(folder / "source")
    (folder / "tf1").mkdir()
    write(folder / "tf1", source)
    return largest_difference(source, read(folder / "tf1"))


def against_keras_hub(family, head, folder):
    """KerasHub's numbers of a model of ours that it can express, or `None` where it has no such model."""
    import keras

    from keras_bert_suite import config
    from keras_bert_suite.checkpoints import from_model
    from keras_bert_suite.checkpoints.keras_hub import write_keras_hub
    from keras_bert_suite.checkpoints.keras_hub_families import FAMILIES as NAMES
    from keras_bert_suite.checkpoints.keras_hub_families import MASKED_LM_EPSILON
    from keras_bert_suite.checkpoints.keras_hub_outputs import keras_hub_outputs
    from keras_bert_suite.checkpoints.model import build_with_head
    from keras_bert_suite.models import build_encoder
    from tests.support.families import difference, predict

    if family not in NAMES or (head is not None and head not in NAMES[family].heads):
        return None
    hub = NAMES[family]
    base = config.FAMILIES[family]
    sizes = {"vocabulary_size": 31, "hidden_dim": 12, "num_layers": 3, "num_heads": 3, "intermediate_dim": 20}
    forms = {**base.to_dict()["heads"], "masked_lm_epsilon": MASKED_LM_EPSILON}
    if hub.masked_lm_activation:
        forms["masked_lm_activation"] = hub.masked_lm_activation
    chosen = base.replace(**sizes, max_length=19, heads=forms, **hub.built_in)
    model = build_encoder(chosen) if head is None else build_with_head(chosen, head, num_labels=5)
    rng = np.random.default_rng(5)
    for variable in model.weights:
        variable.assign(0.3 * rng.standard_normal(variable.shape) + ("gamma" in variable.path))
    folder.mkdir()
    write_keras_hub(folder, from_model(model))
    mask = (np.arange(11) < np.array([11, 8, 5, 1])[:, None]).astype("int32")
    inputs = {
        "token_ids": np.where(mask, rng.integers(6, 31, mask.shape), chosen.pad_token_id).astype("int32"),
        "segment_ids": (rng.integers(0, max(chosen.num_segments, 1), mask.shape) * mask).astype("int32"),
        "padding_mask": mask,
    }
    ours, theirs = predict(model, inputs), keras_hub_outputs(folder, inputs, head)
    if isinstance(ours, dict):
        gaps = [difference(ours[name], theirs[name], mask) for name in ours if name in theirs]
    else:
        gaps = [difference(ours, keras.tree.flatten(theirs)[0], mask)]
    return max(gaps)


def one_backend():
    """Measure every cell on this process' backend: lines of JSON."""
    for family in FAMILIES:
        for head in HEADS:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(family, head, Path(folder))
            if found:
                print(json.dumps({"family": family, "head": head, **found}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", action="store_true", help="only on KERAS_BACKEND, as JSON lines")
    if parser.parse_args().one:
        one_backend()
        return
    largest = {}
    for backend in BACKENDS:
        command = [sys.executable, __file__, "--one"]
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        for row in map(json.loads, done.stdout.splitlines()):
            cell = largest.setdefault((row["family"], row["head"]), {})
            for name in FORMATS:
                if name in row:
                    cell[name] = max(cell.get(name, 0.0), row[name])
    print("| Family | Head | Hugging Face | TF1 | KerasHub |\n|---|---|---|---|---|")
    for (family, head), cell in largest.items():
        shown = " | ".join(f"{cell[name]:.1e}" if name in cell else "" for name in FORMATS)
        print(f"| {family} | {(head or 'encoder').replace('_', ' ')} | {shown} |")


if __name__ == "__main__":
    main()
