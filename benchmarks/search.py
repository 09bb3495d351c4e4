"""How long a semantic search takes, query by query, and whether its answers are exact.

Vectors of a corpus are random directions; the time to compare a query with
all of them does not depend on what they are. Queries are embedded by a real
model, and that time is shown apart. Every answer is held against a full
comparison in float64.

    python benchmarks/search.py
    python benchmarks/search.py --sentences 1000000 --threads 2 --json
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TOP_K = 10


def measure(sentences, queries, model):
    import numpy as np

    from keras_bert_suite.data import read_examples
    from keras_bert_suite.tasks import TextEmbedder
    from keras_bert_suite.tasks.semantic_search import SemanticSearch

    embedder = TextEmbedder.from_pretrained(model)
    texts = [row.text for row in read_examples(ROOT / "examples" / "data" / "test.tsv")][:queries]
    rng = np.random.default_rng(0)
    corpus = rng.normal(size=(sentences, embedder.embedding_dim)).astype("float32")
    search = SemanticSearch(embedder)
    began = time.perf_counter()
    search.add([f"sentence {row}" for row in range(sentences)], embeddings=corpus)
    facts = {"add_seconds": time.perf_counter() - began}
    search.search(texts[0], TOP_K)
    embedding, comparing, whole, answers, vectors = [], [], [], [], []
    for text in texts:
        began = time.perf_counter()
        search.search(text, TOP_K)
        whole.append(time.perf_counter() - began)
        began = time.perf_counter()
        vector = embedder.encode_query(text)
        embedding.append(time.perf_counter() - began)
        began = time.perf_counter()
        indices, _ = search.nearest(vector, TOP_K)
        comparing.append(time.perf_counter() - began)
        answers.append(indices[0])
        vectors.append(vector)
    exact = search.embeddings.astype("float64") @ np.stack(vectors, axis=1)  # (N, Q)
    least = np.partition(exact, -TOP_K, axis=0)[-TOP_K]
    facts["wrong"] = int((np.take_along_axis(exact, np.stack(answers, axis=1), 0) < least - 1e-6).sum())
    for name, times in (("whole", whole), ("embedding", embedding), ("comparing", comparing)):
        facts[f"{name}_ms"] = {"median": statistics.median(times) * 1e3, "max": max(times) * 1e3}
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])

    facts = measure(arguments.sentences, arguments.queries, arguments.model)
    from turns import machine

    report = {"machine": machine(arguments.threads), "sentences": arguments.sentences, **facts}
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(report["machine"])
    print(f"{arguments.sentences:,} sentences, {arguments.queries} queries, the {TOP_K} nearest")
    for name, title in (
        ("whole", "text in, answers out"),
        ("embedding", "of it embedding"),
        ("comparing", "comparing"),
    ):
        times = facts[f"{name}_ms"]
        print(f"{title:22} {times['median']:7.1f} ms   (at most {times['max']:.1f})")
    print(f"{facts['wrong']} of {arguments.queries * TOP_K} answers are not among the nearest in float64")
    return facts["wrong"] > 0


if __name__ == "__main__":
    sys.exit(main())
