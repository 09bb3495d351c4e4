"""Pretraining from a corpus to a checkpoint that `transformers` opens, and on from one."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.data.corpus import Corpus, build_corpus
from keras_bert_suite.data.masking import Masking
from keras_bert_suite.errors import DataError
from keras_bert_suite.models import encoder_config
from keras_bert_suite.tasks.pretrainer import Pretrainer
from tests.support.selection import slow_to_compile
from tests.tasks.small_corpus import CONFIG, ELECTRA, TOKENIZER, write_corpus


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Directories of corpora by kind."""
    folder = tmp_path_factory.mktemp("corpora")
    kinds = ("next_sentence", "sentence_order", "documents")
    found = {kind: write_corpus(folder / kind, kind) for kind in kinds}
    found["long"] = write_corpus(folder / "long", max_length=24)
    found["held_out"] = write_corpus(folder / "held_out", rows=40, shards=1, seed=9)
    return found


def trained(corpora, config=CONFIG, kind="next_sentence", pair_head="next_sentence", steps=30, **options):
    pretrainer = Pretrainer.from_config(config, TOKENIZER, pair_head=pair_head, seed=0, **options)
    pretrainer.compile(2e-2)
    history = pretrainer.fit(corpora[kind], steps=steps, report_steps=10, batch_size=8, peak_flops=0, verbose=0)
    return pretrainer, history.history


@pytest.fixture(scope="module")
def pretrained(corpora):
    """A model trained for 30 steps, and its history."""
    return trained(corpora)


def logits_of(model, rows=4):
    rng = np.random.default_rng(3)
    inputs = {
        "token_ids": rng.integers(6, 40, (rows, 11)).astype("int32"),
        "segment_ids": np.repeat([[0] * 6 + [1] * 5], rows, 0).astype("int32"),
        "padding_mask": np.ones((rows, 11), "int32"),
    }
    extra = {}
    if "masked_positions" in model.input:
        extra["masked_positions"] = np.repeat([np.arange(11)], rows, 0).astype("int32")
    return inputs, keras.tree.map_structure(keras.ops.convert_to_numpy, model({**inputs, **extra}, training=False))


def assert_whole(info):
    assert not info["missing_keys"], info
    assert not info["unexpected_keys"], info


def theirs(model, inputs):
    import torch

    with torch.no_grad():
        return model(
            input_ids=torch.tensor(inputs["token_ids"], dtype=torch.long),
            token_type_ids=torch.tensor(inputs["segment_ids"], dtype=torch.long),
            attention_mask=torch.tensor(inputs["padding_mask"], dtype=torch.long),
        )


def test_it_learns_and_reports(pretrained):
    _, history = pretrained
    assert len(history["loss"]) == 3
    assert history["masked_lm_loss"][-1] < history["masked_lm_loss"][0] - 0.1
    assert {"masked_lm_accuracy", "next_sentence_accuracy", "next_sentence_loss", "tokens_per_second"} <= set(history)


def test_what_is_saved_opens_in_transformers(pretrained, tmp_path):
    transformers = pytest.importorskip("transformers")
    pretrainer, _ = pretrained
    pretrainer.save_pretrained(tmp_path / "model")
    model, info = transformers.BertForPreTraining.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert_whole(info)
    inputs, ours = logits_of(pretrainer.model)
    found = theirs(model.eval(), inputs)
    np.testing.assert_allclose(ours["masked_lm"], found.prediction_logits.numpy(), atol=2e-5)
    np.testing.assert_allclose(ours["next_sentence"], found.seq_relationship_logits.numpy(), atol=2e-5)


@slow_to_compile
def test_a_model_without_pairs_opens_as_a_masked_language_model(corpora, tmp_path):
    transformers = pytest.importorskip("transformers")
    pretrainer, _ = trained(corpora, kind="documents", pair_head=None, steps=3)
    pretrainer.save_pretrained(tmp_path / "model")
    model, info = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert type(model).__name__ == "BertForMaskedLM"
    assert_whole(info)
    inputs, ours = logits_of(pretrainer.model)
    np.testing.assert_allclose(ours["masked_lm"], theirs(model.eval(), inputs).logits.numpy(), atol=2e-5)
    assert kbs.MaskedLM.from_pretrained(tmp_path / "model").fill(["w1 [MASK]"])[0][0]


@slow_to_compile
def test_training_goes_on_from_a_checkpoint_with_its_heads(pretrained, corpora, tmp_path):
    pretrainer, _ = pretrained
    pretrainer.save_pretrained(tmp_path / "model")
    again = Pretrainer.from_pretrained(tmp_path / "model", pair_head="next_sentence")
    before = again.evaluate(corpora["held_out"])
    assert before == pytest.approx(pretrainer.evaluate(corpora["held_out"]), rel=1e-4)
    assert again.recipe.learning_rate is None  # that of fine-tuning
    again.compile(2e-2)
    again.fit(corpora["next_sentence"], steps=40, batch_size=8, verbose=0)
    after = again.evaluate(corpora["held_out"])
    assert after["masked_lm_loss"] < before["masked_lm_loss"]
    assert after["perplexity"] == pytest.approx(np.exp(after["masked_lm_loss"]))


