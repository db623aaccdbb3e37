"""The files that deploy the gateway parse, fit one another and the program, and hold no secret.

None of them is run here, as there is no Docker and no cluster: the steps of the Dockerfile are, in `test_image.py`.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dominion.config import SETTINGS, load
from tests.house.source import ROOT
from tools.run_dockerfile import instructions

COMPOSE = ("docker-compose.yml", "docker-compose.sqlite.yml")
KUBERNETES = ROOT / "deploy" / "kubernetes"
NAMES = {name for each in SETTINGS for name in (each.env, each.also) if name}
LAST_SECONDS = 10
"""What an end may take on top of notice and drain (app/supervisor.py)."""
DOCKERFILE = list(instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")))
TAGGED = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*")


def compose(name: str) -> Any:
    """A compose file."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def manifests() -> dict[str, Any]:
    """The manifests of Kubernetes by their kind."""
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(KUBERNETES.glob("*.yaml"))]
    return {each["kind"]: each for each in found}


def container() -> Any:
    """The gateway's container in Kubernetes."""
    (found,) = manifests()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    return found


def seconds(text: str) -> int:
    """Compose's 45s."""
    return int(text.removesuffix("s"))


# --- the Dockerfile


def test_the_image_installs_only_what_is_pinned_by_hash_and_names_no_index() -> None:
    installs = [rest for word, rest in DOCKERFILE if word == "RUN" and re.search(r"pip\b.* (install|wheel) ", rest)]
    assert len(installs) == 4
    assert all("--require-hashes --only-binary=:all:" in rest or "--no-index --no-deps" in rest for rest in installs)
    assert not any("index-url" in rest or "://" in rest for _, rest in DOCKERFILE if "127.0.0.1" not in rest)


def test_the_image_runs_as_nobody_in_particular_says_how_it_is_and_takes_signals_itself() -> None:
    words = dict(DOCKERFILE)
    assert words["USER"] == "10001:10001"
    assert words["VOLUME"] == "/data"
    assert (json.loads(words["ENTRYPOINT"]), json.loads(words["CMD"])) == (["dominion"], ["serve"])
    assert "}/health" in words["HEALTHCHECK"]
    assert [TAGGED.match(rest) is not None for word, rest in DOCKERFILE if word == "FROM"] == [True, True]


def test_everything_that_the_image_copies_is_here_and_let_through() -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    for word, rest in DOCKERFILE:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.partition('/')[0]}" in let_through


# --- compose


@pytest.mark.promise("001-012", "001-014")
@pytest.mark.parametrize("name", COMPOSE)
def test_compose_runs_the_gateway_unprivileged_on_its_own_volume_and_lets_it_drain(name: str) -> None:
    gateway = compose(name)["services"]["gateway"]
    environment = gateway["environment"]
    assert gateway["build"] == "."
    assert (gateway["read_only"], gateway["cap_drop"]) == (True, ["ALL"])
    assert environment["DOMINION_DATA_DIR"] == "/data"
    assert "data:/data" in gateway["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in gateway["ports"])
    assert seconds(gateway["stop_grace_period"]) >= int(environment["DRAIN_SECONDS"]) + LAST_SECONDS
    assert environment.keys() <= NAMES


@pytest.mark.promise("000-067", "001-015")
def test_compose_waits_for_postgres_and_valkey_and_speaks_to_them_by_their_names() -> None:
    services = compose("docker-compose.yml")["services"]
    gateway = services["gateway"]
    assert gateway["depends_on"] == {name: {"condition": "service_healthy"} for name in ("postgres", "valkey")}
    assert all("healthcheck" in services[name] for name in ("postgres", "valkey"))
    assert "@postgres:5432/dominion" in gateway["environment"]["DATABASE_URL"]
    assert "//valkey:6379" in gateway["environment"]["REDIS_URL"]


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_names_only_volumes_and_services_that_it_has_and_images_by_a_version(name: str) -> None:
    found = compose(name)
    for service in found["services"].values():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in found["volumes"]
        assert set(service.get("depends_on", {})) <= found["services"].keys()
        assert "build" in service or TAGGED.fullmatch(service["image"]), service["image"]


@pytest.mark.parametrize("name", COMPOSE)
def test_what_compose_sets_is_a_configuration(name: str, tmp_path: Path) -> None:
    environment = compose(name)["services"]["gateway"]["environment"]
    settings = load(
        {key: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) for key, value in environment.items()}, folder=tmp_path
    )
    assert (settings.host, settings.port) == ("0.0.0.0", 3100)  # noqa: S104 - in a container
    assert bool(settings.database_url) == (name == "docker-compose.yml")


def test_compose_gives_no_password_of_its_own() -> None:
    for name in COMPOSE:
        for service in compose(name)["services"].values():
            secrets = [key for key in service.get("environment", {}) if "PASSWORD" in key or "TOKEN" in key]
            assert [key for key in secrets if not key.endswith("_FILE")] == []
            assert not re.search(r"://[^@/]*:[^@/]*@", json.dumps(service))


# --- Railway


@pytest.mark.promise("000-068")
def test_railway_builds_the_dockerfile_and_lets_it_drain(tmp_path: Path) -> None:
    found = json.loads((ROOT / "railway.json").read_text(encoding="utf-8"))
    assert found["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
    deploy = found["deploy"]
    assert deploy["healthcheckPath"] == "/health/ready"
    assert deploy["drainingSeconds"] >= load({}, folder=tmp_path).drain_seconds + LAST_SECONDS


# --- Kubernetes


def test_kubernetes_gives_the_gateway_time_to_drain_and_a_notice_before() -> None:
    pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    environment = {each["name"]: each["value"] for each in container()["env"]}
    notice, drain = (int(environment[name]) for name in ("DRAIN_NOTICE_SECONDS", "DRAIN_SECONDS"))
    assert pod["terminationGracePeriodSeconds"] >= notice + drain + LAST_SECONDS
    readiness = container()["readinessProbe"]
    assert notice > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert environment.keys() <= NAMES


def test_kubernetes_probes_the_paths_that_the_gateway_has() -> None:
    paths = {kind: container()[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/health/ready"}


def test_kubernetes_runs_it_without_privileges_on_a_read_only_root() -> None:
    pod, inside = manifests()["StatefulSet"]["spec"]["template"]["spec"], container()["securityContext"]
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert inside["readOnlyRootFilesystem"] is True
    assert inside["capabilities"] == {"drop": ["ALL"]}


def test_all_manifests_mean_the_same_pods() -> None:
    labels = {"app.kubernetes.io/name": "dominion"}
    found = manifests()
    assert found["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
    assert found["StatefulSet"]["spec"]["template"]["metadata"]["labels"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert container()["envFrom"] == [{"secretRef": {"name": found["Secret"]["metadata"]["name"]}}]
    assert set(found["Kustomization"]["resources"]) <= {path.name for path in KUBERNETES.iterdir()}


def test_the_example_of_a_secret_holds_none() -> None:
    values = manifests()["Secret"]["stringData"]
    assert set(values.values()) == {""}
    assert values.keys() <= NAMES


def test_kubectl_understands_the_manifests() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl here")
    run = subprocess.run([kubectl, "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert {each["kind"] for each in yaml.safe_load_all(run.stdout)} == {
        "StatefulSet",
        "Service",
        "PodDisruptionBudget",
    }
