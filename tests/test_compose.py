"""What deploy/ describes, checked without an engine; tests/test_topology.py runs it."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
MIMEOS = ("backend", "ai-service")
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What the main part of an nginx configuration says, where it may write nowhere else.
MAIN = """\
pid {folder}/pid;
error_log stderr;
events {{}}
http {{ {scratch} include {folder}/default.conf; }}
"""
SCRATCH = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def resolved(*more: str, **environ: str) -> dict[str, Any]:
    """Return the composition as docker-compose understands it, with `more` files."""
    files = [f"--file={DEPLOY / name}" for name in ("compose.yaml", *more)]
    done = subprocess.run(
        ["docker-compose", *files, "config"],
        capture_output=True,
        env={"PATH": os.environ["PATH"], **environ},
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return yaml.safe_load(done.stdout)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return resolved()["services"]


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """The services as they stand in the file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def instructions(name: str) -> list[str]:
    """Return the arguments of an instruction of the Dockerfile, each time it occurs."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def copied() -> set[str]:
    return {source for line in instructions("COPY") for source in line.split()[:-1]}


def test_backend_and_ai_service_are_one_image_that_is_built_once(services):
    built = [name for name in services if "build" in services[name]]

    assert services.keys() == {"nginx", *MIMEOS}
    assert {services[name]["image"] for name in MIMEOS} == {"mimeo"}
    # The one that starts first: docker-compose 1.29 makes images in that order.
    assert built == ["ai-service"]


def test_the_image_is_built_of_the_project_by_its_dockerfile(services):
    build = services["ai-service"]["build"]

    assert Path(build["context"]).samefile(ROOT)
    assert (ROOT / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_backend_asks_the_ai_service_where_it_listens(services):
    port = services["ai-service"]["environment"]["PORT"]
    shared = services["backend"]["networks"].keys()

    assert services["backend"]["environment"]["AI_SERVICE_URL"] == (
        f"http://ai-service:{port}"
    )
    assert port == "8001"
    assert services["ai-service"]["networks"].keys() <= shared


def test_only_nginx_publishes_a_port(services):
    assert [name for name in services if "ports" in services[name]] == ["nginx"]


@pytest.mark.parametrize(("given", "port"), [({}, 8080), ({"MIMEO_PORT": "80"}, 80)])
def test_the_port_is_the_one_that_was_asked_for(given, port):
    [published] = resolved(**given)["services"]["nginx"]["ports"]

    assert int(published["published"]) == port
    assert f"listen {published['target']} " in configuration(DEPLOY / "nginx.conf")


def test_the_ai_service_has_no_way_out(services):
    networks = resolved()["networks"]
    mine = services["ai-service"]["networks"]

    assert all(networks[name]["internal"] for name in mine)
    assert not mine.keys() & services["nginx"]["networks"].keys()


def test_each_waits_for_the_one_behind_it(services):
    for name, behind in (("nginx", "backend"), ("backend", "ai-service")):
        assert services[name]["depends_on"][behind]["condition"] == "service_healthy"


def test_every_container_is_checked_bounded_and_can_do_little(services):
    for service in services.values():
        assert service["healthcheck"]["test"]
        assert service["mem_limit"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"


def test_a_stop_waits_longer_than_gunicorn_does(services):
    text = (ROOT / "gunicorn.conf.py").read_text()
    [patience] = re.findall(r"^graceful_timeout = (\d+)$", text, re.MULTILINE)

    for name in MIMEOS:
        assert int(services[name]["stop_grace_period"].rstrip("s")) > int(patience)


def test_an_unset_key_stays_unset_and_a_set_one_reaches_the_backend_alone(services):
    key = {"OPENAI_API_KEY": "sk-of-a-test"}
    given = resolved(**key)["services"]

    assert services["backend"]["environment"]["OPENAI_API_KEY"] is None
    assert given["backend"]["environment"]["OPENAI_API_KEY"] == "sk-of-a-test"
    assert "OPENAI_API_KEY" not in given["ai-service"]["environment"]


def test_every_folder_that_is_mounted_exists(written):
    mounts = [each for service in written.values() for each in service["volumes"]]
    sources = {each.split(":")[0] for each in mounts}

    assert sources == {"./nginx.conf", "store", "ai-store"}
    assert (DEPLOY / "nginx.conf").is_file()


def test_the_store_is_in_a_volume_of_its_own(written):
    [store] = instructions("VOLUME")
    targets = {name: written[name]["volumes"][0].split(":") for name in MIMEOS}

    assert {target for _, target in targets.values()} == set(json.loads(store))
    assert f"MIMEO_STORE={json.loads(store)[0]}" in instructions("ENV")[0]
    assert targets["backend"][0] != targets["ai-service"][0]


def test_everything_that_the_image_copies_exists():
    assert copied() == {"requirements.txt", "gunicorn.conf.py", "wsgi.py", "app"}
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_the_image_sees_nothing_but_what_it_copies():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied()


def test_a_change_of_the_code_installs_nothing_again():
    text = (DEPLOY / "Dockerfile").read_text()

    assert text.index("COPY requirements.txt") < text.index("pip install")
    assert text.index("pip install") < text.index("COPY app")


def test_the_image_runs_what_the_procfile_runs():
    [command] = instructions("CMD")
    procfile = (ROOT / "Procfile").read_text().splitlines()

    # A router stands in front of every dyno; in front of a container maybe nobody.
    router = "MIMEO_PROXIES=${MIMEO_PROXIES:-1}"
    assert f"web: {router} {shlex.join(json.loads(command))}" in procfile


def test_the_image_has_the_python_that_the_project_names():
    version = (ROOT / ".python-version").read_text().strip()

    assert instructions("FROM") == [f"python:{version}-slim"]


def test_the_image_runs_as_a_plain_user():
    text = (DEPLOY / "Dockerfile").read_text()

    assert instructions("USER") == ["mimeo"]
    assert text.index("\nUSER mimeo") < text.index("\nCMD ")


def test_image_and_composition_check_health_alike(services):
    [check] = instructions("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])

    for name in MIMEOS:
        assert services[name]["healthcheck"]["test"] == ["CMD", *command]


def configuration(source: Path) -> str:
    """Return nginx's configuration as its container makes it of ours."""
    file = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    [shell, option, line] = file["services"]["nginx"]["command"]
    edit, _, rest = line.partition(" > /etc/nginx/conf.d/default.conf && ")
    assert rest == "exec nginx -g 'daemon off;'"
    edit = edit.replace("/etc/nginx/mimeo.conf", shlex.quote(str(source)))
    return subprocess.check_output([shell, option, edit], text=True)


