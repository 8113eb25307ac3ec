"""How much of `app/` a request walks through: `python -m benchmarks.walks`.

Every call into `app/` is counted by `sys.setprofile` and `threading.setprofile`, set
before the app is made, so that all its threads have it. A generator that goes on is
a call, as it is to the profiler. A move is a call in another module than the call
before it in the same thread. Each trip follows others of its kind with other
parameters: modules are imported and templates read.

A class counts as constructed where an instance is seen that was not there when the
trip began: as an argument of a call, of a dataclass's own `__init__` and a named
tuple's `__new__` too, as a local variable or result at a return (of any Python code,
pydantic's as well, whose core makes models without a call), or alive at the end. An
object that is only ever held within containers, and gone at the end, is not seen.
"""

import argparse
import base64
import gc
import io
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from PIL import Image

from benchmarks import table, tree
from benchmarks.servers import ROOT

# Module, name and first line of a function.
Call = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Walk:
    """One request's way; modules in the order in which they are first entered."""

    trip: str
    calls: int
    functions: int
    modules: list[str]
    moves: int
    classes: list[str]


@dataclass(slots=True)
class Recorder:
    """Hears of every call and return in all threads, while `on`."""

    folder: str
    on: bool = False
    calls: dict[threading.Thread, list[Call]] = field(default_factory=dict)
    known: dict[int, Any] = field(default_factory=dict)
    classes: set[type] = field(default_factory=set)

    def hear(self, frame: FrameType, event: str, result: Any) -> None:
        """Take one event; the profiler calls this."""
        if not self.on or event not in ("call", "return"):
            return
        name = self._module(frame)
        if event == "call" and name is not None:
            code = frame.f_code
            call = (name, code.co_qualname, code.co_firstlineno)
            # Not by its id: a thread that ended leaves that to another.
            self.calls.setdefault(threading.current_thread(), []).append(call)
        for value in frame.f_locals.values():
            self._see(value)
        if event == "return":
            self._see(result)

    def _module(self, frame: FrameType) -> str | None:
        if frame.f_code.co_filename.startswith(self.folder):
            return str(frame.f_globals["__name__"])
        return None

    def _see(self, value: Any) -> None:
        made = type(value)
        if _ours(made) and id(value) not in self.known:
            self.classes.add(made)

    def walk(self, trip: str, go: Callable[[], Any]) -> Walk:
        """Record one trip."""
        self.calls.clear()
        self.classes.clear()
        # Held, so that no object of the trip gets the id of one that went.
        self.known = {id(one): one for one in gc.get_objects() if _ours(type(one))}
        self.on = True
        try:
            go()
        finally:
            self.on = False
        for one in gc.get_objects():
            self._see(one)
        self.known.clear()
        lanes = self.calls.values()
        steps = [call for lane in lanes for call in lane]
        return Walk(
            trip,
            len(steps),
            len(set(steps)),
            list(dict.fromkeys(name for name, _, _ in steps)),
            sum(a[0] != b[0] for lane in lanes for a, b in pairwise(lane)),
            sorted(f"{made.__module__}.{made.__qualname__}" for made in self.classes),
        )


def _ours(made: type) -> bool:
    # A class may say anything of its module, even a property.
    name = made.__module__
    return isinstance(name, str) and (name == "app" or name.startswith("app."))