def test_embeddings_start_from_what_stands_together(corpora):
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence", seed=0)
    pretrainer.start_embeddings(corpora["next_sentence"])
    table = keras.ops.convert_to_numpy(pretrainer.encoder.get_layer("embeddings").token.embeddings)
    lengths = np.linalg.norm(table, axis=1)
    np.testing.assert_allclose(lengths[6:], 1.5 * 0.2 * np.sqrt(12), rtol=1e-4)
    assert lengths[0] < lengths[6]  # a special token's stay random
    unit = table[6:] / lengths[6:, None]
    alike = unit @ unit.T
    assert np.diag(alike, 1).mean() > np.diag(alike, 15).mean() + 0.3  # words follow one another in order
    bias = keras.ops.convert_to_numpy(pretrainer.model.get_layer("masked_lm").bias)
    assert np.exp(bias).sum() == pytest.approx(1, rel=1e-4)
    assert bias[0] < bias[6:].min()
    with pytest.raises(DataError, match="the tokenizer that it was made with"):
        Pretrainer.from_config(
            CONFIG, kbs.WordPieceTokenizer(list(TOKENIZER.special_tokens.values()))
        ).start_embeddings(corpora["next_sentence"])


@slow_to_compile
def test_sentence_order_of_an_albert(corpora, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = kbs.config.FAMILIES["albert"].replace(
        vocabulary_size=40, hidden_dim=12, num_layers=2, num_heads=3, intermediate_dim=20, embedding_dim=8,
        max_length=32, initializer_range=0.2,
    )  # fmt: skip
    pretrainer, history = trained(corpora, config, "sentence_order", "sentence_order", steps=2)
    assert "sentence_order_accuracy" in history
    pretrainer.save_pretrained(tmp_path / "model")
    model, info = transformers.AlbertForPreTraining.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert_whole(info)
    inputs, ours = logits_of(pretrainer.model)
    found = theirs(model.eval(), inputs)
    np.testing.assert_allclose(ours["masked_lm"], found.prediction_logits.numpy(), atol=2e-5)
    np.testing.assert_allclose(ours["sentence_order"], found.sop_logits.numpy(), atol=2e-5)


@slow_to_compile
def test_electra_learns_and_both_parts_open_in_transformers(corpora, tmp_path):
    transformers = pytest.importorskip("transformers")
    pretrainer, history = trained(corpora, ELECTRA, "documents", None, objective="replaced_token")
    pretrainer.start_embeddings(corpora["documents"])  # of narrower tables, which both parts have
    assert history["loss"][-1] < history["loss"][0]
    assert {"replaced_token_accuracy", "replaced_token_loss", "masked_lm_accuracy"} <= set(history)
    shared = [weight for weight in pretrainer.generator.weights if weight.path == "embeddings/token/embeddings"]
    assert any(shared[0] is weight for weight in pretrainer.discriminator.weights)
    paths = [weight.path for weight in pretrainer.model.weights]
    assert len(paths) == len(set(paths))  # Keras on PyTorch keeps weights by path
    pretrainer.save_pretrained(tmp_path / "model")
    for folder, kind, part, name in (
        ("model", "ElectraForPreTraining", pretrainer.discriminator, "logits"),
        ("model/generator", "ElectraForMaskedLM", pretrainer.generator, "logits"),
    ):
        model, info = getattr(transformers, kind).from_pretrained(tmp_path / folder, output_loading_info=True)
        assert_whole(info)
        inputs, ours = logits_of(part)
        found = getattr(theirs(model.eval(), inputs), name).numpy()
        np.testing.assert_allclose(np.reshape(ours, found.shape), found, atol=2e-5)

    again = Pretrainer.from_pretrained(tmp_path / "model")
    assert again.objective == "replaced_token"
    for part in ("generator", "discriminator"):
        before, after = (logits_of(getattr(one, part))[1] for one in (pretrainer, again))
        np.testing.assert_allclose(before, after, atol=1e-6)
    scores = again.evaluate(corpora["documents"])
    assert scores == pytest.approx(pretrainer.evaluate(corpora["documents"]), 1e-4)  # the same draws
    assert set(scores) == {
        "masked_lm_loss", "masked_lm_accuracy", "perplexity", "replaced_token_loss", "replaced_token_accuracy",
    }  # fmt: skip


@slow_to_compile
@pytest.mark.per_backend
def test_a_seed_decides_what_electra_draws_and_scoring_changes_nothing(corpora, tmp_path):
    Pretrainer.from_config(ELECTRA, TOKENIZER, objective="replaced_token", seed=0).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "generator").rename(tmp_path / "generator")  # as in most checkpoints: it begins anew
    losses, scores = [], []
    for scored in (False, True):
        pretrainer = Pretrainer.from_pretrained(tmp_path / "model", seed=3)
        pretrainer.compile(1e-2)
        options = {"steps": 4, "report_steps": 2, "batch_size": 8, "seed": 5, "peak_flops": 0, "verbose": 0}
        if scored:
            pretrainer.evaluate(corpora["documents"])
        losses.append(pretrainer.fit(corpora["documents"], **options).history["loss"])
        scores += [pretrainer.evaluate(corpora["documents"]) for _ in range(2)]
    assert losses[0] == losses[1]
    assert scores[0] == scores[1] == scores[2]


