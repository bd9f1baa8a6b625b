from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from edgesmith.errors import UsageError
from edgesmith.project import reference
from edgesmith.project.load import find_project_file, load_project
from edgesmith.project.settings import ProjectSettings

ROOT = Path(__file__).parent.parent.parent


def load_changed(path: Path, old: str, new: str) -> str:
    """The message about the project file with `old` replaced by `new`."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_project(path, {})
    assert str(path) in caught.value.render()
    return caught.value.what


def test_defaults_and_overrides(project_file: Path) -> None:
    project_file.write_text(
        project_file.read_text()
        + '[targets.small]\nplatform = "linux-x86_64"\ncpu = "znver4"\ntoolchain = "gcc"\n'
        + "quantize = { accuracy_budget = 0.5 }\nbench = { threads = [2] }\n"
        + '[devices.other]\ntarget = "small"\ntransport = "local"\nroot = "/srv/x"\n'
        + "bench = { processes = 7 }\ngates = { max_p99_latency_ms = 3.5 }\n"
        + "[quantize]\ncalibration = 'entropy'\n"
    )
    project = load_project(project_file, {})
    host, small = project.target("host"), project.target("small")
    assert (host.toolchain.kind, small.toolchain.kind) == ("zig", "gcc")
    assert host.quantize.accuracy_budget == 0.01
    assert small.quantize.accuracy_budget == 0.5
    assert small.quantize.calibration == "entropy"
    other = project.device("other")
    assert (other.bench.threads, other.bench.processes) == ((2,), 7)
    assert other.gates.max_p99_latency_ms == 3.5
    assert other.root == "/srv/x"
    assert project.build_folder == project_file.parent / "build" / "tiny"


def test_layers_in_order_of_precedence(project_file: Path) -> None:
    local = project_file.with_name("edgesmith.local.toml")
    local.write_text("[quantize]\ncalibration = 'percentile'\naccuracy_budget = 0.2\n")
    environment = {"EDGESMITH_QUANTIZE__CALIBRATION": "entropy", "EDGESMITH_CACHE": "/x"}
    settings = load_project(project_file, environment).settings
    assert settings.quantize.calibration == "entropy"
    assert settings.quantize.accuracy_budget == 0.2


def test_a_misspelt_variable_is_an_error(project_file: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'quantize'"):
        load_project(project_file, {"EDGESMITH_QUANTISE__CALIBRATION": "entropy"})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BENCH__PROCESSES", "many", "bench.processes: found 'many'; expected a whole number"),
        ("BENCH__PROCESSES", "101", "bench.processes: found 101; expected 100 or less"),
        ("BENCH__THREADS", "[0]", "bench.threads[0]: found 0; expected 1 or more"),
        ("QUANTIZE", "int8", "quantize: found 'int8'; expected a table"),
        ("QUANTIZE__CALIBRATION", "entropi", "'entropy'"),
        ("DEVICES__DESK__TARGET", "hots", "devices.desk.target: found 'hots'"),
        ("TARGETS__LAB__CPU", "znver4", "targets.lab.platform: missing"),
        ("BUDGET", "1", "budget: unknown key"),
    ],
)
def test_a_wrong_variable_is_named_and_the_file_is_not(
    project_file: Path, name: str, value: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {f"EDGESMITH_{name}": value})
    assert says in caught.value.what
    assert caught.value.where == f"the variable EDGESMITH_{name}"
    assert "1 mistake in the settings" in caught.value.what


def test_each_of_several_sources_is_named(project_file: Path) -> None:
    local = project_file.with_name("edgesmith.local.toml")
    local.write_text("[bench]\nprocesses = 0\n")
    project_file.write_text(project_file.read_text().replace('name = "tiny"', 'name = "Tiny"'))
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {"EDGESMITH_BENCH__MIN_SECONDS": "-1"})
    lines = caught.value.what.splitlines()
    assert [line.rpartition(" (in ")[2] for line in lines[1:]] == [
        f"{project_file})", "the variable EDGESMITH_BENCH__MIN_SECONDS)", f"{local})",
    ]  # fmt: skip


def test_the_users_devices_hold_where_their_target_is(project_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "edgesmith"
    folder.mkdir(parents=True)
    file = folder / "devices.toml"
    here, elsewhere = (
        f'[devices.{name}]\ntarget = "{target}"\ntransport = "local"\n'
        for name, target in (("shelf", "host"), ("pi", "raspberry"))
    )
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    file.write_text(here + elsewhere)
    assert load_project(project_file, environment).device_names(["all"]) == ("shelf", "desk")
    for content, says in (
        ("devices = 3", "devices: expected tables"),
        (here + "rot = 1", "devices.shelf.rot: unknown key; did you mean 'root'?"),
        (here + "[bench]\nprocesses = 1", "bench: unknown key; only [devices.NAME]"),
    ):
        file.write_text(content)
        with pytest.raises(UsageError) as caught:
            load_project(project_file, environment)
        assert says in caught.value.what
        assert caught.value.where == str(file)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("calibration =", "calibraton =", "data.calibraton: unknown key; did you mean 'calibr"),
        ("[data]", "[dta]", "dta: unknown key; did you mean 'data'"),
        ('name = "tiny"', 'name = "Tiny!"', "model.name: found 'Tiny!'"),
        ('version = "1.2.3"', 'version = "newest"', "model.version: found 'newest'"),
        ('source = "model.py:build"\n', "", "model.source: missing"),
        ('"linux-x86_64"', '"linux-mips"', "targets.host.platform: found 'linux-mips'"),
        ('target = "host"', 'target = "hots"', "did you mean 'host'"),
        ('transport = "local"', 'transport = "telepathy"', "found 'telepathy'; expected 'local'"),
        ('transport = "local"', 'transport = "local"\nroot = "/"', "never '/'"),
        ("batch = [1, 4]", "bach = [1, 4]", "model.inputs.image.sizes.bach"),
        ("batch = [1, 4]", "batch = [0]", "image.sizes.batch[0]: found 0; expected 1 or more"),
        ('["batch", 1, 8, 8]', '["batch", 1.5]', "model.inputs.image.shape"),
        ("schema = 1", "schema = 2", "schema: found 2; expected 1"),
        ("[data]", "[bench]\nprocesses = '3'\n[data]", "bench.processes: found '3'"),
        ("[data]", "[bench]\nvariants = []\n[data]", "bench.variants: found []"),
        ("[data]", "[bench]\nmin_seconds = inf\n[data]", "bench.min_seconds: found inf"),
        ("[data]", "[bench]\nthreads = [1, 1]\n[data]", "expected each entry once"),
        ("[data]", "[quantize]\naccuracy_budget = nan\n[data]", "quantize.accuracy_budget"),
    ],
)
def test_each_mistake_names_key_and_expectation(
    project_file: Path, old: str, new: str, expected: str
) -> None:
    assert expected in load_changed(project_file, old, new)


def test_all_mistakes_of_a_file_are_told_at_once(project_file: Path) -> None:
    text = project_file.read_text().replace("calibration =", "calibraton =")
    project_file.write_text(text.replace('target = "host"', 'target = "hots"'))
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {})
    assert "3 mistakes" in caught.value.what  # the required key is missing, too
    assert "calibraton" in caught.value.what
    assert "devices.desk.target" in caught.value.what


def test_a_mistake_in_an_override_is_found(project_file: Path) -> None:
    message = load_changed(
        project_file, 'target = "host"', 'target = "host"\ngates = { max_p99_latency = 1 }'
    )
    assert "devices.desk.gates.max_p99_latency: unknown key; did you mean" in message


def test_broken_toml_names_the_line(project_file: Path) -> None:
    assert "line" in load_changed(project_file, "schema = 1", "schema = ")


def test_the_nearest_project_file_upwards_is_found(project_file: Path) -> None:
    deep = project_file.parent / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project_file(None, start=deep) == project_file
    assert find_project_file(str(project_file.parent), start=Path("/")) == project_file
    with pytest.raises(UsageError, match="no project file here"):
        find_project_file(str(deep), start=deep)


def test_unknown_target_gets_a_suggestion(project_file: Path) -> None:
    project = load_project(project_file, {})
    with pytest.raises(UsageError, match="did you mean 'host'"):
        project.target_names(["hots"])
    assert project.target_names(["all"]) == ("host",)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ('cpu = "icelake-servr"', "did you mean 'icelake-server'?"),
        ('cpu = "Znver4"', "did you mean 'znver4'?"),
        ('cpu = "cortex-a72"', "without cpu the build is right"),
    ],
)
def test_a_cpu_that_is_none_of_the_platform_is_refused(
    project_file: Path, key: str, says: str
) -> None:
    text = project_file.read_text()
    platform = 'platform = "linux-x86_64"'
    assert platform in text
    project_file.write_text(text.replace(platform, f"{platform}\n{key}"))
    with pytest.raises(UsageError) as caught:
        load_project(project_file, {}).target("host")
    assert "targets.host.cpu" in caught.value.render()
    assert says in caught.value.render()


def test_a_cpu_of_a_platform_of_ones_own_is_looked_at_too(project_file: Path) -> None:
    with project_file.open("a") as file:
        file.write('[platforms.board]\nbase = "linux-aarch64"\ncpu = "cortex-a720x"\n')
        file.write('[targets.pi]\nplatform = "board"\n')
    with pytest.raises(UsageError, match="cortex-a720x") as caught:
        load_project(project_file, {}).target("pi")
    assert "platforms.board.cpu" in caught.value.render()


def test_generated_schema_and_page_are_the_committed_ones() -> None:
    assert (ROOT / reference.SCHEMA_FILE).read_text() == reference.schema_text()
    assert (ROOT / reference.PAGE_FILE).read_text() == reference.page_text()


def test_every_key_is_described_on_the_page() -> None:
    page = reference.page_text()
    for _, cls in reference._TABLES:
        for name, field in cls.model_fields.items():
            if not reference._is_section(field.annotation):
                assert f"`{field.alias or name}`" in page
                assert field.description, f"{cls.__name__}.{name} has no description"


def test_the_schema_takes_what_the_model_takes(project_text: str) -> None:
    import tomllib

    schema = json.loads(reference.schema_text())
    values = tomllib.loads(project_text)
    jsonschema.validate(values, schema)
    ProjectSettings.model_validate(values)
    values["model"]["nmae"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, schema)
