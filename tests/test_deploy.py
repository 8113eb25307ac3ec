"""The files of deploy/ for hosts of other kinds, checked without those hosts."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import main
from app.config import budget_of, settings
from tests.gunicorn_server import ROOT, serve
from tests.test_compose import copied, instructions

UNIT = ROOT / "deploy" / "mimeo.service"
BIN = Path(sys.executable).parent
KNOWN = {variable for variable, _, _ in settings.variables()}
analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def unit(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def graceful_s() -> int:
    text = (ROOT / "gunicorn.conf.py").read_text()
    [found] = re.findall(r"^graceful_timeout = (\d+)$", text, re.MULTILINE)
    return int(found)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60
    )


@analyze
def test_systemd_takes_the_unit(tmp_path):
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text().replace("/opt/mimeo/.venv/bin", str(BIN)))

    done = run("systemd-analyze", "verify", file)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@analyze
def test_the_unit_exposes_little():
    # In tenths; 1.3 with systemd 252.
    command = ("systemd-analyze", "security", "--offline=yes", "--threshold=15", UNIT)

    done = run(*command)

    assert done.returncode == 0, done.stdout[-200:]


def system_calls(group: str) -> set[str]:
    done = run("systemd-analyze", "syscall-filter", group)
    names = [line.strip() for line in done.stdout.splitlines()[1:]]
    found = (
        system_calls(name) if name.startswith("@") else {name}
        for name in names
        if name and not name.startswith("#")
    )
    return set().union(*found)


@analyze
def test_the_unit_leaves_the_sandbox_its_limits():
    allowed: set[str] = set()
    for line in unit("SystemCallFilter"):
        names = line.removeprefix("~").split()
        calls = set().union(
            *(system_calls(n) if n.startswith("@") else {n} for n in names)
        )
        allowed = allowed - calls if line.startswith("~") else allowed | calls

    # app/renderer/sandbox/process.py: setrlimit of the C library is prlimit64.
    assert {"prlimit64", "setrlimit", "prctl", "execve", "flock"} <= allowed
    assert not {"mount", "ptrace", "reboot", "init_module"} & allowed


def test_the_unit_stops_later_than_gunicorn():
    [patience] = unit("TimeoutStopSec")

    assert int(patience) > graceful_s()


def test_the_unit_runs_what_the_procfile_runs():
    commands = procfile()
    [release], [web] = unit("ExecStartPre"), unit("ExecStart")

    assert release.removeprefix("/opt/mimeo/.venv/bin/") == commands["release"]
    # Whether a proxy stands in front of the unit is for its operator to say.
    router, _, served = commands["web"].partition(" ")
    assert router == "MIMEO_PROXIES=${MIMEO_PROXIES:-1}"
    assert web.removeprefix("/opt/mimeo/.venv/bin/") == served


def procfile() -> dict[str, str]:
    rows = (ROOT / "Procfile").read_text().splitlines()
    return dict(row.split(": ", 1) for row in rows)


def test_the_release_command_works_without_the_package_installed(tmp_path):
    # As on a host that installs requirements.txt and no more.
    python, *arguments = shlex.split(procfile()["release"])

    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": str(BIN), "MIMEO_STORE": str(tmp_path), "WEB_CONCURRENCY": "0"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert line.startswith("mimeo: settings: WEB_CONCURRENCY='0'")


def test_the_manifest_of_the_app_names_settings_that_are_there():
    manifest = json.loads((ROOT / "app.json").read_text())

    assert {"name", "description", "env", "formation", "buildpacks"} <= manifest.keys()
    assert manifest["env"].keys() <= KNOWN
    assert all(row["description"] for row in manifest["env"].values())
    assert manifest["formation"].keys() == procfile().keys() - {"release"}
    given = {n: row["value"] for n, row in manifest["env"].items() if "value" in row}
    # A secret that Heroku makes has 64 characters.
    given |= {
        n: "0123456789abcdef" * 4
        for n, row in manifest["env"].items()
        if "generator" in row
    }
    settings.Settings.from_env(given)


def objects() -> dict[str, dict[str, Any]]:
    text = (ROOT / "deploy/kubernetes.yaml").read_text()
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def container() -> dict[str, Any]:
    [found] = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


def test_the_service_leads_to_the_pods():
    deployment, service = objects()["Deployment"]["spec"], objects()["Service"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]

    assert deployment["selector"]["matchLabels"] == service["selector"] == labels
    [port], [target] = container()["ports"], service["ports"]
    assert target["targetPort"] == port["name"]


def test_the_pod_can_do_little():
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    mine = container()["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert mine["readOnlyRootFilesystem"] is True
    assert mine["allowPrivilegeEscalation"] is False
    assert mine["capabilities"]["drop"] == ["ALL"]
    assert container()["resources"]["limits"]["memory"] == "512Mi"
    assert f"--uid {pod['securityContext']['runAsUser']} " in instructions("RUN")[0]


def test_the_pod_writes_where_volumes_are():
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}

    assert {each["name"] for each in pod["volumes"]} == mounts.keys()
    assert mounts.keys() == {"store", "tmp"}
    assert f"MIMEO_STORE={mounts['store']}" in instructions("ENV")[0].split()
    # What is said here would go before what the secret says.
    assert "MIMEO_STORE" not in environment()


def environment() -> dict[str, str]:
    return {each["name"]: each["value"] for each in container()["env"]}


def test_the_pod_fits_its_volume_and_names_settings_that_are_there():
    made = settings.Settings.from_env(environment())
    rooms = made.store_bytes + made.collections_bytes + made.purchases_bytes

    assert environment().keys() <= KNOWN
    assert rooms < 2 << 30
    assert budget_of(replace(made, memory_bytes=512 << 20)).workers == made.workers


def test_the_pod_ends_later_than_gunicorn():
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    pause = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod["terminationGracePeriodSeconds"] > graceful_s() + pause


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the Dockerfile makes, without an engine."""
    folder = tmp_path_factory.mktemp("image")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=unwanted)
        else:
            shutil.copy(source, folder)
    [compiling] = [line for line in instructions("RUN") if "compileall" in line]
    python, *arguments = shlex.split(compiling)
    assert python == "python"
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True)
    return folder


