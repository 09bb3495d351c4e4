"""The families by `model_type`; adding one is adding a file here and its values to `config.FAMILIES`."""

from keras_bert_suite.checkpoints.families.albert import ALBERT
from keras_bert_suite.checkpoints.families.bert import BERT
from keras_bert_suite.checkpoints.families.distilbert import DISTILBERT
from keras_bert_suite.checkpoints.families.electra import ELECTRA
from keras_bert_suite.checkpoints.families.family import Family
from keras_bert_suite.checkpoints.families.modernbert import MODERNBERT
from keras_bert_suite.checkpoints.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

__all__ = ["FAMILIES", "Family"]

FAMILIES = {
    family.name: family for family in (BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, DISTILBERT, ALBERT, ELECTRA, MODERNBERT)
}
