"""Sentry gets errors that nobody expected, once, and no word of a caller."""

import gzip
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import brotli
import pytest

from app import create_app
from app.config import BadSetting, Settings
from tests.gunicorn_server import ROOT, serve
from tests.observability.test_metrics import wait_until

WORD = "zebra-in-a-query"
# A view of ours that fails with what it was sent, in a variable and in the message.
FAILING = """
from app import create_app

app = create_app()

@app.get("/fail")
def fail():
    from flask import request
    word = request.args["word"]
    raise ZeroDivisionError(f"not by {word}")

"""


@contextmanager
def ingesting() -> Iterator[tuple[str, list[Any]]]:
    """Run what takes envelopes; yield its DSN and the events that came."""
    events: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            plain = {"br": brotli.decompress, "gzip": gzip.decompress}
            body = plain[self.headers["Content-Encoding"]](body)
            _, head, event, *_ = body.split(b"\n")
            if json.loads(head)["type"] == "event":
                events.append(json.loads(event))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://key@127.0.0.1:{server.server_port}/1", events
        server.shutdown()


def test_an_unexpected_error_is_reported_once_without_words(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    (tmp_path / "gunicorn.conf.py").symlink_to(ROOT / "gunicorn.conf.py")
    with ingesting() as (dsn, events):
        settings = {"SENTRY_DSN": dsn, "PYTHONPATH": str(ROOT)}
        with serve("failing:app", settings, tmp_path) as server:
            expected = server.ask(f"/images/card.png?nonsense={WORD}")
            failed = server.ask(f"/fail?word={WORD}", headers={"Cookie": WORD})
            wait_until(lambda: bool(events))
            os.kill(server.pid, 15)

    assert (expected.status, failed.status) == (422, 500)
    (event,) = events
    (told,) = event["exception"]["values"]
    assert told["type"] == "ZeroDivisionError"
    assert told["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["tags"]["request_id"] == failed.headers["X-Request-ID"]
    assert event["release"].startswith("mimeo@")
    assert WORD not in json.dumps(event)


def test_a_report_that_cannot_be_sent_hinders_nobody(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    (tmp_path / "gunicorn.conf.py").symlink_to(ROOT / "gunicorn.conf.py")
    with ingesting() as (dsn, _):
        pass
    settings = {"SENTRY_DSN": dsn, "PYTHONPATH": str(ROOT)}
    with serve("failing:app", settings, tmp_path) as server:
        statuses = [server.ask("/fail?word=a").status for _ in range(3)]
        fine = server.ask("/images/solid.png").status

    assert (statuses, fine) == ([500] * 3, 200)


def test_a_dsn_that_is_none_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(BadSetting) as raised:
        create_app(Settings(store="none", error_reports="swordfish"), {})

    assert "SENTRY_DSN" in str(raised.value)
    assert "swordfish" not in str(raised.value)
    names = {type(each).__name__ for each in logging.getLogger("mimeo").handlers}
    assert "ErrorReports" not in names
