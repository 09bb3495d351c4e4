"""What may be given to `kbs serve`, and which model and version each file is."""

import pytest

from keras_bert_suite.serving.layout import find_models, fingerprint


def saved_model(path):
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"x")
    return path


def served(path, name=None):
    return {place.name: {n: found.name for n, found in place.versions().items()} for place in find_models(path, name)}


def test_every_layout_is_found(tmp_path):
    saved_model(tmp_path / "a" / "intents" / "3")
    saved_model(tmp_path / "a" / "intents" / "12")
    saved_model(tmp_path / "a" / "topics" / "1")
    (tmp_path / "a" / "intents" / "12.partial").mkdir()
    (tmp_path / "a" / "empty").mkdir()
    saved_model(tmp_path / "export" / "saved_model")
    saved_model(tmp_path / "plain")
    versions = {12: "12", 3: "3"}
    assert served(tmp_path / "a" / "intents") == {"intents": versions}
    assert served(tmp_path / "a" / "intents", name="mine") == {"mine": versions}
    assert served(tmp_path / "a") == {"intents": versions, "topics": {1: "1"}}
    assert served(tmp_path / "export") == {"export": {1: "saved_model"}}
    assert served(tmp_path / "export" / "saved_model") == {"export": {1: "saved_model"}}
    assert served(tmp_path / "plain") == {"plain": {1: "plain"}}


def test_versions_come_newest_first(tmp_path):
    for version in ("2", "10", "9"):
        saved_model(tmp_path / "m" / version)
    assert list(find_models(tmp_path / "m")[0].versions()) == [10, 9, 2]


def test_a_models_config_is_followed(tmp_path):
    pytest.importorskip("tensorflow_serving")
    saved_model(tmp_path / "intents" / "1")
    config = tmp_path / "models.config"
    config.write_text(
        'model_config_list { config { name: "intents" base_path: "/models/intents" model_platform: "tensorflow"\n'
        "  model_version_policy { specific { versions: 1 versions: 4 } }\n"
        '  version_labels { key: "stable" value: 1 } }\n'
        f'config {{ name: "all" base_path: "{tmp_path}/intents" model_version_policy {{ all {{}} }} }} }}\n'
    )
    first, second = find_models(config)
    assert (first.name, first.path, first.specific, first.labels) == (
        "intents",
        tmp_path / "intents",
        (1, 4),
        {"stable": 1},
    )
    assert second.newest > 1000
    config.write_text("model_config_list {")
    with pytest.raises(ValueError, match="not a models.config of TF Serving"):
        find_models(config)


def test_what_holds_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_models(tmp_path / "nothing")
    with pytest.raises(ValueError, match="has no model to serve. It must be NAME/VERSION/saved_model.pb"):
        find_models(tmp_path)
    for name in "ab":
        saved_model(tmp_path / name / "1")
    with pytest.raises(ValueError, match="has 2: a, b"):
        find_models(tmp_path, "mine")


def test_a_fingerprint_tells_one_content_from_another(tmp_path):
    path = saved_model(tmp_path / "m")
    before = fingerprint(path)
    assert before == fingerprint(path)
    (path / "variables").mkdir()
    (path / "variables" / "variables.index").write_bytes(b"")
    assert fingerprint(path) != before
    (path / "saved_model.pb").unlink()
    assert fingerprint(path) is None
