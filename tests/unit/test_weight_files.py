"""Weights that one ONNX file can't hold: moved into a second one, whatever held them before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgesmith.errors import ModelError
from edgesmith.model import onnx_file, weight_files

PAGE = 4096
LARGE = (64 << 10) + 4


def weight(name: str, file: str, offset: int, length: int) -> TensorProto:
    """A uint8 vector that lies in another file."""
    tensor = TensorProto(
        name=name, data_type=TensorProto.UINT8, dims=[length], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def write_model(folder: Path, weights: list[TensorProto]) -> Path:
    names = [one.name for one in weights]
    graph = helper.make_graph(
        [helper.make_node("Concat", ["x", *names], ["y"], axis=0)],
        "weights",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [None])],
        weights,
    )
    opset = [helper.make_opsetid("", 17)]
    path = folder / "source.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opset).SerializeToString())
    return path


def taken(source: Path, folder: Path) -> Path:
    folder.mkdir()
    model = onnx_file.load(source, data=False)
    weight_files.save_with_data(model, source, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.fixture
def data() -> bytes:
    return np.random.default_rng(0).bytes(3 * LARGE)


@pytest.fixture
def source(tmp_path: Path, data: bytes) -> Path:
    """Two large tensors in two files, one of them under two names, and a small one."""
    (tmp_path / "below").mkdir()
    (tmp_path / "one.bin").write_bytes(data)
    (tmp_path / "below" / "two.bin").write_bytes(data[::-1])
    weights = [
        weight("first", "one.bin", 7, LARGE),
        weight("small", "one.bin", 5, 64 << 10),
        weight("second", "below/two.bin", 0, 2 * LARGE),
        weight("again", "one.bin", 7, LARGE),
    ]
    return write_model(tmp_path, weights)


def test_every_tensor_keeps_its_values(tmp_path: Path, source: Path, data: bytes) -> None:
    model = onnx.load(taken(source, tmp_path / "to"))
    found = {one.name: numpy_helper.to_array(one).tobytes() for one in model.graph.initializer}
    assert found == {
        "first": data[7 : 7 + LARGE],
        "small": data[5 : 5 + (64 << 10)],
        "second": data[::-1][: 2 * LARGE],
        "again": data[7 : 7 + LARGE],
    }


def test_large_ones_start_on_pages_and_shared_ones_are_there_once(
    tmp_path: Path, source: Path
) -> None:
    path = taken(source, tmp_path / "to")
    model = onnx.load(path, load_external_data=False)
    place = {
        one.name: {entry.key: entry.value for entry in one.external_data}
        for one in model.graph.initializer
    }
    assert place["small"] == {}
    assert place["first"] == place["again"]
    assert {one["location"] for one in place.values() if one} == {"model.onnx.data"}
    offsets = [int(place[name]["offset"]) for name in ("first", "second")]
    assert offsets == [0, 17 * PAGE]
    assert path.with_name("model.onnx.data").stat().st_size == 17 * PAGE + 2 * LARGE


def test_the_models_own_hash_stands_for_its_weights(
    tmp_path: Path, source: Path, data: bytes
) -> None:
    path = taken(source, tmp_path / "to")
    notes = {one.key: one.value for one in onnx.load(path).metadata_props}
    written = path.with_name("model.onnx.data").read_bytes()
    assert notes == {"edgesmith.data_sha256": hashlib.sha256(written).hexdigest()}

    changed = bytearray(data)
    changed[8] ^= 1
    (tmp_path / "one.bin").write_bytes(changed)
    other = onnx_file.describe_file(taken(source, tmp_path / "other"))
    before = onnx_file.describe_file(path)
    assert other.sha256 != before.sha256
    assert other.total_bytes == before.total_bytes == before.bytes + len(written)


def test_the_same_weights_in_another_layout_give_the_same_bytes(
    tmp_path: Path, source: Path, data: bytes
) -> None:
    path = taken(source, tmp_path / "to")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "all.bin").write_bytes(data + data[::-1])
    weights = [
        weight("first", "all.bin", 7, LARGE),
        weight("small", "all.bin", 5, 64 << 10),
        weight("second", "all.bin", len(data), 2 * LARGE),
        weight("again", "all.bin", 7, LARGE),
    ]
    other = taken(write_model(elsewhere, weights), tmp_path / "other")
    for name in ("model.onnx", "model.onnx.data"):
        assert other.with_name(name).read_bytes() == path.with_name(name).read_bytes()


def test_a_copy_takes_the_weights_along(tmp_path: Path, source: Path) -> None:
    path = taken(source, tmp_path / "to")
    target = tmp_path / "copy" / "fp32.onnx"
    weight_files.copy_model(path.parent, onnx_file.describe_file(path), target)
    assert target.read_bytes() == path.read_bytes()
    beside = target.with_name("model.onnx.data")
    assert beside.read_bytes() == path.with_name("model.onnx.data").read_bytes()


def test_the_limit_counts_tensors_and_not_files(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file may hold several models, and two tensors the same part of it."""
    with source.with_name("one.bin").open("ab") as file:
        file.truncate(50 * LARGE)
    model = onnx_file.load(source, data=False)
    whole = model.ByteSize() + 4 * LARGE + (64 << 10)
    for limit, large in ((whole, False), (whole - 1, True)):
        monkeypatch.setattr(onnx_file, "MAX_PROTOBUF_BYTES", limit)
        assert weight_files.is_too_large(model, shown_as="it") is large


