"""What is shipped beside the code: dependencies, pins, image, Compose file, make targets, licence."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from streams.cli import app
from streams.settings import Settings, variable

ROOT: Final = Path(__file__).parent.parent.parent
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPOSE_FILE: Final = ROOT / "docker-compose.yml"
DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
LOCAL: Final = ("benchmarks", "detectors", "streams", "tests")
APACHE_2_0: Final = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the licence's text as the Apache Software Foundation publishes it."""


def canonical(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(*extras: str) -> set[str]:
    """The distributions that are required, those of these extras among them."""
    project = PROJECT["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {canonical(re.match(r"[\w.-]+", line)[0]) for line in lines}  # type: ignore[index] # all have one


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonical(name): version for name, version in pairs}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    return loaded


def dockerfile(instruction: str) -> list[str]:
    """What follows an instruction, continued lines joined."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in text.splitlines() if line.split(" ")[0] == instruction]


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module is not None
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("detectors", ()),
        ("streams", ()),
        ("benchmarks", ("embedded", "dev")),
        ("tests", ("embedded", "dev")),
    ],
)
def test_every_import_from_elsewhere_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    declared = required(*extras)
    owners = packages_distributions()
    ours = {*LOCAL, *(path.stem for path in (ROOT / "tests").glob("*.py"))}
    missing = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in (ROOT / folder).rglob("*.py")
        for module in imported(path)
        if module not in sys.stdlib_module_names
        and module not in ours
        and declared.isdisjoint(map(canonical, owners.get(module, ())))
    }
    assert not missing


def test_every_declared_dependency_is_pinned_to_one_version() -> None:
    assert required(*PROJECT["project"]["optional-dependencies"]) <= pins().keys()


def test_pins_name_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    strange = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+", line)]
    assert not strange
    assert "floodmark" not in pins()


def test_every_folder_of_code_is_installed() -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("detectors", "streams")
        for path in (ROOT / package).rglob("*.py")
    }
    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


@pytest.mark.parametrize("package", ["detectors", "streams"])
def test_every_file_beside_the_code_is_installed(package: str) -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"][package]
    files = [
        path.relative_to(ROOT / package).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    left_out = [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)]
    assert not left_out


def test_the_licence_is_apache_2_0_to_the_letter() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    assert compose()["services"]["worker"]["image"] == f"floodmark:{version}"


@pytest.mark.parametrize("path", [COMPOSE_FILE, DOCKERFILE], ids=lambda path: path.name)
def test_deployments_use_settings_that_exist(path: Path) -> None:
    used = set(re.findall(r"FLOODMARK_[A-Z_]+", path.read_text(encoding="utf-8")))
    assert used
    assert used <= {variable(name) for name in Settings.model_fields}


def test_the_composed_worker_can_be_configured_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compose()["services"]["worker"]["environment"].items():
        default = re.fullmatch(r"\$\{\w+:-(.*)\}", value)
        monkeypatch.setenv(name, default[1] if default else value)
    settings = Settings.load()
    host, port = settings.kafka_servers[0].split(":")
    assert f"://{host}:{port}" in compose()["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert settings.redis_url.startswith("redis://redis:6379/")


def test_images_are_pinned_to_a_version() -> None:
    images = [service["image"] for service in compose()["services"].values()] + dockerfile("FROM")
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image), f"{image} has no version for a tag"


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_state_outlives_its_containers() -> None:
    loaded = compose()
    for name in ("kafka", "redis"):
        (volume,) = loaded["services"][name]["volumes"]
        assert volume.split(":")[0] in loaded["volumes"]
    kafka = loaded["services"]["kafka"]
    assert kafka["volumes"][0].split(":")[1] == kafka["environment"]["KAFKA_LOG_DIRS"]
    command = " ".join(loaded["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_services_come_back_and_have_bounds() -> None:
    for name, service in compose()["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"]["memory"], name


def test_files_mounted_into_containers_exist() -> None:
    mounted = [
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert mounted
    assert [name for name in mounted if not (ROOT / name).is_file()] == []


def test_prometheus_looks_for_workers_where_they_serve_metrics() -> None:
    loaded = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (target,) = loaded["scrape_configs"][0]["dns_sd_configs"]
    assert set(target["names"]) <= compose()["services"].keys()
    assert f"FLOODMARK_METRICS_PORT={target['port']}" in " ".join(dockerfile("ENV"))
    assert compose()["services"]["worker"]["ports"][0].endswith(f":{target['port']}")


def test_the_image_is_built_from_files_that_exist() -> None:
    build = compose()["services"]["worker"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE
    sources = {source for line in dockerfile("COPY") for source in line.split()[:-1]}
    assert {"pyproject.toml", "constraints.txt", "detectors", "streams"} <= sources
    assert {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} <= sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_runs_the_installed_worker_as_nobody_special() -> None:
    assert any("pip install -c constraints.txt ." in line for line in dockerfile("RUN"))
    assert dockerfile("USER") == ["floodmark"]
    (entry,), (command,) = dockerfile("ENTRYPOINT"), dockerfile("CMD")
    assert entry == '["floodmark"]'
    assert "floodmark" in PROJECT["project"]["scripts"]
    assert command == '["worker"]'
    assert "/metrics" in dockerfile("HEALTHCHECK")[0]


def test_every_make_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert targets is not None
    explained = re.findall(r"^([a-z]+):.*## \S", text, re.MULTILINE)
    assert sorted(targets[1].split()) == sorted(explained)


def test_continuous_integration_leaves_nothing_out() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert "export FLOODMARK_REQUIRE=cases" in text
    assert text.rstrip().endswith("make test")


def commands() -> dict[str, Any]:
    found: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined] # it is a group
    return found


def test_the_help_lists_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert commands()
    assert [name for name in commands() if not re.search(rf"^\W*{name}\s", shown, re.MULTILINE)] == []


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_explains_itself_and_its_options(name: str) -> None:
    answer = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    command = commands()[name]
    assert command.help
    assert [parameter.name for parameter in command.params if not parameter.help] == []
