"""Tags mean the spans that seqeval finds in them, and every scheme can say every span."""

import itertools

import numpy as np
import pytest

from keras_bert_suite.data.tag_schemes import (
    SCHEMES,
    canonical_tags,
    check_scheme,
    convert_tags,
    find_break,
    find_scheme,
    may_follow,
    scheme_tags,
    spans_to_tags,
    split_tag,
    tags_to_spans,
)


def random_spans(rng, length=9):
    """Some spans that do not overlap, often side by side."""
    cuts = np.flatnonzero(rng.random(length + 1) < 0.5).tolist()
    return [
        (first, end, str(rng.choice(["PER", "LOC"])))
        for first, end in itertools.pairwise(cuts)
        if rng.random() < 0.7
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_survive_the_way_to_tags_and_back(scheme):
    rng = np.random.default_rng(0)
    for _ in range(300):
        spans = random_spans(rng)
        tags = spans_to_tags(spans, 9, scheme)
        if scheme == "IO":  # spans of one label side by side run together
            tags = spans_to_tags(tags_to_spans(tags), 9, scheme)
            assert tags == spans_to_tags(spans, 9, scheme)
        else:
            assert tags_to_spans(tags) == spans
        assert find_break([tags], scheme) is None
        assert set(tags) <= set(scheme_tags(["PER", "LOC"], scheme))


def test_every_sequence_means_the_spans_that_seqeval_finds():
    get_entities = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    alphabet = ["O", "B-X", "I-X", "E-X", "S-X", "I-Y", "E-Y"]
    for tags in itertools.product(alphabet, repeat=4):
        expected = [(first, last + 1, label) for label, first, last in get_entities(list(tags))]
        assert tags_to_spans(tags) == expected, tags
    odd = ["B", "I", "O", "B-A-B", "I-A-B"]
    assert tags_to_spans(odd) == [(first, last + 1, label) for label, first, last in get_entities(odd)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_of_tags_is_found(scheme):
    spans = [[(0, 2, "PER"), (2, 3, "PER"), (5, 6, "LOC")], [(0, 1, "LOC")], []]
    assert find_scheme([spans_to_tags(row, 7, scheme) for row in spans]) == scheme


def test_one_broken_tag_does_not_change_the_scheme():
    good = ["B-PER", "I-PER", "O", "B-LOC"]
    assert find_scheme([good, good, ["O", "I-PER"]]) == "BIO"
    assert find_break([good, ["O", "I-PER"]], "BIO") == (1, 1)
    assert find_break([["B-PER", "E-PER"], ["O", "B-PER"]], "BIOES") == (1, 1)  # its span never ends
    assert find_break([["O", "B-PER"]], "IOB1") == (0, 1)
    assert find_break([["I-PER", "B-PER"]], "IOB1") is None


def test_breaks_are_those_of_seqevals_strict_mode():
    schemes = pytest.importorskip("seqeval.scheme")
    strict = {"BIO": schemes.IOB2, "IOB1": schemes.IOB1, "BIOES": schemes.IOBES}
    for scheme, theirs in strict.items():
        prefixes = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES"}[scheme]
        alphabet = ["O", *(f"{prefix}-{label}" for prefix in prefixes for label in "XY")]
        for tags in itertools.product(alphabet, repeat=3):
            if find_break([tags], scheme) is None:
                found = schemes.Entities([list(tags)], theirs).entities[0]
                assert [entity.to_tuple()[1:] for entity in found] == [
                    (label, first, end) for first, end, label in tags_to_spans(tags)
                ], tags


def test_tags_are_converted():
    assert convert_tags(["I-PER", "B-PER", "I-PER", "O"], "BIO") == ["B-PER", "B-PER", "I-PER", "O"]
    assert convert_tags(["B-PER", "B-PER", "I-PER", "O"], "IOB1") == ["I-PER", "B-PER", "I-PER", "O"]
    assert convert_tags(["B-PER", "L-PER", "U-LOC"], "BIO") == ["B-PER", "I-PER", "B-LOC"]  # BILOU
    assert convert_tags(["B-PER", "M-PER", "E-PER"], "BIOES") == ["B-PER", "I-PER", "E-PER"]  # BMES
    assert convert_tags([], "BIO") == []


def test_names_of_schemes():
    assert [check_scheme(name) for name in ("bio", "IOB2", "IOBES", "BILOU", "iob1")] == [
        "BIO", "BIO", "BIOES", "BIOES", "IOB1",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="scheme must be one of 'IO', 'IOB1', 'BIO', 'BIOES'. Received: scheme='XYZ'"):
        check_scheme("xyz")


def test_tags_without_prefix_are_tags_inside():
    assert split_tag("NOUN") == ("I", "NOUN")
    assert may_follow("I-NOUN", "O", "IO")
    penn = ["NR", "M", "S", "L", "U", "B", "-LRB-", "PRP-S", "O"]  # those that are a prefix elsewhere are labels here
    assert canonical_tags(penn) == {tag: f"I-{tag}" for tag in penn[:-1]} | {"O": "O"}
    assert canonical_tags(["B", "I", "M-X", "O"]) == {"B": "B-_", "I": "I-_", "M-X": "I-X", "O": "O"}
    assert tags_to_spans(["NOUN", "NOUN", "VERB"]) == [(0, 2, "NOUN"), (2, 3, "VERB")]
