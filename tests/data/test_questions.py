"""Questions from SQuAD files, JSON Lines and lists: places of answers, and what is refused, by id."""

import gzip
import json
import logging

import pytest

from keras_bert_suite.data import Answer, Question, read_questions
from keras_bert_suite.errors import DataError
from tests.support.shared import shared_path

CONTEXT = "Ann sings in Rome. Bob sings in Oslo."


def row(**changes):
    return {
        "id": "q1",
        "question": "Who sings in Oslo?",
        "context": CONTEXT,
        "answers": [{"text": "Bob", "answer_start": 19}],
        **changes,
    }


def squad(*rows):
    """The rows as a SQuAD file, each in a paragraph of its own."""
    paragraphs = [
        {"context": one["context"], "qas": [{key: value for key, value in one.items() if key != "context"}]}
        for one in rows
    ]
    return {"version": "1.1", "data": [{"title": "Singers", "paragraphs": paragraphs}]}


def write(path, text):
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


EXPECTED = [Question("q1", "Who sings in Oslo?", CONTEXT, (Answer("Bob", 19),))]


def test_every_form_of_the_same_question_reads_alike(tmp_path):
    columns = row(answers={"text": ["Bob"], "answer_start": [19]})
    assert read_questions([row()]) == read_questions([columns]) == EXPECTED
    assert read_questions(write(tmp_path / "squad.json", squad(row()))) == EXPECTED
    assert read_questions(write(tmp_path / "list.json", [row()])) == EXPECTED
    assert read_questions(write(tmp_path / "flat.json", {"data": [columns]})) == EXPECTED
    (tmp_path / "squad.json.gz").write_bytes(gzip.compress(json.dumps(squad(row())).encode()))
    assert read_questions(tmp_path / "squad.json.gz") == EXPECTED
    lines = "\n".join(json.dumps(one) for one in (row(), row(id="q2")))
    for name in ("rows.jsonl", "rows.json"):
        found = read_questions(write(tmp_path / name, lines))
        assert [(one.id, one.line) for one in found] == [("q1", 1), ("q2", 2)]
    assert read_questions(read_questions([row()])) == EXPECTED


def test_questions_without_answers():
    found = read_questions(
        [
            row(id=11, answers=[]),
            row(id=12, answers=[], is_impossible=True),
            row(id=13, answers=[{"text": "", "answer_start": -1}]),
            row(id=14, answers={"text": [], "answer_start": []}),
            {"question": "?", "context": "", "is_impossible": True},
            {"question": "?", "context": ""},
        ]
    )
    assert [one.is_impossible for one in found] == [True] * 5 + [False]
    assert [one.id for one in found] == ["11", "12", "13", "14", "4", "5"]


def test_a_start_that_counts_utf_16_units_is_understood(caplog):
    context = "𫚭和😀 Ann"
    start = len(context[: context.index("Ann")].encode("utf-16-le")) // 2
    assert start != context.index("Ann")
    with caplog.at_level(logging.WARNING):
        found = read_questions([row(context=context, answers=[{"text": "Ann", "answer_start": start}])])
    assert found[0].answers == (Answer("Ann", context.index("Ann")),)
    assert not caplog.records


def test_a_wrong_start_gives_the_nearest_place_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        found = read_questions([row(answers=[{"text": "sings", "answer_start": 22}])])
    assert found[0].answers == (Answer("sings", 23),)
    assert "1 answers do not stand where answer_start says" in caplog.text
    assert "'q1'" in caplog.text


