"""Reading and writing reports: schema, version and the digest that shows accidental edits."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from edgesmith.errors import IntegrityError, UsageError
from edgesmith.files import write_atomic
from edgesmith.hashing import sha256_json

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
MAJOR = 1
KIND = "edgesmith-report"
DIGEST_KEY = "content_sha256"

# A report of a hundred runs has some MB; more is not a report, and would only fill the memory.
MAX_BYTES = 256 * 1024 * 1024
_SHOWN_MISTAKES = 5

Report = dict[str, Any]


def load_report(path: Path) -> Report:
    """The validated report in `path`.

    Raises UsageError when the file can't be read; IntegrityError when it is not JSON, of
    another major version, does not keep the schema, or was edited after it was written.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise _refused("a device, not a file", path, "name a report file of edgesmith")
        if path.stat().st_size > MAX_BYTES:
            raise _refused("too large to be a report", path, "name a report file of edgesmith")
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the report: {error.strerror or error}",
            where=str(path),
            hint="name a report file, such as one of the project's reports folder",
        ) from error
    report = parse_report(text, where=str(path))
    check_digest(report, where=str(path))
    return report


def parse_report(text: bytes, *, where: str) -> Report:
    """The report that `text` holds, checked against the schema; raises IntegrityError."""
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _refused(
            f"not valid JSON: {error}", where, "name a report file as bench wrote it"
        ) from error
    validate(content, where=where)
    report: Report = content
    return report


def validate(content: object, *, where: str) -> None:
    """Raises IntegrityError naming every place (at most five) where the schema is not kept."""
    _check_major(content, where)
    mistakes = sorted(_validator().iter_errors(content), key=lambda e: list(map(str, e.path)))
    if not mistakes:
        return
    lines = [f"{_dotted(m.path)}: {m.message[:160]}" for m in mistakes[:_SHOWN_MISTAKES]]
    if len(mistakes) > _SHOWN_MISTAKES:
        lines.append(f"and {len(mistakes) - _SHOWN_MISTAKES} more")
    raise _refused(
        "the report does not keep its schema\n    " + "\n    ".join(lines),
        where,
        "measure again with edgesmith bench; the file is damaged or was written by hand",
    )


def check_digest(report: Mapping[str, Any], *, where: str) -> None:
    """Raises IntegrityError when the report's own digest is there and is not that of its content.

    A report without one came straight from the harness and was not completed by the host.
    """
    stated = report.get(DIGEST_KEY)
    if stated is not None and stated != content_digest(report):
        raise _refused(
            "the report was changed after it was written (content_sha256 does not fit)",
            where,
            "take the file from a backup, or measure again with edgesmith bench",
        )


def content_digest(report: Mapping[str, Any]) -> str:
    """Hex SHA-256 over the canonical JSON of all but the digest itself."""
    return sha256_json({k: v for k, v in report.items() if k != DIGEST_KEY})


def sealed(report: Mapping[str, Any]) -> Report:
    """A copy with its digest."""
    content = {k: v for k, v in report.items() if k != DIGEST_KEY}
    return {**content, DIGEST_KEY: content_digest(content)}


def write_report(path: Path, report: Mapping[str, Any]) -> Report:
    """Seals, validates and writes the report; returns it as written.

    Raises IntegrityError (schema) and HostFileError.
    """
    complete = sealed(report)
    validate(complete, where=str(path))
    text = json.dumps(complete, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text.encode() + b"\n")
    return complete


@functools.cache
def _validator() -> Any:
    import jsonschema

    return jsonschema.Draft7Validator(json.loads(SCHEMA_FILE.read_text()))


def _check_major(content: object, where: str) -> None:
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise _refused(
            'not a report of edgesmith (its kind is not "edgesmith-report")',
            where,
            "name a report file, such as one of the project's reports folder",
        )
    version = str(content.get("schema_version", ""))
    major = version.partition(".")[0]
    if major.isdigit() and int(major) != MAJOR:
        raise _refused(
            f"schema_version {version[:20]} is not read by this edgesmith, which reads {MAJOR}.x",
            where,
            "use the edgesmith version that wrote it, or measure again with this one",
        )


def _dotted(path: Any) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text.lstrip(".") or "(top)"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed in a report")


def _refused(what: str, where: object, hint: str) -> IntegrityError:
    return IntegrityError(what, where=str(where), hint=hint)
