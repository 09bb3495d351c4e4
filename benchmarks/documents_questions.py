"""Questions about long documents: documents a second and whether answers agree, ours and plain transformers.

Both read a document of 5,000 words through windows of 384 tokens that share
128, and search the 20 best first and last tokens of each window. transformers
5 has no pipeline for it; its side is the loop of its own example, with windows
in batches of one length. They take turns, one thread pool at a time.

    python benchmarks/documents_questions.py --model DIR --documents 4 --words 5000
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from questions import MAX_ANSWER_LENGTH, MAX_LENGTH, STRIDE, answers_of_transformers
from turns import machine, versions

from keras_bert_suite.data import read_questions
from keras_bert_suite.source import resolve_source


def documents(path, count, words):
    """Return questions about documents made of the contexts of a SQuAD file, one after the other."""
    asked = read_questions(path)
    contexts = list(dict.fromkeys(one.context for one in asked))
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        parts, size = [], 0
        while size < words:
            parts.append(contexts[int(rng.integers(len(contexts)))])
            size += len(parts[-1].split())
        rows.append({"question": asked[number * 7 % len(asked)].question, "context": "\n".join(parts)})
    return read_questions(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of a model trained to answer questions")
    parser.add_argument("--contexts", type=Path, required=True, help="SQuAD JSON that documents are made of")
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--words", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    import keras
    import transformers

    from keras_bert_suite.tasks.question_answerer import QuestionAnswerer

    model = str(resolve_source(arguments.model))
    rows = documents(arguments.contexts, arguments.documents, arguments.words)
    settings = {
        "max_length": MAX_LENGTH,
        "stride": STRIDE,
        "max_answer_length": MAX_ANSWER_LENGTH,
        "null_threshold": None,
    }
    answerers = {
        dtype: QuestionAnswerer.from_pretrained(model, dtype=dtype, **settings)
        for dtype in ("float32", "mixed_bfloat16")
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(model).eval()

    def ours(dtype="float32"):
        return [answer["answer"] for answer in answerers[dtype].predict(rows)]

    def theirs():
        encoded = tokenizer(
            [row.question for row in rows],
            [row.context for row in rows],
            truncation="only_second",
            max_length=MAX_LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        sources, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
        return answers_of_transformers(network, tokenizer, rows, encoded, sources, offsets)

    systems = {"ours": ours, "ours, bfloat16": lambda: ours("mixed_bfloat16"), "transformers": theirs}
    answers = {name: run() for name, run in systems.items()}  # the first run compiles
    seconds, cpu_seconds = ({name: [] for name in systems} for _ in range(2))
    for turn in range(arguments.rounds):
        for name in list(systems)[:: 1 if turn % 2 == 0 else -1]:
            started, cpu_started = time.perf_counter(), time.process_time()
            answers[name] = systems[name]()
            seconds[name].append(time.perf_counter() - started)
            cpu_seconds[name].append(time.process_time() - cpu_started)
    agreed = {name: sum(map(str.__eq__, found, answers["transformers"])) for name, found in answers.items()}
    rates = {name: len(rows) / statistics.median(values) for name, values in seconds.items()}
    report = {
        "machine": machine(2),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "documents": len(rows),
        "words": arguments.words,
        "documents_per_second": rates,
        "cpu_seconds_per_document": {name: min(values) / len(rows) for name, values in cpu_seconds.items()},
        "times_transformers": {name: rate / rates["transformers"] for name, rate in rates.items()},
        "same_answers": agreed,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"{report['machine']}; Keras on {report['backend']}")
    for name, rate in rates.items():
        cpu = report["cpu_seconds_per_document"][name]
        times = report["times_transformers"][name]
        print(
            f"{name:15} {rate:.3f} documents of {arguments.words:,} words a second, {cpu:.1f} s of processor each, "
            f"{times:.2f} times transformers; the same answer to {agreed[name]} of {len(rows)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
