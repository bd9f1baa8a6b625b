"""The table of what the harness is given in place of a right manifest, model or samples file."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bad_input import Case, all_of, linked, removed, truncated, written
from harness_files import (
    DATA,
    INPUT,
    METADATA,
    SAMPLES,
    big_output_model,
    entry,
    external_data_model,
    good_manifest,
    onnx_model,
    safetensors,
    samples_file,
    write_manifest,
)

BENCH = ("bench", "--json", "-", "--min-seconds", "0", "--min-iterations", "1")
LOOSE = (*BENCH, "--model", "{folder}/m.onnx", "--samples", "{folder}/s.safetensors")
TINY = (DATA / "tiny.onnx").read_bytes()
GOOD = written("m.onnx", TINY), written("s.safetensors", samples_file())

# Fields of a manifest that the harness reads, by the object they stand in: whether each must be
# there, and values that it refuses.
TEXT: tuple[Any, ...] = (5,)
FIELDS: dict[str, dict[str, tuple[bool, tuple[Any, ...]]]] = {
    "": {
        "schema_version": (True, (1, None, "2.0", "", "x")),
        "model": (True, (None, [], "tiny")),
        "sequence": (True, (-1, 1.5, "1", None, 2**63, 2**64)),
        "target": (False, TEXT),
        "platform": (False, TEXT),
        "variants": (True, (None, {}, "int8", [], [1])),
        "default_variant": (True, (None, 1, "other", "")),
        "metrics": (False, ("top1", {}, [1])),
        "providers": (False, ([], "cpu", 1, {"cpu": 1}, {"cpu": None}, {"npu": []})),
        "files": (True, (None, {}, [[]], ["x"])),
    },
    "model": {"name": (True, (*TEXT, None)), "version": (False, TEXT)},
    "variants": {
        "name": (True, (*TEXT, None, "int8")),
        "path": (True, (*TEXT, None, "", "/etc/passwd", "../up.onnx", "model/../../up", "a\nb")),
        "data": (False, ("w", {}, 1, [1], [""], ["/etc/passwd"], ["a/../../b"])),
        "precision": (False, TEXT),
        "encoding": (False, TEXT),
        "provider": (False, TEXT),
        "threads": (False, ("1", 1.5, -1, 4097, 2**64)),
        "self_test_min_sqnr_db": (False, ("15", -1, [])),
        "session_options": (False, ("all", [], 1)),
        "operations": (False, ("many", [], 1)),
    },
    "operations": {"multiply_adds_per_sample": (False, ("1", 1.5, -1, []))},
    "session_options": {
        "graph_optimization_level": (False, TEXT),
        "config": (False, ([], "x", {"k": 1})),
    },
    "providers": {
        "options": (False, ([], "x", 1, {"k": 1}, {"k": None})),
        "library": (False, (*TEXT, [], "/abs.so", "../up.so", "lib/../../up.so", "lib/", "a\nb")),
        "device": (False, ([], "gpu", {"type": 1})),
        "graph_optimization_level": (False, (*TEXT, "most")),
    },
    "files": {
        "path": (True, (*TEXT, None, "/abs", "a/../b", "a//b", "model", "manifest.json", "x\0y")),
        "bytes": (True, (None, -1, 0.5, "1", 2**63)),
        "sha256": (True, (None, 1, "", "A" * 64, "a" * 63)),
        "mode": (False, (*TEXT, "", "4755", "0666", "9999", "644")),
        "role": (True, (*TEXT, None)),
    },
}  # fmt: skip


def _object(manifest: dict[str, Any], part: str) -> Any:
    if part in ("session_options", "operations"):
        return manifest["variants"][0][part]
    if part == "providers":
        return manifest[part]["cpu"]
    found = manifest[part] if part else manifest
    return found[0] if isinstance(found, list) else found


def _manifest_with(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        manifest = copy.deepcopy(good_manifest())
        change(manifest)
        write_manifest(folder, manifest)

    return spoil


def _without(part: str, key: str) -> Callable[[Path], object]:
    return _manifest_with(lambda manifest: _object(manifest, part).pop(key))


def _with(part: str, key: str, value: Any) -> Callable[[Path], object]:
    return _manifest_with(lambda manifest: _object(manifest, part).update({key: value}))


def _says(part: str, key: str) -> tuple[str, ...]:
    """Every message names the file and the field, or what two fields say that can't both be."""
    named = {"files": "files", "variants": "variant", "schema_version": "schema"}
    return ("manifest.json", named.get(key, key))


