"""The container's files say what the documentation promises of them; no engine is at hand to build them with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tarsia.cli.serve import serve
from tarsia.service.metrics import Metrics

ROOT = Path(__file__).parents[1]
KNOWN = {
    *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    "ARG",
}


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, lines joined and comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in steps():
        if word == "FROM":
            found[rest.split(" AS ")[1]] = []
        found[list(found)[-1]].append((word, rest))
    return found


def test_every_instruction_is_a_known_one() -> None:
    assert {word for word, _ in steps()} <= KNOWN, "ADD could fetch from anywhere"


def test_bases_are_slim_and_pinned() -> None:
    names = set(stages())
    for word, rest in steps():
        if word == "FROM" and rest.split()[0] not in names:
            assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", rest.split()[0]), rest
    versions = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    base = re.search(r"python:(3\.\d+)", steps()[0][1])
    assert base and f"Programming Language :: Python :: {base[1]}" in versions


def test_the_image_is_given_all_that_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"src", "pyproject.toml", "README.md", "LICENSE", *wheel["force-include"]}
    copied = {name for word, rest in stages()["build"] if word == "COPY" for name in rest.split()[:-1]}
    let_in = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    assert needed <= copied and needed <= let_in


def test_what_runs_is_not_root_and_tells_of_its_health() -> None:
    words = dict(stages()["runtime"])
    user, _, group = words["USER"].partition(":")
    assert int(user) > 1000 and int(group) > 1000
    assert "/healthz" in words["HEALTHCHECK"] and words["CMD"].startswith("[") and words["ENTRYPOINT"].startswith("[")
    assert list(stages())[-1] == "mounted", "what is built unless another target is named has no model in it"
    assert not [word for name in ("runtime", "with-model", "mounted") for word, _ in stages()[name] if word == "RUN"]


def test_only_the_build_has_pip_and_nothing_has_torch() -> None:
    ran = [rest for word, rest in steps() if word == "RUN"]
    assert ("ARG", "EXTRAS=serve") in steps()
    assert any('".[$EXTRAS]"' in one and "--no-cache-dir" in one and "--constraint" in one for one in ran)
    assert ran[-1].endswith("pip uninstall --yes pip")
    assert "torch" not in (ROOT / "Dockerfile").read_text().replace("no torch", "")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    copied = [rest.split()[:-1] for word, rest in stages()["build"] if word == "COPY"]
    for name in [one for names in copied for one in names]:
        assert (ROOT / name).exists() and f"!{name}" in rules, name
    licence = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {licence["readme"], *licence["license-files"], "pyproject.toml", "src"} <= {n for m in copied for n in m}


def test_options_exist() -> None:
    import inspect

    known = {"--" + name.replace("_", "-") for name in inspect.signature(serve).parameters}
    entry = dict(stages()["runtime"])["ENTRYPOINT"]
    arguments = container()["args"]
    assert {word for word in [*re.findall(r'"(--[a-z-]+)"', entry), *arguments] if word.startswith("--")} <= known


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()))


def container() -> dict[str, Any]:
    (found,) = documents()[0]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_kubernetes_has_probes_limits_and_a_read_only_root() -> None:
    deployment, service, budget = documents()
    pod, one = deployment["spec"]["template"]["spec"], container()
    assert [item["kind"] for item in (deployment, service, budget)] == ["Deployment", "Service", "PodDisruptionBudget"]
    assert one["startupProbe"]["httpGet"]["path"] == one["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert one["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert {"cpu", "memory"} <= one["resources"]["limits"].keys()
    assert one["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    user = dict(stages()["runtime"])["USER"].partition(":")[0]
    assert str(pod["securityContext"]["runAsUser"]) == user
    given = dict(zip(one["args"][1::2], map(int, one["args"][2::2]), strict=True))
    assert given["--drain"] < given["--grace"] < pod["terminationGracePeriodSeconds"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert ":latest" not in one["image"] and ":" in one["image"]


def test_compose_is_closed_up() -> None:
    one = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["tarsia"]
    assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["volumes"][0]["read_only"]
    assert one["ports"][0].startswith("127.0.0.1:") and one["build"]["target"] in stages()
    assert int(one["stop_grace_period"].removesuffix("s")) > 30, "as long as --grace"


@pytest.mark.parametrize("name", ["keda", "hpa"])
def test_replicas_follow_the_pictures_that_wait(name: str) -> None:
    """The deployment and the metric that there are, and never fewer replicas than the deployment has."""
    scaler = yaml.safe_load((ROOT / f"deploy/{name}.yaml").read_text())
    deployment = documents()[0]
    spec = scaler["spec"]
    assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert spec.get("minReplicaCount", spec.get("minReplicas")) == deployment["spec"]["replicas"]
    told = spec["triggers"][0]["metadata"] if name == "keda" else spec["metrics"][0]["pods"]
    asked = told["query"] if name == "keda" else told["metric"]["name"]
    assert asked in ("sum(tarsia_queue_length)", "tarsia_queue_length")
    assert b"# TYPE tarsia_queue_length gauge" in Metrics().text()


DEPLOYED = [f"deploy/{path.name}" for path in sorted((ROOT / "deploy").iterdir())]


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", ".dockerignore", *DEPLOYED])
def test_no_secret_and_no_address_of_this_machine(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"/work/|/root/|https?://(?!127\.0\.0\.1|[a-z.-]+\.svc\b)", text)
