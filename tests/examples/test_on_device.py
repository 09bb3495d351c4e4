"""The tokenizers and decoders for the device, Java and JavaScript, give what this package gives."""

import hashlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from tests.golden.on_device_make import KINDS, device_options, text_case, vocabulary_of, window_case, words_case
from tests.support.selection import rarely_all
from tests.text.hard_text import random_texts

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "examples" / "on_device"
TABLE = HERE / "character_table.txt"
CASES = ROOT / "tests" / "golden" / "on_device_cases.json"
LANGUAGES = ("java", "javascript")
#: Code points of a line of `sweep`, as both checks have it.
BLOCK = 4096


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    """Function from a language to the command of its check; skips where the language is absent."""
    commands = {}

    def command_of(language):
        if language not in commands:
            for program in ("javac", "java") if language == "java" else ("node",):
                if shutil.which(program) is None:
                    pytest.skip(f"{program} is not installed")
            commands[language] = _compiled() if language == "java" else ["node", str(HERE / "web" / "check.js")]
        return commands[language]

    def _compiled():
        classes = tmp_path_factory.mktemp("classes")
        # Android compiles Java 8; a JDK that has given it up says so.
        command = ["javac", "--release", "8", "-Xlint:all,-options", "-Werror", "-encoding", "UTF-8", "-d", classes]
        done = subprocess.run([*command, *(HERE / "java").rglob("*.java")], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return ["java", "-cp", str(classes), "bertsuite.Check"]

    return command_of


def run(command, *arguments):
    environment = {**os.environ, "JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8"}
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, encoding="utf-8", timeout=120
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_golden_case_is_equal(language, checks):
    code, output, errors = run(checks(language), TABLE, "cases", CASES)
    assert code == 0, output[-3000:] + errors[-3000:]
    assert int(output.split()[-4]) > 1900


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wrong_expectation_is_noticed(language, checks, tmp_path):
    golden = json.loads(CASES.read_text())
    golden["texts"][2]["ids"][1] += 1
    golden["windows"][0]["tokens"][0][0] += 1
    golden["tags"][0]["scores"][0] += 1e-3
    golden["answers"][0]["answers"][0] += "x"
    (tmp_path / "cases.json").write_text(json.dumps(golden))
    code, output, _ = run(checks(language), TABLE, "cases", tmp_path / "cases.json")
    assert code == 1
    assert output.endswith(" 5 different\n"), output[-2000:]  # scores are compared of logits and of probabilities


@pytest.fixture(scope="module")
def random_cases(tmp_path_factory):
    """Hard random texts, alone, paired and in windows, as the host encodes them."""
    texts = random_texts(300, seed=23, longest=30)
    path = tmp_path_factory.mktemp("random") / "cases.json"
    golden = {
        "vocabularies": {"uncased": vocabulary_of("uncased")},
        "options": {kind: device_options(kind) for kind in KINDS},
        "texts": [
            *(text_case(kind, text, max_length=4096) for kind in KINDS for text in texts),
            *(text_case("uncased", *pair, max_length=24) for pair in itertools.pairwise(texts)),
        ],
        "windows": [window_case("uncased", text, question, 24, 6) for text, question in itertools.pairwise(texts)],
        "words": [words_case(text) for text in texts],
        "tags": [],
        "chosen_tags": [],
        "answers": [],
    }
    path.write_text(json.dumps(golden))
    return path


@pytest.mark.parametrize("language", LANGUAGES)
def test_random_texts_are_equal(language, checks, random_cases):
    code, output, errors = run(checks(language), TABLE, "cases", random_cases)
    assert code == 0, output[-3000:] + errors[-3000:]


@pytest.fixture(scope="module")
def digests():
    """Function from a kind to the digest of each block of all code points, as Hugging Face `tokenizers` has them."""
    found = {}

    def of(kind):
        if kind not in found:
            options = {"lowercase": True, "strip_accents": None, "split_chinese": True} | KINDS[kind]
            normalizer = tokenizers.normalizers.BertNormalizer(
                clean_text=True,
                handle_chinese_chars=options["split_chinese"],
                strip_accents=options["strip_accents"],
                lowercase=options["lowercase"],
            )
            found[kind] = [_digest(normalizer, first) for first in range(0, 0x110000, BLOCK)]
        return found[kind]

    return of


def _digest(normalizer, first):
    points = [point for point in range(first, first + BLOCK) if not 0xD800 <= point < 0xE000]
    text = "".join(f"a{chr(point)}b " for point in points)
    words = tokenizers.PreTokenizedString(text)
    words.normalize(normalizer.normalize)
    tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize(words)
    units = np.cumsum([0, *(1 + (char > "\uffff") for char in text)]).tolist()
    lines = (
        f"{word}\t{units[start]}\t{units[end]}\n" for word, (start, end), _ in words.get_splits("original", "char")
    )
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", rarely_all(KINDS, "uncased"))
def test_every_code_point_is_normalized_and_placed_alike(language, kind, checks, digests):
    lowercase = KINDS[kind]["lowercase"]
    flags = (lowercase, KINDS[kind].get("strip_accents", lowercase), KINDS[kind].get("split_chinese", True))
    code, output, errors = run(checks(language), TABLE, "sweep", *(str(flag).lower() for flag in flags))
    assert code == 0, errors[-3000:]
    found, expected = output.split(), digests(kind)
    assert len(found) == len(expected) == 0x110000 // BLOCK
    different = [hex(BLOCK * block) for block, pair in enumerate(zip(found, expected, strict=True)) if len({*pair}) > 1]
    assert different == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_table_that_is_cut_short_is_refused(language, checks, tmp_path):
    (tmp_path / "table.txt").write_text("".join(TABLE.read_text().splitlines(keepends=True)[:-1]))
    code, _, errors = run(checks(language), tmp_path / "table.txt", "cases", CASES)
    assert code != 0
    assert "CharacterTable: the table is not complete. Copy the file anew." in errors


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_vocabulary_without_a_special_token_is_refused(language, checks, tmp_path):
    golden = json.loads(CASES.read_text())
    golden["vocabularies"]["uncased"].remove("[SEP]")
    (tmp_path / "cases.json").write_text(json.dumps(golden))
    code, _, errors = run(checks(language), TABLE, "cases", tmp_path / "cases.json")
    assert code != 0
    assert "the vocabulary lacks [SEP]. Use the model's own vocab.txt" in errors


def read_me(language):
    """The longest worked example of the README in a language."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    return max(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL), key=len)


def test_the_readme_example_for_android_compiles(checks, tmp_path):
    checks("java")  # skips without a JDK
    stubs = {
        "android/content/res/AssetManager.java": """package android.content.res;
            public final class AssetManager {
                public java.io.InputStream open(String name) throws java.io.IOException { return null; }
            }""",
        "org/tensorflow/lite/Tensor.java": "package org.tensorflow.lite; public interface Tensor { int[] shape(); }",
        "org/tensorflow/lite/Interpreter.java": """package org.tensorflow.lite;
            public final class Interpreter {
                public Interpreter(java.nio.ByteBuffer model) {}
                public String[] getSignatureKeys() { return null; }
                public Tensor getInputTensorFromSignature(String name, String key) { return null; }
                public void runSignature(java.util.Map<String, Object> inputs, java.util.Map<String, Object> outputs,
                    String key) {}
            }""",
        "Tagger.java": read_me("java"),
    }
    for name, code in stubs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code, encoding="utf-8")
    sources = [*(HERE / "java" / "bertsuite").glob("*.java"), *(tmp_path / name for name in stubs)]
    done = subprocess.run(
        ["javac", "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-d", tmp_path / "classes", *sources],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_readme_example_for_the_web_answers(checks, tmp_path):
    checks("javascript")  # skips without Node
    golden = json.loads(CASES.read_text())
    case = golden["answers"][0]
    shutil.copytree(HERE / "web", tmp_path / "web")
    shutil.copy(TABLE, tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(golden["vocabularies"]["uncased"]), encoding="utf-8")
    (tmp_path / "case.json").write_text(json.dumps(case))
    # The runtime that the example imports, answering with the logits of the golden file.
    runtime = tmp_path / "node_modules" / "onnxruntime-web"
    runtime.mkdir(parents=True)
    (runtime / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
    (runtime / "index.js").write_text("""
        import { readFileSync } from "node:fs";
        const golden = JSON.parse(readFileSync("case.json", "utf-8"));
        globalThis.fetch = async (path) => ({ text: async () => readFileSync(path, "utf-8") });
        export class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
        let row = 0;
        const run = async ({ token_ids, segment_ids, padding_mask }) => {
          if (![token_ids, segment_ids, padding_mask].every(({ dims }) => dims[1] === golden.length)) throw "length";
          const outputs = { start_logits: golden.start_logits[row], end_logits: golden.end_logits[row] };
          row++;
          return Object.fromEntries(Object.entries(outputs).map(([name, data]) => [name, { data }]));
        };
        export const InferenceSession = { create: async () => ({ run }) };
    """)
    example = read_me("js").replace("length: 384, stride: 128", f"length: {case['length']}, stride: {case['stride']}")
    example = example.replace(
        "decodeAnswers(windows, starts, ends)", "decodeAnswers(windows, starts, ends, {longest: 7})"
    )
    question, text = json.dumps(case["question"]), json.dumps(case["text"])
    call = f"console.log(JSON.stringify(await answer({question}, {text})));"
    (tmp_path / "page.mjs").write_text(example + call, encoding="utf-8")
    done = subprocess.run(["node", "page.mjs"], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["text"], [found["start"], found["end"]]) == (case["answers"][0], case["utf16"][0])
    assert found["score"] == pytest.approx(case["scores"][0], abs=1e-5)


@pytest.mark.slow
def test_the_table_is_what_its_script_writes():
    spec = importlib.util.spec_from_file_location("make_character_table", HERE / "make_character_table.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    versions = (f"tokenizers {tokenizers.__version__}\n", f"Unicode {unicodedata.unidata_version}.")
    if not all(version in TABLE.read_text() for version in versions):
        pytest.skip("the table was made with another version of tokenizers or Python")
    assert script.table() == TABLE.read_text()


def test_the_table_stays_small_enough_for_an_app():
    assert TABLE.stat().st_size < 60_000
