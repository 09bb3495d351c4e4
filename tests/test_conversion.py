"""Every family through every format and back: bit for bit, and opened by the libraries whose formats they are."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_bert_suite import conversion
from keras_bert_suite.checkpoints import open_checkpoint
from keras_bert_suite.checkpoints.sentence_transformers import read_modules
from keras_bert_suite.conversion import convert_checkpoint
from keras_bert_suite.errors import ArtifactError, CheckpointError, DataError
from keras_bert_suite.text import load_tokenizer
from tests.support.families import make_model, outside
from tests.support.hub_server import HubServer, Repository
from tests.text.small_models import byte_pair, write_family

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
FAMILIES = (
    "bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra", "modernbert",
)  # fmt: skip
WORDS = "the a food place was one not at all it good great fine bad awful poor , . ! ##s ##ly c ##a ##t he"
WORD_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
TEXTS = ["the food was good , not bad .", "a great place", "", "It was awful! the cat"]
CLASSIFIER = "ForSequenceClassification"

#: What KerasHub has built in, in the words of each family's config.json.
KERAS_HUB_VALUES = {
    "bert": {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-12, "attention_probs_dropout_prob": 0.2},
    "roberta": {"layer_norm_eps": 1e-5, "attention_probs_dropout_prob": 0.2},
    "xlm-roberta": {"layer_norm_eps": 1e-5, "attention_probs_dropout_prob": 0.2},
    "distilbert": {"attention_dropout": 0.2},
    "albert": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-12, "attention_probs_dropout_prob": 0.2},
    "electra": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-12, "attention_probs_dropout_prob": 0.2},
}


# Sources ---------------------------------------------------------------------------------


def write_tokenizer(directory, family):
    """Write a family's usual tokenizer, as transformers saves it, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    if family == "modernbert":
        tokenizer = _modernbert_tokenizer()
    elif family in ("bert", "distilbert", "electra"):
        vocabulary = directory / "vocab.txt"
        vocabulary.write_text("".join(f"{word}\n" for word in WORD_PIECES), encoding="utf-8")
        tokenizer = transformers.BertTokenizerFast.from_pretrained(directory, model_max_length=17)
        vocabulary.unlink()
    else:
        folder = directory / "files"
        folder.mkdir()
        tokenizer = transformers.AutoTokenizer.from_pretrained(write_family(folder, family, model_max_length=17))
        shutil.rmtree(folder)
    tokenizer.save_pretrained(directory)
    return tokenizer


def _modernbert_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    vocab, merges = byte_pair()
    vocab = {token: index for index, token in enumerate(token for token in vocab if token[0] != "<" or token == "<")}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer.add_special_tokens(names)
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    roles = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), names, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=17, **roles)


def write_source(directory, family="bert", ending=CLASSIFIER, dtype="float32", keras_hub=False, **changes):
    """Write a random model with its tokenizer, as transformers saves them, and return the model."""
    tokenizer = write_tokenizer(directory, family)
    values = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    model = make_model(family, ending, **{**values, **(KERAS_HUB_VALUES[family] if keras_hub else {}), **changes})
    if ending in (CLASSIFIER, "ForTokenClassification"):
        model.config.id2label = {index: f"größe {index}" for index in range(5)}
        model.config.label2id = {f"größe {index}": index for index in range(5)}
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    return model


def edit(path, **changes):
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.fixture
def unchecked(monkeypatch):
    """Leave out the comparison of outputs, which costs seconds, where a test compares the weights themselves."""
    monkeypatch.setattr(conversion, "largest_difference", lambda one, other: 0.0)


# What must be the same -------------------------------------------------------------------


