"""Where the files lie that are not Python: in a checkout, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgesmith.errors import HostFileError

Resource = Literal["templates", "runtime_cpp", "examples"]


def resource_folder(name: Resource) -> Path:
    """The folder of that name in the wheel's data, else in the checkout two levels up.

    Raises HostFileError when the installation has neither.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_data" / name, package.parent.parent / name):
        if folder.is_dir():
            return folder
    raise HostFileError(
        f"edgesmith's own folder '{name}' is missing: the installation is incomplete",
        where=str(package),
        hint="install edgesmith again",
    )
