"""A small bundle, a fake device and a fake installer, for the tests of flash and bench."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesmith.bundle.content import sequence_of
from edgesmith.devices.fake import Answer, FakeTransport
from edgesmith.events import EventStream
from edgesmith.hashing import sha256_bytes, sha256_file
from edgesmith.project.bench_settings import BenchSettings
from edgesmith.project.project import Device
from edgesmith.project.settings import GateSettings

CONTENT = {
    "bin/harness": ("app", "0755", b"#!harness\n"),
    "bin/installer": ("app", "0755", b"#!installer\n"),
    "lib/libonnxruntime.so.1": ("runtime", "0644", b"runtime" * 1000),
    "model/int8.onnx": ("model", "0644", b"int8 model"),
    "golden/samples.safetensors": ("golden", "0644", b"golden"),
    "licenses/LICENSE": ("licence", "0644", b"licence"),
    "bench/fp32.onnx": ("bench", "0644", b"fp32 model"),
    "bench/model.onnx.data": ("bench", "0644", b"its weights"),
    "bench/samples.safetensors": ("bench", "0644", b"evaluation"),
}


METRICS = ["top1"]


def write_bundle(folder: Path, *, version: str = "1.0.0", sequence: int | None = None) -> str:
    """A bundle of the manifest's contract; returns its id."""
    files = []
    for path, (role, mode, data) in CONTENT.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(int(mode, 8))
        files.append(
            {
                "path": path,
                "bytes": len(data),
                "sha256": sha256_bytes(data),
                "mode": mode,
                "role": role,
            }
        )
    variants = [_variant("int8", "u8s8", "model"), _variant("fp32", "float", "bench")]
    variants[1]["data"] = ["bench/model.onnx.data"]
    manifest = {
        "schema_version": "1.0",
        "model": {"name": "digits", "version": version},
        "sequence": sequence_of(version) if sequence is None else sequence,
        "target": "host",
        "platform": "linux-x86_64",
        "variants": variants,
        "default_variant": "int8",
        "files": sorted(files, key=lambda f: str(f["path"])),
        "metrics": METRICS,
        "requires": _requires(),
        "runtime": {"name": "onnxruntime", "version": "1.31.1", "wheel_sha256": "0" * 64},
        "provenance": {
            "edgesmith": "0.1.0",
            "source_sha256": "1" * 64,
            "onnx_sha256": {"int8": "2" * 64},
            "toolchain": "zig-0.17.0",
            "recipes": ["edgesmith-runtime/0.1.0"],
        },
        "quantization": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return sha256_file(folder / "manifest.json")


def _requires() -> dict[str, Any]:
    return {
        "elf": {"machine": "EM_X86_64", "bits": 64},
        "interpreter": "/lib64/ld-linux-x86-64.so.2",
        "glibc": "2.28",
        "libgcc": "4.3.0",
        "libstdc++": {"glibcxx": "3.4.22", "cxxabi": "1.3.11"},
        "libraries": ["libc.so.6", "libgcc_s.so.1", "libstdc++.so.6"],
        "cpu_features": [],
        "driver_libraries": [],
        "bytes": sum(len(data) for role, _, data in CONTENT.values() if role != "bench"),
    }


def _variant(name: str, encoding: str, folder: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": f"{folder}/{name}.onnx",
        "precision": name,
        "encoding": encoding,
        "provider": "cpu",
        "threads": 1,
        "self_test_min_sqnr_db": 15.0,
        "session_options": {"graph_optimization_level": "all", "config": {}},
    }


def make_device(root: Path, **gates: float) -> Device:
    return Device(
        name="desk",
        target="host",
        transport="local",
        machine="EM_X86_64",
        cpu=None,
        root=str(root),
        bench=BenchSettings(min_seconds=0.1, processes=2),
        gates=GateSettings.model_validate(gates),
    )


class World:
    """A bundle on the host and a device with an installer that answers as the real one."""

    def __init__(self, folder: Path, **gates: float) -> None:
        self.bundle = folder / "bundle"
        self.bundle_id = write_bundle(self.bundle)
        self.root = folder / "device"
        self.device = make_device(self.root, **gates)
        self.events = EventStream()
        self.transport = FakeTransport(device="desk", root=str(self.root), events=self.events)
        self.facts = self.transport.facts
        self.installer = ToyInstaller(self.root / "digits")
        self.facts.programs["installer"] = self.installer

    @property
    def model(self) -> Path:
        return self.root / "digits"

    def link(self, name: str) -> str | None:
        return self.installer.link(name)


class ToyInstaller:
    """Keeps the installer's contract on a folder, without its care for crashes."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self.self_test_passes = True
        self.install_refusal: Answer | None = None

    def link(self, name: str) -> str | None:
        link = self.model / name
        return link.readlink().name if link.is_symlink() else None

    def __call__(self, words: Sequence[str]) -> Answer:
        verb, folder, *rest = words
        assert folder == str(self.model)
        match verb:
            case "need":
                return Answer(output="".join(f"{h}\n" for h in self._needed(rest[0])))
            case "install":
                return self._install(rest[0])
            case "verify":
                return Answer()
            case "rollback":
                return self._rollback()
            case "list":
                return Answer(output=json.dumps(self._list()))
            case _:
                return Answer(returncode=2, stderr=f"unknown command {verb}")

    def _manifest(self, bundle_id: str) -> dict[str, Any]:
        file = self.model / "incoming" / f"{bundle_id}.manifest.json"
        content: dict[str, Any] = json.loads(file.read_text())
        return content

    def _needed(self, bundle_id: str) -> list[str]:
        have = {sha256_file(p) for p in self.model.glob("releases/*/**/*") if p.is_file()}
        have |= {p.name for p in (self.model / "incoming").iterdir()}
        files = self._manifest(bundle_id)["files"]
        return [f["sha256"] for f in files if f["role"] != "bench" and f["sha256"] not in have]

    def _install(self, bundle_id: str) -> Answer:
        if self.install_refusal is not None:
            return self.install_refusal
        if not self.self_test_passes:
            return Answer(returncode=8, stderr="the self-test failed: sqnr 3 dB\n")
        release = self.model / "releases" / bundle_id
        for one in self._manifest(bundle_id)["files"]:
            if one["role"] == "bench":
                continue
            target = release / one["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            blob = self.model / "incoming" / one["sha256"]
            if not blob.exists():
                blob = next(
                    p
                    for p in self.model.glob("releases/*/**/*")
                    if p.is_file() and sha256_file(p) == one["sha256"]
                )
            if blob != target:
                shutil.copy(blob, target)
            target.chmod(int(one["mode"], 8))
        manifest = self.model / "incoming" / f"{bundle_id}.manifest.json"
        shutil.copy(manifest, release / "manifest.json")
        before = self.link("current")
        if before not in (None, bundle_id):
            self._point("previous", str(before))
        self._point("current", bundle_id)
        shutil.rmtree(self.model / "incoming")
        return Answer()

    def _rollback(self) -> Answer:
        current, previous = self.link("current"), self.link("previous")
        if current is None or previous is None:
            return Answer(returncode=7, stderr="there is no previous release to go back to\n")
        self._point("current", previous)
        self._point("previous", current)
        return Answer()

    def _point(self, name: str, bundle_id: str) -> None:
        link = self.model / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{bundle_id}")

    def _list(self) -> dict[str, Any]:
        folders = self.model.glob("releases/*")
        return {
            "current": self.link("current"),
            "previous": self.link("previous"),
            "releases": [
                {
                    "id": f.name,
                    "version": json.loads((f / "manifest.json").read_text())["model"]["version"],
                    "sequence": 1,
                }
                for f in folders
            ],
        }
