#!/usr/bin/env bash
# How the model beside this file was made: 84 minutes on two cores that multiply bfloat16 matrices.
#   bash pretrain.sh BOOKS WORK     BOOKS: a folder of novels, one a .txt file; WORK: where everything goes
set -euo pipefail
books=$(cd "$1" && pwd)
mkdir -p "$2" && cd "$2"
export KERAS_BACKEND=torch

# Every 19th of the books in the order of their names is held out.
mkdir -p train held
number=0
for book in "$books"/*.txt; do
    number=$((number + 1))
    cp "$book" "$([ $((number % 19)) = 0 ] && echo held || echo train)"
done

kbs train-vocab train/*.txt --size 8000 --output vocabulary
for length in 32 64 128; do
    kbs pretrain-data train/*.txt --tokenizer vocabulary --document file --lines paragraphs --max-length $length \
        --output rows$length
done
kbs pretrain-data held/*.txt --tokenizer vocabulary --document file --lines paragraphs --max-length 128 --output held128

# Nothing is seen often: no dropout. The config that ships has BERT's again, for fine-tuning.
cat > mini.json <<'JSON'
{"model_type": "bert", "architectures": ["BertForPreTraining"], "vocab_size": 8000, "hidden_size": 256,
 "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024, "hidden_act": "gelu",
 "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_dropout_prob": 0.0,
 "attention_probs_dropout_prob": 0.0, "layer_norm_eps": 1e-12, "initializer_range": 0.02, "pad_token_id": 0}
JSON
kbs pretrain --data rows32 rows64 rows128 --shares 0.5 0.28 0.22 --batch-size 64 32 16 --config mini.json \
    --embeddings cooccurrence --steps 46000 --learning-rate 6e-4 --warmup-steps 400 --report-every 250 \
    --dtype mixed_bfloat16 --output model
sed -i 's/\(_dropout_prob": \)0.0/\10.1/' model/config.json
kbs convert model bert-mini-novels --to huggingface --dtype float16
