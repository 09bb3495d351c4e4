"""Exact match and F1 of answers, as the official scripts of SQuAD 1.1, SQuAD 2.0 and CMRC 2018 compute them.

Scores are in percent, as those scripts print them.
"""

import collections
import re
import string
import unicodedata

import numpy as np

__all__ = ["SCORINGS", "answer_scores", "best_threshold", "score_answers", "scoring_for"]

SCORINGS = ("squad", "squad_v2", "cmrc2018")

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
#: What the CMRC 2018 script takes for punctuation.
_CHINESE_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CHINESE = re.compile("([\u4e00-\u9fa5])")


def _rules(*pairs):
    return [(re.compile(pattern), replacement) for pattern, replacement in pairs]


#: How the Penn Treebank parts marks and contractions from words, of the marks that are not passed over anyway.
_TREEBANK_MARKS = _rules(
    (r'^"', r" `` "),
    (r'([ (\[{<])("|\'{2})', r"\1 `` "),
    (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", r"' "),
    (r"([^.])(\.)([\])}>\"' ]*)\s*$", r"\1 \2 \3 "),
    (r",(?!\d|$)|,$", r" , "),
    (r"(\.{2,}|[;@#$%&?!\]\[(){}<>«»‘„‒-―])", r" \1 "),
    (r"([^'])' ", r"\1 ' "),
)
_TREEBANK_ENDINGS = _rules(
    (r"''|\"", r" '' "),
    (r"([^' ])('[smd]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
    (r"\b(can)(not)\b|\b(gim|lem)(me)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b", r" \1\3\5\7 \2\4\6\8 "),
)
#: Where a sentence ends inside a text: not after an initial, a number or a common abbreviation.
_SENTENCE_END = re.compile(
    r"((?:(?<!\b\w)(?<!\d)(?<!\b(?:co|dr|jr|mr|ms|sr|st|vs))(?<!\b(?:etc|gen|inc|mrs))\.|[?!])[\"')\]]*)\s+"
)


def score_answers(true, predicted, scoring="squad"):
    """Score each answer by itself.

    Args:
        true: sequence of sequences of str: the right answers to each question;
            an empty one where there is none.
        predicted: sequence of str, as long; an empty str says that there is none.
        scoring: str. `"squad"` and `"squad_v2"` compare words without case,
            punctuation and English articles, and differ only for questions
            without answers and answers of articles alone; `"cmrc2018"` compares
            Chinese characters, F1 by the longest common part.
    Returns:
        `(exact, f1)`: float arrays `(N,)` in [0, 1], of the best of the right answers.
    Raises:
        ValueError: if lengths differ, or `scoring` is unknown.
    Example:
    >>> exact, f1 = score_answers([["the red house"], ["Paris", "in Paris"]], ["red houses", "paris."])
    >>> exact.tolist(), f1.tolist()
    ([0.0, 1.0], [0.5, 1.0])

    Source: Rajpurkar et al. 2016, section 6.1; Cui et al. 2019, section 3.
    """
    if scoring not in SCORINGS:
        raise ValueError(f"score_answers: scoring must be one of {', '.join(SCORINGS)}. Received: {scoring!r}.")
    if len(true) != len(predicted):
        raise ValueError(
            f"score_answers: there must be one answer per question. Received: {len(predicted)} answers, "
            f"{len(true)} questions."
        )
    compare = _compare_chinese if scoring == "cmrc2018" else _compare_words
    exact, f1 = np.zeros(len(true)), np.zeros(len(true))
    for row, (texts, answer) in enumerate(zip(true, predicted, strict=True)):
        texts = list(texts)
        if scoring == "squad_v2":
            texts = [text for text in texts if _words(text)]
        if texts:
            exact[row], f1[row] = map(max, zip(*(compare(text, answer) for text in texts), strict=True))
        else:
            exact[row] = f1[row] = not (answer if scoring == "cmrc2018" else _words(answer))
        if scoring == "squad" and not _words(answer):
            f1[row] = not texts  # the script of 1.1 knows no answer without words
    return exact, f1


def answer_scores(true, predicted, scoring="squad"):
    """Score answers together.

    Args:
        true, predicted, scoring: as in `score_answers`.
    Returns:
        dict of floats in percent: `exact_match` and `f1`; where some questions
        have no answer, also `answerable_exact_match` and `answerable_f1`, over
        the others alone, and `unanswerable_exact_match`.
    Example:
    >>> answer_scores([["red"], []], ["red", "blue"], "squad_v2")["f1"]
    50.0
    """
    exact, f1 = score_answers(true, predicted, scoring)
    answerable = np.array([len(texts) > 0 for texts in true], bool)
    scores = {"exact_match": _percent(exact), "f1": _percent(f1)}
    if not answerable.all():
        if answerable.any():
            scores["answerable_exact_match"] = _percent(exact[answerable])
            scores["answerable_f1"] = _percent(f1[answerable])
        scores["unanswerable_exact_match"] = _percent(exact[~answerable])
    return scores


def best_threshold(values, null_scores, answerable, says_nothing=None):
    """Find from which score on "no answer" is the better answer, as the script of SQuAD 2.0 does.

    Args:
        values: float array `(N,)`. `exact` or `f1` of each answer, with no threshold.
        null_scores: float array `(N,)`. How much is to be said for no answer.
        answerable: bool array `(N,)`. Whether the question has an answer.
        says_nothing: optional bool array `(N,)`. Whether the answer is an empty
            str even without a threshold.
    Returns:
        `(score, threshold)`: the best mean score, in percent, and the threshold
        for it: no answer is given where the null score is above.
    Example:
    >>> best_threshold([1.0, 0.5, 0.0], [-2.0, -1.0, 3.0], [True, True, False])
    (83.33333333333333, -1.0)
    """
    null_scores, answerable = np.asarray(null_scores, "float64"), np.asarray(answerable, bool)
    if not len(null_scores):
        raise ValueError("best_threshold: at least one answer is needed. Received: none.")
    lost = -1.0 if says_nothing is None else np.where(says_nothing, 0.0, -1.0)
    order = np.argsort(null_scores, kind="stable")
    nothing = float((~answerable).sum())  # right when no question at all is answered
    totals = nothing + np.cumsum(np.where(answerable, np.asarray(values, "float64"), lost)[order])
    best = int(totals.argmax())
    if totals[best] > nothing:
        return 100.0 * float(totals[best]) / len(order), float(null_scores[order[best]])
    lowest = float(null_scores.min())
    return 100.0 * nothing / len(order), 0.0 if lowest >= 0 else lowest - 1.0


def scoring_for(questions, any_unanswerable):
    """Return the scoring that suits data: `"cmrc2018"` where most letters of the questions are Chinese.

    Args:
        questions: sequence of str.
        any_unanswerable: bool. Whether some questions have no answer.
    """
    letters = [character for text in questions for character in text if unicodedata.category(character)[0] == "L"]
    if sum(bool(_CHINESE.match(character)) for character in letters) > len(letters) / 2:
        return "cmrc2018"
    return "squad_v2" if any_unanswerable else "squad"


def _percent(values):
    return 100.0 * float(np.sum(values)) / len(values) if len(values) else 0.0


def _words(text):
    """The words of a text that count: without case, punctuation and English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _compare_words(true, predicted):
    true, predicted = _words(true), _words(predicted)
    if not true or not predicted:
        return float(true == predicted), float(true == predicted)
    common = sum((collections.Counter(true) & collections.Counter(predicted)).values())
    return float(true == predicted), 2 * common / (len(true) + len(predicted))


def _compare_chinese(true, predicted):
    exact = _without_punctuation(true) == _without_punctuation(predicted)
    true, predicted = _chinese_parts(true), _chinese_parts(predicted)
    common = _longest_common(true, predicted)
    return float(exact), 2 * common / (len(true) + len(predicted)) if common else 0.0


def _without_punctuation(text):
    return "".join(character for character in text.lower().strip() if character not in _CHINESE_PUNCTUATION)


def _chinese_parts(text):
    """Each Chinese character, and the words of what stands between two of them."""
    parts = []
    for run in _CHINESE.split(_without_punctuation(text)):
        parts += [run] if _CHINESE.fullmatch(run) else _treebank_words(run)
    return parts


def _treebank_words(text):
    """The words of a text in Latin letters, as NLTK's `word_tokenize` parts them."""
    words = []
    for sentence in _SENTENCE_END.sub("\\1\n", text.strip()).split("\n"):
        for pattern, replacement in _TREEBANK_MARKS:
            sentence = pattern.sub(replacement, sentence)
        sentence = f" {sentence} "
        for pattern, replacement in _TREEBANK_ENDINGS:
            sentence = pattern.sub(replacement, sentence)
        words += sentence.split()
    return words


def _longest_common(first, second):
    """Length of the longest run of parts that both have."""
    best, row = 0, [0] * (len(second) + 1)
    for one in first:
        row = [0, *(row[place] + 1 if one == other else 0 for place, other in enumerate(second))]
        best = max(best, *row)
    return best
