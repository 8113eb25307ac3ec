"""Thousands of requests made of the document end as it says, and none in a fault."""

from pathlib import Path

import pytest

from tests.gunicorn_server import serve
from tests.openapi.conformance import (
    KEYED,
    KEYED_ROUTES,
    KEYED_SETTINGS,
    SETTINGS,
    run,
)

# Every route, and of the renderers those that draw in no time.
ROUTES = r"^/(?!images/)|^/images/(solid|identicon)([.]|$)"


def test_every_route_answers_as_the_document_says(tmp_path: Path) -> None:
    settings = {**SETTINGS, "MIMEO_STORE": str(tmp_path)}

    with serve(settings=settings) as server:
        report = run(
            server,
            50,
            *("--phases", "examples,fuzzing,stateful", "--seed", "1"),
            *("--include-path-regex", ROUTES),
        )
        log = server.log.read_text()

    assert report.status == 0, report.text
    assert report.cases >= 50 * 40, report.text
    assert "Traceback" not in log, log


@pytest.mark.parametrize("access", ["keys", "signed"])
def test_what_needs_a_key_is_refused_without_one(tmp_path: Path, access: str) -> None:
    settings = {**SETTINGS, "MIMEO_STORE": str(tmp_path), "MIMEO_ACCESS": access}

    with serve(settings=settings) as server:
        report = run(
            server,
            3,
            *("--phases", "examples,fuzzing", "--seed", "1"),
            *("--include-path-regex", ROUTES),
        )

    assert report.status == 0, report.text


def test_what_needs_a_key_answers_whoever_has_one_as_the_document_says(
    tmp_path: Path,
) -> None:
    settings = {**KEYED_SETTINGS, "MIMEO_STORE": str(tmp_path)}

    with serve(settings=settings) as server:
        report = run(
            server,
            50,
            *("--phases", "examples,fuzzing,stateful", "--seed", "1"),
            *("--include-path-regex", KEYED_ROUTES, *KEYED),
        )
        log = server.log.read_text()

    assert report.status == 0, report.text
    # Of ten operations.
    assert report.cases >= 50 * 10, report.text
    assert "Traceback" not in log, log