def files(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def weights_of(directory):
    """Every weight of a checkpoint, read."""
    return {path: array.read() for path, array in open_checkpoint(directory).weights.items()}


def assert_same_weights(one, other, but=()):
    ours, theirs = weights_of(one), weights_of(other)
    assert ours.keys() - set(but) == theirs.keys() - set(but)
    for path in ours.keys() - set(but):
        assert ours[path].dtype == theirs[path].dtype, path
        assert ours[path].tobytes() == theirs[path].tobytes(), path


#: Entries of config.json that say who wrote it, and where the class's own default stands for absence.
UNSAID = {"_name_or_path", "transformers_version", "problem_type"}


def assert_same_there(model, directory):
    """`transformers` opens the directory as it does the source: class, config and every bit of every weight."""
    again, report = type(model).from_pretrained(
        directory, output_loading_info=True, attn_implementation="eager", dtype="auto"
    )
    assert not any(report.values()), report
    found, expected = again.state_dict(), model.state_dict()
    assert found.keys() == expected.keys()
    assert all(found[key].dtype == value.dtype and torch.equal(found[key], value) for key, value in expected.items())
    kept = {key: value for key, value in model.config.to_dict().items() if key not in UNSAID}
    assert {key: again.config.to_dict().get(key) for key in kept} == kept
    return again


def inputs_of(model, count=4, length=11):
    rng = np.random.default_rng(5)
    shape = (count, length)
    token_ids = rng.integers(5, model.config.vocab_size, shape)
    mask = (np.arange(length) < np.array([11, 8, 3, 1])[:, None]).astype(int)
    token_ids = np.where(
        mask, np.where(token_ids == model.config.pad_token_id, 5, token_ids), model.config.pad_token_id
    )
    return {"token_ids": token_ids, "segment_ids": np.zeros(shape, int), "padding_mask": mask}


def assert_same_tokens(directory, source):
    """The tokenizer gives the ids of the source's own, here and in transformers."""
    expected = transformers.AutoTokenizer.from_pretrained(source)
    there = transformers.AutoTokenizer.from_pretrained(directory)
    ours = load_tokenizer(directory)
    for text in TEXTS:
        assert there(text)["input_ids"] == expected(text)["input_ids"]
        assert there(text, "a place")["input_ids"] == expected(text, "a place")["input_ids"]
        assert ours([text])["token_ids"][0].tolist() == expected(text)["input_ids"]
    assert there.special_tokens_map == expected.special_tokens_map
    assert there.model_max_length == expected.model_max_length == 17


# Every family ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_hugging_face(family, tmp_path):
    model = write_source(tmp_path / "source", family)
    done = convert_checkpoint(tmp_path / "source", tmp_path / "target")
    assert (done.source_format, done.target_format) == ("huggingface", "huggingface")
    assert (done.heads, done.dtype, done.difference, done.tokenizer) == (("text_classifier",), "float32", 0.0, True)
    assert_same_there(model, tmp_path / "target")
    assert_same_tokens(tmp_path / "target", tmp_path / "source")
    assert_same_weights(tmp_path / "source", tmp_path / "target")


@pytest.mark.parametrize("family", FAMILIES)
def test_sentence_transformers_and_back(family, tmp_path, unchecked):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = write_source(tmp_path / "source", family)
    convert_checkpoint(tmp_path / "source", tmp_path / "target", "sentence-transformers", pooling="max")
    opened = sentence_transformers.SentenceTransformer(str(tmp_path / "target"), device="cpu", local_files_only=True)
    assert opened.max_seq_length == 17
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "source")
    texts = TEXTS[:2] + TEXTS[3:]
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model.base_model(**batch).last_hidden_state
    expected = hidden.masked_fill(batch["attention_mask"][..., None] == 0, -np.inf).amax(dim=1).numpy()
    np.testing.assert_allclose(opened.encode(texts), expected, atol=TOLERANCE)
    assert_same_tokens(tmp_path / "target", tmp_path / "source")
    convert_checkpoint(tmp_path / "target", tmp_path / "back")
    assert_same_there(model, tmp_path / "back")
    assert not (tmp_path / "back" / "modules.json").exists()


@pytest.mark.parametrize(
    ("ending", "heads"),
    [
        ("Model", ()),
        ("ForPreTraining", ("masked_lm", "next_sentence")),
        (CLASSIFIER, ("text_classifier",)),
        ("ForQuestionAnswering", ("question_answering",)),
    ],
)
def test_tf1_and_back(ending, heads, tmp_path, unchecked):
    model = write_source(tmp_path / "source", "bert", ending, layer_norm_eps=1e-12)
    done = convert_checkpoint(tmp_path / "source", tmp_path / "tf1", "tf1")
    assert (done.target_format, done.heads) == ("tf1", heads)
    assert (tmp_path / "tf1" / "vocab.txt").read_text(encoding="utf-8").split() == WORD_PIECES
    assert_same_weights(tmp_path / "source", tmp_path / "tf1")
    done = convert_checkpoint(tmp_path / "tf1", tmp_path / "back")
    assert (done.source_format, done.heads) == ("tf1", heads)
    assert_same_there(model, tmp_path / "back")
    assert_same_tokens(tmp_path / "back", tmp_path / "source")