def manifest_cases() -> Iterator[Case]:
    for part, fields in FIELDS.items():
        for key, (needed, values) in fields.items():
            name = f"{part}.{key}".lstrip(".")
            says = _says(part, key)
            yield Case(
                name=f"{name} missing",
                command=BENCH,
                code=7 if needed else 0,
                says=says if needed else (),
                spoil=_without(part, key),
            )
            for value in values:
                yield Case(
                    name=f"{name} {value!r:.20}",
                    command=BENCH,
                    code=7,
                    says=says[:1] if value in ("int8", "model", "manifest.json") else says,
                    spoil=_with(part, key, value),
                )


def _twice(part: str) -> Callable[[Path], object]:
    return _manifest_with(lambda manifest: manifest[part].append(manifest[part][0]))


def _by_plugin(provider: str, library: str) -> Callable[[Path], object]:
    """Every variant runs by a plugin."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["providers"][provider] = {"options": {}, "library": library, "device": {}}
        for variant in manifest["variants"]:
            variant["provider"] = provider

    return _manifest_with(change)


def whole_manifest_cases() -> Iterator[Case]:
    text = (b"{", b"", b"null", b"[]", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"a":1e999}')
    for content in text:
        yield Case(
            name=f"manifest {content[:12]!r}",
            command=BENCH,
            code=7,
            says=("manifest.json", "again"),
            spoil=written("manifest.json", content),
        )
    twice = b'{"schema_version":"1.0","schema_version":"1.0"}'
    cases: list[tuple[str, int, tuple[str, ...], Callable[[Path], object]]] = [
        ("manifest gone", 7, ("manifest.json", "--model"), removed("manifest.json")),
        ("manifest a folder", 7, ("manifest.json",), folder_at("manifest.json")),
        ("manifest a pipe", 7, ("manifest.json", "regular"), fifo_at("manifest.json")),
        ("manifest too large", 7, ("manifest.json", "larger"), sparse("manifest.json", 17 << 20)),
        ("key twice", 7, ("'schema_version' twice",), written("manifest.json", twice)),
        ("variant twice", 7, ("two variants named fp32",), _twice("variants")),
        ("file twice", 7, ("two files at model/fp32.onnx",), _twice("files")),
        ("provider unknown", 2, ("'vsi'", "known: "), _with("variants", "provider", "vsi")),
        ("plugin not listed", 7, ("does not list lib/npu.so",), _by_plugin("npu", "lib/npu.so")),
        ("plugin called cpu", 2, ("'cpu' is ONNX Runtime's own",),
         _by_plugin("cpu", "model/fp32.onnx")),
        ("plugin no library", 8, ("provider 'npu' cannot be loaded", "fp32.onnx is no library"),
         _by_plugin("npu", "model/fp32.onnx")),
        (
            "optimization unknown", 3, ("graph_optimization_level 'most'",),
            _with("session_options", "graph_optimization_level", "most"),
        ),
        ("bytes wrong", 7, ("fp32.onnx", "again"), _with("files", "bytes", 1)),
        ("sha256 wrong", 7, ("fp32.onnx", "again"), _with("files", "sha256", "0" * 64)),
        ("model cut", 7, ("int8.onnx", "again"), truncated("model/int8.onnx")),
        ("models gone", 7, ("no model",), removed("model")),
        ("samples cut", 7, ("samples.safetensors",), truncated("bench/samples.safetensors")),
        ("samples gone", 7, ("no samples",), all_of(removed("bench"), removed("golden"))),
        ("samples linked", 0, (), linked("bench/samples.safetensors")),
        ("model not listed", 7, ("does not list model/fp32.onnx",),
         _manifest_with(lambda manifest: manifest["files"].pop(0))),
    ]  # fmt: skip
    for name, code, says, spoil in cases:
        yield Case(name=name, command=BENCH, code=code, says=says, spoil=spoil)


def folder_at(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir(parents=True)

    return spoil


def fifo_at(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return spoil


def sparse(name: str, size: int, start: bytes = b"") -> Callable[[Path], object]:
    """A file that is large and has few blocks."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return spoil


