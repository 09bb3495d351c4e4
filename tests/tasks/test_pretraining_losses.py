"""Pretraining does what `transformers` with PyTorch's optimizer does, step by step."""

import keras
import numpy as np
import pytest

from keras_bert_suite.data.corpus import Corpus
from keras_bert_suite.data.masking import Masking
from keras_bert_suite.tasks.pretrainer import Pretrainer
from keras_bert_suite.training.pretraining_dataset import PretrainingDataset
from tests.support.families import make_model, torch, transformers
from tests.support.selection import slow_to_compile
from tests.tasks.small_corpus import TOKENIZER, write_corpus

STEPS = 50
SMALL = {
    "vocab_size": TOKENIZER.vocab_size,
    "pad_token_id": TOKENIZER.pad_token_id,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return {kind: Corpus(write_corpus(folder / kind, kind, rows=64)) for kind in ("next_sentence", "documents")}


def batches(dataset):
    """As many batches as there are steps, over several epochs."""
    for step in range(STEPS):
        yield dataset.batch(*divmod(step, len(dataset)))


class Theirs:
    """Weights of `transformers`, trained with PyTorch's AdamW, warm-up, linear decay and clipping."""

    def __init__(self, modules, recipe):
        named = [pair for module in modules for pair in module.named_parameters()]
        named = {id(weight): (name, weight) for name, weight in named}.values()
        plain = lambda name: name.endswith("bias") or "norm" in name.lower()  # noqa: E731
        self.weights = [weight for _, weight in named]
        self.clip_norm = recipe.clip_norm
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [w for name, w in named if not plain(name)], "weight_decay": recipe.weight_decay},
                {"params": [w for name, w in named if plain(name)], "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
        )
        warmup = int(STEPS * recipe.warmup_ratio)
        self.schedule = transformers.get_linear_schedule_with_warmup(self.optimizer, warmup, STEPS)

    def step(self, loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def given(inputs):
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    return {theirs: torch.tensor(inputs[ours], dtype=torch.long) for ours, theirs in names.items()}


def labels_of(inputs, targets, weights):
    """The ids to guess at their positions, and -100 everywhere else."""
    labels = torch.full(inputs["token_ids"].shape, -100, dtype=torch.long)
    rows, places = np.nonzero(weights["masked_lm"])
    labels[rows, inputs["masked_positions"][rows, places]] = torch.tensor(targets["masked_lm"][rows, places]).long()
    return labels


def our_losses(pretrainer, dataset):
    model = pretrainer.model
    pretrainer._compile_model(model, STEPS)
    return [
        float(keras.ops.convert_to_numpy(model.train_on_batch(inputs, targets, weights, return_dict=True)["loss"]))
        for inputs, targets, weights in batches(dataset)
    ]


def test_bert_with_next_sentences(corpora, tmp_path):
    theirs = make_model("bert", "ForPreTraining", **SMALL).train()
    theirs.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    pretrainer = Pretrainer.from_pretrained(tmp_path, pair_head="next_sentence")
    pretrainer.compile(2e-3)
    dataset = PretrainingDataset(
        corpora["next_sentence"], TOKENIZER, 8, pair_head="next_sentence", masking=Masking(strategy="word", rate=0.3)
    )
    ours = our_losses(pretrainer, dataset)
    trained = Theirs([theirs], pretrainer.recipe)
    expected = []
    for inputs, targets, weights in batches(dataset):
        pair = torch.tensor(targets["next_sentence"]).long()
        loss = theirs(**given(inputs), labels=labels_of(inputs, targets, weights), next_sentence_label=pair).loss
        expected.append(trained.step(loss))
    assert np.mean(expected[-10:]) < np.mean(expected[:10])
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@slow_to_compile
def test_electra_and_its_generator(corpora, tmp_path, monkeypatch):
    # Both take the likeliest token for the one that is drawn, since they draw from different generators.
    monkeypatch.setattr(
        keras.random, "categorical",
        lambda logits, number, dtype, seed: keras.ops.cast(keras.ops.argmax(logits, -1)[:, None], dtype),
    )  # fmt: skip
    discriminator = make_model("electra", "ForPreTraining", **SMALL).train()
    generator = make_model("electra", "ForMaskedLM", 8, **SMALL, hidden_size=8, num_attention_heads=2).train()
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        shared = getattr(discriminator.electra.embeddings, name)
        getattr(generator.electra.embeddings, name).weight = shared.weight
    generator.tie_weights()
    discriminator.save_pretrained(tmp_path)
    generator.save_pretrained(tmp_path / "generator")
    TOKENIZER.save_pretrained(tmp_path)
    pretrainer = Pretrainer.from_pretrained(tmp_path)
    pretrainer.compile(2e-3)
    masking = Masking(mask_rate=0.85, random_rate=0.0)
    dataset = PretrainingDataset(corpora["documents"], TOKENIZER, 8, replaced_token=True, masking=masking)
    ours = our_losses(pretrainer, dataset)
    trained = Theirs([discriminator, generator], pretrainer.recipe)
    expected = []
    for inputs, targets, weights in batches(dataset):
        labels = labels_of(inputs, targets, weights)
        guesses = generator(**given(inputs), labels=labels)
        arguments = given(inputs)
        shown = torch.where(labels == -100, arguments["input_ids"], guesses.logits.argmax(-1))
        replaced = (shown != torch.tensor(targets["replaced_token"])).long()
        loss = discriminator(**{**arguments, "input_ids": shown}, labels=replaced).loss
        expected.append(trained.step(guesses.loss + 50 * loss))
    assert np.mean(expected[-10:]) < np.mean(expected[:10])
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
