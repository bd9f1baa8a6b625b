"""NVIDIA's driver and libraries on a device: there or missing, and whether their versions fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgesmith.devices.deadline import Deadline
from edgesmith.devices.gpu import DeviceLibrary, GpuFacts, look_for_gpu
from edgesmith.devices.preflight import identity_title
from edgesmith.devices.transport import Transport
from edgesmith.doctor.check import Check, failed
from edgesmith.doctor.products import Need, fits, needs_of
from edgesmith.errors import DeviceError, EdgesmithError
from edgesmith.project.project import ON_THIS_MACHINE, Device, Target

# nvidia-smi wakes every GPU first.
_TIMEOUT_S = 60.0
_DRIVER = "NVIDIA driver"
# Libraries of the driver for older kernel modules, as NVIDIA's package installs them.
_COMPATIBILITY = "/compat"


def check_gpu(part: str, transport: Transport, device: Device, target: Target) -> Iterator[Check]:
    """One check for each product; none for a target whose providers need no more than its bundle.
    Nothing is changed on the device."""
    needs = tuple(needs_of(target, device))
    if not needs:
        return
    libraries = sorted({one for need in needs for one in need.libraries})
    try:
        deadline = Deadline.after(_TIMEOUT_S)
        facts = look_for_gpu(transport, target.platform.elf, libraries, deadline)
    except EdgesmithError as error:
        yield failed(part, needs[0].product.name, error)
        return
    # The path of libraries is not that of a login where edgesmith starts the programs itself.
    has_login = device.transport not in ON_THIS_MACHINE
    yield from (_Look(need, facts, has_login).check(part) for need in needs)


class _Look:
    """At one product: what is wrong with it, and what to do."""

    def __init__(self, need: Need, facts: GpuFacts, has_login: bool) -> None:
        self.need = need
        self.facts = facts
        self.has_login = has_login
        self.is_driver = need.product.name == _DRIVER
        there = {name: facts.libraries.get(name) for name in need.libraries}
        self.absent = tuple(name for name, one in there.items() if one is None)
        self.there = {name: one for name, one in there.items() if one is not None}
        self.version = self._version()

    def check(self, part: str) -> Check:
        problems = tuple(self._problems())
        need = self.need
        found = [self._found()] if self.version else []
        passed = not problems and self._version_fits()
        if not passed:
            without = f"without it models run on {' or '.join(need.instead)}"
            found = [*found, *problems, without if need.used else "no variant uses it"]
        return Check(
            part=part,
            name=need.product.name,
            passed=passed,
            found="; ".join(found),
            remedy="; ".join(self._steps()) or "nothing to do",
            needed=need.used,
            exit_code=DeviceError.exit_code,
        )

    def _version(self) -> str:
        tell = self.need.product.tells_version
        library = next((one for name, one in self.there.items() if tell(name)), None)
        of_file = library.version if library and library.place != "foreign" else ""
        if self.is_driver and not (library and _COMPATIBILITY in library.folder):
            return self.facts.driver
        return of_file

    def _version_fits(self) -> bool:
        return bool(self.version) and fits(self.version, self.need.spec)

    def _found(self) -> str:
        words = [self.version]
        if self.is_driver and self.facts.gpus:
            gpus = Counter(self.facts.gpus).items()
            words += [f"{count} x {name}" if count > 1 else name for name, count in gpus]
        return ", ".join([*words, f"needed {self.need.spec}"])

    def _problems(self) -> Iterator[str]:
        if self.is_driver and not self.facts.driver:
            yield "no driver is loaded"
        if self._is_stale():
            library = next(iter(self.there.values()))
            yield f"its libraries are already those of {library.version}"
        if self.absent:
            yield f"{', '.join(self.absent)} not found"
        said: dict[str, list[str]] = {}
        for name, library in self.there.items():
            if library.place != "searched":
                said.setdefault(_place(library), []).append(name)
        yield from (f"{', '.join(names)} {place}" for place, names in said.items())

    def _is_stale(self) -> bool:
        """Whether the driver was updated since it was loaded: then nothing runs on it."""
        if not self.is_driver or not self.facts.driver:
            return False
        library = next(iter(self.there.values()), None)
        return (
            library is not None
            and library.place == "searched"
            and _COMPATIBILITY not in library.folder
            # Jetsons have had a libcuda.so.1.1.
            and int((library.version or "0").partition(".")[0]) > 1
            and library.version != self.facts.driver
        )

    def _steps(self) -> Iterator[str]:
        places = {library.place for library in self.there.values()}
        is_missing = self.absent or places & {"foreign", "other"}
        if is_missing or (self.is_driver and not self.facts.driver) or not self._version_fits():
            yield self.need.how
        elif self._is_stale():
            yield "restart the device"
        outside = self._folders("outside")
        if outside:
            login = ", or to LD_LIBRARY_PATH of its login" if self.has_login else ""
            yield (
                f"add {' and '.join(outside)} to a file in /etc/ld.so.conf.d there and run"
                f" ldconfig as root{login}"
            )
        elif self._folders("uncached"):
            yield "run ldconfig there, as root"

    def _folders(self, place: str) -> list[str]:
        return sorted({one.folder for one in self.there.values() if one.place == place})


def _place(library: DeviceLibrary) -> str:
    match library.place:
        case "outside":
            return f"in {library.folder}, where the loader does not look"
        case "uncached":
            return f"in {library.folder}, which ldconfig has not seen"
        case "other":
            return f"not found, only other versions in {library.folder}"
        case _ if library.identity == "-":
            return f"in {library.folder} is no library, but empty or a broken link"
        case _:
            return f"in {library.folder} is for {identity_title(library.identity)}"
