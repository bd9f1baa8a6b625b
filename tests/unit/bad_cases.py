"""The table of bad input that needs no process of its own.

Every field of the project file is spoilt in test_project_fields.py; what needs a real worker or
compiled programs, in tests/integration/test_bad_input_tools.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from device_world import CONTENT

from bad_input import (
    Case,
    Spoil,
    all_of,
    edited,
    linked,
    removed,
    setting,
    truncated,
    written,
)
from edgesmith.cli.main import VERBS

ROOT = Path(__file__).parents[2]
REPORT = (ROOT / "runtime_cpp/tests/data/report_example.json").read_bytes()
BUNDLE = "build/digits/host/bundle"
PYTHON_METRIC = setting('metrics = ["top1"]', 'metrics = ["metrics.py:score"]')
CALIBRATION = '"data.py:calibration"'
PROJECT_VERBS = [v for v in VERBS if v not in ("init", "inspect", "report")]
TARGET_VERBS = ("quantize", "generate", "compile", "build", "fetch", "doctor")
DEVICE_VERBS = ("flash", "bench", "run", "devices", "doctor")


def usage(name: str, words: str, *says: str, **more: Any) -> Case:
    return Case(name=name, command=tuple(words.split()), code=2, says=says, **more)


def in_file(name: str, spoil: Spoil, *says: str) -> Case:
    """A project file that can't be read."""
    where = "edgesmith.toml"
    return Case(name=name, command=("build",), code=2, says=(*says, where), spoil=spoil)


def data(name: str, body: str, *says: str, **more: Any) -> Case:
    """Calibration data that a function of this body makes."""
    text = "import numpy as np\nx = np.zeros((1, 1, 8, 8), np.float32)\n\ndef calibration():\n"
    text += f"    {body}\n\n\ndef evaluation():\n    yield {{'image': x}}, 0\n"
    spoil = written("data.py", text)
    return Case(name=name, command=("quantize",), code=3, says=says, spoil=spoil, **more)


def judged(name: str, body: str, *says: str) -> Case:
    """Evaluation data that a function of this body makes."""
    text = "import numpy as np\nx = np.zeros((1, 1, 8, 8), np.float32)\n\ndef evaluation():\n"
    text += f"    {body}\n\n\ndef calibration():\n    yield {{'image': x}}\n"
    return Case(name=name, command=("quantize",), code=3, says=says, spoil=written("data.py", text))


def metric(name: str, body: str, *says: str) -> Case:
    """A metric of the project's own, of this body; it is the deciding one."""
    text = f"import os\nimport numpy as np\n\ndef score(outputs, expected):\n    {body}\n"
    spoil = all_of(written("metrics.py", text), PYTHON_METRIC)
    return Case(name=f"metric: {name}", command=("quantize",), code=3, says=says, spoil=spoil)


def files(name: str, *says: str, **arrays: Any) -> Case:
    """Calibration data from a folder of .npz files: one good, one with these arrays."""

    def spoil(project: Path) -> None:
        (project / "pictures").mkdir()
        np.savez(project / "pictures/0.npz", image=np.zeros((1, 1, 8, 8), np.float32))
        np.savez(project / "pictures/1.npz", **arrays)
        setting(CALIBRATION, '"pictures"')(project)

    return Case(name=name, command=("quantize",), code=3, says=says, spoil=spoil)


def damaged(name: str, content: bytes) -> Spoil:
    return all_of(written(f"pictures/{name}", content), setting(CALIBRATION, '"pictures"'))


def report_with(**changes: Any) -> bytes:
    return json.dumps({**json.loads(REPORT), **changes}).encode()


def foreign_folder(name: str) -> Spoil:
    return written(f"{name}/notes.txt", "mine")


