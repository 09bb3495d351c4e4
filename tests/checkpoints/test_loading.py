"""Loading: what files there may be, of what type, what is new, what is left aside, and what memory it takes."""

import concurrent.futures
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_bert_suite.checkpoints import load_encoder, load_model, open_checkpoint, save_encoder, save_model
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.errors import CheckpointError
from tests.support.families import difference, make_inputs, make_model, outside, predict, torch, transformers
from tests.support.layer_checks import numpy_of
from tests.support.selection import slow_to_compile

TOLERANCE = 1e-5
ROOT = Path(__file__).resolve().parents[2]


def weights_of(model):
    return {weight.path: numpy_of(weight) for weight in model.weights}


def check_same(one, other):
    """Assert that two models have the same weights, bit for bit."""
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    assert [path for path in one if one[path].tobytes() != other[path].tobytes()] == []


def configure(directory, **changes):
    """Change entries of config.json; `None` takes one out."""
    path = directory / "config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}), encoding="utf-8")


def rewrite(directory, change):
    """Rewrite the weights of a directory as what `change(weights)` returns."""
    weights = change(safetensors.numpy.load_file(directory / "model.safetensors"))
    safetensors.numpy.save_file(weights, directory / "model.safetensors")


def saved(directory, variant="bert", ending="Model", **changes):
    model = make_model(variant, ending, **changes)
    model.save_pretrained(directory)
    return model


# Files


@pytest.mark.parametrize("variant", ["bert", "modernbert"])
def test_shards_of_transformers(variant, tmp_path):
    theirs = saved(tmp_path / "whole", variant)
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="4KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    check_same(load_encoder(tmp_path / "shards"), load_encoder(tmp_path / "whole"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_alone(zipped, tmp_path):
    theirs = saved(tmp_path / "whole", ending="ForSequenceClassification")
    theirs.config.save_pretrained(tmp_path / "torch")
    path = tmp_path / "torch" / "pytorch_model.bin"
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
    model = load_model(tmp_path / "torch", "text_classifier")
    check_same(model, load_model(tmp_path / "whole", "text_classifier"))


def test_shards_of_torch_files(tmp_path):
    theirs = saved(tmp_path / "whole")
    theirs.config.save_pretrained(tmp_path / "torch")
    state = theirs.state_dict()
    names = [f"pytorch_model-0000{number}-of-00003.bin" for number in (1, 2, 3)]
    weight_map = {key: names[index % 3] for index, key in enumerate(state)}
    for name in names:
        part = {key: value for key, value in state.items() if weight_map[key] == name}
        torch.save(part, tmp_path / "torch" / name)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (tmp_path / "torch" / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
    check_same(load_encoder(tmp_path / "torch"), load_encoder(tmp_path / "whole"))
    (tmp_path / "torch" / names[1]).unlink()
    with pytest.raises(CheckpointError, match=rf"{names[1]}.*is missing\. Download the whole checkpoint again"):
        load_encoder(tmp_path / "torch")


def test_safetensors_come_before_a_torch_file(tmp_path):
    saved(tmp_path / "model")
    expected = load_encoder(tmp_path / "model")
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"never read")
    check_same(load_encoder(tmp_path / "model"), expected)


@pytest.mark.parametrize("variant", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_old_names_and_no_model_type(variant, tmp_path):
    """Files of 2018: gamma and beta, no prefix, and no model_type beside the name of the class."""
    theirs = saved(tmp_path / "model", variant, "ForMaskedLM")
    expected = load_model(tmp_path / "model", "masked_lm")
    norms = {name for name, module in theirs.named_modules() if isinstance(module, torch.nn.LayerNorm)}

    def old(key):
        layer, _, kind = key.rpartition(".")
        kind = {"weight": "gamma", "bias": "beta"}[kind] if layer in norms else kind
        return f"{layer}.{kind}".removeprefix(f"{theirs.base_model_prefix}.")

    rewrite(tmp_path / "model", lambda weights: {old(key): array for key, array in weights.items()})
    configure(tmp_path / "model", model_type=None)
    assert open_checkpoint(tmp_path / "model").config.family == variant
    check_same(load_model(tmp_path / "model", "masked_lm"), expected)


# Types


@pytest.mark.parametrize("stored", ["bfloat16", "float16"])
@pytest.mark.parametrize("variant", ["bert", "modernbert"])
def test_narrow_files_keep_their_type(variant, stored, tmp_path):
    theirs = make_model(variant, "ForMaskedLM").to(getattr(torch, stored))
    theirs.save_pretrained(tmp_path / "theirs")
    assert open_checkpoint(tmp_path / "theirs").dtype == stored
    model = load_model(tmp_path / "theirs", "masked_lm", dtype="auto")
    assert {weight.dtype for weight in model.weights if weight.path.startswith(("block", "embed"))} == {stored}
    save_model(model, tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))["dtype"] == stored
    again, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True, dtype="auto")
    assert not any(report.values()), report
    assert again.dtype == theirs.dtype
    state = again.state_dict()
    assert [key for key, value in theirs.state_dict().items() if not torch.equal(value, state[key])] == []


