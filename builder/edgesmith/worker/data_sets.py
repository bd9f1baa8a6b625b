"""Reads sample folders in ONNX's form: `test_data_set_N/input_0.pb`, `output_0.pb` and so on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .failures import WorkerFailure, missing_package
from .tensors import Array

_TENSOR_FILE = re.compile(r"(input|output)_(\d{1,6})\.pb")


def is_data_set(path: Path) -> bool:
    """Whether a folder is one sample."""
    return path.is_dir() and any(_TENSOR_FILE.fullmatch(p.name) for p in path.iterdir())


def data_sets(folder: Path) -> list[Path]:
    """The folder itself when it is one sample, else those in it, by their number."""
    if is_data_set(folder):
        return [folder]
    return sorted((path for path in folder.iterdir() if is_data_set(path)), key=by_number)


def by_number(path: Path) -> tuple[str, int]:
    """`test_data_set_10` comes after `test_data_set_9`."""
    found = re.fullmatch(r"(.*?)(\d{1,9})", path.name)
    return (found[1], int(found[2])) if found else (path.name, -1)


def read_data_set(
    folder: Path, inputs: list[str], outputs: list[str] | None, *, where: str
) -> tuple[dict[str, Array], dict[str, Array] | None]:
    """The arrays by the model's names, which the files tell by their order alone.

    `outputs` is None where they are not wanted. Raises WorkerFailure.
    """
    found = _read_all(folder, "input", inputs, where)
    return found, None if outputs is None else _read_all(folder, "output", outputs, where)


def _read_all(folder: Path, kind: str, names: list[str], where: str) -> dict[str, Array]:
    matches = [_TENSOR_FILE.fullmatch(path.name) for path in folder.iterdir()]
    numbers = sorted(int(match[2]) for match in matches if match and match[1] == kind)
    if numbers != list(range(len(names))):
        has = ", ".join(f"{kind}_{number}.pb" for number in numbers) or f"no {kind}_N.pb"
        raise WorkerFailure(
            f"'{folder}' has {has}; the model has {len(names)} {kind}s",
            where=where,
            hint=f"give {kind}_0.pb to {kind}_{len(names) - 1}.pb, in the order of the model's"
            f" {kind}s: {', '.join(names)}",
        )
    return {name: _read(folder / f"{kind}_{number}.pb", where) for number, name in enumerate(names)}


def _read(path: Path, where: str) -> Array:
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
    except ImportError as error:
        raise missing_package(error, where=where) from error
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        _require_tensor(tensor)
        array: Array = numpy_helper.to_array(tensor)
    except (DecodeError, ValueError, TypeError, OSError) as error:
        raise WorkerFailure(
            f"'{path}' can't be read as a tensor: {_first_line(error)}",
            where=where,
            hint="write it anew: onnx.numpy_helper.from_array(array).SerializeToString()",
        ) from error
    return array


def _require_tensor(tensor: Any) -> None:
    """Raises ValueError for what is none, although its bytes can be taken for one."""
    if tensor.external_data:
        raise ValueError("its data lies in another file")
    # Sequences and optional values have their content where a tensor has its segment.
    if tensor.HasField("segment"):
        raise ValueError("it holds a sequence or an optional value, which no program here takes")
    if not tensor.data_type:
        raise ValueError("it names no element type: it is empty, or of another format")
    if tensor.data_type == tensor.STRING:
        raise ValueError("it holds text, which no program here takes")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
