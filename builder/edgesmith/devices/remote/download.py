"""A file on its way from a device: bytes between the marks of the script that sends it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import BinaryIO

from edgesmith.devices.remote.answers import refusal
from edgesmith.devices.remote.script import Answer
from edgesmith.errors import DeviceError

_NO_FILE = -1
_LONGEST_HEAD = 1 << 20


class Download:
    """Takes in a file of at most `max_bytes`."""

    def __init__(self, *, max_bytes: int, to_file: BinaryIO | None = None) -> None:
        self._max_bytes, self._to_file = max_bytes, to_file
        self._hexadecimal = False
        self._digest = hashlib.sha256()
        self._pending = b""
        self._expected: int | None = None
        self._got = 0
        self._error: OSError | None = None

    def take_for(self, mark: str, *, hexadecimal: bool = False) -> Callable[[bytes], None]:
        """What takes in the script's output as it comes, with a login's words before it.

        With `hexadecimal`, the bytes come as `od -tx1` prints them.
        """
        self._hexadecimal = hexadecimal
        begin = re.compile(rb"(?:^|\n)" + mark.encode() + rb" begin (\d*)\r?\n")

        def take(chunk: bytes) -> None:
            self._pending += chunk
            if self._expected is None:
                found = begin.search(self._pending)
                self._pending = self._pending[-_LONGEST_HEAD:] if found is None else b""
                if found is None:
                    return
                self._expected = int(found[1] or _NO_FILE)
                chunk = found.string[found.end() :]
                self._pending = chunk
            self._take_content()

        return take

    def sha256(self) -> str:
        return self._digest.hexdigest()

    def require_complete(self, answer: Answer, *, name: str, where: str) -> None:
        """Raises DeviceError when what came in is not the whole file, HostFileError for a disk."""
        if self._error is not None:
            raise self._error
        if self._expected is not None and self._expected > self._max_bytes:
            raise DeviceError(
                f"refused to fetch {name}: {self._expected} bytes, at most {self._max_bytes} are"
                " expected",
                where=where,
                hint="see what wrote this file on the device",
            )
        if self._expected is None or self._got != self._expected:
            hint = "see whether the device still answers, then run the command again"
            raise refusal(f"fetching {name} failed: {self._got} bytes came in", answer, where, hint)

    def _take_content(self) -> None:
        data, self._pending = self._decoded()
        assert self._expected is not None
        if self._expected == _NO_FILE:
            return
        data = data[: self._expected - self._got]
        self._got += len(data)
        if self._expected > self._max_bytes or self._error is not None:
            return
        self._digest.update(data)
        try:
            if self._to_file is not None:
                self._to_file.write(data)
        except OSError as error:
            # It is the waiting thread's to raise.
            self._error = error

    def _decoded(self) -> tuple[bytes, bytes]:
        """The file's bytes in what came in, and what is not complete yet."""
        if not self._hexadecimal:
            return self._pending, b""
        lines, newline, rest = self._pending.rpartition(b"\n")
        if self._got == self._expected or not newline:
            return b"", rest
        digits = re.findall(rb"(?m)^(?: [0-9a-f]{2})+\s*$", lines)
        return bytes.fromhex(b"".join(digits).decode()), rest