NAN = np.full((1, 1, 8, 8), np.nan, np.float32)
COMMAND_LINE = [
    *(usage(f"unknown option of {v}", f"{v} --dry-rum", "did you mean '--dry-run'") for v in VERBS
      if v not in ("init", "inspect")),
    *(usage(f"no project for {v}", f"{v} -p nowhere", "no project file", "edgesmith init")
      for v in PROJECT_VERBS),
    *(usage(f"unknown target of {v}", f"{v} --target hots", "did you mean 'host'")
      for v in TARGET_VERBS),
    *(usage(f"unknown device of {v}", f"{v} --device dekt", "did you mean 'desk'")
      for v in DEVICE_VERBS),
    usage("unknown command", "flsh", "did you mean 'flash'"),
    usage("no value", "build --target", "expected one argument"),
    usage("unknown format", "report --format pdf", "invalid choice: 'pdf'"),
    usage("stray word", "build now", "unknown option or argument 'now'"),
    usage("no model", "inspect", "MODEL"),
    usage("no folder", "init", "DIR"),
    usage("unknown example", "init new --example digit", "did you mean 'digits'"),
    usage("flash both ways", "flash --rollback --list", "not allowed with"),
    *(usage(f"a timeout of {value}", f"bench --timeout {value}", "--timeout",
            f"'{value}' is no number of seconds above 0")
      for value in ("0", "soon", "nan", "-1")),
    usage("project file in a folder that is not there", "build -p {project}/x/y.toml", "x/y.toml"),
]  # fmt: skip
SETTINGS = [
    in_file("a folder", all_of(removed("edgesmith.toml"), written("edgesmith.toml/x", "")),
            "edgesmith.toml"),
    in_file("empty", written("edgesmith.toml", ""), "schema: missing", "model: missing"),
    in_file("not UTF-8", written("edgesmith.toml", "# é\nschema = 1\n".encode("latin-1")),
            "not UTF-8 text", "line 1"),
    in_file("UTF-16", written("edgesmith.toml", "schema = 1".encode("utf-16")), "not UTF-8"),
    in_file("huge", written("edgesmith.toml", "#" * 3_000_000), "too large"),
    in_file("truncated", truncated("edgesmith.toml"), "not valid TOML"),
    in_file("too deep", written("edgesmith.toml", "a = " + "[" * 9999), "nested too deeply"),
    in_file("not TOML", written("edgesmith.toml", "{}"), "not valid TOML"),
    in_file("two mistakes", all_of(setting("metrics", "metrix"), setting('"host"', '"hots"')),
            "2 mistakes", "did you mean 'metrics'", "did you mean 'host'"),
    usage("a wrong variable", "build", "the variable EDGESMITH_BENCH__PROCESSES", "whole number",
          environment={"EDGESMITH_BENCH__PROCESSES": "many"}),
    usage("a wrong local file", "build", "edgesmith.local.toml", "bench.threads",
          spoil=written("edgesmith.local.toml", "[bench]\nthreads = 1")),
    usage("broken local file", "build", "edgesmith.local.toml", "not valid TOML",
          spoil=written("edgesmith.local.toml", "[bench")),
    usage("exclude matches nothing", "quantize", "'Convv' matches no", "quantize.exclude",
          spoil=setting("[quantize]", '[quantize]\nexclude = ["Convv"]')),
    usage("dimension that the model has not", "quantize", "bench.shapes[0].size",
          spoil=setting("[targets.host]", "[bench]\nshapes = [{ size = 2 }]\n[targets.host]")),
]  # fmt: skip
MODEL = [
    usage("unsupported source", "export", "model.source", "FILE.onnx",
          spoil=setting("model.onnx", "model.h5")),
    Case(name="missing source", command=("export",), code=3, spoil=removed("model.onnx"),
         says=("'model.onnx' does not exist", "model.source")),
    Case(name="empty model", command=("export",), code=3, spoil=written("model.onnx", b""),
         says=("ONNX", "model.source")),
    Case(name="truncated model", command=("export",), code=3, spoil=truncated("model.onnx"),
         says=("not a valid ONNX model", "truncated")),
    Case(name="a model that is a folder", command=("export",), code=3,
         spoil=all_of(removed("model.onnx"), written("model.onnx/x", "")),
         says=("model.onnx", "model.source")),
    usage("input of another name", "export", "has no input 'picture'; it has: image",
          spoil=setting("inputs.image", "inputs.picture")),
    usage("input of another shape", "export", "the model has float32 ['batch', 1, 8, 8]",
          spoil=setting("1, 8, 8", "3, 8, 8")),
    usage("input of another dtype", "export", "declared uint8",
          spoil=setting("1, 8, 8]", '1, 8, 8]\ndtype = "uint8"')),
    usage("TorchScript without inputs", "export", "[model.inputs]",
          spoil=all_of(setting("model.onnx", "net.pt"), written("net.pt", "any"), setting(
              '[model.inputs.image]\nshape = ["batch", 1, 8, 8]\n', ""))),
    usage("missing interpreter", "quantize", "nowhere/python", "model.python",
          spoil=setting('version = "1.0.0"', 'version = "1.0.0"\npython = "nowhere/python"')),
    usage("missing depends", "quantize", "'weights.bin' does not exist", "model.depends[0]",
          spoil=setting('version = "1.0.0"', 'version = "1.0.0"\ndepends = ["weights.bin"]')),
    *(Case(name=f"inspect {name}", command=("inspect", name), code=3, says=(name,))
      for name in ("data.py", "nowhere.onnx", "build")),
    Case(name="inspect a truncated model", command=("inspect", "model.onnx"), code=3,
         says=("not a valid ONNX model",), spoil=truncated("model.onnx")),
]  # fmt: skip
DATA = [
    data("NaN", "yield {'image': x * np.nan}", "NaN", "sample 0", "data.calibration"),
    data("infinity", "yield {'image': x}; yield {'image': x + np.inf}", "infinity", "sample 1"),
    data("wrong dtype", "yield {'image': x.astype(float)}", "float64", "astype"),
    data("wrong key", "yield {'picture': x}", "['picture']", "['image']"),
    data("one key too many", "yield {'image': x, 'mask': x}", "['image', 'mask']"),
    data("wrong shape", "yield {'image': x[0]}", "shape [1, 8, 8]"),
    data("images of other sizes", "yield {'image': np.zeros((1, 1, 9, 8), np.float32)}",
         "shape [1, 1, 9, 8]"),
    data("batches of other sizes",
         "yield {'image': x}; yield {'image': np.zeros((2, 1, 8, 8), np.float32)}",
         "sample 1", "one shape"),
    data("no sample", "return iter(())", "the data set is empty"),
    data("a number for a generator", "return 3", "returned a int"),
    data("nothing for a generator", "return", "returned a NoneType"),
    data("a list for a sample", "yield [x]", "sample 0 is a list"),
    data("text for an array", "yield {'image': 'cat'}", "'image' is <U3"),
    data("raises midway", "yield {'image': x}; raise KeyError('digit 7')", "KeyError", "digit 7",
         "data.py:5 in calibration"),
    data("exits", "raise SystemExit(0)", "SystemExit", "data.py:5"),
    data("a huge message", "raise ValueError('z' * 1_000_000)", "ValueError: zzz"),
    data("prints the protocol", "print('@progress x'); yield {'image': x * np.nan}", "NaN"),
    data("prints control characters", "raise ValueError('\\x1b[2J\\x07')", r"\x1b[2J\x07"),
    Case(name="syntax error", command=("quantize",), code=3, says=("SyntaxError", "data.py:1"),
         spoil=written("data.py", "def calibration(:\n")),
    Case(name="no such function", command=("quantize",), code=3,
         says=("has no 'calibratoin'", "did you mean 'calibration'"),
         spoil=setting("data.py:calibration", "data.py:calibratoin")),
    Case(name="no such function for evaluation", command=("quantize",), code=3,
         says=("has no 'evaluatoin'", "data.evaluation"),
         spoil=setting("data.py:evaluation", "data.py:evaluatoin")),
    Case(name="no function at all", command=("quantize",), code=3, says=("is a int",),
         spoil=written("data.py", "calibration = 1\nevaluation = 1\n")),
    Case(name="missing data.py", command=("quantize",), code=3, spoil=removed("data.py"),
         says=("'data.py' does not exist", "data.calibration")),
    judged("negative label", "yield {'image': x}, -1", "the label is -1"),
    judged("label beyond the classes", "yield {'image': x}, 10", "10 is no class"),
    judged("label of text", "yield {'image': x}, 'seven'", "label is a str"),
    judged("label with a fraction", "yield {'image': x}, 1.5", "label is a float"),
    judged("several labels", "yield {'image': x}, [1, 2]", "shape [2]"),
    judged("only some labels", "yield {'image': x}, 1; yield {'image': x}", "only some samples"),
    judged("reference of text", "yield {'image': x}, {'logits': 'a'}", "finite numbers"),
    judged("references of two shapes", "for n in (10, 9): yield {'image': x}, {'y': np.ones(n)}",
           "'outputs/y' is float64 [9] there, float64 [10]", "one shape"),
    judged("NaN in evaluation", "yield {'image': x * np.nan}, 1", "NaN", "data.evaluation"),
    files("NaN in a file", "NaN", "sample 1, 'pictures/1.npz'", image=NAN),
    files("wrong dtype in a file", "float64", "1.npz", image=np.zeros((1, 1, 8, 8))),
    files("wrong shape in a file", "[8, 8]", "1.npz", image=np.zeros((8, 8), np.float32)),
    files("other keys in a file", "['picture']", "1.npz", picture=NAN),
    files("pickled file", "1.npz", "pickle", image=np.array([{"a": 1}], dtype=object)),
    Case(name="unreadable .npz", command=("quantize",), code=3, says=("0.npz", "can't be read"),
         spoil=damaged("0.npz", b"PK\x03\x04 and no more")),
    Case(name="unreadable .safetensors", command=("quantize",), code=3,
         says=("0.safetensors", "can't be read"), spoil=damaged("0.safetensors", b"\xff" * 20)),
    Case(name="folder without samples", command=("quantize",), code=3, says=("no .npz",),
         spoil=damaged("readme.txt", b"")),
    Case(name="a file of another kind", command=("quantize",), code=3, says=("neither .npz",),
         spoil=all_of(written("a.csv", ""), setting(CALIBRATION, '"*.csv"'))),
    Case(name="no such folder", command=("quantize",), code=3, says=("no .npz",),
         spoil=setting(CALIBRATION, '"pictures"')),
    Case(name="a wrong pattern", command=("quantize",), code=3, says=("not a pattern",),
         spoil=setting(CALIBRATION, '"a**b/*.npz"')),
]  # fmt: skip
SCORE = "metrics.py:4 in score"
METRICS = [
    metric("raises", "raise ValueError('no boxes')", "'metrics.py:score' fails",
           "ValueError: no boxes", "metrics.py:5 in score"),
    metric("exits", "raise SystemExit(3)", "SystemExit: 3", "metrics.py:5 in score"),
    metric("writes to the outputs", "outputs['logits'][0] = 0; return 1.0", "read-only",
           "metrics.py:5"),
    metric("writes to the labels", "expected[0] = 0; return 1.0", "read-only", "metrics.py:5"),
    metric("of too few samples", "return np.ones(7)", "shape [7]; there are 8 samples", SCORE),
    metric("of a matrix", "return np.ones((8, 1))", "shape [8, 1]", SCORE),
    metric("NaN", "return float('nan')", "'metrics.py:score' returned nan", SCORE),
    metric("too large", "return 1e308", "'metrics.py:score' returned 1e+308", "at most 1e+100"),
    metric("of infinite samples", "return np.array([1, np.inf, 0, 0, 0, 0, np.nan, 0])",
           "inf for sample 1 and 1 more", SCORE),
    metric("text", "return '0.9'", "returned a str", "return a float"),
    metric("nothing", "pass", "returned a NoneType"),
    metric("a list", "return [1.0] * 8", "returned a list", "return a float, or an array"),
    metric("complex numbers", "return np.ones(8, complex)", "complex128"),
    metric("objects", "return np.array([None] * 8)", "elements of type object"),
    metric("masked", "return np.ma.masked_equal(np.ones(8), 1)", "a MaskedArray"),
    metric("another parameter", "return outputs['scores'].mean()", "KeyError: 'scores'"),
    metric("prints the protocol", "print('@progress 1 x\\n{}'); return 'x'", "returned a str"),
    metric("an import that is missing", "import no_such_module", "no_such_module", "metrics.py:5"),
    Case(name="metric: no such file", command=("quantize",), code=3, spoil=PYTHON_METRIC,
         says=("'metrics.py' does not exist", "data.metrics[0]")),
    Case(name="metric: no such file to measure", command=("bench",), code=3, spoil=PYTHON_METRIC,
         says=("'metrics.py' does not exist", "data.metrics[0]")),
    Case(name="metric: no such function", command=("quantize",), code=3,
         spoil=all_of(PYTHON_METRIC, written("metrics.py", "def scores(a, b): return 1.0\n")),
         says=("has no 'score'", "did you mean 'scores'", "data.metrics")),
    Case(name="metric: no function", command=("quantize",), code=3,
         spoil=all_of(PYTHON_METRIC, written("metrics.py", "score = 0.5\n")),
         says=("is a float, not a callable", "data.metrics")),
    Case(name="metric: syntax error", command=("quantize",), code=3,
         spoil=all_of(PYTHON_METRIC, written("metrics.py", "def score(:\n")),
         says=("SyntaxError", "metrics.py:1")),
    *(usage(f"metric: {name}", "build", "data.metrics[0]", says,
            spoil=setting('metrics = ["top1"]', f'metrics = ["{name}"]'))
      for name, says in (
          ("topp1", "did you mean 'top1'"),
          ("sqnr", "did you mean 'sqnr_db'"),
          ("metrics.py", "such as 'metrics.py:accuracy'"),
          ("metrics.py:", "FILE.py:function"),
          ("metrics.py:a-b", "FILE.py:function"),
          ("metrics.pyc:score", "FILE.py:function"),
          (":score", "FILE.py:function"),
          ("a:b.py:score", "FILE.py:function"),
          ("/home/you/metrics.py:score", "relative to the project file"))),
]  # fmt: skip
CAMERA = """[preprocess.image]
from = { dtype = "uint8", layout = "NHWC" }
scale = 0.0078125
[data]
"""


