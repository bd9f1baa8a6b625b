"""The command line: parse, call one verb, print its outcome. Only `main()` exits."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn, Protocol

from edgesmith import __version__
from edgesmith.cli import interrupts
from edgesmith.cli.session import Outcome, Session, detect_terminal
from edgesmith.errors import BUG_EXIT_CODE, EdgesmithError, HostFileError, Interrupted, UsageError
from edgesmith.events import EventStream
from edgesmith.report.plain import printable

# Verb -> one line of help. The module edgesmith.cli.VERB is only imported when it runs.
VERBS = {
    "init": "write a project that builds as it stands",
    "doctor": "say what is missing for the job and how to get it",
    "inspect": "show a model: inputs, outputs, operators, parameters, what is quantized",
    "export": "PyTorch to ONNX, checked against PyTorch",
    "simplify": "ONNX to simpler ONNX, checked",
    "quantize": "FP32 ONNX to INT8 for a target, with a report",
    "generate": "write the CMake project of a target",
    "compile": "Conan and CMake: build the bundle of a target",
    "build": "export, simplify, quantize, generate and compile",
    "fetch": "download all that a build needs; afterwards --offline works",
    "flash": "install the release on a device",
    "bench": "measure on a device and bring the report back",
    "report": "render reports",
    "run": "the main job: build, flash, bench, report",
    "devices": "list the devices and what answers",
    "clean": "remove what edgesmith made; never reports",
}


# Common options whose value is the next word.
_OPTIONS_WITH_VALUE = ("-p", "--project", "--format")


class Verb(Protocol):
    """What a verb's module defines; the examples work in a project made by `init`."""

    EXAMPLES: tuple[str, ...]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace, session: Session) -> Outcome: ...


class _Parser(argparse.ArgumentParser):
    """Raises UsageError with a suggestion instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, where=self.prog, hint=f"see: {self.prog} --help")

    def suggest(self, unknown: str) -> UsageError:
        known = [o for action in self._actions for o in action.option_strings]
        near = difflib.get_close_matches(unknown.split("=")[0], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"see: {self.prog} --help"
        return UsageError(f"unknown option or argument '{unknown}'", where=self.prog, hint=hint)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = _wants_json(words)
    try:
        outcome = _dispatch(words)
        _print(json.dumps(outcome.data, indent=1, allow_nan=False) if as_json else outcome.text)
        return outcome.exit_code
    except EdgesmithError as error:
        return _report_error(error, as_json)
    except KeyboardInterrupt:
        return _report_error(Interrupted(), as_json)
    except OSError as error:
        where = str(error.filename) if error.filename else None
        hint = "check that the path exists, that you may write there and that the disk has room"
        return _report_error(
            HostFileError(f"{error.strerror or error}", where=where, hint=hint), as_json
        )
    except Exception:
        return _report_bug(as_json)


def _dispatch(words: list[str]) -> Outcome:
    if "--version" in words:
        return Outcome(data={"edgesmith": __version__}, text=f"edgesmith {__version__}")
    parser = _top_parser()
    place = _verb_place(words)
    before = words[:place]
    if not words or "-h" in before or "--help" in before:
        return Outcome(data={"help": parser.format_help()}, text=parser.format_help().rstrip())
    if place == len(words):
        raise parser.suggest(words[0])
    verb = words[place]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "see: edgesmith --help"
        raise UsageError(f"unknown command '{verb}'", where="edgesmith", hint=hint)
    # Options that stand before the command mean the same after it.
    return _run_verb(verb, [*before, *words[place + 1 :]])


def _verb_place(words: list[str]) -> int:
    """The index of the command: the first word that is no option and no option's value."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] in _OPTIONS_WITH_VALUE else 1
    return min(place, len(words))


