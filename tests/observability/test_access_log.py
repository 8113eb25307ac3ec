"""One JSON line a request, without what people had drawn."""

import json
from dataclasses import replace

import pytest

from app import create_app
from app.config import Settings
from app.observability.access_log import LINES


def test_request_is_one_line_without_its_query(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    app = create_app(replace(settings, access_log=True))
    client = app.test_client()
    capfd.readouterr()

    client.get("/images/solid.png?color=red", headers={"X-Request-ID": "abc"}).close()
    LINES.flush()

    (line,) = capfd.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["request_id"] == "abc"
    assert (entry["method"], entry["path"]) == ("GET", "/images/solid.png")
    assert entry["status"] == 200
    assert entry["duration_ms"] > 0
    assert "red" not in line


def test_log_can_be_turned_off(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    client = create_app(replace(settings, access_log=False)).test_client()
    capfd.readouterr()

    client.get("/health/live").close()
    LINES.flush()

    assert capfd.readouterr().err == ""
