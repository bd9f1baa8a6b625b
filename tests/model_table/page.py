"""docs/models.md: the rows as a table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from model_table.run import Row

TOOLS = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "onnxsim")
COLUMNS = (
    "model", "source", "taken", "what the others did", "sizes checked", "nodes", "largest error",
    "INT8", "harness",
)  # fmt: skip
MAX_REASON = 90
HEAD = """# Models that edgesmith was tried on

<!-- Written by `make models`; do not edit. -->

`make models` takes each of these through export, clean-up and INT8, and runs what comes of it in
the C++ harness and in Python's ONNX Runtime. The definitions are in
[tests/model_table](../tests/model_table). Made with {tools}.

- *taken*: the exporter whose model was taken, and its mode; for ONNX files there is none.
- *sizes checked*: those of each dynamic dimension that the export was compared at.
- *nodes*: exported → after clean-up, those of branches and loops too.
- *largest error*: of FP32 against the source, relative to the largest output, over all checks.
- *INT8*: signal-to-noise ratio against the source, `minmax` on four random samples. Weights are
  random where no package brings trained ones, so it says that the way works, not what a trained
  model loses.
- *harness*: whether FP32 and INT8 outputs are Python's, bit for bit, at the last of the sizes.

{count}, {failed}.

"""


def write_page(rows: Sequence[Row], path: Path, *, defined: int) -> None:
    """The page of these rows, in their order; `defined` is how many there could be."""
    failed = [row for row in rows if row.failure]
    head = HEAD.format(
        tools=", ".join(_versions()),
        count=f"{len(rows)} models" + (f" of {defined}" if len(rows) < defined else ""),
        failed=f"{len(failed)} failed" if failed else "none failed",
    )
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(_cells(row)) for row in rows)]
    reasons = "".join(f"- {row.name}: {_plain(row.failure)}\n" for row in failed)
    text = head + "\n".join(lines) + "\n"
    path.write_text(text + (f"\n## What failed\n\n{reasons}" if reasons else ""))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(row: Row) -> list[str]:
    if row.nodes_exported is None:
        nodes = ""
    else:
        after = "?" if row.nodes_cleaned is None else str(row.nodes_cleaned)
        nodes = f"{row.nodes_exported} → {after}"
    return [
        row.name,
        row.kind,
        row.winner,
        "; ".join(_short(other) for other in row.others),
        row.sizes,
        nodes,
        "" if row.max_rel_error is None else f"{row.max_rel_error:.1e}",
        row.int8,
        row.harness if not row.failure else f"failed{': ' if row.harness else ''}{row.harness}",
    ]


def _short(reason: str) -> str:
    plain = _plain(reason)
    return plain if len(plain) <= MAX_REASON else plain[: MAX_REASON - 1].rstrip() + "…"


def _plain(text: str) -> str:
    """One line that a table's cell can hold."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _versions() -> list[str]:
    """Of the tools that are there: torchvision is for the whole table alone."""
    there = {one.name for one in metadata.distributions()}
    return [f"{name} {metadata.version(name)}" for name in TOOLS if name in there]