def test_what_the_image_copies_is_enough_and_stays_as_it_is(image, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in image.rglob("*")}

    with serve(folder=image, settings={"MIMEO_STORE": str(tmp_path)}) as server:
        for path in ("/images/card.png?title=x", "/images/html.png?html=x"):
            assert server.ask(path).status == 200
        paths = [probe["httpGet"]["path"] for probe in probes()]
        assert [server.ask(path).status for path in paths] == [200] * len(paths)

    assert {path: path.stat().st_mtime_ns for path in image.rglob("*")} == before


def probes() -> list[dict[str, Any]]:
    return [value for name, value in container().items() if name.endswith("Probe")]


def test_the_command_of_the_image_comes_with_its_requirements():
    command = json.loads(instructions("CMD")[0])

    # It becomes gunicorn once the settings are right.
    assert command == ["python", "-m", "app.cli.start"]
    assert "\ngunicorn==" in (ROOT / "requirements.txt").read_text()


def test_the_image_checks_itself_without_curl():
    [check] = instructions("HEALTHCHECK")

    assert "urllib" in check
    assert "curl" not in check


def test_the_release_check_is_in_the_image_too(image, tmp_path):
    arguments = shlex.split(procfile()["release"])[1:]

    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=image,
        env={"PATH": str(BIN), "MIMEO_STORE": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert main.__name__ in arguments


ROWS = b'{"renderer": "card", "params": {"title": "kept"}}\n'


def test_a_copy_of_a_running_store_restores_what_cannot_be_made_anew(tmp_path):
    store, copy = tmp_path / "store", tmp_path / "copy"
    with serve(settings={"MIMEO_STORE": str(store)}) as server:
        ndjson = {"Content-Type": "application/x-ndjson"}
        made = server.ask("/collections?renderer=solid", "POST", ROWS, ndjson)
        assert made.status == 201
        place = made.headers["Location"]
        archive = server.ask(f"{place}.zip").body
        left_out = shutil.ignore_patterns("media", "images", "locks", "scratch")
        shutil.copytree(store, copy, ignore=left_out)

    with serve(settings={"MIMEO_STORE": str(copy)}) as server:
        restored = server.ask(f"{place}.zip")

    assert (restored.status, restored.body) == (200, archive)
    assert (copy / "format").read_text() == "1\n"


def test_a_store_of_a_later_version_stops_the_start_with_one_line(tmp_path):
    (tmp_path / "format").write_text("2\n")

    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app"],
        cwd=ROOT,
        env={"PATH": str(BIN), "MIMEO_STORE": str(tmp_path), "PORT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode != 0
    [line] = (done.stdout + done.stderr).splitlines()
    assert line.startswith(f"mimeo: MIMEO_STORE: {tmp_path} has format 2, ")
    assert [path.name for path in tmp_path.iterdir()] == ["format"]
