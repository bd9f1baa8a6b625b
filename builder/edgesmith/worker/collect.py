"""Reads calibration or evaluation samples from the user's code or files into one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .data_sets import by_number, data_sets, is_data_set, read_data_set
from .failures import WorkerFailure
from .source import load_callable
from .tensors import Array, SamplesWriter, ShapeChanged

_LABEL, _GROUP = "label", "group"
# Inputs; a label, reference outputs or nothing; the group of samples that are not independent.
Sample = tuple[Mapping[str, Any], Any, Any]
PROGRESS_EVERY = 25


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Writes at most `limit` samples to `output`; returns their count and what they carry."""
    reader = _Reader(request)
    writer = SamplesWriter(Path(request["output"]))
    try:
        for sample in reader.samples():
            reader.put(sample, writer)
            if writer.count % PROGRESS_EVERY == 0:
                print(f"@progress {writer.count} {request['limit']}", flush=True)
            if writer.count == request["limit"]:
                break
        if writer.count == 0:
            raise WorkerFailure(
                "the data set is empty: not one sample came",
                where=reader.where,
                hint="yield at least one sample; some hundred give good calibration",
            )
        labelled = writer.facts("labels") is not None
        referenced = any(writer.facts(f"outputs/{n}") for n in reader.output_names)
        writer.close({"format": "edgesmith-samples", "schema_version": "1.0"})
    finally:
        writer.discard()
    return {
        "count": writer.count,
        "labelled": labelled,
        "with_reference": referenced,
        "expected": referenced and reader.in_data_sets,
    }


