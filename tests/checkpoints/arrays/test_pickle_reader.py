"""Pickles that no torch.save writes, inside a file that is sound otherwise; PyTorch is not needed to refuse them."""

import zipfile

import pytest

from keras_bert_suite.checkpoints.arrays.torch_file import read_torch
from keras_bert_suite.errors import CheckpointError


def refusal(path, *words):
    with pytest.raises(CheckpointError) as caught:
        read_torch(path)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def pickled(program, path):
    """Write a zip whose pickle is `program`, with a storage "0" of 16 bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + program)
        archive.writestr("m/data/0", bytes(16))
    return path


def tensor_program(shape=b"K\x04\x85", strides=b"K\x01\x85", start=b"K\x00", count=b"K\x04", key=b"X\1\0\0\x000"):
    return (
        b"}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\n"
        + key + b"X\3\0\0\0cpu" + count + b"tQ" + start + shape + strides + b"\x89NtRs."
    )  # fmt: skip


HUGE = b"\x8a\x08" + b"\xff" * 7 + b"\x7f"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"shape": b"K\x05\x85"}, "reaches outside"),
        ({"start": b"K\x01"}, "reaches outside"),
        ({"strides": b"K\x02\x85"}, "reaches outside"),
        ({"strides": HUGE + b"\x85"}, "reaches outside"),
        ({"start": HUGE}, "reaches outside"),
        ({"shape": HUGE + b"\x85"}, "no memory could hold"),
        ({"shape": b"K\x00" + HUGE + HUGE + b"\x87", "strides": b"K\1K\1K\1\x87"}, "no memory could hold"),
        ({"shape": b"K\x04K\x04\x86", "strides": b"K\0K\1\x86"}, "expanded from 4 to 16"),
        ({"shape": b"J\xff\xff\xff\xff\x85"}, "whole numbers from 0"),
        ({"strides": b"J\xff\xff\xff\xff\x85"}, "whole numbers from 0"),
        ({"start": b"N"}, "whole numbers from 0"),
        ({"shape": b"\x88\x85"}, "whole numbers from 0"),
        ({"shape": b"(" + b"K\1" * 40 + b"t"}, "at most 32 sizes"),
        ({"strides": b")"}, "as many strides"),
        ({"count": b"K\x05"}, "has 16 bytes, too few"),
        ({"count": HUGE}, "too few"),
        ({"key": b"X\1\0\0\x001"}, "storage '1' is missing"),
        ({"key": b"X\x07\0\0\0../0/.."}, "is missing"),
    ],
)
def test_tensors_that_cannot_be(changes, word, tmp_path):
    path = tmp_path / "m.bin"
    assert read_torch(pickled(tensor_program(), path))["a"].read().shape == (4,)
    refusal(pickled(tensor_program(**changes), path), word)


@pytest.mark.parametrize(
    ("program", "word"),
    [
        (b"", "cut off"),
        (b".", "has not made"),
        (b"N", "cut off"),
        (b"0.", "has not made"),
        (b"(0.", "has not made"),
        (b"t.", "has not begun"),
        (b"NNa.", "for a list"),
        (b"NNNs.", "for a dict"),
        (b"}(Nu.", "a key and no value"),
        (b"}NNs.", "names or small numbers"),
        (b"}(X\1\0\0\0aNX\1\0\0\0aNu.", "'a' occurs twice"),
        (b"h\0.", "has not kept"),
        (b"r\xff\xff\xff\xff.", "keeps more"),
        (b"X\xff\xff\xff\xffa.", "cut off, or too long"),
        (b"X\1\0\0\0\xff.", "not UTF-8"),
        (b"\x8a\xff" + bytes(255) + b".", "more than 16 bytes"),
        (b"cos", "a name that is cut off"),
        (b"cos\nsystem\n.", "holds code (os.system)"),
        (b"(ios\nsystem\n.", "holds code (os.system)"),
        (b"X\2\0\0\0osX\6\0\0\0system\x93.", "holds code (os.system)"),
        (b"NN\x93.", "no text"),
        (b"c" + b"a" * 900 + b"\n" + b"b" * 900 + b"\n.", "holds code (aaaa"),
        (b"c\x1b[2J\r\n\x1b\n.", "holds code ("),
        (b"(o.", "the pickle instruction 'o'"),
        (b"\x82\x01.", "the pickle instruction"),
        (b"N)\x81.", "the pickle instruction"),
        (b"ctorch\nfloat32\n)R.", "no function"),
        (b"N)R.", "no function"),
        (b"ctorch\nSize\nNR.", "no function"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "calls a function wrongly"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.", "without a storage"),
        (b"ccollections\nOrderedDict\n(KKtR.", "list of pairs"),
        (b"NQ.", "no storage"),
        (b"(X\7\0\0\0storageNNNNtQ.", "no storage"),
        (b"]" * 70_000 + b".", "values at a time"),
        (b"(" * 70_000 + b".", "values at a time"),
        (b"N0" * 600_000 + b".", "instructions"),
    ],
    ids=lambda value: ascii(value[:20]),
)
def test_pickles_that_cannot_be(program, word, tmp_path):
    refusal(pickled(program, tmp_path / "m.bin"), word)


def test_nesting_that_would_overflow_a_stack(tmp_path):
    program = b")" + b"\x85" * 400_000
    refusal(pickled(b"}" + program + b"Ns.", tmp_path / "m.bin"), "names or small numbers")
    refusal(pickled(program + b".", tmp_path / "m.bin"), "Received: tuple")


def test_a_list_that_is_recalled_does_not_multiply(tmp_path):
    pairs = b"]q\0(" + b"".join(b"X\4\0\0\0%04dN\x86" % number for number in range(5000)) + b"e0"
    program = pairs + b"](" + b"ccollections\nOrderedDict\nh\0\x85R" * 5000 + b"e."
    refusal(pickled(program, tmp_path / "m.bin"), "Received: list")