@slow_to_compile
def test_packed_rows_train_the_same_layers(corpora):
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, seed=0)
    before = pretrainer.evaluate(corpora["documents"])["masked_lm_loss"]
    pretrainer.compile(2e-2)
    pretrainer.fit(corpora["documents"], steps=20, batch_size=8, packing=True, verbose=0)
    assert pretrainer.evaluate(corpora["documents"])["masked_lm_loss"] < before


@slow_to_compile
def test_the_length_of_rows_is_raised_in_stages(corpora):
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence", seed=0)
    stages = [(corpora["next_sentence"], 0.75), (corpora["long"], 0.25)]
    dataset = pretrainer.dataset(stages, steps=8, batch_size=[8, 4], report_steps=4)
    rows = [len(dataset.starting_at(epoch)[index][0]["token_ids"]) for epoch in (0, 1) for index in range(4)]
    assert rows == [8] * 6 + [4] * 2
    history = pretrainer.fit(stages, steps=8, batch_size=[8, 4], report_steps=4, verbose=0).history
    assert len(history["loss"]) == 2


@pytest.mark.per_backend
@pytest.mark.parametrize("directory", [None, "state"])
def test_stages_of_equal_rows_may_need_other_lengths(corpora, tmp_path, directory):
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence", seed=0)
    stages = [(corpora["long"], 0.25), (corpora["long"], 0.75)]
    options = {"steps": 8, "batch_size": [90, 2], "report_steps": 1}  # 90 rows need the longest length, 2 may not
    dataset = pretrainer.dataset(stages, **options)
    lengths = [batch[0]["token_ids"].shape for epoch in range(8) for batch in dataset.starting_at(epoch)]
    assert lengths[:2] == [(90, 24)] * 2
    assert (2, 16) in lengths
    directory = directory and tmp_path / directory
    history = pretrainer.fit(
        stages, validation_data=corpora["held_out"], directory=directory, peak_flops=0, verbose=0, **options
    ).history
    assert np.isfinite(history["val_loss"]).all()
    assert len(history["loss"]) == 8


@slow_to_compile
def test_text_is_trained_on_and_scored_as_it_is(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("w1 w2 w3 w4 w5\nw6 w7 w8 w9\n" * 10, encoding="utf-8")
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, seed=0)
    pretrainer.compile(2e-2)
    before = pretrainer.evaluate(path)
    pretrainer.fit(path, epochs=10, batch_size=4, verbose=0)
    assert pretrainer.evaluate(path)["masked_lm_loss"] < before["masked_lm_loss"]


@slow_to_compile
def test_a_seed_decides_everything(corpora):
    histories = [trained(corpora, steps=10)[1]["loss"] for _ in range(2)]
    assert histories[0] == histories[1]


@slow_to_compile
def test_mixed_precision_and_accumulation_and_lamb(corpora):
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence", seed=0, dtype="mixed_bfloat16")
    pretrainer.compile(0.1, optimizer="lamb", accumulation_steps=2)
    history = pretrainer.fit(corpora["next_sentence"], steps=40, report_steps=20, batch_size=8, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert {weight.dtype for weight in pretrainer.model.weights} >= {"float32"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pair_head": "sentence_order"}, "needs an encoder of the family albert"),
        ({"objective": "replaced_token"}, "needs an encoder of the family electra"),
        ({"objective": "words"}, "objective must be one of"),
    ],
)
def test_heads_that_a_family_lacks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Pretrainer.from_config(CONFIG, TOKENIZER, **arguments)