class _Reader:
    def __init__(self, request: dict[str, Any]) -> None:
        self._kind: str = request["kind"]
        self._source: str = request["source"]
        self._inputs: list[dict[str, Any]] = request["inputs"]
        self._outputs: list[str] = request["outputs"]
        # Samples in ONNX's form, whose outputs are those that the model itself must give.
        self.in_data_sets = False
        self.where = f"data.{self._kind} = {self._source!r}"
        self.output_names: set[str] = set()
        self._file: Path | None = None
        self._groups: dict[str, int] = {}

    def samples(self) -> Iterator[Sample]:
        """(inputs, label or outputs or None, group or None) triples."""
        if ".py:" in self._source:
            found = load_callable(self._source, key=f"data.{self._kind}")()
            yield from self._from_callable(found)
        else:
            yield from self._from_files()

    def _from_callable(self, found: Any) -> Iterator[Sample]:
        if not isinstance(found, Iterable):
            raise self._bad(f"the callable returned a {type(found).__name__}", "yield samples")
        for index, item in enumerate(found):
            if isinstance(item, Mapping):
                yield item, None, None
            elif isinstance(item, tuple) and len(item) in (2, 3) and isinstance(item[0], Mapping):
                yield item[0], item[1], item[2] if len(item) == 3 else None
            else:
                form = "{input: array}"
                form = form if self._kind == "calibration" else f"({form}, label[, group])"
                raise self._bad(f"sample {index} is a {type(item).__name__}", f"yield {form}")

    def _from_files(self) -> Iterator[Sample]:
        for path in self._files():
            self._file = path
            if path.is_dir():
                self.in_data_sets = True
                names = [one["name"] for one in self._inputs]
                wanted = self._outputs if self._kind == "evaluation" else None
                yield *read_data_set(path, names, wanted, where=self.where), None
                continue
            arrays = self._read(path)
            label, group = (
                arrays.pop(key, None) if key not in self._names() else None
                for key in (_LABEL, _GROUP)
            )
            yield arrays, label, group

    def _files(self) -> list[Path]:
        path = Path(self._source)
        if path.is_dir():
            files = data_sets(path) or [
                p for p in sorted(path.iterdir()) if p.suffix in (".npz", ".safetensors")
            ]
        else:
            base = Path(path.anchor) if path.is_absolute() else Path()
            pattern = str(path.relative_to(base) if path.is_absolute() else path)
            found = self._matching(base, pattern)
            files = sorted(filter(is_data_set, found), key=by_number)
            files += [p for p in found if p.is_file()]
        if not files:
            raise self._bad(
                "no .npz or .safetensors file and no test_data_set folder is there",
                "correct the path or pattern",
            )
        if len({path.is_dir() for path in files}) > 1:
            raise self._bad("files and test_data_set folders are mixed", "name one kind")
        return files

    def _matching(self, base: Path, pattern: str) -> list[Path]:
        try:
            return sorted(base.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise self._bad(f"not a pattern: {error}", "'**' stands for whole folders") from error

    def _read(self, path: Path) -> dict[str, Array]:
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as archive:
                    return {name: archive[name] for name in archive.files}
            if path.suffix == ".safetensors":
                from safetensors.numpy import load

                return dict(load(path.read_bytes()))
        except Exception as error:
            raise self._bad(
                f"'{path}' can't be read: {error}", "write it anew with numpy.savez or safetensors"
            ) from error
        raise self._bad(f"'{path}' is neither .npz nor .safetensors", "convert it to one of these")

    def put(self, sample: Sample, writer: SamplesWriter) -> None:
        """Adds the sample, checked; raises WorkerFailure."""
        try:
            writer.add(self.tensors(sample, writer))
        except ShapeChanged as error:
            raise self._bad(
                f"{self._shown(writer.count)}: '{error.name}' {error}",
                "bring all samples to one shape and type",
            ) from error

    def _names(self) -> set[str]:
        return {one["name"] for one in self._inputs}

    def tensors(self, sample: Sample, writer: SamplesWriter) -> dict[str, Array]:
        """The sample's tensors under their names in the file, checked against the model."""
        arrays, extra, group = sample
        index = writer.count
        given, known = set(map(str, arrays)), self._names()
        if given != known:
            raise self._bad(
                f"{self._shown(index)} has the inputs {sorted(given)}, the model takes"
                f" {sorted(known)}",
                "name the arrays as the model's inputs",
            )
        tensors = {}
        for one in self._inputs:
            array = self._checked(one, np.asarray(arrays[one["name"]]), index)
            self._same_shape(f"inputs/{one['name']}", array, writer)
            tensors[f"inputs/{one['name']}"] = array
        if self._kind == "evaluation" and extra is not None:
            tensors.update(self._extra(extra, index))
        if self._kind == "evaluation" and group is not None:
            tensors["groups"] = self._group(group, index)
        if index > 0:
            self._same_extras(tensors, writer)
        return tensors

    def _checked(self, one: dict[str, Any], array: Array, index: int) -> Array:
        name, dtype = one["name"], np.dtype(one["dtype"])
        camera = f" (what [preprocess.{name}] is fed)" if one["preprocess"] else ""
        if array.dtype != dtype:
            raise self._bad(
                f"{self._shown(index)}: '{name}' is {array.dtype}, the model takes {dtype}{camera}",
                self._conversion(array, dtype),
            )
        shape = one["shape"]
        fits = array.ndim == len(shape) and all(
            self._fits(dim, size) for dim, size in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise self._bad(
                f"{self._shown(index)}: '{name}' has the shape {list(array.shape)}, the model takes"
                f" {shape}{camera}",
                "yield arrays as they are fed to the model, batch dimension (of 1) included",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self._bad(
                f"{self._shown(index)}: '{name}' holds NaN or infinity",
                "clean the data before it comes",
            )
        return array

    def _conversion(self, array: Array, dtype: np.dtype[Any]) -> str:
        if array.dtype.kind == "f" and dtype.kind in "iu" and dtype.itemsize == 1:
            return (
                f"bring it to the range of {dtype} first: for values in [0, 1]"
                f" numpy.round(array * 255).astype(numpy.{dtype})"
            )
        return f"convert it: array.astype(numpy.{dtype})"

    def _fits(self, dim: int | str, size: int) -> bool:
        return dim == size if isinstance(dim, int) else size >= 1

    def _same_shape(self, key: str, array: Array, writer: SamplesWriter) -> None:
        facts = writer.facts(key)
        if facts is not None and facts[1] != array.shape:
            raise self._bad(
                f"{self._shown(writer.count)}: {key} has the shape {list(array.shape)}, the samples"
                f" before it {list(facts[1])}",
                "bring all samples to one shape",
            )

    def _extra(self, extra: Any, index: int) -> dict[str, Array]:
        if isinstance(extra, Mapping):
            self.output_names |= set(map(str, extra))
            return {f"outputs/{n}": self._output(str(n), v, index) for n, v in extra.items()}
        label = np.asarray(extra)
        if label.size != 1 or label.dtype.kind not in "iub":
            raise self._bad(
                f"{self._shown(index)}: the label is a {type(extra).__name__} {label.dtype} of"
                f" shape {list(label.shape)}",
                "yield one integer class index, or a dict of reference outputs",
            )
        if int(label.reshape(())) < 0:
            raise self._bad(
                f"{self._shown(index)}: the label is {int(label.reshape(()))}",
                "yield the index of a class: 0 is the first",
            )
        return {"labels": label.reshape(()).astype(np.int64)}

    def _output(self, name: str, value: Any, index: int) -> Array:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise self._bad(
                f"{self._shown(index)}: the reference output '{name}' is no array of finite"
                " numbers",
                "yield what the model should answer, as a numpy array",
            )
        return array

    def _shown(self, index: int) -> str:
        """The sample as the user knows it: by its file where it has one."""
        return f"sample {index}" if self._file is None else f"sample {index}, '{self._file}'"

    def _group(self, group: Any, index: int) -> Array:
        """The number of a group: groups count from 0 in the order in which they come."""
        name = np.asarray(group)
        if name.size != 1 or name.dtype.kind not in "iuU":
            raise self._bad(
                f"{self._shown(index)}: its group is a {type(group).__name__} {name.dtype} of shape"
                f" {list(name.shape)}",
                "name the group by a text or an integer, such as the picture's file name",
            )
        number = self._groups.setdefault(str(name.reshape(())), len(self._groups))
        return np.asarray(number, np.int64)

    def _same_extras(self, tensors: Mapping[str, Array], writer: SamplesWriter) -> None:
        if set(tensors) != set(writer.names()):
            raise self._bad(
                f"{self._shown(writer.count)}: only some samples have a label, a group or"
                " reference outputs",
                "give them to all samples or to none",
            )

    def _bad(self, what: str, hint: str) -> WorkerFailure:
        return WorkerFailure(what, where=self.where, hint=hint)
