"""The manifests of deploy/ are Kubernetes's, and fit each other and what they start."""

import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.jobs import celery_engine, life_sign
from tests.gunicorn_server import ROOT
from tests.test_deploy import procfile
from tests.test_monitoring import TABLE

FILES = ("kubernetes", "kubernetes-jobs")
# The oldest that is still supported, and the newest.
VERSIONS = ("1.34", "1.37")
WORKER = "mimeo-worker"


def documents(name: str) -> list[dict[str, Any]]:
    text = (ROOT / f"deploy/{name}.yaml").read_text()
    return list(yaml.safe_load_all(text))


def found(kind: str, name: str) -> dict[str, Any]:
    everything = [each for file in FILES for each in documents(file)]
    [one] = [
        each
        for each in everything
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return one


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = found("Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    [one] = pod(name)["containers"]
    return one  # type: ignore[no-any-return]


def probes() -> dict[str, list[str]]:
    """Return what is run to see whether a worker lives."""
    return {
        name: value["exec"]["command"]
        for name, value in container(WORKER).items()
        if name.endswith("Probe")
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES)
def test_kubernetes_takes_every_object(file: str, version: str) -> None:
    for each in documents(file):
        # Strict: a name that is misspelt is refused, too.
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("file", [*FILES, "keda"])
def test_no_object_needs_merge_keys(file: str) -> None:
    # Some tools that read manifests know none.
    assert "<<:" not in (ROOT / f"deploy/{file}.yaml").read_text()


def test_a_worker_runs_what_the_procfile_runs() -> None:
    assert shlex.join(container(WORKER)["command"]) == procfile()["worker"]
    assert container(WORKER)["image"] == container("mimeo")["image"]


def test_a_worker_can_do_as_little_as_a_server() -> None:
    ours, theirs = pod(WORKER), pod("mimeo")

    assert ours["securityContext"] == theirs["securityContext"]
    assert ours["automountServiceAccountToken"] is False
    mine = container(WORKER)["securityContext"]
    assert mine == container("mimeo")["securityContext"]


def test_a_worker_writes_where_volumes_are() -> None:
    mounts = {n["name"]: n["mountPath"] for n in container(WORKER)["volumeMounts"]}

    assert {each["name"] for each in pod(WORKER)["volumes"]} == mounts.keys()
    assert mounts == {"store": "/var/lib/mimeo", "tmp": "/tmp"}


def test_a_worker_has_the_secret_of_the_servers() -> None:
    [server] = container("mimeo")["envFrom"]
    [worker] = container(WORKER)["envFrom"]

    assert worker["secretRef"]["name"] == server["secretRef"]["name"]
    # Without the store and redis in it there is nothing for a worker to do.
    assert "optional" not in worker["secretRef"]


def test_a_worker_ends_before_it_is_killed() -> None:
    assert pod(WORKER)["terminationGracePeriodSeconds"] > celery_engine._STOP_S


def look(tmp_path: Path, command: list[str]) -> int:
    """Run a probe, whose file is in another folder here."""
    here = [part.replace("/tmp/", f"{tmp_path}/") for part in command]
    assert here != command
    return subprocess.run(here, stderr=subprocess.PIPE).returncode


def test_a_probe_sees_how_old_the_sign_of_a_worker_is(tmp_path: Path) -> None:
    assert probes().keys() == {"startupProbe", "livenessProbe"}
    sign = tmp_path / life_sign.SIGN
    for command in probes().values():
        assert look(tmp_path, command) == 1
        sign.touch()
        assert look(tmp_path, command) == 0
        long_ago = time.time() - 600
        os.utime(sign, (long_ago, long_ago))
        assert look(tmp_path, command) == 1
        sign.unlink()


@pytest.mark.parametrize("name", [WORKER, "mimeo"])
def test_a_budget_of_disruptions_is_of_its_pods_and_lets_one_go(name: str) -> None:
    budget = found("PodDisruptionBudget", name)["spec"]
    template = found("Deployment", name)["spec"]["template"]

    assert budget["selector"]["matchLabels"] == template["metadata"]["labels"]
    # Of a single pod `minAvailable: 1` would let no node be drained.
    assert budget.keys() == {"maxUnavailable", "selector"}


def test_keda_scales_the_workers_by_figures_that_are_there() -> None:
    [scaled] = documents("keda")
    spec = scaled["spec"]

    assert (scaled["apiVersion"], scaled["kind"]) == (
        "keda.sh/v1alpha1",
        "ScaledObject",
    )
    assert spec["scaleTargetRef"] == {"name": WORKER}
    assert 0 == spec["minReplicaCount"] < spec["maxReplicaCount"]
    queries = [each["metadata"]["query"] for each in spec["triggers"]]
    names = re.findall(r"mimeo_\w+", " ".join(queries))
    assert names == ["mimeo_jobs_oldest_queued_seconds", "mimeo_jobs_rows_left"]
    assert set(names) <= TABLE.keys()
    for each in spec["triggers"]:
        assert each["type"] == "prometheus"
        told = each["metadata"]
        # KEDA reads numbers and truths from text alone.
        assert all(isinstance(value, str) for value in told.values())
        assert float(told["activationThreshold"]) < float(told["threshold"])


def test_the_how_to_names_the_files() -> None:
    text = (ROOT / "docs/how-to/kubernetes.md").read_text()

    for file in (*FILES, "keda"):
        assert f"kubectl apply -f deploy/{file}.yaml" in text
