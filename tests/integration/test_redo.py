"""Unchanged work is not redone, and a change redoes exactly what depends on it."""

from __future__ import annotations

import numpy as np
import pytest

from workbench import Edgesmith, stages_that_ran

EXPORTED = {"export", "reference"}
SAMPLED = {"calibration", "evaluation"}
PER_TARGET = {"quantize", "generate", "compile"}


def test_nothing_changed_nothing_runs(digits: Edgesmith) -> None:
    (digits.folder / "reports").mkdir()  # as a bench leaves it
    result = digits.ok("build", "--format", "json")
    assert stages_that_ran(result) == set()
    assert {s["stage"] for s in result.json()["stages"]} == {
        "export", "simplify", "calibration", "evaluation", "reference", *PER_TARGET,
    }  # fmt: skip
    assert "all 8 stages were served from the cache" in digits.ok("build").out


def test_a_deleted_build_folder_comes_from_the_cache(digits: Edgesmith) -> None:
    before = digits.ok("build", "--format", "json").json()["bundles"][0]["id"]
    digits.ok("clean")
    result = digits.ok("build", "--format", "json")
    assert stages_that_ran(result) == set()
    assert result.json()["bundles"][0]["id"] == before


def change_model(project: Edgesmith) -> None:
    path = project.folder / "model.py"
    path.write_text(path.read_text() + "\nclass Unused:\n    pass\n")


def change_helper(project: Edgesmith) -> None:
    path = project.folder / "network.py"
    text = path.read_text()
    assert "ReLU" in text
    path.write_text(
        text.replace("nn.ReLU()", "nn.LeakyReLU(0.0123)").replace(
            "nn.ReLU(inplace=True)", "nn.LeakyReLU(0.0123)"
        )
    )


def change_weights(project: Edgesmith) -> None:
    from safetensors.numpy import load_file, save_file

    path = project.folder / "weights.safetensors"
    weights = load_file(path)
    name = next(n for n, w in weights.items() if w.dtype == np.float32 and w.ndim == 2)
    weights[name] = weights[name] * np.float32(1.01)
    save_file(weights, path)


def change_data(project: Edgesmith) -> None:
    path = project.folder / "data.py"
    path.write_text(path.read_text() + "\nUNUSED = 1\n")


def change_split(project: Edgesmith) -> None:
    path = project.folder / "split.py"
    text = path.read_text()
    path.write_text(text + "\nUNUSED = 1\n")


def change_calibration(project: Edgesmith) -> None:
    path = project.folder / "edgesmith.toml"
    path.write_text(path.read_text().replace('calibration = "auto"', 'calibration = "percentile"'))


def change_sample_count(project: Edgesmith) -> None:
    path = project.folder / "edgesmith.toml"
    path.write_text(
        path.read_text().replace("calibration_samples = 200", "calibration_samples = 150")
    )


# A stage whose inputs come out with the same bytes is not redone: edits that change nothing
# (comments, unused names) end there.
CASES = [
    (change_model, EXPORTED),
    (change_helper, EXPORTED | {"simplify", "observe"} | PER_TARGET),
    (change_weights, EXPORTED | {"simplify", "observe"} | PER_TARGET),
    (change_data, SAMPLED),
    (change_split, SAMPLED),
    (change_calibration, PER_TARGET),
    (change_sample_count, {"calibration", "observe"} | PER_TARGET),
]


@pytest.mark.parametrize(("change", "expected"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_an_edit_redoes_exactly_what_depends_on_it(
    digits: Edgesmith, change: object, expected: set[str]
) -> None:
    assert callable(change)
    change(digits)
    result = digits.ok("build", "--format", "json")
    assert stages_that_ran(result) == expected
    assert stages_that_ran(digits.ok("build", "--format", "json")) == set()


def test_a_file_in_a_data_folder_is_a_dependency(digits: Edgesmith) -> None:
    data = digits.folder / "pictures"
    data.mkdir()
    generator = np.random.default_rng(0)
    for index in range(4):
        image = generator.random((1, 1, 8, 8), dtype=np.float32)
        np.savez(data / f"{index}.npz", image=image)
    toml = digits.folder / "edgesmith.toml"
    toml.write_text(toml.read_text().replace('"data.py:calibration"', '"pictures"'))
    expected = {"calibration", "observe", "quantize"}
    assert stages_that_ran(digits.ok("quantize", "--format", "json")) == expected
    image = generator.random((1, 1, 8, 8), dtype=np.float32)
    np.savez(data / "2.npz", image=image)
    assert stages_that_ran(digits.ok("quantize", "--format", "json")) == expected
    np.savez(data / "4.npz", image=image)
    result = digits.ok("quantize", "--format", "json")
    assert stages_that_ran(result) == expected
    assert stages_that_ran(digits.ok("quantize", "--format", "json")) == set()


def test_dry_run_tells_and_touches_nothing(digits: Edgesmith) -> None:
    network = digits.folder / "network.py"
    network.write_text(network.read_text() + "\nNEVER_BUILT_BEFORE = True\n")
    before = {p: p.stat().st_mtime_ns for p in (digits.folder / "build").rglob("*")}
    result = digits.ok("build", "--dry-run", "--format", "json").json()
    assert result["would_run"] == "export"
    assert {p: p.stat().st_mtime_ns for p in (digits.folder / "build").rglob("*")} == before