def camera(name: str, image: str, *says: str, more: str = "", code: int = 3) -> Case:
    """A model that takes a camera's bytes, fed with `image`; `more` goes into [preprocess]."""
    settings = CAMERA.replace("[data]", f"{more}\n[data]")
    spoil = all_of(data("", f"yield {{'image': {image}}}").spoil, setting("[data]\n", settings))
    return Case(name=name, command=("quantize",), code=code, says=says, spoil=spoil)


PREPROCESS = [
    camera("floats for bytes", "np.zeros((1, 8, 8, 1), np.float32)", "float32", "takes uint8"),
    camera("channels first for last", "np.zeros((1, 1, 8, 8), np.uint8)", "[1, 1, 8, 8]",
           "['batch', 8, 8, 1]"),
    camera("pictures of other sizes", "np.zeros((1, 16, 16, 1), np.uint8)", "[1, 16, 16, 1]"),
    camera("pictures in colour", "np.zeros((1, 8, 8, 3), np.uint8)", "[1, 8, 8, 3]"),
    camera("means of colours", "x", "preprocess.image.mean", more="mean = [0.1, 0.2, 0.3]", code=2),
    camera("a deviation of zero", "x", "preprocess.image.std", more="std = [0.0]", code=2),
    usage("preprocessing of no input", "quantize", "preprocess.imag", "did you mean 'image'",
          spoil=setting("[data]\n", CAMERA.replace("preprocess.image", "preprocess.imag"))),
]  # fmt: skip
REPORTS = [
    usage("no report yet", "report", "there is no report yet", "edgesmith bench"),
    usage("missing report", "report r.json", "cannot read the report", "r.json"),
    usage("a folder for a report", "report build", "cannot read the report"),
    *(Case(name=name, command=("report", "r.json"), code=7, says=(*says, "r.json"),
           spoil=written("r.json", content))
      for name, content, says in (
          ("not JSON", b"digits", ("not valid JSON",)),
          ("empty report", b"", ("not valid JSON",)),
          ("truncated report", REPORT[: len(REPORT) // 2], ("not valid JSON",)),
          ("report of binary", bytes(range(256)), ("not valid JSON",)),
          ("report too deep", b"[" * 100_000, ("not valid JSON",)),
          ("other JSON", b"{}", ("not a report of edgesmith",)),
          ("other major", report_with(schema_version="2.0"), ("2.0 is not read",)),
          ("field of other type", report_with(runs=3), ("runs: 3 is not",)),
          ("edited report", report_with(content_sha256="0" * 64), ("changed after",)),
          ("NaN in a report", b'{"kind": NaN}', ("NaN is not allowed",)))),
    Case(name="report into a missing folder", code=10, says=("nowhere", "mkdir"),
         command=("report", "r.json", "-o", "nowhere/x.txt"), spoil=written("r.json", REPORT)),
    Case(name="a device for a report", command=("report", "/dev/zero"), code=7,
         says=("a device, not a file",)),
    Case(name="report into a folder", code=10, says=("this is a folder", "build"),
         command=("report", "r.json", "-o", "build"), spoil=written("r.json", REPORT)),
]  # fmt: skip
HOST = [
    Case(name="init into a full folder", command=("init", "."), code=10, says=("not empty",)),
    Case(name="init over a file", command=("init", "data.py"), code=10, says=("no folder",)),
    Case(name="a file for the build folder", command=("quantize",), code=10, says=("build",),
         spoil=all_of(removed("build"), written("build", ""))),
    Case(name="a file for the cache", command=("quantize",), code=10, says=("data.py",),
         environment={"EDGESMITH_CACHE": "data.py"}),
    Case(name="a folder that is not ours", command=("export",), code=10,
         says=("not made by edgesmith", "export"), spoil=foreign_folder("build/digits/export")),
    *(Case(name=f"no bundle for {words}", command=tuple(words.split()), code=2,
           spoil=removed(BUNDLE), says=("no bundle for target 'host'", "edgesmith build"))
      for words in ("flash", "bench")),
]  # fmt: skip
INSTALLING = ("flash", "bench", "flash --dry-run", "bench --dry-run")
DAMAGES = (("truncated", truncated, "was changed"), ("removed", removed, "is missing"),
           ("linked", linked, "is a link"))  # fmt: skip
BUNDLES = [
    *(Case(name=f"{name} {path}", command=("flash", "--dry-run"), code=7, says=(path, says),
           spoil=damage(f"{BUNDLE}/{path}"))
      for path in CONTENT for name, damage, says in DAMAGES),
    *(Case(name=f"{words}: {name}", command=tuple(words.split()), code=7, says=says, spoil=spoil)
      for words in INSTALLING
      for name, spoil, says in (
          ("a file truncated", truncated(f"{BUNDLE}/bin/harness"), ("bin/harness was changed",)),
          ("a file added", written(f"{BUNDLE}/lib/x.so", "x"), ("lib/x.so is not in the",)),
          ("no manifest", removed(f"{BUNDLE}/manifest.json"), ("manifest is missing",)),
          ("a linked manifest", linked(f"{BUNDLE}/manifest.json"), ("manifest is missing",)),
          ("a truncated manifest", truncated(f"{BUNDLE}/manifest.json"), ("is no JSON",)),
          ("another target's", edited(f"{BUNDLE}/manifest.json", '"target": "host"',
                                      '"target": "pi"'), ("for target 'pi'",)),
          ("a wrong size", edited(f"{BUNDLE}/manifest.json", '"bytes": 7000', '"bytes": 7001'),
           ("requires.bytes",)),
          ("another major", edited(f"{BUNDLE}/manifest.json", '"schema_version": "1.0"',
                                   '"schema_version": "2.0"'), ("schema version '2.0'",)))),
]  # fmt: skip
CASES = [*COMMAND_LINE, *SETTINGS, *MODEL, *DATA, *METRICS, *PREPROCESS, *REPORTS, *HOST, *BUNDLES]

# Run in a copy of each example.
EXAMPLE_CASES = [
    usage("misspelt key", "run", "did you mean 'calibration'",
          spoil=setting("calibration =", "calibratoin =")),
    usage("unknown platform", "run", "linux-x86_65",
          spoil=setting("linux-x86_64", "linux-x86_65")),
    usage("unknown target", "build --target hots", "did you mean 'host'"),
    usage("unknown device", "run --device dekt", "did you mean 'desk'"),
    usage("truncated project file", "run", "edgesmith.toml", spoil=truncated("edgesmith.toml")),
    usage("no bundle", "flash --device desk", "no bundle for target 'host'"),
    usage("no report", "report", "no report yet"),
    Case(name="a file for the build folder", command=("run",), code=10, says=("build",),
         spoil=written("build", "")),
    Case(name="missing source", command=("run",), code=3, says=("does not exist", "model.source"),
         spoil=removed("model.py")),
]  # fmt: skip