@pytest.mark.tensorflow
@pytest.mark.parametrize("family", KERAS_HUB_VALUES)
def test_keras_hub_and_back(family, tmp_path, unchecked):
    keras_hub = pytest.importorskip("keras_hub")
    pytest.importorskip("tensorflow_text")
    ending = "Model" if family == "electra" else CLASSIFIER
    model = write_source(tmp_path / "source", family, ending, keras_hub=True)
    convert_checkpoint(tmp_path / "source", tmp_path / "hub", "kerashub")
    inputs = inputs_of(model)
    given = {name: inputs[name].astype("int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    if family in ("roberta", "xlm-roberta", "distilbert"):
        del given["segment_ids"]
    if family == "electra":
        opened = keras_hub.models.Backbone.from_preset(str(tmp_path / "hub"))
        found, expected = opened.predict_on_batch(given)["sequence_output"], outside(model, inputs).last_hidden_state
        found, expected = (np.asarray(values)[inputs["padding_mask"] == 1] for values in (found, expected))
    else:
        opened = keras_hub.models.TextClassifier.from_preset(str(tmp_path / "hub"), preprocessor=None)
        found, expected = opened.predict_on_batch(given), outside(model, inputs)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    tokenizer = keras_hub.models.Tokenizer.from_preset(str(tmp_path / "hub"))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "source")
    for text in ("the food was good", "a great place"):
        ids = np.asarray(tokenizer(text)).tolist()
        assert ids == theirs(text, add_special_tokens=False)["input_ids"]

    drop = ("pooler",) if family == "electra" else ()  # KerasHub's ELECTRA has one, transformers' has not.
    convert_checkpoint(tmp_path / "hub", tmp_path / "back", drop=drop)
    position, segment = "embeddings/position/embeddings", "embeddings/segment/embeddings"
    folded = (position, segment) if family in ("roberta", "xlm-roberta") else ()
    assert_same_weights(tmp_path / "source", tmp_path / "back", but=folded)
    if folded:  # Their only segment became a part of the positions.
        before, after = weights_of(tmp_path / "source"), weights_of(tmp_path / "back")
        assert not after[segment].any()
        rows = slice(model.config.pad_token_id + 1, None)
        np.testing.assert_array_equal(after[position][rows], before[position][rows] + before[segment])
    if ending == CLASSIFIER:
        assert open_checkpoint(tmp_path / "back").labels == [f"größe {index}" for index in range(5)]
        again = type(model).from_pretrained(tmp_path / "back", attn_implementation="eager").eval()
        np.testing.assert_allclose(outside(again, inputs), outside(model, inputs), atol=TOLERANCE)


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_tokens_and_pairs_of_texts(family, tmp_path, unchecked):
    """Heads whose weights are called like those of another head of the family."""
    for ending in ("ForTokenClassification", "ForMultipleChoice", "ForMaskedLM"):
        model = write_source(tmp_path / ending, family, ending)
        convert_checkpoint(tmp_path / ending, tmp_path / f"{ending}-target")
        assert_same_there(model, tmp_path / f"{ending}-target")


# What must survive -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype, tmp_path, unchecked):
    model = write_source(tmp_path / "source", "bert", dtype=dtype, keras_hub=True)
    for to in ("sentence-transformers", "kerashub"):
        done = convert_checkpoint(tmp_path / "source", tmp_path / to, to)
        assert done.dtype == dtype
        assert_same_weights(tmp_path / "source", tmp_path / to)
        convert_checkpoint(tmp_path / to, tmp_path / f"{to}-back")
        assert_same_weights(tmp_path / "source", tmp_path / f"{to}-back")
    assert_same_there(model, tmp_path / "sentence-transformers-back")


def test_tf1_widens(tmp_path, caplog, unchecked):
    write_source(tmp_path / "source", dtype="bfloat16", layer_norm_eps=1e-12)
    assert convert_checkpoint(tmp_path / "source", tmp_path / "tf1", "tf1").dtype == "float32"
    assert "bfloat16 is widened" in caplog.text
    wide, narrow = weights_of(tmp_path / "tf1"), weights_of(tmp_path / "source")
    assert all(np.array_equal(wide[path], narrow[path].astype("float32")) for path in narrow)


@pytest.mark.parametrize("activation", ["gelu_pytorch_tanh", "gelu_fast", "swish", "gelu_python"])
def test_the_spelling_of_the_activation_and_what_else_the_config_says(activation, tmp_path, unchecked):
    write_source(tmp_path / "source", hidden_act=activation)
    edit(tmp_path / "source" / "config.json", finetuning_task="größe", my_list=[1, {"a": None}])
    convert_checkpoint(tmp_path / "source", tmp_path / "st", "sentence-transformers")
    convert_checkpoint(tmp_path / "st", tmp_path / "back")
    before, after = (
        json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8")) for name in ("source", "back")
    )
    assert {key: after[key] for key in before} == before


def test_tokens_of_ones_own(tmp_path, unchecked):
    tokenizer = write_tokenizer(tmp_path / "source", "bert")
    tokenizer.add_special_tokens({"additional_special_tokens": ["[E1]", "[E2]"]})
    tokenizer.add_tokens(["wörd"])
    write_source(tmp_path / "model", vocab_size=len(tokenizer))
    tokenizer.save_pretrained(tmp_path / "model")
    convert_checkpoint(tmp_path / "model", tmp_path / "target")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "target")
    text = "a [E1] wörd[E2] place"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.all_special_tokens == tokenizer.all_special_tokens
    assert len(again) == len(tokenizer)


