"""Generating: identifiers, escaping in every language, and the context."""

from __future__ import annotations

import ast
import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesmith.compile.compilers import zig_compiler
from edgesmith.compile.downloads import Downloads
from edgesmith.errors import ModelError
from edgesmith.generate import render
from edgesmith.generate.context import context
from edgesmith.generate.identifiers import Identifiers, identifier
from edgesmith.generate.recipes import Recipe, write_index
from edgesmith.generate.request import GenerateRequest, VariantFile
from edgesmith.platforms import load_platforms
from edgesmith.values import OnnxFile, SessionOptions, TensorInfo, Variant

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=30)


def request(
    inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...], **changes: Any
) -> GenerateRequest:
    onnx = OnnxFile(path="int8.onnx", sha256="0" * 64, bytes=1, opset=20, ir_version=10, nodes=1,
                    inputs=inputs, outputs=outputs)  # fmt: skip
    variant = Variant(name="int8", onnx=onnx, precision="int8", encoding="u8s8", provider="cpu",
                      session_options=SessionOptions(config={"b": "2", "a": "1"}), threads=2,
                      self_test_min_sqnr_db=15.0, metrics=())  # fmt: skip
    nowhere = Path("nowhere")
    made = GenerateRequest(
        model_name="my-model",
        model_version="1.2.3-rc1",
        target="host",
        platform=load_platforms()["linux-x86_64"],
        compiler=zig_compiler(load_platforms()["linux-x86_64"], "0.17.0"),
        variants=(VariantFile(variant=variant, folder=nowhere),),
        default_variant="int8",
        golden=nowhere,
        evaluation=nowhere,
        downloads=Downloads(
            runtime_wheel=nowhere,
            headers=nowhere,
            json_wheel=nowhere,
            sodium_source=nowhere,
            wuffs_source=nowhere,
        ),
        tools={"cmake": "4.4.0", "conan": "2.34.0", "ninja": "1.13.0", "ziglang": "0.17.0"},
        edgesmith_version="0.1.0",
    )
    return dataclasses.replace(made, **changes)


def tensor(name: str, *dims: int | str, dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name=name, dtype=dtype, dims=dims)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image", "image"),
        ("class", "class_"),
        ("std", "std_"),
        ("3d", "n3d"),
        ("a.b/c", "a_b_c"),
        ("__x__", "x"),
        ("", "unnamed"),
        ("漢字", "unnamed"),
        ('image"; system("id"); //', "image_system_id"),
    ],
)
def test_identifiers_resemble_the_name(name: str, expected: str) -> None:
    assert identifier(name) == expected


@given(st.lists(NAMES, max_size=8))
def test_identifiers_are_legal_and_never_alike(names: list[str]) -> None:
    pool = Identifiers(("open", "run"))
    taken = [pool.take(name, suffixes=("", "_dims")) for name in names]
    assert all(one.isidentifier() and one.isascii() and "__" not in one for one in taken)
    every = [one + ending for one in taken for ending in ("", "_dims")]
    assert len(set(every)) == len(every)
    assert not {"open", "run"} & set(every)


@given(NAMES)
def test_a_cpp_literal_holds_exactly_the_bytes(name: str) -> None:
    literal = render.cpp_string(name)
    assert literal.isascii() and literal.isprintable() and "?" not in literal
    # Python's bytes literals know the same octal escapes.
    assert ast.literal_eval("b" + literal) == name.encode()
    body = literal[1:-1]
    assert '"' not in body and "\n" not in body


@given(NAMES)
def test_python_json_and_shell_read_back_the_same(name: str) -> None:
    assert ast.literal_eval(render.python_string(name)) == name
    assert json.loads(render.json_string(name)) == name
    if "\x00" not in name:
        assert shlex.split(render.sh_quote(name)) == [name]


@given(NAMES)
def test_shown_names_are_one_printable_line(name: str) -> None:
    shown = render.display(name)
    assert shown and shown.isascii() and shown.isprintable()
    code = render.markdown_code(shown)
    assert "\n" not in code and code.startswith("`") and code.endswith("`")


def test_cmake_strings_quote_what_cmake_would_read() -> None:
    assert render.cmake_string('a"b$c;d\\e@f') == r'"a\"b\$c\;d\\e\@f"'


def test_dynamic_dimensions_become_sizes() -> None:
    made = context(
        request(
            (tensor("image", "batch", 3), tensor("mask", "batch", "time step")),
            (tensor("logits", "batch", 10), tensor("boxes", "found", 4)),
        ),
        requirements=("edgesmith-runtime/1",),
    )
    assert [(s.identifier, s.input_index, s.axis) for s in made.sizes] == [
        ("batch", 0, 0),
        ("time_step", 1, 1),
    ]
    logits, boxes = made.outputs
    assert logits.is_bound and not boxes.is_bound
    assert render.cpp_dims(logits.dims) == "kDynamic, 10"
    assert render.cpp_sizes(logits.dims) == "sizes.batch, 10"
    assert render.dims_text(boxes.dims) == "?, 4"
    assert not render.all_bound(made.outputs)


def test_names_of_inputs_and_outputs_do_not_collide_with_each_other_or_the_class() -> None:
    made = context(
        request((tensor("run", 1), tensor("x", 1)), (tensor("x", 1), tensor("x dims", 1))),
        requirements=(),
    )
    accessors = [t.identifier for t in (*made.inputs, *made.outputs)]
    assert accessors == ["run_2", "x", "x_2", "x_dims_2"]


def test_the_context_holds_what_the_project_says() -> None:
    made = context(request((tensor("x", 1),), (tensor("y", 1),)), requirements=("a/1", "b/2"))
    assert (made.namespace, made.package, made.numeric_version) == (
        "my_model",
        "my-model",
        "1.2.3",
    )
    assert made.default_variant.path == "model/int8.onnx"
    assert made.default_variant.config == (("a", "1"), ("b", "2"))
    assert made.requirements == ("a/1", "b/2")
    assert made.tools == ("cmake==4.4.0", "conan==2.34.0", "ninja==1.13.0", "ziglang==0.17.0")


@pytest.mark.parametrize(
    ("bad", "finding"),
    [(tensor("x", 1, dtype="string"), "element type string"), (tensor("a\0b", 1), "NUL")],
)
def test_what_cpp_can_not_hold_is_refused(bad: TensorInfo, finding: str) -> None:
    with pytest.raises(ModelError, match=finding):
        context(request((bad,), (tensor("y", 1),)), requirements=())


def test_a_missing_default_variant_is_refused() -> None:
    wrong = request((tensor("x", 1),), (tensor("y", 1),), default_variant="fp16")
    with pytest.raises(ModelError, match="no variant 'fp16'"):
        context(wrong, requirements=())


def test_an_index_is_what_conan_expects(tmp_path: Path) -> None:
    recipe = Recipe(
        name="edgesmith-x",
        version="1.0+abc",
        files={"conanfile.py": b"", "files/include/a.h": b"a"},
        data={"files": {"include/a.h": "0" * 64}},
    )
    write_index(tmp_path, [recipe])
    root = tmp_path / "recipes" / "edgesmith-x"
    assert json.loads((root / "config.yml").read_text()) == {
        "versions": {"1.0+abc": {"folder": "all"}}
    }
    data = json.loads((root / "all" / "conandata.yml").read_text())
    assert data == {"files": {"1.0+abc": {"include/a.h": "0" * 64}}}
    assert (root / "all" / "files" / "include" / "a.h").read_bytes() == b"a"
    assert recipe.reference == "edgesmith-x/1.0+abc"
