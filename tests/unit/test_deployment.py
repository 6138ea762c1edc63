"""The files that ship and start the programs say what the code says."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from events.runtime.settings import KAFKA_PREFIX, Settings, known_variables
from projector.sandbox.jars import KAFKA_VERSION
from tests.support.services import KAFKA_IMAGE, POSTGRES_IMAGE

ROOT = Path(__file__).parent.parent.parent
OURS = ("init", "projector", "watcher", "exporter")
MONITORING = {"exporter", "prometheus", "alertmanager"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


def test_compose_runs_the_versions_that_are_tested(compose: dict[str, Any]) -> None:
    assert _without_digest(compose["postgres"]["image"]) == POSTGRES_IMAGE == "postgres:18"
    assert _without_digest(compose["kafka"]["image"]) == KAFKA_IMAGE == f"apache/kafka:{KAFKA_VERSION}"


def test_base_images_are_named_by_version_and_may_be_pinned_by_digest(compose: dict[str, Any]) -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(set(bases)) == 1
    others = [service["image"] for name, service in compose.items() if name not in OURS]
    for image in (bases[0], *others):
        assert re.fullmatch(r"[a-z/]+:v?\d[\w.-]*(@sha256:[0-9a-f]{64})?", image), image


def test_postgres_keeps_its_data_where_18_writes_it(compose: dict[str, Any]) -> None:
    assert compose["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


def test_compose_starts_in_order_and_checks_health(compose: dict[str, Any]) -> None:
    healthy = {"condition": "service_healthy"}
    assert compose["init"]["command"] == ["projector", "init", "--roles"]
    assert compose["init"]["depends_on"] == {"postgres": healthy, "kafka": healthy}
    assert compose["projector"]["command"] == ["projector", "run"]
    assert compose["watcher"]["command"][:3] == ["backfill", "drift-check", "--every"]
    for name in ("projector", "watcher"):
        assert compose[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
        assert compose[name]["restart"] == "unless-stopped"
    assert all("healthcheck" in compose[name] for name in ("postgres", "kafka"))
    asked = ["CMD", "projector", "status", "--json", "--max-age", "2m"]  # without a limit, one that hangs is healthy
    assert compose["projector"]["healthcheck"]["test"] == asked
    for name in ("watcher", "exporter"):
        assert compose[name]["healthcheck"]["test"] == ["CMD", "projector", "health"]


def test_what_watches_from_outside_waits_for_its_profile(compose: dict[str, Any]) -> None:
    assert {name for name, service in compose.items() if service.get("profiles") == ["monitoring"]} == MONITORING
    assert not any("profiles" in service for name, service in compose.items() if name not in MONITORING)


def test_prometheus_finds_every_program_and_its_rules_and_alertmanager(compose: dict[str, Any]) -> None:
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = shipped["scrape_configs"]
    asked = [entry["names"][0] + f":{entry['port']}" for job in jobs for entry in job.get("dns_sd_configs", [])]
    asked += [target for job in jobs for entry in job.get("static_configs", []) for target in entry["targets"]]
    port = compose["projector"]["environment"]["PROJECTOR_METRICS_ADDRESS"].rpartition(":")[2]
    assert sorted(asked) == sorted(f"{name}:{port}" for name in OURS if name != "init")
    (manager,) = shipped["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert manager.partition(":")[0] in compose
    mounted = {each["target"] for each in compose["prometheus"]["configs"]}
    assert mounted == {f"/etc/prometheus/{file}" for file in ("prometheus.yml", *shipped["rule_files"])}


def test_every_file_that_compose_puts_into_a_container_is_there(compose: dict[str, Any]) -> None:
    configs = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["configs"]
    mounted = {each["source"] for service in compose.values() for each in service.get("configs", [])}
    assert mounted == configs.keys()
    assert all((ROOT / config["file"]).is_file() for config in configs.values() if "file" in config)


def test_our_containers_can_change_nothing_but_tmp(compose: dict[str, Any]) -> None:
    for name in OURS:
        assert compose[name]["read_only"] is True
        assert compose[name]["tmpfs"] == ["/tmp"]  # noqa: S108 - in a container
        assert compose[name]["cap_drop"] == ["ALL"]
        assert set(compose[name]["environment"]) <= {*known_variables(), "PGPASSWORD"}


def test_each_program_that_compose_starts_is_a_user_of_its_own(compose: dict[str, Any]) -> None:
    addresses = [make_url(compose[name]["environment"]["PROJECTOR_DATABASE_URL"]) for name in OURS]
    users = [address.username for address in addresses]
    assert users[0] == compose["postgres"]["environment"]["POSTGRES_USER"]
    assert users == ["projector", "consumer", "auditor", "reports"]


def test_a_password_is_part_of_no_address_and_of_no_sql() -> None:
    """In an address `@` and `/` would end it, in SQL a quote."""
    lines = (ROOT / "docker-compose.yml").read_text().splitlines()
    holding = {line.split(":")[0].strip() for line in lines if re.search(r"\$\{\w*PASSWORD", line)}
    assert holding == {"PGPASSWORD", "POSTGRES_PASSWORD", "CONSUMER_PASSWORD", "AUDITOR_PASSWORD", "READER_PASSWORD"}


def test_no_log_grows_without_limit(compose: dict[str, Any]) -> None:
    for name, service in compose.items():
        assert service["logging"]["driver"] == "json-file", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_no_container_can_gain_a_right(compose: dict[str, Any]) -> None:
    for name, service in compose.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "user"}, name
        assert not any(volume.startswith(("/", ".", "~")) for volume in service.get("volumes", [])), name
    for name in OURS:
        assert "volumes" not in compose[name]


def test_nothing_but_what_is_listed_gets_into_the_image() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert not [name for name in let_in if name.startswith(".") or "*" in name or name in {"tests", "docs"}]
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    }
    assert copied == let_in


def test_the_image_that_ships_runs_nothing_while_it_is_built_and_holds_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")) :]
    words = [line.split()[0] for line in last_stage if line and not line.startswith("#")]
    assert words == ["FROM", "COPY", "ENV", "USER", "WORKDIR", "STOPSIGNAL", "CMD"]
    assert not any(line.startswith("ARG") or "PROJECTOR_" in line for line in lines)


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    for service in compose.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_a_drain_fits_into_the_grace_period(compose: dict[str, Any]) -> None:
    for name in ("projector", "watcher"):
        grace = int(compose[name]["stop_grace_period"].removesuffix("s"))
        assert grace > Settings.model_fields["shutdown_seconds"].default


def test_the_image_installs_by_hash_and_runs_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps /dist/" in line for line in installs)
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER 65532:65532" in last_stage
    assert not any("pip" in line for line in last_stage)


def test_every_setting_is_in_the_example() -> None:
    lines = [line.removeprefix("# ") for line in (ROOT / ".env.example").read_text().splitlines()]
    named = [line.partition("=")[0] for line in lines if line.startswith("PROJECTOR_")]
    assert [name for name in named if not name.startswith(KAFKA_PREFIX)] == list(known_variables())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_carries_what_is_no_python(wheel: zipfile.ZipFile) -> None:
    carried = set(wheel.namelist())
    for program in ("events", "projector", "backfill"):
        for file in (ROOT / program).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.relative_to(ROOT).as_posix() in carried
        assert f"{program}/py.typed" in carried
    assert not any(name.startswith("tests") for name in carried)


def test_the_wheel_says_whose_it_is_and_where_it_comes_from(wheel: zipfile.ZipFile) -> None:
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = wheel.read(f"{folder}/METADATA").decode()
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    for line in ("License-Expression: Apache-2.0", "License-File: LICENSE", "Classifier: Typing :: Typed"):
        assert f"\n{line}\n" in metadata
    labels = {line.split()[1] for line in metadata.splitlines() if line.startswith("Project-URL: ")}
    assert labels == {"Homepage,", "Documentation,", "Source,", "Issues,", "Changelog,"}


def _without_digest(image: str) -> str:
    return image.partition("@")[0]
