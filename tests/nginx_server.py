"""A real nginx with our configuration in front of a server, stopped by its pid."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.gunicorn_server import ROOT, Server, listening

_MAIN = """\
daemon off;
worker_processes auto;
pcre_jit on;
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
def in_front(
    server: Server, changes: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run nginx in front of a server, with deploy/nginx.conf but for the places.

    `changes` are what an operator would change in it: texts, and what is put there.
    The pid is that of nginx, the log that of the server behind it.
    """
    with closing(listening()) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        # Started by root, nginx has workers that are not.
        Path(folder).chmod(0o711)
        main = Path(folder, "nginx.conf")
        ours = _ours(server, port, Path(folder), changes or {})
        main.write_text(_MAIN.format(folder=folder, ours=ours))
        process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", str(main)], stderr=subprocess.PIPE
        )
        front = replace(server, url=f"http://127.0.0.1:{port}", pid=process.pid)
        try:
            _wait(front, process)
            yield front
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _ours(server: Server, port: int, folder: Path, changes: Mapping[str, str]) -> str:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    places = {
        "127.0.0.1:8000": server.url.removeprefix("http://"),
        "listen 80 default_server": f"listen 127.0.0.1:{port}",
        "/var/cache/nginx-mimeo": f"{folder}/cache",
        "/var/log/nginx/mimeo.log": f"{folder}/mimeo.log",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    for old, new in places.items():
        text = text.replace(old, new)
    return text


def _wait(front: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        try:
            front.ask("/health/live")
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("nginx did not start")
