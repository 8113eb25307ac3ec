"""What tests of jobs share."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import create_app
from app.config import Settings
from tests.jobs.apps import Open, WholeClient, close


@pytest.fixture
def open_app(tmp_path: Path) -> Iterator[Open]:
    """Builds apps over one store, as workers or restarts are."""
    made: list[Flask] = []

    def build(environ: Mapping[str, str] | None = None, **settings: Any) -> Flask:
        given = {"store": str(tmp_path / "store"), "workers": 1} | settings
        fixed = {"system_fonts": False, "access_log": False, "local_callers": True}
        made.append(create_app(Settings(**fixed, **given), environ or {}))
        made[-1].test_client_class = WholeClient
        return made[-1]

    yield build
    for app in made:
        close(app)
