"""The size report: every byte of a bundle once, and what of it stays on a device."""

from __future__ import annotations

from edgesmith.bundle.content import Role
from edgesmith.bundle.manifest import ManifestFile
from edgesmith.bundle.size import bundle_size
from edgesmith.values import FileSize

FILES: tuple[tuple[str, int, Role], ...] = (
    ("bench/fp32.onnx", 400, "bench"),
    ("bench/samples.safetensors", 150, "bench"),
    ("bin/digits-app", 20, "app"),
    ("bin/harness", 30, "app"),
    ("golden/samples.safetensors", 3, "golden"),
    ("lib/libonnxruntime.so.1", 5000, "runtime"),
    ("licenses/a/LICENSE", 7, "licence"),
    ("model/int8.onnx", 100, "model"),
)


def test_each_byte_is_in_one_part() -> None:
    size = bundle_size(
        [
            ManifestFile(path=path, bytes=count, sha256="0" * 64, mode="0644", role=role)
            for path, count, role in FILES
        ],
        variants={"int8": ["model/int8.onnx"], "fp32": ["bench/fp32.onnx"]},
        manifest_bytes=6,
        archive_bytes=9999,
    )
    assert [(part.part, part.bytes, part.on_device) for part in size.parts] == [
        ("runtime library", 5000, True),
        ("model int8", 100, True),
        ("programs", 50, True),
        ("licences", 7, True),
        ("manifest", 6, True),
        ("golden samples", 3, True),
        ("model fp32", 400, False),
        ("evaluation samples", 150, False),
    ]
    assert size.release_bytes == 5166
    assert size.archive_bytes == 9999
    assert sum(part.bytes for part in size.parts) == sum(count for _, count, _ in FILES) + 6
    assert size.largest[0] == FileSize(path="lib/libonnxruntime.so.1", bytes=5000)
    assert [one.path for one in size.largest[1:]] == [
        "bench/fp32.onnx",
        "bench/samples.safetensors",
    ]
