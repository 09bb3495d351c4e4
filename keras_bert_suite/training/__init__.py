"""Pieces of a training run, each of use in a plain Keras script too."""

from keras_bert_suite.training.choice_loss import ChoiceAccuracy, ChoiceLoss
from keras_bert_suite.training.crf_loss import CRFLoss, crf_targets
from keras_bert_suite.training.dataset import IGNORED, BucketedDataset, TokenTargets
from keras_bert_suite.training.distribution import current_distribution, distribute
from keras_bert_suite.training.early_stopping import EarlyStopping
from keras_bert_suite.training.embedding_losses import (
    CoSENTLoss,
    CosineSimilarityLoss,
    MultipleNegativesRankingLoss,
    TripletLoss,
)
from keras_bert_suite.training.embedding_metrics import CosinePearson, InBatchAccuracy
from keras_bert_suite.training.feature_dataset import FeatureDataset
from keras_bert_suite.training.freezing import GradualUnfreezing, freeze, unfreeze
from keras_bert_suite.training.grouped_dataset import GroupedDataset
from keras_bert_suite.training.guards import NonFiniteLoss, memory_guard
from keras_bert_suite.training.logs import CSVLog, TensorBoardLog, read_csv_log
from keras_bert_suite.training.lora import add_lora, merge_lora
from keras_bert_suite.training.losses import ClassificationLoss, RDropLoss
from keras_bert_suite.training.memory import freed_memory_kept
from keras_bert_suite.training.metrics import MeanLoss, MultiLabelF1
from keras_bert_suite.training.mixed_dataset import MixedDataset
from keras_bert_suite.training.optimizers import AdamW, Lamb, build_optimizer
from keras_bert_suite.training.packed_dataset import PackedDataset
from keras_bert_suite.training.pretraining_dataset import PretrainingDataset
from keras_bert_suite.training.pretraining_losses import MaskedLMLoss, ReplacedTokenAccuracy, ReplacedTokenLoss
from keras_bert_suite.training.pretraining_speed import PretrainingSpeed
from keras_bert_suite.training.progress import ProgressBar
from keras_bert_suite.training.recipe import Recipe
from keras_bert_suite.training.repeated_dataset import RepeatedDataset
from keras_bert_suite.training.resume import fit_resumable
from keras_bert_suite.training.schedules import LinearWarmupDecay, build_schedule
from keras_bert_suite.training.span_loss import SpanAccuracy, SpanLoss
from keras_bert_suite.training.staged_dataset import StagedDataset
from keras_bert_suite.training.tf_batches import EpochsOf, as_tf_dataset

__all__ = [
    "AdamW",
    "BucketedDataset",
    "CRFLoss",
    "CSVLog",
    "ChoiceAccuracy",
    "ChoiceLoss",
    "ClassificationLoss",
    "CoSENTLoss",
    "CosinePearson",
    "CosineSimilarityLoss",
    "EarlyStopping",
    "EpochsOf",
    "FeatureDataset",
    "GradualUnfreezing",
    "GroupedDataset",
    "IGNORED",
    "InBatchAccuracy",
    "Lamb",
    "LinearWarmupDecay",
    "MaskedLMLoss",
    "MeanLoss",
    "MixedDataset",
    "MultiLabelF1",
    "MultipleNegativesRankingLoss",
    "NonFiniteLoss",
    "PackedDataset",
    "PretrainingDataset",
    "PretrainingSpeed",
    "ProgressBar",
    "RDropLoss",
    "Recipe",
    "RepeatedDataset",
    "ReplacedTokenAccuracy",
    "ReplacedTokenLoss",
    "SpanAccuracy",
    "SpanLoss",
    "StagedDataset",
    "TensorBoardLog",
    "TokenTargets",
    "TripletLoss",
    "add_lora",
    "as_tf_dataset",
    "build_optimizer",
    "build_schedule",
    "crf_targets",
    "current_distribution",
    "distribute",
    "fit_resumable",
    "freeze",
    "freed_memory_kept",
    "memory_guard",
    "merge_lora",
    "read_csv_log",
    "unfreeze",
]
