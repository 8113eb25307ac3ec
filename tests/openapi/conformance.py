"""Requests by the thousand, made of the document, to a real gunicorn; and all checks.

`python -m tests.openapi.conformance` makes more than 20,000 of every operation of every
renderer; the test makes 25 of each route, of the renderers that take no time. What
strangers may not do is asked with a key.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from app.access.keys import SCOPES, digest_of, new_key
from tests.gunicorn_server import Server, serve

CONFIG = Path(__file__).with_name("schemathesis.toml")
# Small pictures and tables; nobody is throttled, and nobody is an operator.
SETTINGS = {
    **{"MIMEO_MAX_SIDE": "600", "MIMEO_MAX_PIXELS": "240000", "MIMEO_MAX_ROWS": "20"},
    **{"MIMEO_MAX_FRAMES": "10", "MIMEO_RATE_ANONYMOUS": "none"},
    "MIMEO_LOCAL_CALLERS": "off",
}
_ID, _SECRET = new_key()
# Templates are saved here, and this key may do all there is.
KEYED_SETTINGS = {
    **SETTINGS,
    "MIMEO_TEMPLATE_EDITING": "on",
    "MIMEO_KEYS": f'[keys.{_ID}]\nsha256 = "{digest_of(_SECRET)}"\n'
    f"scopes = {['draw:*', *SCOPES]}\n",
}
KEYED = ("--header", f"Authorization: Bearer {_SECRET}")
# What is refused to strangers wherever a server stands.
KEYED_ROUTES = "^/(templates|metrics)"
_CASES = re.compile(r"([0-9,]+) generated")


class Report(NamedTuple):
    """The exit status, how many cases there were, and what was said of them."""

    status: int
    cases: int
    text: str


def run(server: Server, examples: int, *options: str) -> Report:
    """Make so many examples of each operation, and of chains of them."""
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{server.url}/openapi.json", "--max-examples", str(examples)),
        *("--continue-on-failure", "--no-color", "--generation-database=none"),
        # Ten seconds by default: a busy machine takes longer to draw a preview.
        *("--request-timeout", "60"),
        *options,
    )
    hooks = {
        "SCHEMATHESIS_HOOKS": "tests.openapi.generous",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    # It leaves a folder of its own where it runs.
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            command,
            cwd=scratch,
            env={**os.environ, **hooks},
            capture_output=True,
            text=True,
            check=False,
        )
    text = done.stdout + done.stderr
    found = _CASES.search(text)
    cases = 0 if found is None else int(found[1].replace(",", ""))
    return Report(done.returncode, cases, text)


def main(arguments: Sequence[str]) -> int:
    """Ask everything, in all phases; `arguments` are Schemathesis's own."""
    statuses = []
    for settings, *options in (
        (SETTINGS, *arguments),
        (KEYED_SETTINGS, *KEYED, "--include-path-regex", KEYED_ROUTES, *arguments),
    ):
        with (
            tempfile.TemporaryDirectory() as store,
            serve(settings={**settings, "MIMEO_STORE": store}) as server,
        ):
            report = run(server, 115, *options)
        print(report.text)
        statuses.append(report.status)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
