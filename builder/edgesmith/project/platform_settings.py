"""`[platforms.NAME]`: a platform of the project's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgesmith.project.fields import (
    Digest,
    GlibcVersion,
    InsidePath,
    PackageName,
    Release,
    Section,
    ToolchainName,
    WheelTag,
)


class WheelSettings(Section):
    """A wheel of the package index that carries libonnxruntime for the platform."""

    package: PackageName = Field(description="Name of the package.")
    version: Release = Field(description="Its version, exactly.")
    platform: WheelTag = Field(
        description="The wheel's platform tag, such as manylinux_2_28_aarch64."
    )
    sha256: Digest = Field(description="SHA-256 of the wheel; other bytes are refused.")
    library: InsidePath = Field(description="Path of libonnxruntime inside the wheel.")
    tag: WheelTag = Field(
        "cp311-cp311", description="Python and ABI tag of the wheel, such as py3-none."
    )
    library_version: Release | None = Field(
        None, description="ONNX Runtime's own version; default: the package's."
    )


class PlatformSettings(Section):
    """A platform of your own: what differs from one that edgesmith has.

    Name it under `platform` of a target. Its name must be a new one.
    """

    base: str = Field(
        min_length=1, description="The platform that it is based on, such as linux-aarch64."
    )
    wheel: WheelSettings | None = Field(None, description="Another wheel with ONNX Runtime.")
    onnxruntime: str | None = Field(
        None,
        min_length=1,
        description="Instead of a wheel: a folder with `include/` and `lib/` of an ONNX Runtime,"
        " such as the board maker's. It is recorded as unverified.",
    )
    glibc: GlibcVersion | None = Field(
        None, description="Oldest glibc that its devices have, such as 2.31; default: the base's."
    )
    cpu: str | None = Field(None, description="CPU model of its targets that name none.")
    int8_encoding: Literal["u8s8", "s8s8", "openvino", "tensorrt"] | None = Field(
        None,
        description="INT8 types of activations and weights, and where they stand: unsigned"
        " activations for x86, signed ones for ARM, or as these engines fuse them; default: the"
        " base's.",
    )
    providers: (
        Annotated[tuple[Literal["tensorrt", "cuda", "openvino", "cpu"], ...], Field(min_length=1)]
        | None
    ) = Field(
        None,
        description="Execution providers that its ONNX Runtime has, in the order of preference,"
        ' such as ["tensorrt", "cuda", "cpu"]; default: the base\'s.',
        strict=False,
    )
    max_opset: Annotated[int, Field(ge=13, le=26)] | None = Field(
        None, description="Newest opset that its ONNX Runtime loads; default: the base's."
    )
    toolchain: ToolchainName | None = Field(
        None, description="Compiler of its targets that name none; default: the base's."
    )
