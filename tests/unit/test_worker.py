from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgesmith.data.samples import Samples, read_sample
from edgesmith.errors import ModelError
from edgesmith.worker.collect import run as collect
from edgesmith.worker.failures import WorkerFailure
from edgesmith.worker.probes import size_combinations
from edgesmith.worker.tensors import SamplesWriter, open_samples
from edgesmith.worker.tracking import ReadTracker
from in_process import forget_modules

IMAGE = {"name": "image", "shape": ["batch", 2], "dtype": "float32", "preprocess": None}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder that is the working and import folder; imports of it are undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    forget_modules(tmp_path, before)


def tracked(project: Path) -> ReadTracker:
    tracker = ReadTracker(project=project, ignore=(project / "build",))
    tracker.install()
    return tracker


def names(tracker: ReadTracker, project: Path) -> set[tuple[str, str]]:
    return {(str(Path(path).relative_to(project)), kind) for path, kind in tracker.found()}


def test_reads_and_imports_are_noted(project: Path) -> None:
    (project / "helper_of_test.py").write_text("VALUE = 1\n")
    (project / "weights.bin").write_bytes(b"123")
    (project / "data").mkdir()
    (project / "build").mkdir()
    (project / "build" / "made.txt").write_text("x")
    tracker = tracked(project)
    importlib.import_module("helper_of_test")
    Path("weights.bin").read_bytes()
    list(Path("data").iterdir())
    Path("build/made.txt").read_text()
    Path("out.txt").write_text("written, not read")
    assert names(tracker, project) == {
        ("helper_of_test.py", "file"),
        ("weights.bin", "file"),
        ("data", "folder"),
    }


def test_a_file_that_was_looked_for_in_vain_is_noted(project: Path) -> None:
    tracker = tracked(project)
    with pytest.raises(FileNotFoundError):
        Path("settings.json").read_text()
    assert names(tracker, project) == {("settings.json", "file")}


def test_safetensors_read_by_native_code_are_noted(project: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(2, np.float32)}, "weights.safetensors")
    tracker = tracked(project)
    import safetensors

    with safetensors.safe_open("weights.safetensors", framework="numpy") as file:
        assert list(file.keys()) == ["w"]
    assert ("weights.safetensors", "file") in names(tracker, project)


def request(kind: str, source: str, output: Path, limit: int = 10) -> dict[str, object]:
    return {
        "kind": kind, "source": source, "inputs": [IMAGE], "outputs": ["y"], "limit": limit,
        "output": str(output),
    }  # fmt: skip


def write_npz(folder: Path, count: int, **extra: object) -> None:
    folder.mkdir()
    for index in range(count):
        image = np.full((1, 2), index, np.float32)
        np.savez(folder / f"{index}.npz", image=image, **extra)  # type: ignore[arg-type]


def test_samples_from_files_with_labels(project: Path) -> None:
    write_npz(project / "set", 3, label=7)
    out = project / "out.safetensors"
    done = collect(request("evaluation", "set", out))
    assert done == {"count": 3, "labelled": True, "with_reference": False, "expected": False}
    samples = Samples(out)
    assert samples.count == 3
    assert samples.whole("labels").tolist() == [7, 7, 7]
    inputs, outputs = read_sample(out, 2)
    assert inputs["image"].tolist() == [[2.0, 2.0]]
    assert outputs == {}
    assert sorted(p.name for p in project.iterdir()) == ["out.safetensors", "set"]


def test_a_pattern_and_a_limit(project: Path) -> None:
    write_npz(project / "set", 5)
    done = collect(request("calibration", "set/*.npz", project / "out", limit=2))
    assert done["count"] == 2


def test_a_pickled_array_is_not_opened(project: Path) -> None:
    (project / "set").mkdir()
    np.savez(project / "set" / "0.npz", image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(WorkerFailure, match="can't be read"):
        collect(request("calibration", "set", project / "out"))
    assert not (project / "out").exists()


def test_mixed_labels_are_refused(project: Path) -> None:
    write_npz(project / "set", 1, label=1)
    np.savez(project / "set" / "9.npz", image=np.zeros((1, 2), np.float32))
    with pytest.raises(WorkerFailure, match="only some samples"):
        collect(request("evaluation", "set", project / "out"))


def test_the_writer_streams_and_the_library_reads_it(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "samples.safetensors"
    writer = SamplesWriter(path)
    for index in range(4):
        writer.add({'odd "name"\n': np.full((2,), index, np.int64), "b": np.array(True)})
    writer.close({"format": "edgesmith-samples"})
    loaded = load_file(path)
    assert loaded['odd "name"\n'].tolist() == [[i, i] for i in range(4)]
    assert loaded["b"].tolist() == [True] * 4
    assert np.array_equal(open_samples(path)["b"], loaded["b"])
    assert [p.name for p in tmp_path.iterdir()] == ["samples.safetensors"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64])
def test_a_broken_sample_file_is_an_error_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Samples(path)
    assert caught.value.where == str(path)


def test_size_combinations_are_bounded() -> None:
    assert size_combinations({}) == [{}]
    assert size_combinations({"a": [1, 2], "b": [3]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    many = size_combinations({name: [1, 2, 3] for name in "abcd"})
    # The product is cut at 16; the three sizes of `a` and those that it has not reached follow.
    assert len(many) == 19
    assert {(name, one[name]) for one in many for name in one} == {
        (name, size) for name in "abcd" for size in (1, 2, 3)
    }


def test_searches_for_modules_are_no_reads_of_the_project(project: Path) -> None:
    import importlib.metadata
    import pkgutil

    tracker = tracked(project)
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("no-such-distribution-anywhere")
    assert [m.name for m in pkgutil.iter_modules([str(project)])] == []
    assert names(tracker, project) == set()
