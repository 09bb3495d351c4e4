"""What most users hold: a model with its tokenizer, labels and metrics."""

from keras_bert_suite.tasks.feature_extractor import FeatureExtractor, Features
from keras_bert_suite.tasks.few_shot import FewShotClassifier
from keras_bert_suite.tasks.masked_lm import MaskedLM
from keras_bert_suite.tasks.multi_task import MultiTask
from keras_bert_suite.tasks.multiple_choice import MultipleChoice
from keras_bert_suite.tasks.pretrainer import Pretrainer
from keras_bert_suite.tasks.prompt_classifier import PromptClassifier
from keras_bert_suite.tasks.question_answerer import QuestionAnswerer
from keras_bert_suite.tasks.registry import open_task, task_class, task_of
from keras_bert_suite.tasks.relation_classifier import RelationClassifier
from keras_bert_suite.tasks.semantic_search import SemanticSearch
from keras_bert_suite.tasks.text_classifier import TextClassifier
from keras_bert_suite.tasks.text_embedder import TextEmbedder
from keras_bert_suite.tasks.token_classifier import TokenClassifier
from keras_bert_suite.tasks.topics import find_topics
from keras_bert_suite.tasks.zero_shot import ZeroShotClassifier

__all__ = [
    "FeatureExtractor",
    "Features",
    "FewShotClassifier",
    "MaskedLM",
    "MultiTask",
    "MultipleChoice",
    "Pretrainer",
    "PromptClassifier",
    "QuestionAnswerer",
    "RelationClassifier",
    "SemanticSearch",
    "TextClassifier",
    "TextEmbedder",
    "TokenClassifier",
    "ZeroShotClassifier",
    "find_topics",
    "open_task",
    "task_class",
    "task_of",
]
