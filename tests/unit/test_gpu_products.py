"""Which of NVIDIA's products a target needs, and which versions fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_answers import checks, without

from edgesmith.doctor.products import fits, load_products, lowest
from edgesmith.platforms import load_platforms


def test_only_what_variants_and_measurements_use_is_needed(project_file: Path) -> None:
    half = '[targets.host.quantize]\nprecision = "fp16"'
    text = project_file.read_text()
    found = checks(project_file, without("libnvinfer.so.10"), project=half)
    assert found["CUDA"].needed and found["NVIDIA driver"].needed
    assert not found["TensorRT"].needed and not found["cuDNN"].needed
    assert found["TensorRT"].found.endswith("not found; no variant uses it")
    project_file.write_text(text)
    bench = '[devices.desk.bench]\nproviders = ["tensorrt"]'
    assert checks(project_file, project=f"{half}\n{bench}")["TensorRT"].needed
    project_file.write_text(text)
    alone = checks(project_file, target='provider = "cpu"')
    assert not any(check.needed for check in alone.values())


@pytest.mark.parametrize("name", sorted(load_platforms()))
def test_every_library_is_a_products(name: str) -> None:
    for driver in load_platforms()[name].drivers.values():
        assert set(driver.products) <= set(load_products())
        products = [load_products()[one] for one in driver.products]
        for library in driver.libraries:
            assert [one.name for one in products if one.owns(library)] in (
                [one] for one in driver.products
            ) or library == "libcuda.so.1"
        for product in products:
            assert lowest(driver.products[product.name])
        led = {one.name for one in products for lib in driver.libraries if one.tells_version(lib)}
        assert led | {"NVIDIA driver"} == set(driver.products)


@pytest.mark.parametrize(
    ("version", "spec", "right"),
    [
        ("580.65.06", ">=580", True), ("579.99", ">=580", False), ("13", ">=13,<14", True),
        ("13.0.96", ">=13.0,<14", True), ("14.0", ">=13,<14", False), ("9.5.1", "==9.5.1", True),
        ("9.5.1", "==9.5", False), ("2.0", "<=2", True), ("2.0.1", ">2", True),
    ],
)  # fmt: skip
def test_versions_within_a_specification(version: str, spec: str, right: bool) -> None:
    assert fits(version, spec) == right


def test_a_specification_of_another_form_is_a_bug() -> None:
    with pytest.raises(ValueError, match="~=13"):
        fits("13", "~=13")