def test_a_damaged_tokenizer_is_refused_and_can_be_left_behind(tmp_path, unchecked):
    write_source(tmp_path / "source")
    (tmp_path / "source" / "tokenizer.json").write_text('{"model": ', encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert not convert_checkpoint(tmp_path / "source", tmp_path / "target", drop=("tokenizer",)).tokenizer


def test_heads_that_the_class_leaves_aside(tmp_path, unchecked):
    """bert-base-uncased is a BertForMaskedLM whose file has the head for next sentences too."""
    model = write_source(tmp_path / "source", "bert", "ForPreTraining", layer_norm_eps=1e-12)
    edit(tmp_path / "source" / "config.json", architectures=["BertForMaskedLM"])
    assert open_checkpoint(tmp_path / "source").heads == ("masked_lm",)
    for to in ("huggingface", "tf1"):
        done = convert_checkpoint(tmp_path / "source", tmp_path / to, to)
        assert done.heads == ("masked_lm", "next_sentence")
        assert_same_weights(tmp_path / "source", tmp_path / to)
    assert_same_there(model, tmp_path / "huggingface")
    done = convert_checkpoint(tmp_path / "source", tmp_path / "one", drop=("next_sentence",))
    assert done.heads == ("masked_lm",)


def test_a_source_without_tokenizer(tmp_path, caplog):
    model = write_source(tmp_path / "source", "distilbert")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "source" / name).unlink()
    done = convert_checkpoint(tmp_path / "source", tmp_path / "target")
    assert not done.tokenizer
    [record] = [record for record in caplog.records if record.name.startswith("keras_bert_suite")]
    assert record.getMessage().startswith("no tokenizer goes along: ")
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["config.json", "model.safetensors"]
    assert_same_there(model, tmp_path / "target")


# Leaving out and casting -----------------------------------------------------------------


def test_dropping_parts(tmp_path, unchecked):
    write_source(tmp_path / "source", "bert", "ForPreTraining")
    everything = weights_of(tmp_path / "source")
    done = convert_checkpoint(tmp_path / "source", tmp_path / "a", drop=("masked_lm", "next_sentence"))
    assert done.heads == ()
    assert any(path.startswith("pooler/") for path in weights_of(tmp_path / "a"))
    done = convert_checkpoint(tmp_path / "source", tmp_path / "b", drop=["pooler", "next_sentence"])
    assert done.heads == ("masked_lm",)
    dropped = ("pooler/", "next_sentence/")
    assert weights_of(tmp_path / "b").keys() == {path for path in everything if not path.startswith(dropped)}
    architectures = [
        json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8"))["architectures"] for name in "ab"
    ]
    assert architectures == [["BertModel"], ["BertForMaskedLM"]]


def test_dropping_a_classifier_drops_its_labels(tmp_path, unchecked):
    write_source(tmp_path / "source")
    convert_checkpoint(tmp_path / "source", tmp_path / "target", drop=("text_classifier",))
    assert open_checkpoint(tmp_path / "target").labels is None