def test_an_answer_that_is_not_in_its_context_can_be_scored_but_not_learnt_from(tmp_path):
    absent = row(answers=[{"text": "Eve", "answer_start": 0}])
    assert read_questions([absent], require_answers=True)[0].answers == (Answer("Eve", None),)
    path = write(tmp_path / "train.json", squad(absent, row(id="q2"), {**absent, "id": "q3"}))
    with pytest.raises(DataError, match="2 of 3 questions break a rule") as error:
        read_questions(path, require_places=True)
    assert str(error.value).startswith(f"{path}: ")
    assert "question 'q1': its answer 'Eve' must stand in its context" in str(error.value)
    assert "question 'q3'" in str(error.value)
    several = row(answers=[{"text": "Eve", "answer_start": 0}, {"text": "Ann", "answer_start": 0}])
    assert read_questions([several], require_places=True)[0].answers[1] == Answer("Ann", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, "question must be a string, not null"),
        ({"context": 3}, "context must be a string, not int"),
        ({"question": "\ud83d"}, r"half of a surrogate pair, \\ud83d"),
        ({"answers": "Bob"}, "answers must be a list, not str"),
        ({"answers": [3]}, "an answer must be an object with text and answer_start, not int"),
        ({"answers": [{"text": "Bob", "answer_start": "19"}]}, "answer_start must be a whole number, not '19'"),
        ({"answers": {"text": ["Bob"], "answer_start": []}}, "lists text and answer_start of one length"),
        ({"is_impossible": True}, "it is_impossible, and yet has answers"),
        ({"is_impossible": False, "answers": []}, "it has no answers, and yet is_impossible is false"),
        ({"answers": None}, "it must say its answers"),
    ],
)
def test_refused_by_id_and_line(tmp_path, changes, message):
    path = write(tmp_path / "rows.jsonl", "\n" + json.dumps(row(**changes)) + "\n")
    with pytest.raises(DataError, match=message) as error:
        read_questions(path, require_answers=True)
    assert str(error.value).startswith(f"{path}:2: 1 of 1 questions break a rule: question 'q1' (line 2): ")


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": [], "is_impossible": False},
        {"answers": "n/a"},
        {"answers": [{"text": "Eve", "answer_start": 0}], "is_impossible": True},
        {"answers": [{"text": "Bob", "answer_start": 3}]},
    ],
)
def test_answers_may_be_left_unread(changes, caplog):
    assert read_questions([row(**changes)], answers=False) == [Question("q1", "Who sings in Oslo?", CONTEXT)]
    assert not caplog.records


def test_duplicate_ids_are_refused(tmp_path):
    path = write(tmp_path / "train.json", squad(row(), row(id="q2"), row()))
    with pytest.raises(DataError, match="1 of 3 .* question 'q1': its id must be its own"):
        read_questions(path)
    assert [one.id for one in read_questions([{**row(), "id": None}] * 2)] == ["0", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": [', "not valid JSON"),
        ('{"data": 3}', "data must be a list. Received: int"),
        ('{"version": "1.1"}', "data must be a list. Received: NoneType"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', r"data\[0\].paragraphs\[0\] must be an object with context"),
        ('{"data": [{"paragraphs": [{"context": "a", "qas": 1}]}]}', r"paragraphs\[0\].qas must be a list"),
        ('{"data": []}', "at least one question is needed"),
        ('{"data": [3]}', "it must be an object with question and context, not int"),
        ("", "not valid JSON"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, message):
    path = write(tmp_path / "train.json", text)
    with pytest.raises(DataError, match=message) as error:
        read_questions(path)
    assert str(error.value).startswith(str(path))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="the suffix must be one of .json"):
        read_questions(write(tmp_path / "train.tsv", "a\tb"))
    with pytest.raises(DataError, match="no such file"):
        read_questions(tmp_path / "absent.json")
    with pytest.raises(DataError, match="each line must be one JSON object"):
        read_questions(write(tmp_path / "rows.jsonl", "{"))


@pytest.mark.parametrize("name", ["xquad/xquad.en.json", "xquad/xquad.zh.json", "cmrc2018/cmrc2018_trial.json"])
def test_real_files(name, caplog):
    path = shared_path(f"data/{name}")
    found = read_questions(path, require_places=True)
    assert len(found) == (1002 if "cmrc" in name else 1190)
    assert not caplog.records  # five answers of CMRC count UTF-16 units
    for question in found:
        for text, start in question.answers:
            assert question.context.startswith(text, start)
