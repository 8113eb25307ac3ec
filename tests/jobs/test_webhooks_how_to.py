"""The receiver of the how-to is told of the job of the how-to."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.gunicorn_server import ROOT, listening, serve
from tests.waiting import wait_until

HOW_TO = (ROOT / "docs/how-to/webhooks.md").read_text()


def block(kind: str, word: str) -> str:
    """Return the one block of a kind that has a word."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", HOW_TO, re.MULTILINE | re.DOTALL)
    [found] = [text for text in blocks if word in text]
    return found


def test_the_receiver_of_ten_lines_is_told(tmp_path: Path) -> None:
    with listening() as free:
        port = str(free.getsockname()[1])
    store = {"MIMEO_STORE": str(tmp_path / "store")}
    environ = {**os.environ, **store}
    code = block("python", "Webhook(").replace("9000", port)
    start = block("console", "receiver.py").replace("9000", port)
    curl = block("sh", "webhook=").replace("9000", port)
    (tmp_path / "receiver.py").write_text(code)
    key = re.search(r"\$\(\.venv/bin/(mimeo .*?)\)", start)
    assert key is not None and len(code.split("class ")[1].splitlines()) <= 11

    with serve(settings=store) as server, (tmp_path / "out").open("w+b") as out:
        made = subprocess.run(
            [sys.executable, "-m", "app.cli.main", *shlex.split(key[1])[1:]],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            check=True,
            text=True,
        )
        receiver = subprocess.Popen(
            [sys.executable, "receiver.py"],
            cwd=tmp_path,
            env={**environ, "SECRET": made.stdout.strip()},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            command = curl.replace("http://127.0.0.1:8000", server.url)
            sent = subprocess.run(
                shlex.split(command), cwd=ROOT, capture_output=True, check=True
            )
            id = json.loads(sent.stdout)["id"]
            path = f"/jobs/{id}/deliveries"

            def results() -> list[str]:
                listed = json.loads(server.ask(path).body)["deliveries"]
                return [each["result"] for each in listed]

            # The receiver may start later than the first attempt is made.
            wait_until(lambda: "delivered" in results(), 60)
        finally:
            receiver.kill()
            receiver.wait()

    assert f"job.succeeded {id}" in (tmp_path / "out").read_text()