def _locked(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).chmod(0)


_IN = f"inputs/{INPUT}"
_X = entry("F32", [16, 1, 4], 0, 256)
_HUGE = 1 << 39


def _file(header: Any, data_bytes: int = 256, **more: Any) -> bytes:
    return safetensors(header, bytes(data_bytes), **more)


def _named(**tensors: Any) -> dict[str, Any]:
    return {"__metadata__": METADATA, _IN: _X, **tensors}


SAMPLE_FILES: tuple[tuple[str, bytes, tuple[str, ...]], ...] = (
    ("empty", b"", ("shorter",)),
    ("7 bytes", b"1234567", ("shorter",)),
    ("header cut", samples_file()[:40], ("header", "cut off")),
    ("data cut", samples_file()[:-1], ("outside the file",)),
    ("data too long", samples_file() + b"x", ("1 bytes at its end",)),
    ("length lies", _file(_named(), length=1 << 20), ("cut off",)),
    ("length short", _file(_named(), length=20), ("not JSON",)),
    ("length 2^64-1", _file(_named(), length=2**64 - 1), ("too large",)),
    ("length 2^63", _file(_named(), length=2**63), ("too large",)),
    ("header no JSON", _file(b"{]"), ("not JSON",)),
    ("header a list", _file([]), ("no", "object")),
    ("header deep", _file(b"[" * 100_000), ("deeply",)),
    ("name not UTF-8", _file(b'{"\xff\xfe":' + b"1}"), ("not JSON",)),
    ("name twice", _file(b'{"a":1,"a":1}'), ("'a' twice",)),
    ("entry no object", _file(_named(a=1)), ("'a'", "malformed")),
    ("dtype missing", _file(_named(a={"shape": [1], "data_offsets": [0, 1]})), ("'a'",)),
    ("dtype unknown", _file(_named(a=entry("F4", [1], 0, 1))), ("'a'", "dtype")),
    ("shape negative", _file(_named(a=entry("U8", [-1], 0, 1))), ("'a'",)),
    ("shape a fraction", _file(_named(a=entry("U8", [1.5], 0, 1))), ("'a'",)),  # type: ignore[list-item]
    ("shape overflows", _file(_named(a=entry("U8", [1 << 62, 4], 0, 0))), ("'a'", "differ")),
    ("shape 2^64", _file(_named(a=entry("U8", [2**64 - 1], 0, 1))), ("'a'",)),
    ("rank 33", _file(_named(a=entry("U8", [1] * 33, 0, 1))), ("'a'",)),
    ("offsets three", _file(_named(a={**_X, "data_offsets": [0, 1, 2]})), ("'a'",)),
    ("offsets reversed", _file(_named(a=entry("U8", [8], 8, 0))), ("'a'", "outside")),
    ("offsets past the end", _file(_named(a=entry("U8", [9], 256, 265))), ("'a'", "outside")),
    ("offsets 2^64", _file(_named(a=entry("U8", [1], 2**64 - 2, 2**64 - 1))), ("'a'",)),
    ("overlap", _file(_named(a=entry("U8", [8], 248, 256))), ("overlap",)),
    ("gap", _file(_named(a=entry("U8", [8], 264, 272)), 272), ("between",)),
    ("metadata a list", _file({"__metadata__": [], _IN: _X}), ("metadata",)),
    ("no metadata", samples_file(metadata={}), ("format",)),
    ("another version", samples_file(metadata={**METADATA, "schema_version": "2.0"}), ("'2.0'",)),
    ("no tensor", safetensors({"__metadata__": METADATA}), ("no sample",)),
    ("0 samples", samples_file({_IN: np.ones((0, 1, 4), np.float32)}), ("no sample",)),
    ("a scalar", samples_file({_IN: np.float32(1).reshape(())}), ("no sample",)),
    ("counts differ", samples_file({"labels": np.zeros(3, np.int64)}), ("16", "3")),
    ("no such input", samples_file({_IN: None, "inputs/z": np.ones(3)}), ("inputs/x",)),
    ("other dtype", samples_file({_IN: np.ones((16, 1, 4))}), ("float32", "float64")),
    ("other rank", samples_file({_IN: np.ones((16, 4), np.float32)}), ("[-1, 4]", "[4]")),
    ("other size", samples_file({_IN: np.ones((16, 1, 5), np.float32)}), ("[-1, 4]", "[1, 5]")),
    ("labels NaN", samples_file({"labels": np.full(16, np.nan)}), ("labels", "int64")),
    ("labels of rank 2", samples_file({"labels": np.zeros((16, 2), np.int64)}), ("labels",)),
    ("groups of floats", samples_file({"groups": np.ones(16, np.float32)}), ("groups",)),
)  # fmt: skip