@contextmanager
def service() -> Iterator[str]:
    """Run a service that answers every prompt with one image; yield its URL."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "PNG")
    image = base64.b64encode(buffer.getvalue()).decode()
    body = json.dumps({"data": [{"b64_json": image}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def client(**environment: str) -> Iterator[Any]:
    """Yield a test client of an app with a store of its own."""
    from app import create_app
    from app.config import Settings

    with tempfile.TemporaryDirectory() as store:
        fixed = {"MIMEO_STORE": store, "MIMEO_ACCESS_LOG": "off"}
        if hasattr(Settings, "local_callers"):
            # Whoever is not local buys nothing; older trees asked nobody.
            fixed["MIMEO_LOCAL_CALLERS"] = "on"
        app = create_app(environ={**fixed, **environment})
        try:
            yield app.test_client()
        finally:
            app.extensions["mimeo"].close()


def _fetch(answer: Any, status: int = 200) -> Any:
    """Read an answer to its end."""
    data = answer.get_data()
    if answer.status_code != status:
        raise RuntimeError(f"{answer.status}: {data[:500]!r}")
    answer.close()
    return answer


def _card(of: Any, title: str, status: int = 200, **headers: str) -> Any:
    path = f"/images/card.png?title={title}"
    return _fetch(of.get(path, headers=headers), status)


def _zip(of: Any, word: str) -> Any:
    rows = "".join(f"{word} {number}\n" for number in range(3))
    return _fetch(
        of.post(
            "/collections.zip?renderer=card",
            data=f"title\n{rows}",
            headers={"Content-Type": "text/csv"},
        )
    )


def _post(of: Any, path: str, **body: Any) -> Any:
    return _fetch(of.post(path, json=body))


def walks(folder: str) -> Iterator[Walk]:
    """Make every trip in this process, whose `app` is in `folder`."""
    recorder = Recorder(folder)
    threading.setprofile(recorder.hear)
    sys.setprofile(recorder.hear)
    try:
        with client() as local:
            yield from _cards(recorder, local)
            _zip(local, "Warm")
            yield recorder.walk("ZIP of 3 rows", lambda: _zip(local, "Row"))
            size = {"size": "64x64", "model": "dream"}
            path = "/v1/images/generations"
            _post(local, path, prompt="a warm dream", **size)
            yield recorder.walk(
                "/v1 over dream", lambda: _post(local, path, prompt="a cat", **size)
            )
        with service() as url, client(AI_SERVICE_URL=url) as remote:
            for path in ("/inference", "/v1/images/generations"):
                _post(remote, path, prompt=f"warm {path}")
                yield recorder.walk(
                    f"{'/'.join(path.split('/')[:2])} over a service",
                    lambda path=path: _post(remote, path, prompt=f"a cat {path}"),
                )
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def _cards(recorder: Recorder, local: Any) -> Iterator[Walk]:
    for _ in range(2):
        tag = _card(local, "Warm").headers["ETag"]
    _card(local, "Warm", 304, **{"If-None-Match": tag})
    yield recorder.walk("card, drawn", lambda: _card(local, "Hello"))
    yield recorder.walk("card, stored", lambda: _card(local, "Hello"))
    tag = _card(local, "Hello").headers["ETag"]
    yield recorder.walk(
        "card, 304", lambda: _card(local, "Hello", 304, **{"If-None-Match": tag})
    )


def measure(of: Path) -> dict[str, Walk]:
    """Return the walks by trip, made by a process with the `app` of a checkout."""
    found: Sequence[Mapping[str, Any]] = tree.child("benchmarks.walks", of)
    return {walk["trip"]: Walk(**walk) for walk in found}


HEAD = ("", "calls", "functions", "modules", "moves", "classes")


def _cells(walk: Walk) -> Sequence[str]:
    counts = (walk.calls, walk.functions, len(walk.modules), walk.moves)
    return (walk.trip, *(f"{count:,}" for count in (*counts, len(walk.classes))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; as a child, print JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.walks", description=__doc__)
    parser.add_argument("--tree", default=str(ROOT), help="a checkout or a commit")
    parser.add_argument("--names", action="store_true", help="name what is counted")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        tree.use(options.child)
        folder = f"{options.child}/app/"
        print(json.dumps([asdict(walk) for walk in walks(folder)]))
        return 0
    with tree.checked_out(options.tree) as of:
        found = measure(of)
    rows = [_cells(walk) for walk in found.values()]
    print(table.show("Calls into app/ for one request", HEAD, rows, options.markdown))
    for walk in found.values() if options.names else ():
        print(f"{walk.trip}\n  {', '.join(walk.modules)}")
        print(f"  {', '.join(walk.classes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
