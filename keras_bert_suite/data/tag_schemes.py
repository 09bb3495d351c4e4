"""Tags of words and the spans that they mean, in the schemes IO, IOB1, BIO and BIOES.

A span is `(first, end, label)`: its first word, the word after its last one,
and what it is. Tags are read as conlleval and `seqeval` read them, so that
every sequence means some spans, also one that breaks its scheme.
"""

import re
from collections import Counter
from itertools import pairwise

from keras_bert_suite.errors import check_choice

__all__ = [
    "OUTSIDE",
    "SCHEMES",
    "canonical_tags",
    "check_scheme",
    "convert_tags",
    "find_break",
    "find_scheme",
    "may_follow",
    "respelled_tags",
    "scheme_tags",
    "spans_to_tags",
    "split_tag",
    "tags_to_spans",
]

#: The tag of a word that is in no span.
OUTSIDE = "O"

#: Scheme -> the prefixes of the first word of a span, of those inside, of the last, and of an only one. IOB1 has B too,
#: where a span comes right after another of its label.
SCHEMES = {"IO": "IIII", "IOB1": "IIII", "BIO": "BIIB", "BIOES": "BIES"}

#: What others call these schemes.
ALIASES = {"IOB": "IOB1", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BIOES", "BMES": "BIOES", "BMEWO": "BIOES"}

#: How prefixes are spelled -> what they are here; the last four are those of BILOU and BMES.
PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "M": "I", "L": "E", "U": "S", "W": "S"}

#: Prefixes as they are spelled elsewhere: `b-per`, `B_PER`; and behind the label: `PER-B`.
BEFORE, BEHIND = (
    re.compile(r"(?P<prefix>[BIEMSLUW])[-_](?P<label>.+)", re.I),
    re.compile(r"(?P<label>.+)[-_](?P<prefix>[BIEMSLUW])", re.I),
)

#: The label of a tag that is nothing but a prefix.
NAMELESS = "_"


def check_scheme(name):
    """Return the name that a scheme has here, e.g. `"BIO"` for `"iob2"`, or raise `ValueError`."""
    found = ALIASES.get(str(name).upper(), str(name).upper())
    check_choice("tags", "scheme", found, tuple(SCHEMES))
    return found


def split_tag(tag):
    """Return the prefix of a tag and its label.

    A tag without a prefix is one inside, as in the plainest form of IO.

    Example:
    >>> split_tag("B-PER"), split_tag("U-LOC"), split_tag("O"), split_tag("NOUN")
    (('B', 'PER'), ('S', 'LOC'), ('O', ''), ('I', 'NOUN'))
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, label = tag.partition("-")
    if prefix in PREFIXES:
        return PREFIXES[prefix], label if dash and label else NAMELESS
    return "I", tag


def has_prefix(tag):
    """Return whether a tag is `O` or begins with a prefix."""
    return tag == OUTSIDE or tag.partition("-")[0] in PREFIXES


def respelled_tags(tags, known=()):
    """Return tags whose prefixes are spelled otherwise, as `B-PER` is: dict from str to str, empty for others.

    Tags are such where all are, and one label at least has a tag that begins and
    one that goes on, or all are `known` when respelled.

    Args:
        tags: collection of str.
        known: collection of str. The tags of a model.
    Example:
    >>> respelled_tags(["o", "b-per", "i-per"]), respelled_tags(["O", "PER_B", "PER_E"]), respelled_tags(["b-a", "N"])
    ({'o': 'O', 'b-per': 'B-per', 'i-per': 'I-per'}, {'O': 'O', 'PER_B': 'B-PER', 'PER_E': 'E-PER'}, {})
    """
    others = [tag for tag in tags if tag.upper() != OUTSIDE]
    if not others or any("-" in tag and has_prefix(tag) for tag in others):
        return {}
    for form in (BEFORE, BEHIND):
        found = {tag: form.fullmatch(tag) for tag in others}
        if all(found.values()):
            split = {tag: (match["prefix"].upper(), match["label"]) for tag, match in found.items()}
            begun = {label for prefix, label in split.values() if PREFIXES[prefix] == "B"}
            gone_on = {label for prefix, label in split.values() if PREFIXES[prefix] in "IE"}
            spelled = {tag: f"{prefix}-{label}" for tag, (prefix, label) in split.items()}
            if begun & gone_on or set(spelled.values()) <= set(known):
                return {tag: spelled.get(tag, OUTSIDE) for tag in tags}
    return {}


def canonical_tags(tags):
    """Return the tags of a data set or of a model as the schemes spell them: dict from str to str.

    A letter alone that could be a prefix is one where all tags have prefixes;
    beside tags without, it is such a tag too, as numerals (`M`) among parts of speech.

    Args:
        tags: collection of str.
    Example:
    >>> canonical_tags(["O", "L-LOC", "B"]), canonical_tags(["O", "NOUN", "M"])
    ({'O': 'O', 'L-LOC': 'E-LOC', 'B': 'B-_'}, {'O': 'O', 'NOUN': 'I-NOUN', 'M': 'I-M'})
    """
    plain = not all(map(has_prefix, tags))
    split = {tag: ("I", tag) if plain and tag in PREFIXES else split_tag(tag) for tag in tags}
    return {tag: f"{prefix}-{label}" if label else prefix for tag, (prefix, label) in split.items()}


def tags_to_spans(tags):
    """Return the spans that tags mean, whatever their scheme: those of `seqeval`'s `get_entities`.

    Args:
        tags: sequence of str, one a word.
    Returns:
        list of `(first, end, label)`.
    Example:
    >>> tags_to_spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 5, 'LOC')]
    """
    spans, first, before, label = [], None, OUTSIDE, ""
    for index, tag in enumerate([*tags, OUTSIDE]):
        prefix, found = split_tag(tag)
        goes_on = prefix in "IE" and before in "BI" and found == label
        if first is not None and not goes_on:
            spans.append((first, index, label))
            first = None
        if prefix != OUTSIDE and not goes_on:
            first = index
        before, label = prefix, found
    return spans


def spans_to_tags(spans, length, scheme="BIO"):
    """Return the tags of `length` words in a scheme.

    Args:
        spans: sequence of `(first, end, label)`, none of which overlap.
        length: int. Words.
        scheme: str out of `SCHEMES`.
    Returns:
        list of str.
    Example:
    >>> spans_to_tags([(0, 2, "PER"), (3, 4, "LOC")], 4, "BIOES")
    ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    begin, inside, last, only = SCHEMES[scheme]
    tags, before = [OUTSIDE] * length, None
    for first, end, label in sorted(spans):
        tags[first:end] = [f"{inside}-{label}"] * (end - first)
        tags[end - 1] = f"{last}-{label}"
        tags[first] = f"{only if end - first == 1 else begin}-{label}"
        if scheme == "IOB1" and before == (first, label):
            tags[first] = f"B-{label}"
        before = (end, label)
    return tags


