"""Make the corpus: valid tiny files, then one small spoiled file for every kind of refusal that fuzzing finds.

Run it from the root of the repository, with PyTorch installed, when a reader has changed:

    python -m tests.checkpoints.arrays.fuzz.make_corpus --cases 20000
"""

import argparse
import re
import resource
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

from keras_bert_suite.checkpoints.arrays.safetensors_files import write_safetensors
from keras_bert_suite.checkpoints.arrays.tensor_bundle import write_bundle
from tests.checkpoints.arrays.fuzz.mutations import CORPUS, READERS, cases, outcome


def write_valid():
    import torch

    arrays = {
        "layer/kernel": np.arange(6, dtype="float32").reshape(2, 3),
        "layer/bias": np.arange(3).astype(ml_dtypes.bfloat16),
        "step": np.array(7),
        "none": np.zeros((0, 2), "float16"),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_safetensors(folder, arrays)
        (Path(folder) / "model.safetensors").rename(CORPUS / "safetensors-valid.safetensors")
        write_bundle(Path(folder) / "x", arrays)
        (Path(folder) / "x.index").rename(CORPUS / "bundle-valid.index")
        (Path(folder) / "x.data-00000-of-00001").rename(CORPUS / "bundle.data-00000-of-00001")
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = {"whole": base, "turned": base.T, "half": torch.ones(2).bfloat16(), "p": torch.nn.Parameter(base[0])}
    for layout in ("zip", "legacy"):
        torch.save(tensors, CORPUS / f"torch-valid-{layout}.bin", _use_new_zipfile_serialization=layout == "zip")


def shape_of(message):
    """A message without the names and numbers of its file."""
    rule = re.search(r"damaged.*?\((.*)\)\. Download", message)
    shape = re.sub(r"(holds code|not valid JSON).*", r"\1", rule[1] if rule else message)
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "*", shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000, help="how many files to spoil")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    CORPUS.mkdir(exist_ok=True)
    write_valid()
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30,) * 2)  # PyTorch alone maps several
    kept, read = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, content in cases(options.seed, options.cases):
            try:
                message = outcome(kind, content, Path(folder))
            except BaseException:
                (CORPUS / f"{kind}-failing{READERS[kind][1]}").write_bytes(content)
                raise
            if message is None:
                read += 1
                continue
            key = (kind, shape_of(message.replace(folder, "")))
            if len(content) < len(kept.get(key, bytes(5000))):
                kept[key] = content
    for path in CORPUS.glob("*-refused-*"):
        path.unlink()
    for number, ((kind, shape), content) in enumerate(sorted(kept.items())):
        (CORPUS / f"{kind}-refused-{number:02d}{READERS[kind][1]}").write_bytes(content)
        print(f"{number:02d} {kind}: {shape}")
    print(f"{options.cases} files: {read} could be read, {options.cases - read} were refused in {len(kept)} ways")


if __name__ == "__main__":
    main()
