"""Training does what `transformers` with PyTorch's optimizer does, step by step."""

import keras
import numpy as np
import pytest

from keras_bert_suite import load_model
from keras_bert_suite.training import Recipe
from tests.support.families import make_inputs, make_model, torch, transformers

STEPS = 100


def batches(model, num_labels=5):
    """Batches of unequal lengths. The label of a row is what its first token says: there is something to learn."""
    for step in range(STEPS):
        inputs = make_inputs(model, seed=step)
        # PyTorch's tables have no gradient in the row of padding, which texts do not have among their tokens.
        shown = (inputs["token_ids"] == model.config.pad_token_id) & (inputs["padding_mask"] == 1)
        inputs["token_ids"] = np.where(shown, 7, inputs["token_ids"]).astype("int32")
        yield inputs, (inputs["token_ids"][:, 0] % num_labels).astype("int32")


def their_losses(model, recipe):
    model = model.train()
    plain = [weight for name, weight in model.named_parameters() if name.endswith("bias") or "norm" in name.lower()]
    decayed = [weight for weight in model.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    warmup = int(STEPS * recipe.warmup_ratio)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, warmup, STEPS)
    losses = []
    for inputs, labels in batches(model):
        given = {
            "input_ids": torch.tensor(inputs["token_ids"], dtype=torch.long),
            "attention_mask": torch.tensor(inputs["padding_mask"], dtype=torch.long),
        }
        if getattr(model.config, "type_vocab_size", 0):
            given["token_type_ids"] = torch.tensor(inputs["segment_ids"], dtype=torch.long)
        loss = model(**given, labels=torch.tensor(labels, dtype=torch.long)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def our_losses(model, theirs, recipe):
    model.compile(optimizer=recipe.build_optimizer(model, STEPS), loss=recipe.build_classification_loss())
    return [
        float(keras.ops.convert_to_numpy(model.train_on_batch(inputs, labels))) for inputs, labels in batches(theirs)
    ]


SLOW = [pytest.param(variant, marks=pytest.mark.slow) for variant in ("roberta", "modernbert")]


@pytest.mark.parametrize("variant", ["bert", *SLOW])
def test_the_loss_follows_transformers_for_100_steps(variant, tmp_path):
    still = {name: 0.0 for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")}
    if variant == "modernbert":
        still = {f"{part}_dropout": 0.0 for part in ("mlp", "attention", "embedding", "classifier")}
    theirs = make_model(variant, "ForSequenceClassification", **still)
    theirs.save_pretrained(tmp_path)
    recipe = Recipe(learning_rate=2e-3)
    ours = np.array(our_losses(load_model(tmp_path, "text_classifier"), theirs, recipe))
    expected = np.array(their_losses(theirs, recipe))
    assert expected[-10:].mean() < expected[:10].mean()
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
