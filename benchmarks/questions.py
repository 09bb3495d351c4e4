"""EM and F1 on questions after fine-tuning with one recipe: ours on the running backend, and transformers.

The recipe is that of Devlin et al.: AdamW, weight decay 0.01 but none on biases
and norms, 10 % warm-up, linear decay, gradients clipped at 1, dropout 0.1.
Windows of 384 tokens share 128. A data set without a test part is parted by
article: every fourth one is for testing. Both systems are scored by the same code.

    python benchmarks/questions.py --train xquad.en.json
    python benchmarks/questions.py --train train-v1.1.json --test dev-v1.1.json --epochs 2 --learning-rate 5e-5 --json
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from turns import machine, say, versions

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
    plain = [weight for name, weight in network.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    decayed = [weight for weight in network.parameters() if all(weight is not other for other in plain)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=arguments.learning_rate)

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

    def batch(encoded, rows):
        return tokenizer.pad({name: [encoded[name][row] for row in rows] for name in encoded}, return_tensors="pt")

    encoded, sources, _ = windows(train)
    targets = torch.zeros(len(sources), 2, dtype=torch.long)
    for row, source in enumerate(sources):
        answer = train[source].answers[0]
        places = [encoded.char_to_token(row, place, 1) for place in (answer.start, answer.start + len(answer.text) - 1)]
        if None not in places:
            targets[row] = torch.tensor(places)
    steps = arguments.epochs * -(-len(sources) // arguments.batch_size)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(steps * 0.1), steps)
    network.train()
    for _ in range(arguments.epochs):
        for rows in torch.randperm(len(sources)).split(arguments.batch_size):
            first, last = targets[rows].T
            network(**batch(encoded, rows.tolist()), start_positions=first, end_positions=last).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    network.eval()
    return answers_of_transformers(network, test, *windows(test), batch)


def answers_of_transformers(network, questions, encoded, sources, offsets, batch, size=16):
    """Return the best answer to each question, as the example of transformers chooses it."""
    import torch

    best = [(-np.inf, "")] * len(questions)
    order = np.argsort([len(ids) for ids in encoded["input_ids"]])
    for start in range(0, len(order), size):
        rows = order[start : start + size].tolist()
        with torch.inference_mode():
            outputs = network(**batch(encoded, rows))
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
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--train", type=Path, required=True, help="SQuAD JSON")
    parser.add_argument("--test", type=Path, help="SQuAD JSON (default: every fourth article of --train)")
    parser.add_argument("--examples", type=int, help="how many training examples to use at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--only", choices=list(SYSTEMS), nargs="+", default=list(SYSTEMS))
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras

    model = str(resolve_source(arguments.model))
    if arguments.test is None:
        train, test = split_by_article(arguments.train)
    else:
        train, test = read_questions(arguments.train, require_places=True), read_questions(arguments.test)
    train = [one for one in train if one.answers]  # neither is to learn from questions without an answer
    train = [train[index] for index in np.random.default_rng(0).permutation(len(train))[: arguments.examples]]
    right = [[answer.text for answer in one.answers] for one in test]
    scoring = scoring_for([one.question for one in test], not all(right))
    results = {system: [] for system in arguments.only}
    for seed in range(arguments.seeds):
        for system in arguments.only:
            started = time.perf_counter()
            found = SYSTEMS[system](model, train, test, arguments, seed)
            scores = answer_scores(right, found, scoring)
            results[system].append({name: scores[name] for name in ("exact_match", "f1")})
            say(f"seed {seed}: {system} {results[system][-1]}, {time.perf_counter() - started:.0f} s")
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "train": str(arguments.train),
        "questions": {"train": len(train), "test": len(test)},
        "recipe": {name: getattr(arguments, name) for name in ("epochs", "batch_size", "learning_rate")},
        "scoring": scoring,
        "results": results,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {report['backend']}")
    print(
        f"{len(train):,} questions, {arguments.epochs} epochs at {arguments.learning_rate:g}, tested on {len(test):,}; "
        f"{arguments.seeds} seeds; scored as {scoring}"
    )
    for system, values in results.items():
        for name in ("exact_match", "f1"):
            each = [value[name] for value in values]
            spread = statistics.stdev(each) if len(each) > 1 else 0.0
            listed = " ".join(f"{value:.2f}" for value in each)
            print(f"{system:14} {name:12} {statistics.mean(each):.2f} +- {spread:.2f}   ({listed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
