from __future__ import annotations

import re
from pathlib import Path

from edgesmith import errors

_DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_lists_every_exit_code_once_and_in_order() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (_DOCS / "exit-codes.md").read_text(), re.MULTILINE)
    codes = {0, errors.BUG_EXIT_CODE, *(cls.exit_code for cls in errors.ERRORS)}
    assert [int(code) for code, _ in rows] == sorted(codes)
    assert len({meaning for _, meaning in rows}) == len(rows)
