"""A real nginx with our configuration in front of a server, stopped by its pid."""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.gunicorn_server import ROOT, Server, listening

_MAIN = """\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{ours}
}}
"""


@contextmanager
def in_front(server: Server) -> Iterator[Server]:
    """Run nginx in front of a server, with deploy/nginx.conf but for the addresses."""
    with closing(listening()) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder, "nginx.conf")
        main.write_text(_MAIN.format(folder=folder, ours=_ours(server, port)))
        process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", str(main)], stderr=subprocess.PIPE
        )
        front = replace(server, url=f"http://127.0.0.1:{port}")
        try:
            _wait(front, process)
            yield front
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _ours(server: Server, port: int) -> str:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    backend = server.url.removeprefix("http://")
    text = text.replace("127.0.0.1:8000", backend)
    return re.sub(r"listen 80 [^;]*;", f"listen 127.0.0.1:{port};", text)


def _wait(front: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        try:
            front.ask("/health/live")
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("nginx did not start")
