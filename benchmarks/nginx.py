"""nginx's cache against nginx with a file: `python -m benchmarks.nginx`.

Both are one nginx with the same log, sockets and open files, asked for the same path
and query; the image in the cache is what Mimeo drew, with its headers, the file is the
same bytes. They are loaded in turns, round by round; the ratio is the median of the
rounds' ratios.
"""

import argparse
import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from statistics import median
from types import MappingProxyType

from benchmarks import card, table
from tests.gunicorn_server import Server, listening, serve
from tests.nginx_server import in_front

LEAST = 0.9
# From small to large: what each request costs beside its bytes weighs less and less.
IMAGES: Mapping[str, str] = MappingProxyType(
    {
        "QR code": "/images/qr.png?data=https%3A%2F%2Fexample.org",
        "card": card.path("/images/card.png").replace("{n}", "1"),
        "art": "/images/dream.png?prompt=A+red+fox&width=512&height=512",
        "large art": "/images/dream.png?prompt=A+red+fox&width=1024&height=1024",
    }
)
_FILE = """\
server {{
    listen 127.0.0.1:{port};
    root {folder};
    access_log {folder}/file.log mimeo buffer=64k flush=5s;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10000 inactive=60s;
    open_file_cache_valid 60s;
    keepalive_requests 10000;
}}

server {{
    listen 80 default_server"""
_RATE = re.compile(r"^Requests/sec: +([\d.]+)$", re.MULTILINE)
_CONNECTIONS = 8


def rate(url: str, seconds: int) -> float:
    """Return the answers a second; raise RuntimeError where one is no 2xx."""
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = _RATE.search(done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    return float(found[1])


def warm(front: Server, path: str) -> tuple[str, bytes]:
    """Return the URL that pins an image, which nginx now has, and its bytes."""
    first = front.ask(path)
    link = re.match("<(.*)>", first.headers["Link"])
    assert link is not None
    front.ask(link[1])
    kept = front.ask(link[1])
    assert kept.headers.get_all("Cache-Status", [])[-1] == "nginx; hit"
    return link[1], kept.body


def compare(path: str, seconds: int, rounds: int) -> tuple[int, float, float, float]:
    """Return the size, the two rates, and the median of the rounds' ratios."""
    with tempfile.TemporaryDirectory() as folder, closing(listening()) as probe:
        port = probe.getsockname()[1]
        probe.close()
        # nginx's workers are not whoever started it.
        Path(folder).chmod(0o755)
        block = _FILE.format(port=port, folder=folder)
        changes = {"server {\n    listen 80 default_server": block}
        with serve() as backend, in_front(backend, changes) as front:
            url, data = warm(front, path)
            file = Path(folder, url.partition("?")[0].lstrip("/"))
            file.parent.mkdir()
            file.write_bytes(data)
            addresses = (front.url + url, f"http://127.0.0.1:{port}{url}")
            for address in addresses:
                rate(address, 1)
            pairs = [
                tuple(rate(address, seconds) for address in addresses)
                for _ in range(rounds)
            ]
    cached, static = (median(rates) for rates in zip(*pairs, strict=True))
    return len(data), cached, static, median(a / b for a, b in pairs)


def main() -> None:
    """Print a line for each image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    rows = []
    for name, path in IMAGES.items():
        size, cached, static, ratio = compare(path, given.seconds, given.rounds)
        verdict = "met" if ratio >= LEAST else "MISSED"
        rates = (f"{cached:,.0f}", f"{static:,.0f}")
        rows.append((name, f"{size:,}", *rates, f"{ratio:.2f}", verdict))
    head = ("image", "bytes", "cache req/s", "file req/s", "ratio", f">= {LEAST}")
    print(table.show_machine(given.markdown))
    print(table.show("Cached images through nginx", head, rows, given.markdown))


if __name__ == "__main__":
    main()
