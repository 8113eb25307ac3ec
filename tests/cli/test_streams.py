"""Closed pipes, full disks, other encodings and odd files end in one line."""

import os
import pty
import signal
import subprocess
import sys
import termios
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NameResolutionError

from app.cli import options
from app.cli.client import RemoteError, RemoteServer
from app.cli.exit_status import ExitStatus
from app.cli.main import main
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MIMEO = f"{sys.executable} -m app.cli.entry"


@pytest.fixture(autouse=True)
def environment(alone, monkeypatch):
    """Keep nothing in a store, and the caller's proxies out."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv("MIMEO_STORE", "none")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def shell(command: str, **environ: str) -> tuple[int, str, str]:
    """Run a line of bash; return its status, and what it wrote."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("mimeo ", f"{MIMEO} ")],
        capture_output=True,
        env={**os.environ, **environ},
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("mimeo fonts | true", ExitStatus.FAILED, ""),
        ("mimeo fonts >&-", ExitStatus.MISUSE, "mimeo: standard output is closed\n"),
        (
            "mimeo fonts > /dev/full",
            ExitStatus.FAILED,
            "mimeo: standard output: No space left on device\n",
        ),
        ("mimeo render solid -o red.png 2>&- 0<&-", ExitStatus.DONE, ""),
        ("mimeo render carde -o red.png 2>&-", ExitStatus.MISUSE, ""),
    ],
)
def test_a_stream_that_cannot_be_used_ends_in_a_line(command, status, said):
    assert shell(command) == (status, "", said)


def test_a_terminal_of_another_encoding_shows_what_it_can():
    status, out, err = shell("mimeo render Ž -o a.png", PYTHONIOENCODING="ascii")

    assert (status, out) == (ExitStatus.MISUSE, "")
    assert err.startswith(r"mimeo: No renderer is named '\u017d'")


def test_an_argument_that_is_no_utf_8_is_named():
    status, _, err = shell("mimeo render card --title $'\\xff' -o a.png")

    assert status == ExitStatus.MISUSE
    assert err == "mimeo: --title: holds bytes that are no UTF-8 text\n"


def test_no_color_and_a_dumb_terminal_get_plain_lines():
    _, out, err = shell("mimeo renderers; mimeo frob", NO_COLOR="1", TERM="dumb")

    assert "\x1b" not in out + err and "\r" not in out + err


def test_ctrl_c_while_it_starts_is_a_line(tmp_path):
    # It stands still in the first thing that is imported.
    slow = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n"
    (tmp_path / "shtab.py").write_text(slow)
    process = subprocess.Popen(
        [*MIMEO.split(), "fonts"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until((tmp_path / "begun").is_file, 60)

    process.send_signal(signal.SIGINT)

    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (
        ExitStatus.INTERRUPTED,
        "mimeo: interrupted\n",
    )


class SlowServer(BaseHTTPRequestHandler):
    """Answers when it is let go."""

    let_go = Event()

    def do_GET(self) -> None:
        self.let_go.wait(60)
        body = b'{"jobs": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


def test_a_terminal_shows_what_takes_over_a_second_and_a_pipe_does_not():
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowServer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    command = [*MIMEO.split(), "jobs", "list", "--url", url]
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    piped = subprocess.Popen(command, stderr=subprocess.PIPE)
    shown = subprocess.Popen(command, stderr=terminal)
    os.close(terminal)
    said = b""
    try:
        while b"is asked, 00:01" not in said and shown.poll() is None:
            said += os.read(control, 4096)
    finally:
        SlowServer.let_go.set()
        statuses = shown.wait(60), piped.wait(60)
        os.close(control)
        server.shutdown()
        thread.join()
        server.server_close()

    with piped.stderr:
        assert piped.stderr.read() == b""
    assert statuses == (ExitStatus.DONE, ExitStatus.DONE)
    assert f"mimeo: 127.0.0.1:{server.server_port} is asked".encode() in said


def misused(capsys, *arguments: str) -> str:
    assert main(arguments) == ExitStatus.MISUSE
    return capsys.readouterr().err


def test_a_file_without_an_end_is_not_read_to_it(capsys, monkeypatch):
    monkeypatch.setattr(options, "_MOST_BYTES", 1 << 20)

    said = misused(capsys, "render", "card", "--title@", "/dev/zero", "-o", "a.png")

    assert said == "mimeo: --title@: /dev/zero: is over 1 MiB\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0" * 5000, "holds no key: make one by `mimeo key new`"),
        (b"", "holds no key: make one by `mimeo key new`"),
        ("schlüssel".encode(), "holds no key: make one by `mimeo key new`"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_a_file_that_holds_no_key_is_named(capsys, content, reason):
    Path("my.key").write_bytes(content)

    said = misused(capsys, "jobs", "list", "--key-file", "my.key")

    assert said == f"mimeo: --key-file my.key: {reason}\n"


def test_a_device_is_not_replaced_by_an_archive(capsys):
    Path("rows.csv").write_text("width\n20\n")
    os.mkfifo("device")

    said = misused(capsys, "batch", "rows.csv", "--renderer", "solid", "-o", "device")

    assert said == "mimeo: -o device: is no file; - is standard output\n"
    assert Path("device").is_fifo()


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_told_from_a_server(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)

    with pytest.raises(RemoteError, match=r"HTTP_PROXY.*NO_PROXY"):
        RemoteServer("http://images.example").job("a" * 64)


def test_a_host_that_is_not_there_is_told_from_one_that_does_not_answer(monkeypatch):
    def unresolved(*given, **named):
        cause = NameResolutionError("images.example", None, OSError())
        reason = MaxRetryError(None, "/", cause)
        raise requests.ConnectionError(reason)

    monkeypatch.setattr(requests.Session, "request", unresolved)

    with pytest.raises(RemoteError, match="There is no host of that name"):
        RemoteServer("http://images.example").job("a" * 64)