@pytest.mark.parametrize(
    ("ending", "drop", "message"),
    [
        (CLASSIFIER, ("pooler",), "the pooler must stay, because its text_classifier reads it"),
        ("ForPreTraining", ("pooler",), "because its next_sentence reads it"),
        (CLASSIFIER, ("masked_lm",), "drop must be one of 'pooler', 'tokenizer', 'text_classifier'"),
    ],
)
def test_parts_that_cannot_be_dropped(ending, drop, message, tmp_path):
    write_source(tmp_path / "source", "bert", ending)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / "source", tmp_path / "target", drop=drop)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_casting(dtype, tmp_path):
    write_source(tmp_path / "source", "electra")
    done = convert_checkpoint(tmp_path / "source", tmp_path / "target", dtype=dtype)
    assert done.dtype == dtype
    assert 0 < done.difference < conversion.ROUNDING[dtype]
    again = transformers.AutoModel.from_pretrained(tmp_path / "target", dtype="auto")
    assert {str(value.dtype) for value in again.state_dict().values()} == {f"torch.{dtype}"}
    ours, wide = weights_of(tmp_path / "target"), weights_of(tmp_path / "source")
    assert all(np.array_equal(ours[path], wide[path].astype(ours[path].dtype)) for path in wide)


def test_casting_reaches_the_few_weights_of_another_type(tmp_path, unchecked):
    model = write_source(tmp_path / "source")
    model.classifier.half()
    model.save_pretrained(tmp_path / "source")
    assert open_checkpoint(tmp_path / "source").dtype == "float32"
    convert_checkpoint(tmp_path / "source", tmp_path / "target", dtype="float32")
    assert {array.dtype.name for array in weights_of(tmp_path / "target").values()} == {"float32"}


