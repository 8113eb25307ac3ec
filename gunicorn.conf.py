"""How gunicorn runs Mimeo: one reason beside each number."""

import atexit
import fcntl
import os
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.access.ledger import open_ledger
from app.cli.listener import address
from app.config import BadSetting, Settings, allocator, budget_of
from app.pipeline.core_tokens import TOKENS
from app.renderer.engine.engine import load_engine
from app.renderer.engine.fonts import BrokenFont
from app.serving.memory_share import MemoryShare
from app.serving.succession import reloads
from app.store import StoreError, open_store

try:
    _settings = Settings.from_env(os.environ)
    # Opened here only to say in one line, before any worker starts, what is wrong.
    open_store(_settings.store, _settings.store_bytes)
    open_ledger(_settings)
    # Workers inherit the fonts, 40 MiB that are in memory once and not once for each.
    # The master reads this file again on HUP, when there may be other fonts.
    load_engine.cache_clear()
    load_engine(_settings.fonts, _settings.system_fonts)
except BadSetting as error:
    sys.exit(f"mimeo: {error}")
except StoreError as error:
    sys.exit(f"mimeo: MIMEO_STORE: {error}")
except BrokenFont as error:
    sys.exit(f"mimeo: MIMEO_FONTS: {error}")


_BUDGET = budget_of(_settings)
# Made here, in the master: its workers share them.
_TOKENS = TOKENS
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_OURS = "mimeo-metrics-"
_LOCK = "lock"


def _bind() -> str:
    if "HOST" in os.environ or "PORT" not in os.environ:
        return address(_settings.host, _settings.port)
    # A platform that sets PORT (Heroku and its kind) routes to every address.
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    return address(everywhere, _settings.port)


def _metrics_folder() -> str:
    """Return where the workers keep their figures: as set, or a new folder.

    A folder of another master's, which was replaced by this one, ends with it.
    """
    given = os.environ.get(_METRICS, "")
    if given and (_OURS not in given or f"{_OURS}{os.getpid()}-" in given):
        os.makedirs(given, exist_ok=True)
        return given
    made = tempfile.mkdtemp(prefix=f"{_OURS}{os.getpid()}-", dir=worker_tmp_dir)
    atexit.register(_remove, made, os.getpid())
    # For as long as the master or a worker lives: workers inherit it, locked.
    fcntl.flock(os.open(f"{made}/{_LOCK}", os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)
    return made


def _remove_abandoned() -> None:
    """Remove folders of figures whose servers were killed, and are in memory."""
    parent = Path(worker_tmp_dir or tempfile.gettempdir())
    for lock in parent.glob(f"{_OURS}*/{_LOCK}"):
        # Somebody else's, or a server's that runs.
        with suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def _remove(folder: str, owner: int) -> None:
    """Remove a folder at the end of the process that made it, not of its forks."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def on_starting(server: Any) -> None:
    """Say what draws collections, and where memory has fewer workers than are set."""
    drawn = f"{_BUDGET.processes} processes" if _BUDGET.processes else "threads"
    server.log.info("Collections are drawn by %s (MIMEO_BULK_PROCESSES)", drawn)
    if _BUDGET.workers < _settings.workers:
        server.log.warning(
            "%s MiB of memory are enough for %s of %s workers"
            " (MIMEO_MEMORY_BYTES, WEB_CONCURRENCY)",
            _BUDGET.total_bytes >> 20,
            _BUDGET.workers,
            _settings.workers,
        )


def on_reload(server: Any) -> None:
    """Let the workers of before listen until new ones do; HUP reads this file again."""
    reloads(server.worker_age)
    on_starting(server)


def pre_fork(server: Any, worker: Any) -> None:
    """Tell a worker what is set for it."""
    worker.patience_s = _settings.receive_timeout_s
    worker.queue_timeout_s = _settings.queue_timeout_s
    worker.share = MemoryShare(_BUDGET.worker_bytes, allocator.trim)


def post_worker_init(worker: Any) -> None:
    """Copy the worker for callers' HTML, before it has threads; then draw jobs."""
    extensions = getattr(worker.app.wsgi(), "extensions", {})
    extensions.get("mimeo.fork_early", bool)()
    if "mimeo.jobs" in extensions:
        extensions["mimeo.jobs"].start()


def worker_exit(server: Any, worker: Any) -> None:
    """Leave the chunk of a job that a worker draws, so that another goes on at once."""
    # None in the master, where this is called for workers that were found dead.
    engine = getattr(worker.app.callable, "extensions", {}).get("mimeo.jobs")
    if engine is not None:
        engine.close()


def child_exit(server: Any, worker: Any) -> None:
    """Take back what a worker had in hand, also where it was killed."""
    # Not above: prometheus_client looks for the folder when it is imported.
    from app.observability.multiprocess import bury

    try:
        bury(Path(os.environ[_METRICS]), worker.pid)
    except Exception as error:
        # A folder that somebody has emptied must not end the server.
        server.log.warning("figures of worker %s: %s", worker.pid, error)


def _forget_application() -> None:
    """Unload what was imported above, so that a reloaded worker reads the new code."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
        del sys.modules[name]


# Here, in the master: the workers inherit it.
allocator.tune()
allocator.settle()

bind = _bind()

# Threads: a worker of the sync class is held by one slow client, and writes a
# second status line into a body that it has to break off (gunicorn issue 3410).
# Gunicorn's own threads are held by clients that send slowly.
worker_class = "app.serving.worker.PollingWorker"

# One for each core, as far as memory goes: drawing fills a core, and its C code
# releases the GIL.
workers = _BUDGET.workers

# Not more drawing (the pipeline admits that), but more clients that read slowly.
threads = _settings.threads

# The master's patience with a worker that gives no sign of life at all; the time
# that one picture may take is MIMEO_RENDER_TIMEOUT_S.
timeout = 30

# Platforms kill 30 s after they asked to stop: be done before.
graceful_timeout = 25

# Longer than the 90 s that Heroku's router and the 60 s that nginx keep a connection
# for reuse: whoever reuses it has to be the first to close it. An idle one costs a
# file descriptor, not a thread.
keepalive = 95

# The most that gunicorn takes (default 4094): parameters travel in the URL, and a
# letter outside ASCII takes 6 to 12 bytes there.
limit_request_line = 8190

# The heartbeat file in memory: on a disk its fchmod can block for seconds.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

try:
    _remove_abandoned()
    os.environ[_METRICS] = _metrics_folder()
except OSError as error:
    sys.exit(f"mimeo: {_METRICS}: {error}")

# No gunicorn access log: the application writes one JSON line for each request.
accesslog = None

# Nothing here uses it, and two servers of one user would share its path.
control_socket_disable = True

# In development only: start a worker anew when a Python file changes.
reload = _settings.development
if reload:
    _forget_application()

# Left to gunicorn: forwarded_allow_ips is what FORWARDED_ALLOW_IPS says, and
# max_requests stays 0: a worker is replaced when it holds more memory than its share.
