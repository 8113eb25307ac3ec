"""Thousands of requests made of the document end as it says, and none in a fault."""

from collections.abc import Mapping
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
# With one seed they are the same each time: more by `tests.openapi.conformance`.
EACH = 25


def conforms(store: Path, settings: Mapping[str, str], *options: str) -> int:
    """Ask each operation `EACH` times, all well; return how many requests it was."""
    with serve(settings={**settings, "MIMEO_STORE": str(store)}) as server:
        phases = ("--phases", "examples,fuzzing,stateful", "--seed", "1")
        report = run(server, EACH, *phases, *options)
        log = server.log.read_text()

    assert report.status == 0, report.text
    assert "Traceback" not in log, log
    return report.cases


def test_every_route_answers_as_the_document_says(tmp_path: Path) -> None:
    cases = conforms(tmp_path, SETTINGS, "--include-path-regex", ROUTES)

    assert cases >= EACH * 40


def test_what_needs_a_key_answers_whoever_has_one_as_the_document_says(
    tmp_path: Path,
) -> None:
    options = ("--include-path-regex", KEYED_ROUTES, *KEYED)

    cases = conforms(tmp_path, KEYED_SETTINGS, *options)

    # Of ten operations.
    assert cases >= EACH * 10


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
