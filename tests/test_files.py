"""Nothing is ever left half-written, and what stands in the way is named."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from keras_bert_suite.files import check_free, replaced_directory, replaced_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("existing", [None, "old"])
def test_a_file_appears_when_it_is_whole(existing, tmp_path):
    path = tmp_path / "new" / "deep" / "out.txt"
    if existing:
        path.parent.mkdir(parents=True)
        path.write_text(existing)
    with replaced_file(path) as file:
        file.write("größe\n")
        file.flush()
        assert (path.read_text() if path.exists() else None) == existing
    assert path.read_bytes() == "größe\n".encode()
    assert names(path.parent) == ["out.txt"]


def test_a_binary_file(tmp_path):
    with replaced_file(tmp_path / "out.bin", "wb") as file:
        file.write(b"\r\n\xff")
    assert (tmp_path / "out.bin").read_bytes() == b"\r\n\xff"


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_file_leaves_the_old_one(exception, tmp_path):
    (tmp_path / "out.txt").write_text("old")
    with pytest.raises(exception), replaced_file(tmp_path / "out.txt") as file:  # noqa: PT012
        file.write("new")
        raise exception
    assert (tmp_path / "out.txt").read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_directory_leaves_the_old_one(exception, existing, tmp_path):
    path = tmp_path / "out"
    if existing:
        path.mkdir()
        (path / "old").touch()
    with pytest.raises(exception), replaced_directory(path, overwrite=True) as written:  # noqa: PT012
        (written / "new").touch()
        raise exception
    assert names(tmp_path) == (["out"] if existing else [])
    assert not existing or names(path) == ["old"]


def test_a_directory_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "some" / "out"
    with replaced_directory(path) as written:
        (written / "new").touch()
        assert not path.exists()
        assert written.stat().st_dev == tmp_path.stat().st_dev
    assert names(path) == ["new"]
    assert names(path.parent) == ["out"]


def test_an_empty_directory_may_be_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    with replaced_directory(tmp_path / "out") as written:
        (written / "new").touch()
    assert names(tmp_path / "out") == ["new"]


def test_a_full_directory_is_left_alone_unless_overwritten(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(FileExistsError, match="out already exists and is not empty") as caught:
        check_free(path)
    assert "Choose another path, remove it, or overwrite it." in str(caught.value)
    with pytest.raises(FileExistsError), replaced_directory(path):
        pytest.fail("the block ran")
    assert names(path) == ["old"]
    with replaced_directory(path, overwrite=True) as written:
        (written / "new").touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_in_place_of_a_directory(overwrite, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileExistsError, match="out is a file; an output directory is needed. Choose another path"):
        check_free(tmp_path / "out", overwrite)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_in_place_of_a_folder_above(tmp_path):
    (tmp_path / "out").write_text("mine")
    for write in (replaced_file, replaced_directory):
        with (
            pytest.raises(OSError, match="cannot write .*out/below: .*Choose another path"),
            write(tmp_path / "out" / "below"),
        ):
            pytest.fail("the block ran")


def test_a_directory_in_place_of_a_file(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="out"), replaced_file(tmp_path / "out") as file:
        file.write("new")
    assert names(tmp_path) == ["out"]


def test_check_free_writes_nothing(tmp_path):
    check_free(tmp_path / "some" / "deep" / "out")
    assert names(tmp_path) == []


def test_too_little_room_is_seen_before_the_work(tmp_path):
    with pytest.raises(OSError, match="the disk has .* MB left. Free some space") as caught:
        check_free(tmp_path / "out", room=10**18)
    assert str(tmp_path / "out") in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    for write in (replaced_file, replaced_directory):
        with pytest.raises(OSError, match="cannot write .*out: Permission denied"), write(tmp_path / "out"):
            pytest.fail("the block ran")


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replaced_directory("out") as written:
        (written / "new").touch()
    with replaced_file("file.txt") as file:
        file.write("x")
    assert names(tmp_path) == ["file.txt", "out"]


FULL_DISK = """
    import resource, sys
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    from keras_bert_suite.files import replaced_directory, replaced_file
    try:
        if sys.argv[1] == "file":
            with replaced_file(sys.argv[2]) as file:
                file.write("x" * 100_000)
        else:
            with replaced_directory(sys.argv[2]) as written, open(written / "part", "w") as file:
                file.write("x" * 100_000)
    except OSError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits on Windows")
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_full_disk_names_the_path_and_leaves_nothing(kind, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), kind, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"cannot write {tmp_path / 'out'}: File too large. Choose another path" in run.stdout
    assert names(tmp_path) == []


def test_what_appears_meanwhile_is_not_lost(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(FileExistsError, match="not empty"), replaced_directory(path) as written:  # noqa: PT012
        (written / "new").touch()
        path.mkdir()
        (path / "of another").touch()
    assert names(path) == ["of another"]
    assert names(tmp_path) == ["out"]


def test_a_directory_that_cannot_take_its_name_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    rename = os.replace

    def failing(source, target):
        if target == path and source.name != "replaced":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="cannot write .*Input/output error"), replaced_directory(path, overwrite=True):
        pass
    assert names(path) == ["old"]
    assert names(tmp_path) == ["out"]


def test_an_error_that_names_its_file_is_left_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replaced_directory(tmp_path / "out"):
        (tmp_path / "absent").read_text()
    assert caught.value.filename == str(tmp_path / "absent")


def test_a_refusal_inside_is_not_explained_twice(tmp_path):
    (tmp_path / "taken").touch()
    with (
        pytest.raises(OSError, match="cannot write .*inner") as caught,
        replaced_directory(tmp_path / "out"),
        replaced_file(tmp_path / "taken" / "inner"),
    ):
        pytest.fail("the block ran")
    assert str(caught.value).count("cannot write") == 1
