"""The directory of a model changes while it is served: no request fails, none sees half of a model."""

import contextlib
import os
import shutil
import threading
import time

import pytest


class Traffic:
    """Asks for one score over and over from two threads, until the block ends."""

    def __init__(self, server):
        self.server, self.scores, self.faults = server, [], []
        self._over = threading.Event()

    def _ask(self):
        while not self._over.is_set():
            status, answer = self.server.predict({"instances": ["abc"]}, "moving")
            if status == 200:
                self.scores.append(answer["predictions"][0]["score"])
            else:
                self.faults.append(answer)

    def __enter__(self):
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        for thread in self._threads:
            thread.join()


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def states(server):
    found = server.ask("/v1/models/moving")[1]["model_version_status"]
    return {int(one["version"]): (one["state"], one["status"]["error_code"]) for one in found}


@pytest.fixture
def moving(server, models, toys):
    """The directory of the model `moving`, set back to its version 1."""
    directory = models / "moving"
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(toys / "1", directory / "1")
    wait_for(lambda: server.score("abc", "moving") == 3.0 and list(states(server)) == [1])


def test_a_new_version_takes_over_and_an_older_one_comes_back(server, moving, toys):
    with Traffic(server) as traffic:
        shutil.copytree(toys / "2", moving / "2")
        wait_for(lambda: server.score("abc", "moving") == 6.0)
        assert list(states(server)) == [2, 1]
        shutil.rmtree(moving / "2")
        wait_for(lambda: server.score("abc", "moving") == 3.0)
    assert not traffic.faults
    assert set(traffic.scores) == {3.0, 6.0}


def test_a_half_copied_version_is_reported_and_skipped(server, moving, toys):
    with Traffic(server) as traffic:
        (moving / "5" / "variables").mkdir(parents=True)
        wait_for(lambda: states(server).get(5) == ("END", "NOT_FOUND"))
        variables = toys / "2" / "variables"
        for name in ("variables.index", "variables.data-00000-of-00001"):
            content = (variables / name).read_bytes()
            (moving / "5" / "variables" / name).write_bytes(content[: len(content) // 2])
        shutil.copy(toys / "2" / "saved_model.pb", moving / "5")
        wait_for(lambda: states(server).get(5, ("", "NOT_FOUND"))[1] not in ("NOT_FOUND", "OK"))
        assert server.score("abc", "moving") == 3.0
        shutil.copytree(toys / "2", moving / "5", dirs_exist_ok=True)
        wait_for(lambda: server.score("abc", "moving") == 6.0)
        assert states(server)[5] == ("AVAILABLE", "OK")
    assert not traffic.faults
    assert set(traffic.scores) == {3.0, 6.0}


def test_a_directory_that_is_replaced_or_removed_does_not_disturb(server, moving, toys):
    with Traffic(server) as traffic:
        shutil.copytree(toys / "3", moving / "new")  # not a version: TF Serving looks at numbers alone
        os.rename(moving / "1", moving / "old")
        os.rename(moving / "new", moving / "1")
        wait_for(lambda: server.score("abc", "moving") == 9.0)
        with contextlib.suppress(OSError):
            shutil.rmtree(moving)
        time.sleep(1)
        assert server.score("abc", "moving") == 9.0
        assert server.ask("/healthz")[0] == 200
    assert not traffic.faults
    assert set(traffic.scores) == {3.0, 9.0}


def test_a_graph_cut_short_is_skipped(server, moving, toys):
    graph = (toys / "2" / "saved_model.pb").read_bytes()
    shutil.copytree(toys / "2", moving / "3", ignore=shutil.ignore_patterns("saved_model.pb"))
    (moving / "3" / "saved_model.pb").write_bytes(graph[: len(graph) * 2 // 3])
    wait_for(lambda: states(server).get(3, ("",))[0] == "END")
    assert server.score("abc", "moving") == 3.0