@pytest.mark.parametrize("variant", ["bert", "albert", "modernbert"])
def test_narrow_files_in_float32_are_transformers_numbers(variant, tmp_path):
    make_model(variant, "ForSequenceClassification").to(torch.bfloat16).save_pretrained(tmp_path / "model")
    kind = transformers.AutoModelForSequenceClassification
    theirs = kind.from_pretrained(tmp_path / "model", dtype=torch.float32, attn_implementation="eager").eval()
    inputs = make_inputs(theirs)
    model = load_model(tmp_path / "model", "text_classifier")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert difference(predict(model, inputs), outside(theirs, inputs), inputs["padding_mask"]) <= TOLERANCE


# Heads, labels and what has no place


def test_a_head_of_another_size(tmp_path, caplog):
    saved(tmp_path / "model", ending="ForSequenceClassification")  # five labels
    with pytest.raises(CheckpointError, match=r"its head has 5 outputs.*num_labels=3\..*replace_head=True"):
        load_model(tmp_path / "model", "text_classifier", num_labels=3)
    assert load_model(tmp_path / "model", "text_classifier", num_labels=5).output.shape == (None, 5)
    model = load_model(tmp_path / "model", "text_classifier", num_labels=3, replace_head=True)
    assert model.output.shape == (None, 3)
    assert np.isfinite(numpy_of(model.get_layer("classifier").kernel)).all()
    assert caplog.records == []  # it is what was asked for


@pytest.mark.parametrize(
    ("variant", "ending", "head", "new"),
    [
        ("bert", "ForMaskedLM", "text_classifier", "no classifier and no pooler"),
        ("roberta", "ForTokenClassification", "text_classifier", "no classifier and no head"),
        ("distilbert", "ForQuestionAnswering", "token_classifier", "no classifier"),
        ("electra", "ForSequenceClassification", "question_answering", "no answers"),
        ("modernbert", "ForMaskedLM", "text_classifier", "no classifier"),
    ],
)
def test_another_kind_of_head_gives_a_new_one(variant, ending, head, new, tmp_path, caplog):
    saved(tmp_path / "model", variant, ending)
    options = {"num_labels": 2} if head.endswith("classifier") else {}
    model = load_model(tmp_path / "model", head, **options)
    (record,) = caplog.records
    assert new in record.getMessage()
    assert str(tmp_path / "model") in record.getMessage()
    assert "\n" not in record.getMessage()
    layer = model.get_layer("answers" if head == "question_answering" else "classifier")
    assert np.abs(numpy_of(layer.kernel)).max() > 0
    assert np.abs(numpy_of(layer.bias)).max() == 0


def test_a_new_classifier_needs_a_size(tmp_path):
    saved(tmp_path / "model", ending="ForMaskedLM")
    with pytest.raises(ValueError, match="num_labels is needed"):
        load_model(tmp_path / "model", "text_classifier")


def test_someones_own_head_is_left_aside(tmp_path, caplog):
    saved(tmp_path / "model")
    expected = load_encoder(tmp_path / "model")
    own = {"regressor.0.weight": np.ones((3, 12), "float32"), "regressor.0.bias": np.zeros(3, "float32")}
    rewrite(tmp_path / "model", lambda weights: {f"bert.{key}": array for key, array in weights.items()} | own)
    with caplog.at_level(logging.WARNING):
        check_same(load_encoder(tmp_path / "model"), expected)
    (record,) = caplog.records
    assert record.getMessage() == f"{tmp_path / 'model'}: left aside regressor.0.bias; regressor.0.weight."


def test_a_missing_pooler_is_said_in_one_line(tmp_path, caplog):
    make_model("bert", "ForMaskedLM").save_pretrained(tmp_path / "model")
    load_encoder(tmp_path / "model")
    (record,) = caplog.records
    assert record.getMessage() == f"{tmp_path / 'model'} has no pooler: starting from new weights there."


def test_untied_embeddings(tmp_path):
    theirs = saved(tmp_path / "theirs", ending="ForMaskedLM", tie_word_embeddings=False)
    assert not open_checkpoint(tmp_path / "theirs").tied
    model = load_model(tmp_path / "theirs", "masked_lm")
    kernel = numpy_of(next(weight for weight in model.weights if weight.path == "masked_lm/kernel"))
    assert np.array_equal(kernel.T, theirs.cls.predictions.decoder.weight.detach().numpy())
    save_model(model, tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))["tie_word_embeddings"] is False
    check_same(load_model(tmp_path / "ours", "masked_lm"), model)


