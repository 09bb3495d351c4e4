"""What most users hold: a model with its tokenizer, labels and metrics."""

from keras_bert_suite.tasks.feature_extractor import FeatureExtractor, Features
from keras_bert_suite.tasks.masked_lm import MaskedLM
from keras_bert_suite.tasks.prompt_classifier import PromptClassifier
from keras_bert_suite.tasks.registry import open_task, task_class, task_of
from keras_bert_suite.tasks.text_classifier import TextClassifier
from keras_bert_suite.tasks.text_embedder import TextEmbedder
from keras_bert_suite.tasks.zero_shot import ZeroShotClassifier

__all__ = [
    "FeatureExtractor",
    "Features",
    "MaskedLM",
    "PromptClassifier",
    "TextClassifier",
    "TextEmbedder",
    "ZeroShotClassifier",
    "open_task",
    "task_class",
    "task_of",
]
