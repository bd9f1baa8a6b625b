"""The example program of a bundle: files in, outputs as JSON, and every way to go wrong."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from takeaway import FOUND, INPUT, OUTPUT, PHOTO, Array, run_in_python
from workbench import Edgesmith

IMAGE = np.random.default_rng(5).normal(size=(1, 3, 2, 2)).astype(np.float32)
PIXELS = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3) * 20


@dataclass(frozen=True, kw_only=True)
class App:
    """Runs the hostile model's example program in a folder of files."""

    program: Path
    folder: Path

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(self.program), *words]
        return subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=60)

    def outputs(self, *words: str) -> dict[str, Any]:
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["model"], document["version"]) == ("hostile", "1.2.3")
        return {one["name"]: one for one in document["outputs"]}


def png(pixels: Array) -> bytes:
    """Eight bits a channel, without a library."""
    height, width, _ = pixels.shape

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture
def app(hostile_bundle: Path, tmp_path: Path) -> App:
    for batch in (1, 2):
        np.save(tmp_path / f"image{batch}.npy", np.repeat(IMAGE, batch, axis=0))
        np.save(tmp_path / f"photo{batch}.npy", np.repeat(PIXELS, batch, axis=0))
        (tmp_path / f"image{batch}.raw").write_bytes(IMAGE.tobytes() * batch)
    (tmp_path / "photo.png").write_bytes(png(PIXELS[0]))
    return App(program=hostile_bundle / "bin" / "hostile-app", folder=tmp_path)


def expected(app: App, batch: int) -> tuple[Array, Array]:
    model = app.program.parent.parent / "model" / "int8.onnx"
    return run_in_python(model, np.repeat(IMAGE, batch, axis=0), np.repeat(PIXELS, batch, axis=0))


@pytest.mark.parametrize(
    ("image", "photo", "batch"),
    [
        ("image1.npy", "photo1.npy", 1),
        ("image1.npy", "photo.png", 1),
        ("image1.raw", "photo.png", 1),
        ("image2.raw", "photo2.npy", 2),
    ],
)
def test_files_give_what_python_gives(app: App, image: str, photo: str, batch: int) -> None:
    found = app.outputs("--input", f"{INPUT}={image}", "--input", f"{PHOTO}={photo}")
    logits, indices = expected(app, batch)
    assert found[OUTPUT]["dtype"] == "float32" and found[OUTPUT]["shape"] == [batch, 5]
    assert np.array_equal(np.array(found[OUTPUT]["data"], dtype=np.float32), logits.flatten())
    assert found[FOUND]["dtype"] == "int64" and found[FOUND]["data"] == indices.flatten().tolist()


def test_what_is_not_finite_is_null(app: App) -> None:
    np.save(app.folder / "nan.npy", np.full_like(IMAGE, np.nan))
    found = app.outputs("--input", f"{INPUT}=nan.npy", "--input", f"{PHOTO}=photo.png")
    assert found[OUTPUT]["data"] == [None] * 5


def test_text_and_help_show_names_harmlessly(app: App) -> None:
    done = app("--input", f"{INPUT}=image1.npy", "--input", f"{PHOTO}=photo.png")
    assert done.returncode == 0 and done.stdout.startswith("hostile 1.2.3\n  o\\n*/ float32 [1, 5]")
    shown = app("--help")
    assert shown.returncode == 0 and "a photo  uint8 [batch, 2, 2, 3]" in shown.stdout
    assert "[preprocess]" in shown.stdout


def test_samples_as_json(app: App) -> None:
    document = json.loads(app("--json").stdout)
    assert [len(sample["outputs"]) for sample in document["samples"]] == [2] * 4