def _run_verb(name: str, words: list[str]) -> Outcome:
    verb: Verb = importlib.import_module(f"edgesmith.cli.{name}")
    parser = _Parser(
        prog=f"edgesmith {name}",
        description=VERBS[name],
        epilog="\n  ".join(["examples:", *verb.EXAMPLES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    _add_common(parser)
    verb.add_arguments(parser)
    if "-h" in words or "--help" in words:
        return Outcome(data={"help": parser.format_help()}, text=parser.format_help().rstrip())
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        raise parser.suggest(unknown[0])
    return verb.run(arguments, _session(arguments))


def _session(arguments: argparse.Namespace) -> Session:
    from edgesmith.cli.talk import subscribe_talk

    events = EventStream()
    terminal = detect_terminal(no_color=arguments.no_color)
    subscribe_talk(events, terminal, verbosity=arguments.verbose - 2 * arguments.quiet)
    return Session(
        project_option=arguments.project,
        dry_run=arguments.dry_run,
        offline=arguments.offline,
        events=events,
        terminal=terminal,
    )


def _top_parser() -> _Parser:
    width = max(len(verb) for verb in VERBS)
    listing = "\n".join(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items())
    parser = _Parser(
        prog="edgesmith",
        usage="edgesmith COMMAND [options]",
        description="A trained PyTorch or ONNX model becomes a tested INT8 C++ program on a"
        " device.",
        epilog="common options: -p/--project PATH, --format text|json, --dry-run, --offline, -v,"
        f" -q, --no-color\n\ncommands:\n{listing}\n\nedgesmith COMMAND --help tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this text")
    parser.add_argument("--version", action="store_true", help="show the version")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-h", "--help", action="store_true", help="show this text")
    add(
        "-p",
        "--project",
        metavar="PATH",
        help="project file or its folder (default: edgesmith.toml here or above)",
    )
    add(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text, or one JSON document on stdout",
    )
    add("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add("--offline", action="store_true", help="download nothing")
    add("-v", "--verbose", action="count", default=0, help="also show commands and their output")
    add("-q", "--quiet", action="count", default=0, help="only warnings and errors")
    add("--no-color", action="store_true", help="no colours (also: NO_COLOR)")


def _wants_json(words: Sequence[str]) -> bool:
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(w == "--format=json" or (w == "--format" and v == "json") for w, v in pairs)


def _print(text: str) -> None:
    """Writes a result to stdout; raises HostFileError when it can't take it."""
    if not text or sys.stdout is None:
        return
    try:
        print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (`edgesmith report | head`): nothing is wrong.
        _leave_stdout()
    except OSError as error:
        _leave_stdout()
        hint = "the work itself is done: run the command again, where stdout can take the result"
        raise HostFileError(f"{error.strerror or error}", where="stdout", hint=hint) from error


def _leave_stdout() -> None:
    """What is still buffered would fail again at exit: let it go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(text: str) -> None:
    """Writes talk to stderr; names in it come from foreign files."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(printable(text), file=sys.stderr)


def _report_error(error: EdgesmithError, as_json: bool) -> int:
    _tell(error.render())
    if as_json:
        with contextlib.suppress(HostFileError):
            _print(json.dumps(error.record(), indent=1))
    return error.exit_code


def _report_bug(as_json: bool) -> int:
    with tempfile.NamedTemporaryFile(
        "w", prefix="edgesmith-bug-", suffix=".txt", delete=False
    ) as file:
        file.write(f"edgesmith {__version__}, Python {sys.version}\n\n{traceback.format_exc()}")
    what = f"a bug in edgesmith: {sys.exc_info()[1]!r}"
    if as_json:
        record = {"error": "bug", "exit_code": BUG_EXIT_CODE, "what": what, "where": file.name}
        with contextlib.suppress(HostFileError):
            _print(json.dumps(record, indent=1))
    _tell(f"error: {what}\n  fix: please report it with the trace in {file.name}")
    return BUG_EXIT_CODE


def entry() -> NoReturn:
    """The console script."""
    interrupts.listen()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a letter gets its code; that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = main()
    interrupts.work_is_done()
    sys.exit(code)


if __name__ == "__main__":
    entry()