def test_casting_what_is_too_large(tmp_path):
    model = write_source(tmp_path / "source", "bert", "Model")
    with torch.no_grad():
        model.embeddings.LayerNorm.weight[0] = 1e6
    model.save_pretrained(tmp_path / "source")
    with pytest.raises(CheckpointError, match="embeddings/norm/gamma has numbers that are too large for float16"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target", dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# Refusals --------------------------------------------------------------------------------

REFUSED = [
    ("bert", CLASSIFIER, {}, "tf1", "cannot express layer_norm_epsilon=0.001"),
    ("bert", "ForTokenClassification", {"layer_norm_eps": 1e-12}, "tf1", "cannot express head token_classifier"),
    ("bert", "Model", {"layer_norm_eps": 1e-12, "hidden_act": "silu"}, "tf1", "cannot express activation=silu"),
    ("bert", "ForMaskedLM", {"layer_norm_eps": 1e-12, "tie_word_embeddings": False}, "tf1", "an untied masked"),
    ("roberta", "Model", {}, "tf1", "cannot express family=roberta"),
    ("camembert", "Model", {}, "kerashub", "family of KerasHub must be one of .* Received: camembert"),
    ("modernbert", "Model", {}, "kerashub", "family of KerasHub must be one of .* Received: modernbert"),
    ("bert", "ForQuestionAnswering", {}, "kerashub", "KerasHub's Bert has one head"),
    ("bert", "Model", {"hidden_act": "relu", "layer_norm_eps": 1e-12}, "kerashub", "cannot express.*activation='relu'"),
]


@pytest.mark.parametrize(("family", "ending", "values", "to", "message"), REFUSED)
def test_what_a_target_cannot_express(family, ending, values, to, message, tmp_path):
    write_source(tmp_path / "source", family, ending, **values)
    before = files(tmp_path / "source")
    with pytest.raises(CheckpointError, match=message) as raised:
        convert_checkpoint(tmp_path / "source", tmp_path / "new" / "target", to)
    assert "\n" not in str(raised.value)
    assert files(tmp_path / "source") == before
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_target_that_is_there_stays_as_it_was(overwrite, tmp_path, unchecked):
    write_source(tmp_path / "source", "roberta", "Model")
    (tmp_path / "target" / "deep").mkdir(parents=True)
    (tmp_path / "target" / "deep" / "mine.txt").write_text("mine", encoding="utf-8")
    before = files(tmp_path)
    with pytest.raises(CheckpointError if overwrite else FileExistsError):
        convert_checkpoint(tmp_path / "source", tmp_path / "target", "tf1", overwrite=overwrite)
    assert files(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    if overwrite:
        convert_checkpoint(tmp_path / "source", tmp_path / "target", overwrite=True)
        assert not (tmp_path / "target" / "deep").exists()


def test_onto_itself(tmp_path, unchecked):
    model = write_source(tmp_path / "source")
    convert_checkpoint(tmp_path / "source", tmp_path / "source", overwrite=True)
    assert_same_there(model, tmp_path / "source")


def test_a_tokenizer_that_a_target_cannot_express(tmp_path, unchecked):
    write_source(tmp_path / "source", "bert", keras_hub=True)
    content = json.loads((tmp_path / "source" / "tokenizer.json").read_text(encoding="utf-8"))
    content["pre_tokenizer"] = {"type": "Whitespace"}
    edit(tmp_path / "source" / "tokenizer.json", **content)
    with pytest.raises(DataError, match="cannot express the pre-tokenizer Whitespace"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target", "kerashub")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_weights_that_belong_nowhere(tmp_path):
    from safetensors.torch import load_file, save_file

    write_source(tmp_path / "source")
    weights = load_file(tmp_path / "source" / "model.safetensors")
    save_file({**weights, "my_head.weight": torch.ones(2, 3)}, tmp_path / "source" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 weights belong to no head .* would be lost: my_head.weight"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "onnx"}, "to must be one of 'huggingface', 'tf1', 'kerashub', 'sentence-transformers'"),
        ({"dtype": "int8"}, "dtype must be one of None, 'float32'"),
        ({"pooling": "magic"}, "pooling must be one of None, 'mean', 'first', 'max'"),
    ],
)
def test_arguments(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path, tmp_path / "target", **options)


def test_numbers_that_differ(tmp_path, monkeypatch):
    write_source(tmp_path / "source", "bert", "Model")
    monkeypatch.setattr(conversion, "largest_difference", lambda one, other: 0.25)
    with pytest.raises(ArtifactError, match="differ from those of .*source by 0.25, more than the tolerance of 0.0001"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    assert convert_checkpoint(tmp_path / "source", tmp_path / "target", tolerance=0.3).difference == 0.25
    monkeypatch.setattr(conversion, "largest_difference", lambda one, other: float("nan"))
    with pytest.raises(ArtifactError, match="by nan"):
        convert_checkpoint(tmp_path / "source", tmp_path / "other")


def test_a_changed_weight_is_found(tmp_path):
    """The comparison itself: of every head, and of hidden states where there is none."""
    from safetensors.torch import load_file, save_file

    write_source(tmp_path / "source", "bert", "ForPreTraining")
    shutil.copytree(tmp_path / "source", tmp_path / "changed")
    path = tmp_path / "changed" / "model.safetensors"
    weights = load_file(path)
    weights["cls.seq_relationship.bias"][1] += 0.5
    save_file(weights, path, {"format": "pt"})
    one, other = (open_checkpoint(tmp_path / name) for name in ("source", "changed"))
    assert conversion.largest_difference(one, other) == pytest.approx(0.5, abs=1e-5)


def test_a_tolerance_lets_keras_hub_compute_with_its_own_gelu(tmp_path):
    write_source(tmp_path / "source", "bert", keras_hub=True, hidden_act="gelu")
    with pytest.raises(CheckpointError, match="activation='gelu', where it has 'gelu_tanh'. A tolerance above 1e-4"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target", "kerashub")
    with pytest.raises(ArtifactError, match="Nothing was written; a larger tolerance accepts it"):
        convert_checkpoint(tmp_path / "source", tmp_path / "target", "kerashub", tolerance=1.01e-4)
    done = convert_checkpoint(tmp_path / "source", tmp_path / "target", "kerashub", tolerance=0.05)
    assert 1e-5 < done.difference < 0.05
    assert open_checkpoint(tmp_path / "target").config.activation == "gelu_tanh"
    assert_same_weights(tmp_path / "source", tmp_path / "target")


# Sentence-transformers -------------------------------------------------------------------


def write_sentence_source(directory, old=False):
    """A sentence-transformers directory with a Dense module; `old`: its transformer in a folder."""
    from keras_bert_suite.checkpoints.arrays.stored import StoredArray
    from keras_bert_suite.checkpoints.sentence_transformers import Projection, SentenceModules, write_modules

    write_source(directory, "bert", "Model")
    kernel = np.random.default_rng(3).normal(size=(24, 5)).astype("float32")
    projection = Projection(StoredArray(kernel.shape, kernel.dtype, lambda: kernel), activation="tanh")
    modules = SentenceModules(
        hidden_dim=12, pooling=("first", "mean"), projections=(projection,), normalize=True, max_length=13,
        prompts={"query": "the "}, similarity="dot",
    )  # fmt: skip
    write_modules(directory, modules)
    if old:
        (directory / "0_Transformer").mkdir()
        for path in list(directory.iterdir()):
            if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
                path.rename(directory / "0_Transformer" / path.name)
        entries = json.loads((directory / "modules.json").read_text(encoding="utf-8"))
        entries[0]["path"] = "0_Transformer"
        (directory / "modules.json").write_text(json.dumps(entries), encoding="utf-8")
    return modules


@pytest.mark.parametrize("old", [False, True], ids=["root", "0_Transformer"])
def test_a_source_with_modules(old, tmp_path, caplog, unchecked):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    write_sentence_source(tmp_path / "source", old)
    done = convert_checkpoint(tmp_path / "source", tmp_path / "target", "sentence-transformers", dtype="float32")
    assert (done.source_format, done.tokenizer) == ("sentence-transformers", True)
    assert "no place" not in caplog.text
    before, after = (read_modules(tmp_path / name) for name in ("source", "target"))
    assert after.folder == ""
    for name in ("pooling", "normalize", "max_length", "prompts", "similarity"):
        assert getattr(after, name) == getattr(before, name)
    opened = [
        sentence_transformers.SentenceTransformer(str(tmp_path / name), device="cpu", local_files_only=True)
        for name in ("source", "target")
    ]
    one, other = (model.encode(TEXTS, prompt_name="query") for model in opened)
    assert one.shape == (4, 5)
    np.testing.assert_array_equal(one, other)

    convert_checkpoint(tmp_path / "source", tmp_path / "plain")
    assert "its pooling and what follows it have no place in huggingface" in caplog.text
    assert not (tmp_path / "plain" / "modules.json").exists()
    assert_same_weights(tmp_path / "source", tmp_path / "plain")
    assert_same_tokens(tmp_path / "plain", tmp_path / "source" / ("0_Transformer" if old else ""))


# From the Hub ----------------------------------------------------------------------------

END_TO_END = """
import json, sys
from keras_bert_suite import convert_checkpoint, inspect_checkpoint
done = convert_checkpoint("org/name", sys.argv[1], "sentence-transformers", revision="v1")
print(json.dumps([done._asdict(), inspect_checkpoint("org/name", revision="v1")]))
"""


def test_from_the_hub(tmp_path):
    model = write_source(tmp_path / "source")
    server = HubServer({"org/name": Repository({"v1": files(tmp_path / "source"), "main": {"README.md": b"old"}})})
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    with server.running():
        run = subprocess.run(
            [sys.executable, "-c", END_TO_END, str(tmp_path / "target")],
            capture_output=True, text=True, env=environment, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    done, found = json.loads(run.stdout)
    assert done["heads"] == ["text_classifier"]
    assert (found["family"], found["missing"]) == ("bert", [])
    assert_same_there(model, tmp_path / "target")
    assert_same_tokens(tmp_path / "target", tmp_path / "source")


def test_a_masked_language_model_of_keras_hub_goes_on_where_a_tolerance_allows_it(tmp_path):
    write_source(tmp_path / "source", "bert", "ForMaskedLM", hidden_act="gelu", attention_probs_dropout_prob=0.2)
    convert_checkpoint(tmp_path / "source", tmp_path / "preset", "kerashub", tolerance=0.05)
    with pytest.raises(CheckpointError, match=r"masked_lm_epsilon=1e-05.*A tolerance above 1e-4 accepts"):
        convert_checkpoint(tmp_path / "preset", tmp_path / "back")
    done = convert_checkpoint(tmp_path / "preset", tmp_path / "back", tolerance=0.05)
    assert 0 < done.difference < 0.05
    assert_same_weights(tmp_path / "source", tmp_path / "back", but=("pooler/dense/kernel", "pooler/dense/bias"))
