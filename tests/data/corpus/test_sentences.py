"""Sentences of documents: parted well, nothing lost, in time that grows with the text alone."""

import time

import pytest

from keras_bert_suite.data.corpus.sentences import default_segmenter, document_sentences

pytest.importorskip("sentencex")


def sentences(text, lines="wrapped", language="en"):
    return [text.strip() for text in document_sentences(text, lines, default_segmenter(language)) if text.strip()]


def test_lines_of_a_paragraph_are_joined_before_it_is_parted():
    text = 'Mr. Smith went to\nWashington. He said\n"No." Then\n\nA HEADING\n \nIt was 3.5 km\naway.'
    assert sentences(text) == [
        "Mr. Smith went to Washington.", 'He said "No."', "Then", "A HEADING", "It was 3.5 km away."
    ]  # fmt: skip


def test_a_line_may_be_a_paragraph_or_a_sentence():
    text = "A heading\nOne. Two.\nThree"
    assert sentences(text, "paragraphs") == ["A heading", "One.", "Two.", "Three"]
    assert sentences(text, "sentences") == ["A heading", "One. Two.", "Three"]


def test_chinese_is_parted_and_its_lines_are_joined_without_spaces():
    text = "今天天气很\n好。我们去公园吧！他说：“好的。”然后呢？\n\n结束"
    found = sentences(text, language="zh")
    assert found == ["今天天气很好。", "我们去公园吧！", "他说：“好的。”", "然后呢？", "结束"]


@pytest.mark.parametrize("text", ["字。" * 40_000, "word " * 40_000, "x" * 300_000, "Mr. " * 40_000, "「「。" * 20_000])
def test_a_paragraph_without_end_takes_no_time(text):
    begun = time.process_time()
    found = document_sentences(text, "wrapped", default_segmenter("en"))
    assert time.process_time() - begun < 5
    assert "".join(found) == text


def test_any_function_may_part_sentences():
    found = document_sentences("a|b\n\nc", "wrapped", lambda text: text.split("|"))
    assert found == ["a", "b", "c"]
