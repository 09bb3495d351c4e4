"""Classification without examples: does the text entail that it is about a label?"""

import numpy as np

from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.tasks.text_classifier import TextClassifier

__all__ = ["ZeroShotClassifier"]


class ZeroShotClassifier:
    """Labels chosen by a model of natural language inference, without any training.

    Each text is a premise, and each label, put into a sentence, a hypothesis.

    Args:
        classifier: `TextClassifier` of pairs, trained on inference: one of its
            labels begins with "entail", and one with "contradict", unless it has
            two in all.
    Attributes:
        classifier: the classifier.
    Example:
        zero_shot = ZeroShotClassifier.from_pretrained("path/or/hub-id of an NLI model")
        zero_shot.predict(["where is my parcel"], ["delivery", "payment"])[0]["label"]  # "delivery"

    Source: Yin et al. 2019.
    """

    def __init__(self, classifier):
        self.classifier = classifier
        self._entails = _index(classifier.labels, "entail")
        if self._entails is None:
            raise CheckpointError(
                "ZeroShotClassifier: the classifier must have a label that begins with 'entail'. Received: the labels "
                f"{classifier.labels}. Use a model trained on inference (MNLI, XNLI), or name its labels."
            )
        opposite = _index(classifier.labels, "contradict")
        self._contradicts = (self._entails + 1) % 2 if opposite is None else opposite

    @classmethod
    def from_pretrained(cls, source, **options):
        """Open a classifier of pairs; arguments as in `TextClassifier.from_pretrained`."""
        return cls(TextClassifier.from_pretrained(source, **options))

    def predict(self, texts, labels, *, template="This example is {}.", multi_label=False, progress=False):
        """Score labels for texts.

        Args:
            texts: list of str, or one str.
            labels: list of str. What a text may be about.
            template: str with `{}`, where a label goes. Write it in the language of the texts.
            multi_label: bool. Whether each label is judged by itself, so that
                several may be right; otherwise their scores add up to 1.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts: `label` and `score` of the best one, and `labels`, all of
            them with their scores, the best first.
        Raises:
            ValueError: if there is no label, or the template has no `{}`.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        labels = list(labels)
        if not labels or isinstance(labels, str):
            raise ValueError(f"predict: labels must be a list of one str at least. Received: labels={labels!r}.")
        if template.format("") == template:
            raise ValueError(f"predict: template must have {{}} where a label goes. Received: template={template!r}.")
        if not texts:
            return []
        pairs = [(text, template.format(label)) for text in texts for label in labels]
        logits = self.classifier.predict_logits(pairs, progress=progress).astype("float64")
        logits = logits.reshape(len(texts), len(labels), -1)
        entails = logits[..., self._entails]
        if not multi_label:
            scores = np.exp(entails - entails.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
        else:
            # Against its opposite alone: what is neither says nothing.
            scores = 1 / (1 + np.exp(logits[..., self._contradicts] - entails))
        return [_answer(labels, row) for row in scores]


def _answer(labels, scores):
    ordered = [{"label": labels[index], "score": float(scores[index])} for index in np.argsort(-scores, kind="stable")]
    return {**ordered[0], "labels": ordered}


def _index(labels, *beginnings):
    return next((i for i, label in enumerate(labels) if label.casefold().startswith(beginnings)), None)
