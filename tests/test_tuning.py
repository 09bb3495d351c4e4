"""The search: what it tries, what it cuts short, and how it goes on."""

import math

import pytest

from keras_bert_suite.errors import DataError
from keras_bert_suite.tuning import parse_space, tune

pytest.importorskip("optuna")

SPACE = {"rate": (1e-4, 1e-1), "size": [1, 2, 3]}


def score(values):
    """Highest, 1, at a rate of 1e-2 and size 2."""
    return 1 - abs(math.log10(values["rate"]) + 2) / 3 - abs(values["size"] - 2) / 10


def train(values, report):
    for epoch in range(3):
        report(epoch, score(values) * (epoch + 1) / 3)
    return score(values)


def test_it_finds_what_is_good_and_shows_all_trials(tmp_path):
    values, best = tune(train, tmp_path, space=SPACE, num_trials=25, title="Rates")
    assert best > 0.85
    assert best == pytest.approx(score(values))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>Rates</h1>" in page
    assert "Trials, the best first" in page


def test_the_same_seed_tries_the_same_values(tmp_path):
    one, other = (tune(train, tmp_path / name, space=SPACE, num_trials=6, seed=3) for name in ("one", "other"))
    assert one == other


def test_hopeless_trials_are_cut_short(tmp_path):
    lengths = []

    def counted(values, report):
        lengths.append(0)
        for epoch in range(3):
            lengths[-1] += 1
            report(epoch, -float(len(lengths)))  # each trial is worse than all before
        return -float(len(lengths))

    tune(counted, tmp_path, space=SPACE, num_trials=8)
    assert lengths[:4] == [3] * 4
    assert lengths[-1] == 1


def test_a_killed_search_goes_on(tmp_path):
    tried = []

    def killed(values, report):
        tried.append(values)
        if len(tried) == 4:
            raise KeyboardInterrupt
        return train(values, report)

    with pytest.raises(KeyboardInterrupt):
        tune(killed, tmp_path, space=SPACE, num_trials=6)
    tune(killed, tmp_path, space=SPACE, num_trials=6)
    assert len(tried) == 7
    assert tried[4] == tried[3]  # what was under way is tried again
    again = tune(killed, tmp_path, space=SPACE, num_trials=6)
    assert len(tried) == 7
    assert again[1] == max(score(values) for values in tried)


def test_a_trial_killed_again_and_again_counts_once(tmp_path):
    tried = []

    def killed(values, report):
        tried.append(values)
        if len(tried) in (3, 4, 5):
            raise (KeyboardInterrupt, SystemExit)[len(tried) % 2]
        return train(values, report)

    for _ in range(3):
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tune(killed, tmp_path, space=SPACE, num_trials=6)
    tune(killed, tmp_path, space=SPACE, num_trials=6)
    assert len(tried) == 9
    assert tried[2] == tried[3] == tried[4] == tried[5]
    assert tried.count(tried[2]) == 4


@pytest.mark.parametrize("fault", [FloatingPointError("nan <loss>"), MemoryError(), ValueError("no such pair"), None])
def test_a_trial_that_fails_does_not_end_the_search(fault, tmp_path, caplog):
    tried = []

    def fails(values, report):
        tried.append(values)
        if len(tried) != 2:
            return train(values, report)
        if fault is None:
            return math.nan
        raise fault

    _, best = tune(fails, tmp_path, space=SPACE, num_trials=3)
    assert (len(tried), best) == (3, max(score(values) for values in (tried[0], tried[2])))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Trials that failed" in page
    reason = "FloatingPointError: the score is nan" if fault is None else type(fault).__name__
    assert reason in page
    assert "<loss>" not in page
    assert f"trial 2 failed with {reason}" in caplog.text


def test_a_search_that_fails_says_why_and_draws_others_when_it_goes_on(tmp_path):
    tried = []

    def fails(values, report):
        tried.append(values)
        raise FloatingPointError(f"the loss of trial {len(tried)} became nan.")

    for trials in (2, 2, 4):
        with pytest.raises(ValueError, match=rf"every trial failed.*loss of trial {trials} became nan\. Search other"):
            tune(fails, tmp_path, space=SPACE, num_trials=trials)
    assert len(tried) == 4
    assert len({values["rate"] for values in tried}) == 4
    assert "the loss of trial 3 became nan" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_fault_of_the_data_ends_the_search(tmp_path):
    def broken(values, report):
        raise DataError("no label", tmp_path / "train.tsv", 3)

    with pytest.raises(DataError, match="train.tsv:3: no label"):
        tune(broken, tmp_path, space=SPACE, num_trials=3)
    tune(train, tmp_path, space=SPACE, num_trials=1)  # nothing was counted


def test_another_space_is_refused(tmp_path):
    tune(train, tmp_path, space=SPACE, num_trials=1)
    with pytest.raises(ValueError, match=r"searched another space.*size"):
        tune(train, tmp_path, space={**SPACE, "size": [4]}, num_trials=2)


def test_other_settings_are_refused(tmp_path):
    def search(num_trials, **settings):
        return tune(train, tmp_path, space=SPACE, num_trials=num_trials, settings=settings)

    search(1, model="one", sizes=(1, 2))
    search(2, model="one", sizes=(1, 2))  # more of the same
    with pytest.raises(ValueError, match=r"model was 'one' and is 'two'; sizes was \[1, 2\] and is None.*another dir"):
        search(3, model="two")
    search(3, model="one", sizes=(1, 2))


def test_settings_count_when_a_trial_has_ended(tmp_path):
    def broken(values, report):
        raise DataError("no label", tmp_path / "train.tsv", 3)

    with pytest.raises(DataError):
        tune(broken, tmp_path, space=SPACE, num_trials=1, settings={"train": "broken"})
    tune(train, tmp_path, space=SPACE, num_trials=1, settings={"train": "mended"})


@pytest.mark.parametrize("word", ["rate", "rate=", "rate=2:1", "rate=0:1", "rate=a:b", "2x=1", "rate=1,,2", "=1"])
def test_words_that_are_no_search(word):
    with pytest.raises(ValueError, match="NAME=LOW:HIGH"):
        parse_space([word])


def test_words_become_numbers_flags_and_names():
    assert parse_space(["a=1e-3:1", "b=1,2.5,true", "c=linear,cosine"]) == {
        "a": (1e-3, 1.0),
        "b": [1, 2.5, True],
        "c": ["linear", "cosine"],
    }