def samples_cases() -> Iterator[Case]:
    name = "s.safetensors"
    for what, content, says in SAMPLE_FILES:
        spoil = all_of(GOOD[0], written(name, content))
        yield Case(name=f"samples: {what}", command=LOOSE, code=3, says=(name, *says) if says[0]
                   not in ("float32", "[-1, 4]") else says, spoil=spoil)  # fmt: skip
    wide = safetensors({"__metadata__": METADATA, _IN: entry("F32", [1, _HUGE, 4], 0, 16 * _HUGE)})
    for what, code, says, one in (
        ("gone", 10, ("No such file",), removed(name)),
        ("a folder", 10, ("regular",), folder_at(name)),
        ("a pipe", 10, ("regular",), fifo_at(name)),
        ("not readable", 10, ("denied",), _locked(name)),
        ("larger than memory", 3, ("memory",), sparse(name, len(wide) + 16 * _HUGE, wide)),
    ):
        yield Case(
            name=f"samples: {what}", command=LOOSE, code=code, says=says, spoil=all_of(*GOOD, one)
        )
    odd = {"labels": np.array([-1, 2**62, *range(14)])}
    for what, content in (
        ("labels of no class", samples_file(odd)),
        ("groups of any number", samples_file({"groups": np.array([2**63 - 1, -5] * 8)})),
        ("inputs NaN", samples_file({_IN: np.full((16, 1, 4), np.nan, np.float32)})),
        ("one sample", samples_file({_IN: np.ones((1, 1, 4), np.float32)})),
    ):
        spoil = all_of(GOOD[0], written(name, content))
        yield Case(name=f"samples: {what}", command=LOOSE, code=0, says=(), spoil=spoil)


