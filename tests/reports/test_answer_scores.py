"""Exact match and F1 of answers: worked by hand from the official scripts of SQuAD 1.1, 2.0 and CMRC 2018."""

import pytest

from keras_bert_suite.reports import answer_scores, best_threshold, score_answers, scoring_for
from keras_bert_suite.reports.answers import marked_passage


@pytest.mark.parametrize(
    ("true", "predicted", "exact", "f1"),
    [
        (["Denver Broncos"], "the Denver Broncos!", 1, 1),  # articles, case and punctuation do not count
        (["Denver Broncos"], "Broncos", 0, 2 / 3),
        (["Denver Broncos", "Broncos"], "Broncos", 1, 1),  # the best of the right answers
        (["24–10"], "24–10", 1, 1),  # a dash that is not ASCII stays
        (["24-10"], "2410", 1, 1),
        (["a b b"], "b b c", 0, 2 * 2 / 5),  # words count as often as they occur: [b b] and [b b c]
        (["Paris"], "", 0, 0),
        (["Théâtre"], "Theatre", 0, 0),  # accents count
    ],
)
def test_words(true, predicted, exact, f1):
    for scoring in ("squad", "squad_v2"):
        found = score_answers([true], [predicted], scoring)
        assert found[0].tolist() == [exact]
        assert found[1].tolist() == pytest.approx([f1])


def test_answers_without_words_are_where_the_two_scripts_differ():
    assert [values.tolist() for values in score_answers([["The"]], ["the"], "squad")] == [[1.0], [0.0]]
    assert [values.tolist() for values in score_answers([["The"]], ["the"], "squad_v2")] == [[1.0], [1.0]]
    assert [values.tolist() for values in score_answers([["The", "Rome"]], ["the"], "squad_v2")] == [[0.0], [0.0]]


def test_unanswerable_questions():
    scores = answer_scores([["Rome"], ["Rome"], [], []], ["Rome", "", "", "Rome"], "squad_v2")
    assert scores == {
        "exact_match": 50.0,
        "f1": 50.0,
        "answerable_exact_match": 50.0,
        "answerable_f1": 50.0,
        "unanswerable_exact_match": 50.0,
    }
    assert answer_scores([["Rome"]], ["in Rome"]) == {"exact_match": 0.0, "f1": pytest.approx(100 * 2 / 3)}


@pytest.mark.parametrize(
    ("true", "predicted", "exact", "f1"),
    [
        (["美国总统"], "美国总统", 1, 1),
        (["美国总统"], "《美国总统》。", 1, 1),  # Chinese punctuation does not count
        (["美国总统"], "总统", 0, 2 * 2 / (2 + 4)),
        (["美国总统"], "美国的总统", 0, 2 * 2 / (5 + 4)),  # the longest part in one piece
        (["1990年3月"], "1990年", 0, 2 * 2 / (2 + 4)),  # a number is one part
        (["NHK 电视台"], "nhk电视台", 0, 1),  # a space counts for exact match, not for F1
        (["Steve Jobs"], "jobs", 0, 2 * 1 / (1 + 2)),
        (["3.5%"], "3.5", 0, 2 * 1 / (1 + 2)),  # 3.5 and %
        (["A-B"], "ab", 1, 1),  # so is a hyphen passed over
        (["甲"], "乙", 0, 0),
        (["甲", "乙"], "乙", 1, 1),
    ],
)
def test_chinese(true, predicted, exact, f1):
    found = score_answers([true], [predicted], "cmrc2018")
    assert found[0].tolist() == [exact]
    assert found[1].tolist() == pytest.approx([f1])


def test_the_best_threshold():
    values, nulls = [1.0, 0.0, 0.5, 0.0], [0.1, 0.2, 0.3, 0.4]
    answerable = [True, False, True, False]
    # Answer the first: 1 + 2 rights. Answer the first three: 1 + 0.5 + 1.
    assert best_threshold(values, nulls, answerable) == (75.0, 0.1)
    assert best_threshold(values, nulls, answerable, [False, True, False, False]) == (87.5, 0.3)
    assert best_threshold([0.0], [0.3], [False]) == (100.0, 0.0)
    score, threshold = best_threshold([0.0, 0.0], [-7.0, -3.0], [False, False])
    assert (score, threshold) == (100.0, -8.0)  # below every score: no question is answered


def test_the_scoring_for_a_language():
    assert scoring_for(["Who sings?"], False) == "squad"
    assert scoring_for(["Who sings?"], True) == "squad_v2"
    assert scoring_for(["谁是美国 NBA 的总统？"], False) == "cmrc2018"
    assert scoring_for(["誰がうたっていますか"], False) == "squad"
    assert scoring_for(["?"], False) == "squad"


def test_refused():
    with pytest.raises(ValueError, match="scoring must be one of squad, squad_v2, cmrc2018"):
        score_answers([["a"]], ["a"], "rouge")
    with pytest.raises(ValueError, match="one answer per question. Received: 2 answers, 1 questions"):
        score_answers([["a"]], ["a", "b"])
    with pytest.raises(ValueError, match="at least one answer"):
        best_threshold([], [], [])


def test_contexts_in_reports_have_their_answers_marked():
    context = "x" * 900 + "<Ann> and Bob" + "y" * 900
    start = context.index("Ann")
    html = marked_passage(context, [(start, start + 3, "true"), (start + 9, start + 12, "predicted")])
    shown, whole = html.split("<details>")
    for part in (shown, whole):
        assert '&lt;<b class="right">Ann</b>&gt; and <u class="wrong">Bob</u>' in part
    assert shown.startswith('<p dir="auto">… x')
    assert len(shown) < 500
    assert len(whole) > 1800
    assert marked_passage("", []) == '<p dir="auto"></p>'