def test_labels_survive(tmp_path):
    names = ["no", "größe", "中文", "a b", "yes"]
    saved(tmp_path / "first", ending="ForTokenClassification")
    configure(tmp_path / "first", id2label={str(index): name for index, name in enumerate(names)}, label2id=None)
    checkpoint = open_checkpoint(tmp_path / "first")
    assert checkpoint.labels == names
    save_model(load_model(tmp_path / "first", "token_classifier"), tmp_path / "second", labels=names)
    assert open_checkpoint(tmp_path / "second").labels == names
    there = transformers.AutoConfig.from_pretrained(tmp_path / "second")
    assert there.id2label == dict(enumerate(names))
    assert there.label2id == {name: index for index, name in enumerate(names)}


@pytest.mark.parametrize("variant", ["bert", "roberta", "albert", "electra", "distilbert"])
def test_what_config_json_says_besides_survives(variant, tmp_path):
    saved(tmp_path / "first", variant, "ForSequenceClassification")
    own = {"my_team": {"a": [1, None, "ü"]}, "use_cache": False, "problem_type": "single_label_classification"}
    configure(tmp_path / "first", **own)
    (tmp_path / "second").mkdir()
    write_hugging_face(tmp_path / "second", open_checkpoint(tmp_path / "first"))
    first, second = (
        json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8")) for name in ("first", "second")
    )
    assert {key: value for key, value in first.items() if second.get(key, ...) != value} == {}
    files = [safetensors.numpy.load_file(tmp_path / name / "model.safetensors") for name in ("first", "second")]
    assert files[0].keys() == files[1].keys()
    assert all(np.array_equal(files[0][key], files[1][key]) for key in files[0])


# What would compute something else


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("bert", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}),
        ("bert", {"position_embedding_type": "relative_key"}),
        ("roberta", {"position_embedding_type": "relative_key_query"}),
        ("bert", {"is_decoder": True}),
        ("bert", {"add_cross_attention": True}),
        ("bert", {"pruned_heads": {"0": [1]}}),
        ("electra", {"is_decoder": True}),
        ("albert", {"inner_group_num": 2}),
        ("modernbert", {"decoder_bias": False}),
        ("modernbert", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 2.0}}}),
        ("modernbert", {"classifier_pooling": "max"}),
        ("modernbert", {"layer_types": ["sliding_attention"] * 5}),
    ],
)
def test_what_is_not_supported_is_refused_by_name(variant, changes, tmp_path):
    saved(tmp_path / "model", variant)
    configure(tmp_path / "model", **changes)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path / "model")
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "model" / "config.json"))
    assert next(iter(changes)) in message
    assert "\n" not in message


# Threads and memory


def test_two_threads_at_once(tmp_path):
    theirs = saved(tmp_path / "bert"), saved(tmp_path / "modernbert", "modernbert")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(load_encoder, [tmp_path / "bert", tmp_path / "modernbert"] * 3))
    for encoder, model in zip(encoders, theirs * 3, strict=True):
        inputs = make_inputs(model)
        expected = outside(model, inputs).last_hidden_state
        assert difference(predict(encoder, inputs)["sequence_output"], expected, inputs["padding_mask"]) <= TOLERANCE


MEMORY = """
import resource, sys
import keras_bert_suite as kbs

tiny, large = sys.argv[1:]
kbs.load_encoder(tiny)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encoder = kbs.load_encoder(large)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, 4 * encoder.count_params())
"""


@slow_to_compile
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is counted in KiB on Linux alone")
def test_the_peak_of_memory_is_little_more_than_the_weights(tmp_path):
    """Arrays are read one by one, and no weight is drawn, read and converted at the same time."""
    import keras_bert_suite as kbs

    sizes = {"num_heads": 4, "num_layers": 8, "vocabulary_size": 6000, "max_length": 64}
    for name, hidden in (("tiny", 32), ("large", 384)):
        config = kbs.EncoderConfig(hidden_dim=hidden, intermediate_dim=4 * hidden, **sizes)
        save_encoder(kbs.models.build_encoder(config), tmp_path / name)
    assert (tmp_path / "large" / "model.safetensors").stat().st_size > 60e6
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), tmp_path / "tiny", tmp_path / "large"]
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    grown, weights = map(int, run.stdout.split()[-2:])
    assert grown < 1.5 * weights, f"{grown / weights:.2f} times the weights"