def model_cases() -> Iterator[Case]:
    name = "m.onnx"
    for what, content, says in (
        ("empty", b"", (name,)),
        ("text", b"no model at all\n", (name,)),
        ("random", np.random.default_rng(1).bytes(2000), (name,)),
        ("cut", TINY[: len(TINY) // 2], (name,)),
        ("cut by a byte", TINY[:-1], (name,)),
        ("another input's name", onnx_model(inputs={"z": [1, 4]}), ("inputs/z",)),
        ("an input more", onnx_model(inputs={INPUT: [1, 4], "w": [1]}), ("inputs/w",)),
        ("another dtype", onnx_model("DOUBLE"), ("float64", "float32")),
        ("another rank", onnx_model(inputs={INPUT: [1, 4, 1]}), ("[1, 4, 1]", "[1, 4]")),
        ("another size", onnx_model(inputs={INPUT: [1, 5]}), ("[1, 5]", "[1, 4]")),
        ("strings", onnx_model("STRING"), ("not supported",)),
        ("unknown operator", onnx_model(node=("Nothing", {"domain": "no.where"})), (name,)),
        ("a huge output", big_output_model(), ("'y'", "memory")),
        ("weights elsewhere", external_data_model("w.bin"), (name,)),
        ("weights outside", external_data_model("../../../etc/passwd"), (name,)),
        ("fails when run", onnx_model(node=("Reshape", {}), output=[3]), (name,)),
    ):
        spoil = all_of(GOOD[1], written(name, content))
        yield Case(name=f"model: {what}", command=LOOSE, code=3, says=says, spoil=spoil)
    for what, code, says, one in (
        ("gone", 10, ("m.onnx", "No such file"), removed(name)),
        ("a folder", 10, ("m.onnx", "regular"), folder_at(name)),
        ("a pipe", 10, ("m.onnx", "regular"), fifo_at(name)),
        ("not readable", 10, ("m.onnx", "denied"), _locked(name)),
    ):
        yield Case(
            name=f"model: {what}", command=LOOSE, code=code, says=says, spoil=all_of(*GOOD, one)
        )


def shape_cases() -> Iterator[Case]:
    for shape, says in (
        ("batch=4611686018427387904", ("memory",)),
        ("batch=9223372036854775807", ("memory",)),
        ("batch=70368744177664", ("memory",)),
        ("width=3", ("width", "batch")),
    ):
        yield Case(
            name=shape, command=(*LOOSE, "--shape", shape), code=3, says=says, spoil=all_of(*GOOD)
        )


# Words that are refused before anything is read, and what is said of them.
WRONG_WORDS: tuple[tuple[str, str], ...] = (
    ("bench --provider npu --provider-option level", "--provider-option takes key=value, not"),
    ("bench --provider npu --provider-option =3", "--provider-option takes key=value, not '=3'"),
    (
        "bench --provider npu --provider-option level=1 --provider-option level=2",
        "--provider-option names 'level' twice",
    ),
    ("verify --provider npu --provider-device gpu", "--provider-device takes key=value, not 'gpu'"),
    (
        "bench --provider npu --provider-device type=gpu --provider-device type=npu",
        "--provider-device names 'type' twice",
    ),
    ("bench --provider-library x.so", "need one --provider"),
    ("verify --provider-option level=1", "need one --provider"),
    ("bench --provider cpu,npu --provider-library x.so", "need one --provider"),
    ("bench --provider cpu --provider cpu", "--provider names one provider twice"),
    ("verify --provider cpu,cuda", "verify takes one --provider"),
    ("info --provider cpu", "info does not take --provider"),
    ("bench --provider", "option --provider needs a value"),
    ("bench --require-provider=1", "option --require-provider takes no value"),
    ("bench --provder cpu", "did you mean --provider?"),
)
# Of providers, which are known when the bundle is.
WRONG_PROVIDERS: tuple[tuple[str, str], ...] = (
    ("--provider npu", "provider 'npu' is not known"),
    ("--provider opnvino", "did you mean openvino?"),
    ("--provider cpu --provider-option level=1", "provider 'cpu' takes no options"),
    ("--provider cuda --provider-device type=gpu", "--provider-device is for plugins"),
    ("--provider cpu --provider-library x.so", "'cpu' is ONNX Runtime's own"),
)


def all_cases() -> list[Case]:
    assert SAMPLES == 16
    return list(
        itertools.chain(
            manifest_cases(), whole_manifest_cases(), samples_cases(), model_cases(), shape_cases()
        )
    )
