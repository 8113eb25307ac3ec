"""Gunicorn as `mimeo serve` runs it: a free port, and URLs to try."""

import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gunicorn.app.base import Application
from gunicorn.util import import_app

from app.cli.listener import address, open_listener
from app.config import Settings

# Shown once the server listens; each answers 200 (tests/test_serve.py).
TO_TRY = (
    "/images/card.png?title=Hello",
    "/images/qr.svg?data=https://example.com",
    "/images/avatar.webp?name=Ada%20Lovelace&size=256",
    "/renderers",
    "/fonts",
)
_NAME = "gunicorn.conf.py"


class Server(Application):
    """Gunicorn with the settings of gunicorn.conf.py and a socket of our own.

    `descriptor` is a listening socket's, which gunicorn closes. `ready` is called
    once, in the first worker, when it has loaded the app.
    """

    def __init__(self, descriptor: int, ready: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        """Read gunicorn.conf.py; unlike gunicorn, look at no command line."""
        self.load_config_from_file(str(configuration()))
        self.cfg.set("bind", f"fd://{self._descriptor}")
        self.cfg.set("loglevel", "warning")
        self._init_worker = self.cfg.post_worker_init
        self.cfg.set("post_worker_init", self._announce)

    def load(self) -> Any:
        """Make the application, in a worker."""
        return import_app("app:create_app()")

    def _announce(self, worker: Any) -> None:
        self._init_worker(worker)
        if worker.age == 1:
            self._ready()


def configuration() -> Path:
    """Find gunicorn.conf.py: in a checkout, or where an installation puts it."""
    checkout = Path(__file__).resolve().parents[2] / _NAME
    installed = Path(sys.prefix, "share", "mimeo", _NAME)
    return checkout if checkout.is_file() else installed


def serve(
    settings: Settings, *, fixed: bool, page: str | None = None, opened: bool = False
) -> None:
    """Serve until a signal ends it.

    A port in use is an error if it is `fixed`; else the next free one is taken. What
    is printed is where the server is with URLs to try, or where the `page` is, which a
    browser shows if it is to be `opened`. Raises CannotListen.
    """
    listener = open_listener(settings.host, settings.port, fixed=fixed)
    host, port = listener.getsockname()[:2]
    # What the workers read must be what is true.
    os.environ |= {"HOST": host, "PORT": str(port)}
    if ip_address(host).is_loopback:
        # Nobody else reaches it: programs beside it need no key.
        os.environ.setdefault("MIMEO_LOCAL_CALLERS", "on")
    descriptor = listener.detach()
    os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    # A new program in this process. What the command line has imported counts for one
    # process: figures of all workers need a folder that is set before that.
    code = f"import sys; sys.path[:] = {sys.path}; from app.cli import server; "
    code += f"server.run({descriptor}, {page!r}, {opened!r})"
    os.execv(sys.executable, (sys.executable, "-c", code))


def run(descriptor: int, page: str | None, opened: bool) -> None:
    """Serve from a listening socket, whose address the environment has."""
    host, port = os.environ["HOST"], int(os.environ["PORT"])
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    origin = f"http://{address(shown, port)}"
    if page is None:
        Server(descriptor, lambda: _greet(origin)).run()
    else:
        Server(descriptor, lambda: _show(f"{origin}{page}", opened)).run()


def _greet(origin: str) -> None:
    print(f"Mimeo listens on {origin} (Ctrl-C stops it). Try:")
    for path in TO_TRY:
        print(f"  {origin}{path}")
    sys.stdout.flush()


def _show(url: str, opened: bool) -> None:
    """Say where a page is; if it is to be `opened`, have a browser do so."""
    print(f"{url} (Ctrl-C stops the server)", flush=True)
    if opened:
        # A process of its own: a browser in the terminal would hold a worker.
        command = (sys.executable, "-m", "webbrowser", url)
        none = subprocess.DEVNULL
        subprocess.Popen(
            command, stdin=none, stdout=none, stderr=none, start_new_session=True
        )
