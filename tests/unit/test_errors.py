from __future__ import annotations

import inspect

import pytest

from edgesmith import errors
from edgesmith.files import full_disk


def test_exit_codes_are_unique_and_as_documented() -> None:
    codes = {cls.__name__: cls.exit_code for cls in errors.ERRORS}
    assert codes == {
        "UsageError": 2,
        "ModelError": 3,
        "GateError": 4,
        "ToolchainError": 5,
        "DeviceError": 6,
        "IntegrityError": 7,
        "HarnessError": 8,
        "UndecidedError": 9,
        "HostFileError": 10,
        "Interrupted": 130,
    }
    assert len(set(codes.values())) == len(codes)


def test_every_class_of_the_module_is_listed() -> None:
    defined = {
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.EdgesmithError) and cls is not errors.EdgesmithError
    }
    assert defined == set(errors.ERRORS)


def test_an_error_without_a_hint_can_not_be_made() -> None:
    for cls in errors.ERRORS:
        if cls is errors.Interrupted:
            assert errors.Interrupted().hint
            continue
        with pytest.raises(TypeError):
            cls("it broke")  # type: ignore[call-arg]


def test_rendering_names_place_and_remedy() -> None:
    error = errors.DeviceError("unreachable", where="devices.pi", hint="plug it in")
    assert error.render() == "error: unreachable\n   in: devices.pi\n  fix: plug it in"
    assert error.record()["exit_code"] == 6


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_exit_codes_of_our_programs_map_back(code: int) -> None:
    assert errors.error_class_for(code).exit_code == code


def test_a_foreign_exit_code_is_the_harness_failing() -> None:
    assert errors.error_class_for(77) is errors.HarnessError


@pytest.mark.parametrize(
    "said",
    [
        "cp: cannot copy: No space left on device",
        "CMake Error:\n  cannot copy x to\n  y: No\n  space left on device.\n",
        "| file INSTALL: No space left on\n    | device",
        "error: NoSpaceLeft",
        "write: Disk quota exceeded",
    ],
)
def test_a_full_disk_is_found_in_what_tools_say(said: str) -> None:
    error = full_disk(said, where="here")
    assert error is not None and error.exit_code == 10
    assert "\n" not in error.what
    assert full_disk("No place like home", where="here") is None