def write_bad_files(folder: Path) -> None:
    np.save(folder / "f64.npy", IMAGE.astype(np.float64))
    np.save(folder / "big_endian.npy", IMAGE.astype(">f4"))
    np.save(folder / "fortran.npy", np.asfortranarray(IMAGE))
    np.save(folder / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(folder / "flat.npy", IMAGE.flatten())
    whole = (folder / "image1.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-1])
    (folder / "text.npy").write_text("text")
    (folder / "empty.npy").touch()
    (folder / "empty.raw").touch()
    (folder / "empty.png").touch()
    (folder / "odd.raw").write_bytes(IMAGE.tobytes()[:-1])
    (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:-13])
    (folder / "wide.png").write_bytes(png(np.zeros((2, 3, 3), dtype=np.uint8)))
    (folder / "folder.npy").mkdir()
    (folder / "photo.jpg").touch()


GOOD = ("image1.npy", "photo.png")
BAD_FILES = [
    (("f64.npy", GOOD[1]), 3, ".astype('float32')"),
    (("big_endian.npy", GOOD[1]), 3, "big endian"),
    (("fortran.npy", GOOD[1]), 3, "ascontiguousarray"),
    (("objects.npy", GOOD[1]), 3, "Python objects"),
    (("flat.npy", GOOD[1]), 3, "its shape is [12], the input's [batch, 3, 2, 2]"),
    (("cut.npy", GOOD[1]), 3, "47 bytes"),
    (("text.npy", GOOD[1]), 3, "no .npy file"),
    (("empty.npy", GOOD[1]), 3, "empty"),
    (("empty.raw", GOOD[1]), 3, "empty"),
    (("odd.raw", GOOD[1]), 3, "47 bytes, which is not [1, 3, 2, 2] of float32"),
    (("photo.png", GOOD[1]), 3, "[preprocess]"),
    (("image2.npy", GOOD[1]), 3, "dimension 'batch' is 1 here and 2 in input 'image"),
    ((GOOD[0], "empty.png"), 3, "empty"),
    ((GOOD[0], "cut.png"), 3, "cut off"),
    ((GOOD[0], "wide.png"), 3, "3 x 2 pixels"),
    ((GOOD[0], "image1.npy"), 3, "float32"),
    ((GOOD[0], "photo.jpg"), 2, ".npy, .raw and .png"),
    ((GOOD[0], "nowhere.png"), 10, "No such file"),
    (("folder.npy", GOOD[1]), 10, "not a regular file"),
]


@pytest.mark.parametrize(("files", "code", "words"), BAD_FILES, ids=lambda one: str(one))
def test_files_that_do_not_fit(app: App, files: tuple[str, str], code: int, words: str) -> None:
    write_bad_files(app.folder)
    done = app("--input", f"{INPUT}={files[0]}", "--input", f"{PHOTO}={files[1]}", "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (["--input", f"{PHOTO}=photo.png"], 'input \'image\\"; system(\\"id\\"); //\' (float32'),
        (["--input", "a foto=photo.png"], "did you mean 'a photo'?"),
        (["--input", "photo.png"], "NAME=FILE"),
        (["--input"], "needs a value"),
        (["--jsno"], "did you mean --json?"),
        (["photo.png"], "unknown argument"),
        (["--input", f"{PHOTO}=photo.png"] * 2 + ["--input", f"{INPUT}=image1.npy"], "several"),
    ],
)
def test_command_lines_that_are_wrong(app: App, words: list[str], finding: str) -> None:
    done = app(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert finding in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_closed_stdout_is_told(app: App) -> None:
    command = ["/bin/sh", "-c", 'exec "$0" --json >&-', str(app.program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 10 and "stdout" in done.stderr


def test_the_digits_program_gives_what_python_gives(built: Edgesmith, tmp_path: Path) -> None:
    bundle = built.folder / "build/digits/host/bundle"
    image = np.random.default_rng(3).random((1, 1, 8, 8), dtype=np.float32)
    np.save(tmp_path / "a b=c.npy", image)
    argv = [bundle / "bin/digits-app", "--input", f"image={tmp_path}/a b=c.npy", "--json"]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    session = onnxruntime.InferenceSession(bundle / "model/int8.onnx")
    (logits,) = session.run(None, {"image": image})
    assert output["shape"] == [1, 10]
    assert np.array_equal(np.array(output["data"], dtype=np.float32), logits.flatten())