def convert_tags(tags, scheme):
    """Return the tags of the same spans in another scheme.

    Example:
    >>> convert_tags(["I-PER", "I-PER", "O"], "BIOES")
    ['B-PER', 'E-PER', 'O']
    """
    return spans_to_tags(tags_to_spans(tags), len(tags), scheme)


def scheme_tags(labels, scheme):
    """Return every tag that a scheme has for some labels, `O` first.

    Example:
    >>> scheme_tags(["PER", "LOC"], "BIO")
    ['O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER']
    """
    prefixes = sorted({*SCHEMES[scheme], *("B" if scheme == "IOB1" else "")})
    return [OUTSIDE, *(f"{prefix}-{label}" for label in sorted(labels) for prefix in prefixes)]


def may_follow(tag, before, scheme):
    """Return whether a scheme lets `tag` come right after `before`; `O` stands for the begin and the end of a text."""
    (prefix, label), (previous, previous_label) = split_tag(tag), split_tag(before)
    inside = previous in "BI" and label == previous_label
    if scheme == "BIOES":
        return prefix in "IE" and inside if previous in "BI" else prefix in "OBS"
    if scheme == "BIO":
        return prefix in "OB" or (prefix == "I" and inside)
    if scheme == "IOB1":
        return prefix in "OI" or (prefix == "B" and inside)
    return prefix in "OI"


def find_scheme(sequences):
    """Recognise the scheme of tags: the one that they break least often.

    Tags of two schemes may look the same: without two spans of one label side by
    side, IOB1 is IO. Both mean the same spans then.

    Args:
        sequences: iterable of sequences of str, one tag a word.
    Returns:
        str out of `SCHEMES`.
    Example:
    >>> find_scheme([["B-PER", "I-PER", "O"]]), find_scheme([["I-PER", "B-PER", "O"]]), find_scheme([["S-PER", "O"]])
    ('BIO', 'IOB1', 'BIOES')
    """
    pairs = Counter(pair for tags in sequences for pair in pairwise([OUTSIDE, *tags, OUTSIDE]))
    prefixes = {split_tag(tag)[0] for pair in pairs for tag in pair}
    if prefixes & set("ES"):
        return "BIOES"
    if "B" not in prefixes:
        return "IO"
    breaks = {
        scheme: sum(count for (before, tag), count in pairs.items() if not may_follow(tag, before, scheme))
        for scheme in ("BIO", "IOB1")
    }
    return min(breaks, key=breaks.get)


def find_break(sequences, scheme):
    """Return `(row, word)` of the first tag that breaks a scheme, or `None`."""
    for row, tags in enumerate(sequences):
        for index, (before, tag) in enumerate(pairwise([OUTSIDE, *tags, OUTSIDE])):
            if not may_follow(tag, before, scheme):
                return row, min(index, len(tags) - 1)
    return None
