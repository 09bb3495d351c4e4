"""EM and F1 on questions after fine-tuning with one recipe: ours on the running backend, and transformers.

The recipe is that of recipes.py, with dropout 0.1. Windows of 384 tokens share
128. A data set without a test part is parted by article: every fourth one is for
testing. Both systems are scored by the same code.

    python benchmarks/questions.py --train xquad.en.json
    python benchmarks/questions.py --train train-v1.1.json --test dev-v1.1.json --epochs 2 --learning-rate 5e-5 --json
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recipes import add_options, compare, padded_batch, train_network

from keras_bert_suite.data import read_questions
from keras_bert_suite.reports import answer_scores, scoring_for
from keras_bert_suite.source import resolve_source

MAX_LENGTH = 384
STRIDE = 128
MAX_ANSWER_LENGTH = 30


def train_ours(model, train, test, arguments, seed):
    from keras_bert_suite.tasks.question_answerer import QuestionAnswerer

    answerer = QuestionAnswerer.from_pretrained(
        model, max_length=MAX_LENGTH, stride=STRIDE, max_answer_length=MAX_ANSWER_LENGTH
    )
    answerer.compile(learning_rate=arguments.learning_rate)
    answerer.fit(train, epochs=arguments.epochs, batch_size=arguments.batch_size, seed=seed, verbose=0)
    return [answer["answer"] for answer in answerer.predict(test)]


def train_transformers(model, train, test, arguments, seed):
    import torch
    import transformers

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(model)

    def windows(questions):
        encoded = tokenizer(
            [one.question for one in questions],
            [one.context for one in questions],
            truncation="only_second",
            max_length=MAX_LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        return encoded, encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")

    encoded, sources, _ = windows(train)
    targets = torch.zeros(len(sources), 2, dtype=torch.long)
    for row, source in enumerate(sources):
        answer = train[source].answers[0]
        places = [encoded.char_to_token(row, place, 1) for place in (answer.start, answer.start + len(answer.text) - 1)]
        if None not in places:
            targets[row] = torch.tensor(places)

    def loss_of(rows):
        first, last = targets[rows].T
        inputs = padded_batch(tokenizer, encoded, rows.tolist())
        return network(**inputs, start_positions=first, end_positions=last).loss

    train_network(network, len(sources), loss_of, arguments)
    return answers_of_transformers(network, tokenizer, test, *windows(test))


def answers_of_transformers(network, tokenizer, questions, encoded, sources, offsets, size=16):
    """Return the best answer to each question, as the example of transformers chooses it."""
    import torch

    best = [(-np.inf, "")] * len(questions)
    order = np.argsort([len(ids) for ids in encoded["input_ids"]])
    for start in range(0, len(order), size):
        rows = order[start : start + size].tolist()
        with torch.inference_mode():
            outputs = network(**padded_batch(tokenizer, encoded, rows))
        for row, firsts, lasts in zip(rows, outputs.start_logits.numpy(), outputs.end_logits.numpy(), strict=True):
            sides = encoded.sequence_ids(row)
            inside = [place for place, side in enumerate(sides) if side == 1]
            for first in (place for place in np.argsort(-firsts)[:20].tolist() if place in inside):
                for last in (place for place in np.argsort(-lasts)[:20].tolist() if place in inside):
                    score = firsts[first] + lasts[last]
                    if first <= last < first + MAX_ANSWER_LENGTH and score > best[sources[row]][0]:
                        span = offsets[row][first][0], offsets[row][last][1]
                        best[sources[row]] = score, questions[sources[row]].context[slice(*span)]
    return [text for _, text in best]


SYSTEMS = {"ours": train_ours, "transformers": train_transformers}


def split_by_article(path):
    """Return the questions of three articles in four, and those of the fourth."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    part_of = {
        str(asked["id"]): number % 4 == 3
        for number, article in enumerate(articles)
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    }
    questions = read_questions(path, require_places=True)
    return [one for one in questions if not part_of[one.id]], [one for one in questions if part_of[one.id]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, list(SYSTEMS), batch_size=16)
    parser.add_argument("--train", type=Path, required=True, help="SQuAD JSON")
    parser.add_argument("--test", type=Path, help="SQuAD JSON (default: every fourth article of --train)")
    arguments = parser.parse_args()

    model = str(resolve_source(arguments.model))
    if arguments.test is None:
        train, test = split_by_article(arguments.train)
    else:
        train, test = read_questions(arguments.train, require_places=True), read_questions(arguments.test)
    train = [one for one in train if one.answers]  # neither is to learn from questions without an answer
    train = [train[index] for index in np.random.default_rng(0).permutation(len(train))[: arguments.examples]]
    right = [[answer.text for answer in one.answers] for one in test]
    scoring = scoring_for([one.question for one in test], not all(right))

    def run(train_one, seed):
        scores = answer_scores(right, train_one(model, train, test, arguments, seed), scoring)
        return {name: scores[name] for name in ("exact_match", "f1")}

    facts = {"train": str(arguments.train), "questions": len(train), "tested": len(test), "scoring": scoring}
    compare({name: SYSTEMS[name] for name in arguments.only}, arguments, run, facts)


if __name__ == "__main__":
    main()
