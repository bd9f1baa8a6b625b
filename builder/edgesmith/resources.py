"""Where the files lie that are not Python: in a checkout, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgesmith.errors import HostFileError

Resource = Literal["templates", "runtime_cpp", "examples"]
_DATA = "_data"


def resource_folder(name: Resource) -> Path:
    """The folder of that name in the wheel's data, else in the checkout two levels up.

    Raises HostFileError when the installation has neither.
    """
    package = package_folder()
    for folder in (package / _DATA / name, package.parent.parent / name):
        if folder.is_dir():
            return folder
    raise HostFileError(
        f"edgesmith's own folder '{name}' is missing: the installation is incomplete",
        where=str(package),
        hint="install edgesmith again",
    )


def packaged_headers() -> Path | None:
    """ONNX Runtime's headers in the installed wheel, put there by its build; None in a checkout."""
    folder = package_folder() / _DATA / "onnxruntime_headers"
    return folder if folder.is_dir() else None


def package_folder() -> Path:
    """The folder of the package `edgesmith` itself."""
    return Path(__file__).resolve().parent
