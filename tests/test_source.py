"""A model's name finds its directory: on the disk, on the Hub (a local one, with the real client), at Kaggle."""

import errno
import importlib.util
import logging
import os
import subprocess
import sys
import types
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download

import keras_bert_suite as kbs
from keras_bert_suite import kaggle
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.source import resolve_source
from tests.support.hub_server import HubServer, Repository, commit_of

VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nfood\n"
READ = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": VOCABULARY.encode(),
    "tokenizer_config.json": b'{"do_lower_case": true}',
    "1_Pooling/config.json": b'{"pooling": "mean"}',
    "2_Dense/config.json": b'{"out_features": 3}',
    "2_Dense/model.safetensors": b"dense",
    "model.safetensors": b"weights",
}  # No two alike: equal files are fetched once.
LEFT = {
    ".gitattributes": b"",
    "README.md": b"# A model",
    "modeling.py": b"raise SystemExit",
    "1_Pooling/pooling.py": b"raise SystemExit",
    "2_Dense/pytorch_model.bin": b"dense again",
    "pytorch_model.bin": b"weights again",
    "flax_model.msgpack": b"flax",
    "tf_model.h5": b"tf",
    "rust_model.ot": b"rust",
    "onnx/config.json": b"{}",
    "onnx/model.onnx": b"onnx",
    "openvino/openvino_model.bin": b"openvino",
    "training_args.bin": b"pickle",
    "checkpoint-500/model.safetensors": b"older",
}
OLDER = {"config.json": b"{}", "vocab.txt": b"old", "pytorch_model.bin": b"old weights"}
ENVIRONMENT = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with one repository, and the client of this process turned to it, with an empty cache."""
    server = HubServer({"org/bert": Repository({"main": {**READ, **LEFT}, "v1": OLDER})})
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    for module in (constants, file_download):  # Older clients have a copy there.
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with server.running():
        yield server


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(source, *parts, **options):
    """Assert that `source` is refused in one line with all of `parts`."""
    with pytest.raises(CheckpointError) as caught:
        resolve_source(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# On the disk


def test_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "org" / "bert").mkdir(parents=True)
    for name in ("org/bert", "./org/bert", "~/org/bert", str(tmp_path / "org" / "bert"), Path("org/bert")):
        assert resolve_source(name).samefile(tmp_path / "org" / "bert")
    with pytest.raises(ValueError, match=r"org/bert: revision must be left out.*revision='v1'"):
        resolve_source("org/bert", revision="v1")


@pytest.mark.parametrize(
    "name", ["", "./org/bert", "../bert", "~/bert", "/org/bert", "a/b/c", "bert/", "a\\b", "C:/bert", Path("org/bert")]
)
def test_a_path_is_no_name(name, hub):
    refusal(name, f"{name or repr(name)}: no such directory", "folder that holds config.json", "org/name")
    assert hub.requests == []


def test_a_file(tmp_path):
    (tmp_path / "model.safetensors").touch()
    refusal(tmp_path / "model.safetensors", "model.safetensors", "this is a file", "Give the folder")


# On the Hub


@pytest.mark.parametrize("name", ["org/bert", "hf://org/bert"])
def test_only_what_is_read_is_fetched(name, hub):
    assert files(resolve_source(name)) == READ
    assert hub.fetched == sorted(READ)


def test_an_old_name_without_owner(hub):
    hub.repositories["bert-base-uncased"] = Repository({"main": OLDER})
    assert files(resolve_source("bert-base-uncased")) == OLDER


def test_without_weights(hub):
    folder = resolve_source("org/bert", weights=False)
    assert files(folder) == {path: data for path, data in READ.items() if not path.endswith("safetensors")}
    assert kbs.load_tokenizer(folder).tokenize("good food") == ["good", "food"]
    assert files(resolve_source("org/bert")) == READ


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"], []),
        (["pytorch_model.bin"], ["flax_model.msgpack"]),
        (["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"], []),
        (
            ["bert_config.json", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"],
            ["bert_model.ckpt.meta", "checkpoint"],
        ),
        (
            ["metadata.json", "task.json", "assets/tokenizer/vocabulary.txt", "model.weights.h5", "task.weights.h5"],
            ["README.md"],
        ),
    ],
    ids=["safetensors in parts", "bin", "bin in parts", "tf1", "kerashub"],
)
def test_formats_of_weights(given, left, hub):
    hub.repositories["org/other"] = Repository({"main": dict.fromkeys([*given, *left], b"data")})
    assert sorted(files(resolve_source("org/other"))) == sorted(given)


def test_a_repository_of_something_else(hub):
    hub.repositories["org/other"] = Repository({"main": {"README.md": b"", "diffusion.onnx": b""}})
    refusal("org/other", "org/other: holds no checkpoint", "only README.md, diffusion.onnx")


def test_the_second_time_nothing_is_fetched(hub):
    folder = resolve_source("org/bert")
    hub.forget()
    assert resolve_source("org/bert") == folder
    assert [request.path for request in hub.requests] == ["/api/models/org/bert"]


def test_a_changed_branch_brings_the_changed_file_only(hub):
    resolve_source("org/bert")
    hub.repositories["org/bert"].revisions["main"] = changed = {**READ, "vocab.txt": b"new"}
    hub.forget()
    assert files(resolve_source("org/bert")) == changed
    assert hub.fetched == ["vocab.txt"]


def test_a_pinned_revision(hub):
    for revision in ("v1", commit_of(OLDER)):
        folder = resolve_source("org/bert", revision=revision)
        assert (folder.name, files(folder)) == (commit_of(OLDER), OLDER)
    refusal("org/bert", "org/bert: no revision 'v2'", "branch, a tag or a commit", revision="v2")
    refusal("org/bert", "org/bert: no revision", revision="0" * 40)


def test_names_that_are_not_there(hub):
    refusal("org/absent", "org/absent: no such directory", "does not exist or is private", "hf auth login")
    refusal("absent", "absent: no such directory", "does not exist")
    refusal("org/absent", "org/absent@v1", revision="v1")
    hub.forget()
    for name in ("a model!", "hf://a/b/c", "hf://", "-bert", "a..b"):
        refusal(name, "not the name of a repository", "org/name")
    assert hub.requests == []


def test_a_private_repository_needs_its_token(hub, monkeypatch):
    hub.repositories["org/secret"] = Repository({"main": OLDER}, token="hf_secret")
    refusal("org/secret", "does not exist or is private", "hf auth login")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    refusal("org/secret", "does not exist or is private", "hf auth login")
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    refusal("org/secret", "refuses your token", "hf auth login", "HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.forget()
    assert files(resolve_source("org/secret")) == OLDER
    stored = [request for request in hub.requests if request.path.startswith("/store/")]
    assert {request.token for request in stored} == {None}  # Another host, which the token is none of the business of.
    assert {request.token for request in hub.requests if request not in stored} == {"hf_secret"}


@pytest.mark.parametrize("token", [None, "hf_mine"])
def test_a_gated_repository(token, hub, monkeypatch):
    hub.repositories["org/bert"].gated = True
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    refusal("org/bert", f"org/bert: {hub.url}/org/bert is gated", "Ask for access", "hf auth login")


@pytest.mark.parametrize(("status", "words"), [(403, "refuses access (403)"), (503, "answered 503")])
def test_a_hub_that_refuses(status, words, hub):
    hub.status = status
    refusal("org/bert", "no such directory", words, "the cache has no copy")


def test_a_break_in_a_download_is_mended(hub):
    weights = os.urandom(11_000_000)  # More than a block of the client's, which is what it resumes from.
    hub.repositories["org/bert"].revisions["main"] = {**READ, "model.safetensors": weights}
    hub.cut_after["model.safetensors"] = 10_600_000
    try:
        folder = resolve_source("org/bert")
    except CheckpointError as error:  # Some versions of the client go on by themselves, others at the next call.
        assert "Run it again" in str(error)  # noqa: PT017
        folder = resolve_source("org/bert")
    assert files(folder)["model.safetensors"] == weights
    assert hub.fetched.count("model.safetensors") == 2
    (resumed,) = [request.range for request in hub.requests if request.range]
    assert int(resumed.removeprefix("bytes=").removesuffix("-")) >= 10_000_000


def test_a_download_that_fails_goes_on_the_next_time(hub):
    hub.file_status["model.safetensors"] = 410  # Not a 5xx, which the client tries again for half a minute.
    refusal("org/bert", "org/bert: ", "answered 410", "Try again later")
    del hub.file_status["model.safetensors"]
    resolve_source("org/bert", weights=False)
    hub.forget()
    assert files(resolve_source("org/bert")) == READ
    assert "model.safetensors" in hub.fetched
    assert not {"config.json", "vocab.txt"} & set(hub.fetched)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ["the disk is full", "HF_HOME"]),
        (RuntimeError("I/O error:\n No space left on device (os error 28)"), ["the disk is full"]),
        (
            PermissionError(errno.EACCES, "Permission denied", "/cache"),
            ["cannot write /cache (Permission denied)", "HF_HOME"],
        ),
        (ConnectionError("reset\nby peer"), ["did not finish (ConnectionError: reset by peer)", "Run it again"]),
    ],
)
def test_a_download_that_breaks(error, words, hub, monkeypatch):
    def download(*_, local_files_only=False, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("absent") if local_files_only else error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    refusal("org/bert", "org/bert: ", *words)


def test_a_network_that_is_down(hub, caplog):
    folder = resolve_source("org/bert")
    pinned = resolve_source("org/bert", revision="v1")
    hub.status = 503
    with caplog.at_level(logging.WARNING):
        assert resolve_source("org/bert") == folder
    hub.stop()
    with caplog.at_level(logging.WARNING):
        assert resolve_source("org/bert") == folder
        assert resolve_source("org/bert", revision="v1") == pinned
    first, second, third = (record.getMessage() for record in caplog.records)
    assert "answered 503. Using the copy in the cache" in first
    assert second.startswith("org/bert: the Hub cannot be reached (Connect")
    assert third.startswith("org/bert@v1: ")
    assert third.endswith(f"commit {commit_of(OLDER)}.")
    refusal("org/other", "no such directory", "the Hub cannot be reached", "the cache has no copy", "the connection")


def test_half_a_copy_is_no_copy(hub):
    resolve_source("org/bert", weights=False)
    hub.stop()
    assert (resolve_source("org/bert", weights=False) / "vocab.txt").is_file()
    refusal("org/bert", "the cache has only part of it", "Check the connection")


def test_the_client_is_set_by_its_own_variables(hub, tmp_path):
    """In a process of its own: the client reads them once, when it is imported."""
    hub.repositories["org/bert"].token = "hf_secret"

    def run(**variables):
        environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
        environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret", **variables}
        code = "import sys; from keras_bert_suite.source import resolve_source; print(resolve_source(sys.argv[1]))"
        return subprocess.run(
            [sys.executable, "-c", code, "org/bert"], capture_output=True, text=True, env=environment, check=False
        )

    absent = run(HF_HUB_OFFLINE="1")
    assert "org/bert: no such directory, HF_HUB_OFFLINE is set, and the cache has no copy." in absent.stderr
    assert hub.requests == []
    folder = Path(run().stdout.strip())
    assert folder.is_relative_to(tmp_path / "home")
    assert files(folder) == READ
    hub.forget()
    offline = run(HF_HUB_OFFLINE="1")
    assert (offline.stdout.strip(), offline.stderr) == (str(folder), "")
    assert hub.requests == []


# At Kaggle


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    """The handles that the client is asked for; it answers with a folder."""
    asked = []

    def model_download(handle):
        asked.append(handle)
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(model_download=model_download))
    return asked


@pytest.fixture
def presets(monkeypatch, tmp_path):
    """An installed KerasHub, as far as its list of presets."""
    folder = tmp_path / "site" / "keras_hub" / "src" / "models" / "bert"
    folder.mkdir(parents=True)
    (folder.parents[2] / "__init__.py").write_text("raise SystemExit('imported')")
    listed = [
        f'    "{name}": {{"metadata": {{}}, "kaggle_handle": "kaggle://keras/{model}/keras/{name}/3"}},'
        for name, model in [("bert_tiny_en_uncased", "bert"), ("bge_small_v1.5_en", "bge")]
    ]
    (folder / "bert_presets.py").write_text("\n".join(["backbone_presets = {", *listed, "}"]))
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in [name for name in sys.modules if name.split(".")[0] == "keras_hub"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("name", "handle"),
    [
        ("bert_tiny_en_uncased", "keras/bert/keras/bert_tiny_en_uncased/3"),
        ("bge_small_v1.5_en", "keras/bge/keras/bge_small_v1.5_en/3"),
        ("kaggle://keras/bert/keras/bert_tiny_en_uncased", "keras/bert/keras/bert_tiny_en_uncased"),
        ("kaggle://me/bert/keras/mine/2", "me/bert/keras/mine/2"),
    ],
)
def test_a_preset(name, handle, presets, downloads, tmp_path):
    assert resolve_source(name) == tmp_path
    assert downloads == [handle]
    with pytest.raises(ValueError, match="revision must be left out"):
        resolve_source(name, revision="3")


def test_a_preset_that_is_not_there(presets, downloads):
    refusal("bert_tiny_uncased", "no such directory", "no KerasHub preset", "Near it: bert_tiny_en_uncased")
    refusal("kaggle://keras/bert", "owner/model/framework/variation", "Example: kaggle://keras/bert/")
    assert downloads == []


def test_a_preset_without_kerashub(monkeypatch):
    monkeypatch.setattr(kaggle, "preset_handles", dict)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r'preset of that name needs.*pip install "keras_bert_suite\[hub\]"'):
        resolve_source("bert_tiny_en_uncased")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(ImportError, match=r'needs the module kagglehub.*pip install "keras_bert_suite\[hub\]"'):
        resolve_source("kaggle://keras/bert/keras/bert_tiny_en_uncased/3")


def status_error(status):
    error = OSError(f"{status} Client Error.\n\nSee below")
    error.response = types.SimpleNamespace(status_code=status)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (status_error(404), ["not on Kaggle", "version"]),
        (status_error(403), ["refuses access (403)", "KAGGLE_API_TOKEN"]),
        (status_error(502), ["answered 502"]),
        (OSError(errno.ENOSPC, "No space left on device"), ["the disk is full", "KAGGLEHUB_CACHE"]),
        (ConnectionError("no route\nto host"), ["did not finish (ConnectionError: no route to host)", "run it again"]),
    ],
)
def test_a_preset_that_cannot_be_fetched(error, words, downloads, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(sys.modules["kagglehub"], "model_download", fail)
    refusal("kaggle://me/bert/keras/mine/2", "kaggle://me/bert/keras/mine/2: ", *words)


def test_the_presets_of_the_installed_kerashub():
    if importlib.util.find_spec("keras_hub") is None:
        pytest.skip("KerasHub is not installed")
    handles = kaggle.preset_handles()
    assert len(handles) > 30
    assert all(handle.split("/")[5] == name and kaggle.HANDLE.fullmatch(handle) for name, handle in handles.items())
    for name in ("bert_tiny_en_uncased", "roberta_base_en", "xlm_roberta_base_multi", "distil_bert_base_en"):
        assert name in handles


def test_kagglehub_serves_a_version_from_its_cache(tmp_path, monkeypatch):
    """The real client, with a cache filled by hand and no network."""
    pytest.importorskip("kagglehub")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    variation = tmp_path / "models" / "keras" / "bert" / "keras" / "bert_tiny_en_uncased"
    (variation / "3").mkdir(parents=True)
    (variation / "3.complete").touch()
    assert resolve_source("kaggle://keras/bert/keras/bert_tiny_en_uncased/3") == variation / "3"
