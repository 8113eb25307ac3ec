"""`mimeo batch --url` has a server draw, and brings the archive home over breaks."""

import json
import os
import random
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.cli.main import main
from tests.gunicorn_server import Server, listening, serve

APP = "tests.faulty:build()"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(table(40))
    return tmp_path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    traces = tmp_path / "traces"
    traces.mkdir()
    settings = {"MIMEO_STORE": str(tmp_path / "store"), "FAULTY_FOLDER": str(traces)}
    with serve(APP, settings) as running:
        yield running


def table(count: int, **cells: dict[int, str]) -> str:
    head = ",".join(("number", *cells))
    rows = (
        ",".join((str(n), *(column.get(n, "") for column in cells.values())))
        for n in range(1, count + 1)
    )
    return "\n".join((head, *rows)) + "\n"


def batch(url: str, *more: str) -> int:
    fixed = ("rows.csv", "--renderer", "faulty", "-o", "a.zip", "--url", url)
    return main(["batch", *fixed, "--width", "300", "--height", "200", *more])


def names() -> list[str]:
    with zipfile.ZipFile("a.zip") as archive:
        assert archive.testzip() is None
        return archive.namelist()


def parts() -> list[Path]:
    return list(Path().glob("*.part"))


@contextmanager
def cutting(server: Server, most: int) -> Iterator[str]:
    """Stand between, and cut every connection after `most` bytes of an answer."""
    host = urlsplit(server.url)
    with closing(listening()) as listener:

        def relay(client: socket.socket) -> None:
            upstream = socket.create_connection((host.hostname, host.port))
            with closing(client), closing(upstream):
                threading.Thread(target=up, args=(client, upstream)).start()
                left = most
                while left > 0 and (block := upstream.recv(min(left, 65536))):
                    client.sendall(block)
                    left -= len(block)
                for end in (client, upstream):
                    end.shutdown(socket.SHUT_RDWR)

        def up(client: socket.socket, upstream: socket.socket) -> None:
            try:
                while block := client.recv(65536):
                    upstream.sendall(block)
            except OSError:
                # The other direction has cut both.
                return

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=relay, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield "http://{}:{}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)


def test_a_server_draws_and_the_archive_comes_home(server, folder, capsys):
    assert batch(server.url) == 0

    assert len(names()) == 41
    assert "a.zip: 40 images" in capsys.readouterr().err
    assert parts() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_connection_that_is_cut_again_and_again_is_resumed(server, folder, capsys):
    with cutting(server, 20_000) as url:
        status = batch(url)

    assert status == 0
    assert len(names()) == 41
    assert "Going on from byte" in capsys.readouterr().err


def test_an_interrupted_download_goes_on_from_its_part(server, folder, capsys):
    batch(server.url)
    whole = Path("a.zip").read_bytes()
    capsys.readouterr()
    [key] = {path.name.split(".")[0] for path in (folder / "store").rglob("*.archive")}
    cut = random.Random(5).randrange(3000, len(whole) - 3000)
    Path(f"a.zip.{key[:12]}.part").write_bytes(whole[:cut])

    batch(server.url)

    assert Path("a.zip").read_bytes() == whole
    assert "of them found" in capsys.readouterr().err


DAMAGE = {
    "other bytes at its end": lambda whole: whole[:2000] + b"x" * 3000,
    "other bytes within": lambda whole: whole[:2000] + b"x" * 9 + whole[2009:],
    "more than there is": lambda whole: whole + b"x",
    "no archive": lambda whole: b"<html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_part_is_begun_anew(server, folder, damage):
    batch(server.url)
    whole = Path("a.zip").read_bytes()
    [key] = {path.name.split(".")[0] for path in (folder / "store").rglob("*.archive")}
    Path(f"a.zip.{key[:12]}.part").write_bytes(DAMAGE[damage](whole))

    assert batch(server.url) == 0

    assert Path("a.zip").read_bytes() == whole
    assert parts() == []


def test_rows_that_fail_are_named(server, folder, capsys):
    Path("rows.csv").write_text(table(9, fail={4: "undrawable", 7: "timeout"}))

    status = batch(server.url)

    said = capsys.readouterr().err
    assert status == 1
    assert len(names()) == 8
    assert "7 images, 2 failed" in said
    assert "row 4" in said and "row 7" in said


def test_bad_rows_are_named_as_at_home(server, folder, capsys):
    Path("rows.csv").write_text("number\n1\nx\n")

    assert batch(server.url) == 2
    assert "row 2, line 3: number:" in capsys.readouterr().err


def test_a_server_that_breaks_off_for_good_leaves_the_part(
    server, folder, capsys, monkeypatch
):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    Path("rows.csv").write_text(table(60, fail={40: "crash"}))

    status = batch(server.url)

    assert status == 1
    assert "broke off" in capsys.readouterr().err
    assert not Path("a.zip").exists()


def test_a_restart_midway_is_survived(server, folder):
    waits = {n: "0.05" for n in range(1, 61)}
    Path("rows.csv").write_text(table(60, wait_s=waits))
    timer = threading.Timer(0.8, os.kill, (server.pid, signal.SIGHUP))
    timer.start()

    status = batch(server.url)

    timer.join()
    assert status == 0
    assert len(names()) == 61


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://x:y"]
)
def test_what_is_no_url_is_refused(folder, capsys, url):
    assert batch(url) != 0
    assert "--url" in capsys.readouterr().err


def test_nobody_there_is_said_in_a_line(folder, capsys):
    with closing(listening()) as probe:
        port = probe.getsockname()[1]

    assert batch(f"http://127.0.0.1:{port}") == 1
    assert "no connection" in capsys.readouterr().err


def test_something_else_than_mimeo_is_said_in_a_line(server, folder, capsys):
    assert batch(f"{server.url}/renderers") == 1
    assert json.dumps("Traceback") not in capsys.readouterr().err