def test_what_cannot_be_trained_on_is_refused(corpora, tmp_path):
    pretrainer = Pretrainer.from_config(CONFIG.replace(max_length=12), TOKENIZER, pair_head="next_sentence")
    with pytest.raises(DataError, match=r"encoder has positions, 12 tokens. Received: .* up to 16"):
        pretrainer.fit(corpora["next_sentence"])
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence")
    with pytest.raises(DataError, match="next_sentence needs a corpus of that kind. Received: .*'documents'"):
        pretrainer.fit(corpora["documents"])
    with pytest.raises(DataError, match="must have rows"):
        pretrainer.fit(write_corpus(tmp_path / "empty", rows=0, shards=0))
    with pytest.raises(DataError, match="static masks must be built"):
        pretrainer.fit(corpora["next_sentence"], masking="static")
    other = kbs.WordPieceTokenizer([*TOKENIZER.vocabulary[:-1], "##other"])
    pretrainer = Pretrainer.from_config(CONFIG, other, pair_head="next_sentence")
    with pytest.raises(DataError, match="with the tokenizer that it was made with"):
        pretrainer.fit(corpora["next_sentence"])
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence")
    with pytest.raises(ValueError, match="steps or epochs, not both"):
        pretrainer.fit(corpora["next_sentence"], steps=3, epochs=3)
    with pytest.raises(ValueError, match="packing needs"):
        pretrainer.fit(corpora["next_sentence"], packing=True)
    with pytest.raises(ValueError, match="shares that add up to 1"):
        pretrainer.fit([(corpora["next_sentence"], 0.5)], steps=3)


def test_a_config_takes_the_vocabulary_and_the_pooler_that_it_needs():
    config = encoder_config(Pretrainer.from_config("bert-tiny", TOKENIZER).encoder)
    assert (config.vocabulary_size, config.pooler) == (TOKENIZER.vocab_size, False)


def test_masks_of_the_corpus_itself(tmp_path):
    directory = write_corpus(tmp_path / "static", static=True, max_length=24, settings={"masking": {"rate": 0.2}})
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, pair_head="next_sentence", seed=0)
    one, two = (
        pretrainer.dataset(directory, epochs=2, batch_size=8, masking=masking)
        for masking in ("static", Masking(strategy="word"))
    )
    chosen = [np.count_nonzero(dataset.starting_at(0)[0][2]["masked_lm"], axis=1) for dataset in (one, two)]
    assert chosen[0].tolist() == [1] * 8
    assert chosen[1].max() > 1
    assert Corpus(directory).shard(0).masked_ids[0] != TOKENIZER.mask_token_id
    [dataset] = one.datasets
    assert dataset.predictions_per_batch == 2 * 90 / one.num_batches


@pytest.mark.parametrize("packing", [False, True])
def test_masks_of_the_corpus_itself_may_be_more_than_of_a_usual_rate(tmp_path, packing):
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(f"w{number % 30}" + " w1 w2 w3 w4 w5" * (number % 9 == 0) for number in range(300)))
    settings = {"kind": "documents", "lines": "sentences", "max_length": 24, "masking": Masking(rate=0.4)}
    corpus = build_corpus(path, TOKENIZER, tmp_path / "corpus", **settings)
    pretrainer = Pretrainer.from_config(CONFIG, TOKENIZER, seed=0)
    dataset = pretrainer.dataset(corpus, batch_size=16, masking="static", packing=packing)
    batches = [dataset.starting_at(0)[index] for index in range(dataset.num_batches)]
    masked = sum(int(weights["masked_lm"].sum()) for _, _, weights in batches)
    assert masked == sum(len(corpus.shard(index).masked_ids) for index in range(len(corpus)))
    pretrainer.fit(corpus, batch_size=16, masking="static", packing=packing, steps=3, verbose=0)


class StopAt(keras.callbacks.Callback):
    """Break off at a batch of an epoch, as a kill would."""

    def __init__(self, epoch, step):
        super().__init__()
        self.place = (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt


@pytest.mark.parametrize("objective", ["masked_lm", pytest.param("replaced_token", marks=pytest.mark.slow)])
def test_broken_off_and_gone_on_it_comes_to_the_same_bits(corpora, tmp_path, objective):
    """Over two stages, with dropout, from a state in the middle of an epoch."""
    config = (CONFIG if objective == "masked_lm" else ELECTRA).replace(dropout_rate=0.1, attention_dropout_rate=0.1)

    def train(directory, *callbacks):
        pretrainer = Pretrainer.from_config(config, TOKENIZER, objective=objective, seed=0)
        pretrainer.compile(2e-2)
        history = pretrainer.fit(
            [(corpora["documents"], 0.5), (corpora["documents"], 0.5)],
            steps=12,
            batch_size=[8, 4],
            report_steps=6,
            seed=1,
            directory=directory,
            save_every=0.0,
            callbacks=list(callbacks),
            peak_flops=0,
            verbose=0,
        ).history
        return history["loss"], [weight.tobytes() for weight in pretrainer.model.get_weights()]

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", StopAt(1, 2))
    assert train(tmp_path / "broken") == train(tmp_path / "whole")
