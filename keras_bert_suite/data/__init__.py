"""Files to examples to batches. NumPy only: no Keras, no backend."""

from keras_bert_suite.data.batching import (
    Batch,
    bucket_lengths,
    padding_share,
    plan_prediction_batches,
    plan_training_batches,
)
from keras_bert_suite.data.choices import ChoiceExample, read_choices
from keras_bert_suite.data.comparisons import Comparison, read_comparisons
from keras_bert_suite.data.labels import LabelMap
from keras_bert_suite.data.masking import Masking, MaskingVocabulary, mask_tokens, place_predictions
from keras_bert_suite.data.packing import (
    PackedBatch,
    packed_places,
    packed_row_length,
    plan_packed_batches,
    row_counts,
)
from keras_bert_suite.data.questions import Answer, Question, read_questions
from keras_bert_suite.data.readers import Example, read_examples, read_texts
from keras_bert_suite.data.relations import Entity, Relation, read_relations
from keras_bert_suite.data.tagging import TaggedText, check_spans, read_tagged
from keras_bert_suite.data.words import find_words

__all__ = [
    "Answer",
    "Batch",
    "ChoiceExample",
    "Comparison",
    "Entity",
    "Example",
    "LabelMap",
    "Masking",
    "MaskingVocabulary",
    "PackedBatch",
    "Question",
    "Relation",
    "TaggedText",
    "bucket_lengths",
    "check_spans",
    "find_words",
    "mask_tokens",
    "packed_places",
    "packed_row_length",
    "padding_share",
    "place_predictions",
    "plan_packed_batches",
    "plan_prediction_batches",
    "plan_training_batches",
    "read_choices",
    "read_comparisons",
    "read_examples",
    "read_questions",
    "read_relations",
    "read_tagged",
    "read_texts",
    "row_counts",
]
