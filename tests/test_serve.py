"""`mimeo serve` and `gunicorn wsgi:app`: ports, addresses, settings, a clean end."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.cli import listener, server
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
MIMEO = (sys.executable, "-m", "app.cli.main")
GUNICORN = (sys.executable, "-m", "app.cli.start")
FOREIGN = ("GUNICORN_CMD_ARGS", "HOST", "PORT", "WEB_CONCURRENCY")


@dataclass(frozen=True)
class Run:
    """A running server and the URLs it printed."""

    process: subprocess.Popen[str]
    urls: tuple[str, ...]

    @property
    def port(self) -> int:
        return urlsplit(self.urls[0]).port or 0


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN and not name.startswith("MIMEO_")
    }
    quick = {"MIMEO_STORE": "none", "MIMEO_SYSTEM_FONTS": "off", "WEB_CONCURRENCY": "1"}
    return kept | {"PYTHONPATH": str(ROOT)} | quick | more


def finish(*command: str, cwd: Path = ROOT, **environ: str):
    """Run a command that ends by itself."""
    return subprocess.run(
        command,
        capture_output=True,
        cwd=cwd,
        env=environment(**environ),
        text=True,
        timeout=60,
    )


@contextmanager
def serving(*options: str, cwd: Path = ROOT, **environ: str) -> Iterator[Run]:
    """Start `mimeo serve`, wait until it has said where, and stop it at the end."""
    process = subprocess.Popen(
        [*MIMEO, "serve", *options],
        cwd=cwd,
        env=environment(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [process.stdout.readline() for _ in range(1 + len(server.TO_TRY))]
        yield Run(process, tuple(line.strip() for line in lines[1:]))
    finally:
        process.terminate()
        process.communicate(timeout=60)


def get(url: str) -> int:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status


def read(url: str) -> str:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as connection:
        connection.request("GET", parts.path)
        return connection.getresponse().read().decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_the_urls_to_try_all_answer(tmp_path):
    with serving("--port", str(free_port()), cwd=tmp_path) as run:
        statuses = {url: get(url) for url in run.urls}

    assert set(statuses.values()) == {200}, statuses


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_figures_are_those_of_all_workers(workers):
    """They were an empty answer with 200: the command line had imported too much."""
    with serving(PORT=str(free_port()), WEB_CONCURRENCY=workers) as run:
        for _ in range(6):
            get(run.urls[0])
        text = read(f"http://127.0.0.1:{run.port}/metrics")

    assert 'mimeo_requests_total{status="200"} 6.0' in text
    assert re.search(r'^mimeo_workers\{version="\S+"\} [12]\.0$', text, re.M)


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_number_of_workers_counts_as_unset(empty):
    with serving(PORT=str(free_port()), WEB_CONCURRENCY=empty) as run:
        status = get(run.urls[-1])

    assert status == 200


def test_a_signal_ends_it_without_a_word():
    with serving(PORT=str(free_port())) as run:
        run.process.terminate()
        _, said = run.process.communicate(timeout=60)

    assert run.process.returncode == 0
    assert "Traceback" not in said


def test_a_taken_default_port_moves_to_the_next_free_one():
    with default_port_held() as taken, serving() as run:
        assert run.port > taken
        assert get(run.urls[-1]) == 200
        run.process.send_signal(signal.SIGTERM)
        said = run.process.stderr.read()

    assert f"Port {taken} is taken; using {run.port}." in said


@contextmanager
def default_port_held() -> Iterator[int]:
    """Hold the default port, unless some other program on this machine does."""
    try:
        with closing(listener.listen("127.0.0.1", 8000)):
            yield 8000
    except listener.PortTaken:
        yield 8000


@pytest.mark.parametrize("by_option", [True, False])
def test_a_taken_port_that_was_asked_for_is_an_error(by_option):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        if by_option:
            run = finish(*MIMEO, "serve", "--port", port)
        else:
            run = finish(*MIMEO, "serve", PORT=port)

    assert run.returncode == 2
    assert run.stderr.startswith(f"mimeo: port {port} is taken on 127.0.0.1. ")
    assert run.stderr.count("\n") == 1


def test_an_address_of_another_machine_is_an_error():
    run = finish(*MIMEO, "serve", "--host", "192.0.2.1", "--port", "8000")

    assert run.returncode == 2
    assert run.stderr.startswith("mimeo: cannot listen on 192.0.2.1:8000: ")


# Gunicorn reads WEB_CONCURRENCY itself, before any file of ours.
@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ((*MIMEO, "serve"), "MIMEO_MAX_SIDE"),
        ((*MIMEO, "serve"), "PORT"),
        ((*MIMEO, "serve"), "WEB_CONCURRENCY"),
        (GUNICORN, "MIMEO_MAX_SIDE"),
        (GUNICORN, "PORT"),
    ],
)
def test_a_bad_setting_stops_the_start_in_one_line(command, variable):
    run = finish(*command, **{variable: "many"})

    assert run.returncode != 0
    assert run.stderr.startswith(f"mimeo: {variable}='many': must be a whole number")
    assert run.stderr.count("\n") == 1


def test_a_store_that_cannot_be_written_stops_the_start_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    run = finish(*GUNICORN, MIMEO_STORE=str(tmp_path / "file" / "store"))

    assert run.returncode != 0
    assert run.stderr.startswith("mimeo: MIMEO_STORE: ")
    assert run.stderr.count("\n") == 1


def configured(**environ: str) -> dict[str, str]:
    """Return what gunicorn makes of gunicorn.conf.py."""
    run = finish(*GUNICORN, "--print-config", **environ)
    assert run.returncode == 0, run.stderr
    rows = re.findall(r"^(\w+) += (.*)$", run.stdout, re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize(
    ("environ", "bind"),
    [
        ({}, "127.0.0.1:8000"),
        ({"HOST": "::1"}, "[::1]:8000"),
        ({"HOST": "127.0.0.2", "PORT": "9"}, "127.0.0.2:9"),
    ],
)
def test_gunicorn_binds_to_what_the_environment_says(environ, bind):
    assert configured(**environ)["bind"] == f"['{bind}']"


def test_a_platform_that_sets_the_port_reaches_every_address():
    assert configured(PORT="9")["bind"] in ("['[::]:9']", "['0.0.0.0:9']")


def test_gunicorn_takes_workers_and_threads_from_the_environment():
    rows = configured(WEB_CONCURRENCY="3", MIMEO_THREADS="5")

    assert (rows["workers"], rows["threads"]) == ("3", "5")
    assert rows["worker_class"] == "app.serving.worker.PollingWorker"
    assert rows["reload"] == "False"


def test_every_setting_of_the_file_is_one_that_gunicorn_knows():
    names = re.findall(r"^(\w+) = ", (ROOT / "gunicorn.conf.py").read_text(), re.M)
    rows = configured()

    assert [n for n in names if n not in rows and not n.startswith("_")] == []


def test_an_edit_shows_in_development(tmp_path):
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "parameters.toml").write_text(PARAMETERS)
    (folder / "template.html").write_text(page("red"))
    options = ("--reload", "--templates", str(tmp_path), "--port", str(free_port()))

    with serving(*options) as run:
        url = f"http://127.0.0.1:{run.port}/images/hello.png"
        before = body(url)
        (folder / "template.html").write_text(page("blue"))
        after = body(url)

    assert before != after


def body(url: str) -> bytes:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as connection:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


def page(color: str) -> str:
    return f'<div style="width: 60px; height: 20px; background: {color}"></div>'


PARAMETERS = """\
title = "Hello"
width = 60
height = 20
"""


def test_procfile_starts_what_these_tests_start():
    line = "web: MIMEO_PROXIES=${MIMEO_PROXIES:-1} python -m app.cli.start\n"
    assert line in (ROOT / "Procfile").read_text()


@contextmanager
def previewing(*options: str, cwd: Path, **environ: str) -> Iterator[str]:
    """Run `mimeo preview`; yield the address that it prints."""
    process = subprocess.Popen(
        [*MIMEO, "preview", *options],
        cwd=cwd,
        env=environment(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process.stdout.readline().split(" ")[0].strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_preview_opens_the_studio_in_a_browser_and_prints_its_address(tmp_path):
    # What BROWSER names is what Python's webbrowser starts.
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part\n')
    browser.write_text(f"{browser.read_text()}mv opened.part opened\n")
    browser.chmod(0o755)
    own = tmp_path / "own" / "mine"
    own.mkdir(parents=True)
    own.joinpath("parameters.toml").write_text('title = "A"\nwidth = 9\nheight = 9\n')
    own.joinpath("template.html").write_text("<p></p>")
    options = ("mine", "--templates", "own")
    # Whatever the server of this machine is told: a preview is for who sits here.
    elsewhere = {"HOST": "0.0.0.0", "MIMEO_ACCESS": "keys", "BROWSER": f"{browser} %s"}

    with previewing(*options, cwd=tmp_path, **elsewhere) as url:
        wait_until((tmp_path / "opened").is_file)
        page = read(url)
        status = get(f"{url.partition('/studio')[0]}/images/mine.png")

    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/studio#/make/mine")
    assert (tmp_path / "opened").read_text().strip() == url
    assert "<title>" in page
    assert status == 200


def test_preview_opens_nothing_where_it_is_told_so(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n")
    browser.chmod(0o755)
    elsewhere = {"BROWSER": f"{browser} %s"}

    with previewing("--no-open", cwd=tmp_path, **elsewhere) as url:
        status = get(url)

    assert status == 200
    assert url.endswith("/studio")
    assert not (tmp_path / "opened").exists()


def test_preview_names_a_renderer_that_is_not_there(tmp_path):
    ended = finish(*MIMEO, "preview", "carde", cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "'carde'" in ended.stderr