def test_nginx_reaches_the_backend_by_its_name(services):
    text = configuration(DEPLOY / "nginx.conf")

    port = services["backend"]["environment"]["PORT"]
    assert re.findall(r"^ +server ([^ ]+) ", text, re.MULTILINE) == [f"backend:{port}"]


def test_nginx_writes_only_where_its_container_may(written):
    text = configuration(DEPLOY / "nginx.conf")
    mounted = {each.split(":")[0] for each in written["nginx"]["tmpfs"]}

    [cache] = re.findall(r"^proxy_cache_path (\S+) ", text, re.MULTILINE)
    assert str(Path(cache).parent) in mounted
    assert "access_log /dev/stdout " in text
    assert "max_size=192m" in text


def test_nginx_takes_the_configuration_of_its_container(tmp_path):
    text = configuration(DEPLOY / "nginx.conf").replace("backend:", "127.0.0.1:")
    text = text.replace("/var/cache/nginx/", f"{tmp_path}/")
    (tmp_path / "default.conf").write_text(text)
    scratch = " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in SCRATCH)
    main = tmp_path / "nginx.conf"
    main.write_text(MAIN.format(folder=tmp_path, scratch=scratch))

    done = subprocess.run(
        ["nginx", "-t", "-p", str(tmp_path), "-c", str(main)],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_the_documented_commands_name_files_of_ours():
    text = (ROOT / "docs/how-to/compose.md").read_text()

    words = {word for block in CONSOLE.findall(text) for word in block.split()}

    assert {word for word in words if word.startswith("deploy/")} == {
        "deploy/compose.yaml",
        "deploy/compose.jobs.yaml",
        "deploy/Dockerfile",
        "deploy/.env",
    }