def set_entry(source: Path, name: str, value: str | None) -> None:
    """An entry of the tensor 'second' becomes another, or is gone."""
    model = onnx.load(source, load_external_data=False)
    tensor = next(one for one in model.graph.initializer if one.name == "second")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    del tensor.external_data[:]
    entries.pop(name)
    for key, text in entries.items() if value is None else {**entries, name: value}.items():
        tensor.external_data.add(key=key, value=text)
    source.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offset", "-5"),
        ("offset", "1e3"),
        ("length", "-1"),
        ("length", "-2"),
        ("length", str(2 * LARGE - 1)),
        ("length", str(2 * LARGE + 1)),
        ("length", "many"),
        ("location", ""),
        ("location", None),
    ],
)
def test_a_place_that_cannot_be_is_refused(source: Path, name: str, value: str | None) -> None:
    set_entry(source, name, value)
    for data in (False, True):
        with pytest.raises(ModelError, match=r"the tensor 'second' of \d+ bytes says"):
            onnx_file.load(source, data=data)


@pytest.mark.parametrize(("name", "value"), [("length", "0"), ("length", None), ("offset", None)])
def test_what_may_be_left_out_may(
    tmp_path: Path, source: Path, data: bytes, name: str, value: str | None
) -> None:
    set_entry(source, name, value)
    found = onnx.load(taken(source, tmp_path / "to")).graph.initializer
    second = next(one for one in found if one.name == "second")
    assert numpy_helper.to_array(second).tobytes() == data[::-1][: 2 * LARGE]


def test_values_in_the_model_count_more_than_a_note_of_another_place(
    tmp_path: Path, source: Path
) -> None:
    model = onnx.load(source, load_external_data=False)
    tensor = next(one for one in model.graph.initializer if one.name == "small")
    tensor.data_location = TensorProto.DEFAULT
    tensor.raw_data = b"x" * (64 << 10)
    source.write_bytes(model.SerializeToString())
    found = onnx.load(taken(source, tmp_path / "to")).graph.initializer
    small = next(one for one in found if one.name == "small")
    assert small.raw_data == b"x" * (64 << 10)
    assert not small.external_data


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path: Path, source: Path) -> None:
    model = onnx_file.load(source, data=False)
    file = source.with_name("one.bin")
    file.write_bytes(file.read_bytes()[: LARGE // 2])
    (tmp_path / "to").mkdir()
    with pytest.raises(ModelError, match=r"'one\.bin' can't be read: it became shorter"):
        weight_files.save_with_data(model, source, tmp_path / "to" / "model.onnx")


def test_a_file_that_may_not_be_read_is_named(source: Path) -> None:
    file = source.with_name("one.bin")
    with (
        mock.patch.object(os, "access", lambda path, mode: Path(path) != file),
        pytest.raises(ModelError, match=r"'one\.bin' can't be read: permission denied"),
    ):
        onnx_file.load(source, data=False)
