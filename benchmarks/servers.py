"""Start and stop the servers under test, each on a free port of 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / "benchmarks" / "node"
START_S = 60
SETTLE_S = 20
# Of a tenth of a second, what a server may take that has nothing to do.
_IDLE_S = 0.03


@dataclass(frozen=True, slots=True)
class Server:
    """A command that serves HTTP on the port in its environment variable PORT."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def gunicorn(name: str, app: str, workers: int, **environment: str) -> Server:
    """Return a WSGI application under Mimeo's own gunicorn settings."""
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", app]
    return Server(name, command, {"WEB_CONCURRENCY": str(workers), **environment})


def mimeo(name: str, workers: int, **environment: str) -> Server:
    """Return Mimeo itself, which counts what one address draws and refuses none."""
    rate = {"MIMEO_RATE_ANONYMOUS": "1000000/second"}
    return gunicorn(name, "wsgi:app", workers, **rate, **environment)


def fastapi(name: str, workers: int) -> Server:
    """Return the natural FastAPI endpoint, with uvloop and httptools."""
    command = [sys.executable, "-m", "benchmarks.contenders.fastapi_app"]
    return Server(name, command, {"WORKERS": str(workers)})


def node(name: str, script: str, workers: int, assets: Path) -> Server:
    """Return a node server, clustered; `assets` holds a picture's parts and fonts."""
    environment = {
        "WORKERS": str(workers),
        "CHROMIUM": shutil.which("chromium") or "",
        **of_assets(assets),
    }
    return Server(name, ["node", str(NODE / script)], environment)


def of_assets(folder: Path) -> dict[str, str]:
    """Return the environment of whoever reads a picture's parts and its fonts."""
    return {"ASSETS": str(folder), "FONTCONFIG_FILE": str(folder / "fonts.conf")}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: its base URL and the id of its first process."""

    base: str
    pid: int

    @property
    def children(self) -> tuple[int, ...]:
        """Ids of the processes that the first one started: gunicorn's workers."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return tuple(int(pid) for pid in path.read_text().split())

    def polling_s(self) -> float:
        """Return the processor time that the first threads of its children have used.

        Mimeo's do nothing but accept, hear, refuse and hand over.
        """
        paths = [Path(f"/proc/{pid}/task/{pid}/stat") for pid in self.children]
        return sum(stat[3] for path in paths if (stat := _stat(path)))

    def cpu_s(self) -> float:
        """Return the processor time that all its processes have used so far.

        They are those of its session and what these started: a browser has its own.
        """
        found = [s for p in Path("/proc").glob("[0-9]*/stat") if (s := _stat(p))]
        ours = {pid for pid, _, session, _ in found if session == self.pid}
        while more := {pid for pid, parent, *_ in found if parent in ours} - ours:
            ours |= more
        return sum(used for pid, *_, used in found if pid in ours)

    def settle(self) -> None:
        """Wait until it has done what it was asked at the end of a round.

        Else it would do so in the next one. Gives up after `SETTLE_S`.
        """
        end = time.monotonic() + SETTLE_S
        before, after = -1.0, self.cpu_s()
        while after - before > _IDLE_S and time.monotonic() < end:
            time.sleep(0.1)
            before, after = after, self.cpu_s()


def _stat(path: Path) -> tuple[int, int, int, float] | None:
    """Return id, parent, session and seconds of a process, see proc(5), if it runs."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    used = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return int(path.parent.name), int(fields[1]), int(fields[3]), used


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, wait until it answers, give its whereabouts, stop it."""
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            server.command,
            cwd=ROOT,
            env={**os.environ, **server.environment, **_address(port)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            base = f"http://127.0.0.1:{port}"
            _wait(process, base)
            yield Running(base, process.pid)
        except RuntimeError as error:
            log.seek(0)
            text = log.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{server.name}: {error}\n{text}") from error
        finally:
            _stop(process)


def _address(port: int) -> dict[str, str]:
    return {"HOST": "127.0.0.1", "PORT": str(port)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], base: str) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"ended with status {process.returncode}")
        try:
            requests.get(base, timeout=5).close()
            return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)
    raise RuntimeError(f"did not answer within {START_S} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
