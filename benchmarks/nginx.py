"""nginx's cache against nginx with a file: `python -m benchmarks.nginx`.

One server, that of deploy/nginx.conf, with its log, guards and headers, answers with
the same bytes in three ways: from a file, from a cache without what the configuration
says of caching (how fast nginx's cache itself can be), and as shipped. The image is
what Mimeo drew, and both caches have its headers. The three are loaded in turns, round
by round; a ratio is the median of the rounds' ratios.
"""

import argparse
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

from benchmarks import card, table
from tests.gunicorn_server import Server, serve
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
FILE, BARE, SHIPPED = "file", "bare cache", "deploy/nginx.conf"
_PLACES: Mapping[str, str] = MappingProxyType(
    {FILE: "/file", BARE: "/bare", SHIPPED: ""}
)
_LAST = "    location / {"
_OTHERS = """\
    location ^~ /file/ {{
        root {folder};
    }}

    location ^~ /bare/ {{
        proxy_pass http://mimeo/;
        proxy_cache mimeo;
        proxy_cache_key $request_uri;
        proxy_ignore_headers Vary;
    }}

"""
_RATE = re.compile(r"^Requests/sec: +([\d.]+)$", re.MULTILINE)
_COUNT = re.compile(r"^ +(\d+) requests in ", re.MULTILINE)
_CONNECTIONS = 8


class Load(NamedTuple):
    """Answers a second, and what one takes of nginx's processor time."""

    rate: float
    cpu_us: float


def load(front: Server, path: str, seconds: int) -> Load:
    """Ask for one path by wrk; raise RuntimeError where an answer is no 2xx."""
    before = _cpu_ns(front)
    # A machine that stands still for 2 s is no fault of nginx's.
    wrk = ("wrk", "-t1", f"-c{_CONNECTIONS}", "--timeout", "30s")
    command = [*wrk, f"-d{seconds}s", front.url + path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    used = _cpu_ns(front) - before
    rate, count = _RATE.search(done.stdout), _COUNT.search(done.stdout)
    wrong = "Non-2xx" in done.stdout or "Socket errors" in done.stdout
    if rate is None or count is None or wrong:
        raise RuntimeError(done.stdout)
    return Load(float(rate[1]), used / int(count[1]) / 1000)


def _cpu_ns(front: Server) -> int:
    # Documentation/scheduler/sched-stats.rst: the first is the time on a processor.
    stats = (Path(f"/proc/{pid}/schedstat").read_text() for pid in front.workers())
    return sum(int(each.split()[0]) for each in stats)


def warm(front: Server, link: str) -> bytes:
    """Return the bytes of a pinned image that nginx now has in both caches."""
    for place in (_PLACES[BARE], _PLACES[SHIPPED]):
        front.ask(place + link)
        kept = front.ask(place + link)
        assert kept.headers.get_all("Cache-Status", [])[-1] == "nginx; hit"
    return kept.body


def compare(path: str, seconds: int, rounds: int) -> tuple[int, dict[str, list[Load]]]:
    """Return the size of an image, and the loads of each way, one a round."""
    with tempfile.TemporaryDirectory() as folder:
        # nginx's workers are not whoever started it.
        Path(folder).chmod(0o755)
        changes = {_LAST: _OTHERS.format(folder=folder) + _LAST}
        with serve() as backend, in_front(backend, changes) as front:
            link = re.match("<(.*)>", front.ask(path).headers["Link"])
            assert link is not None
            data = warm(front, link[1])
            urls = {name: place + link[1] for name, place in _PLACES.items()}
            file = Path(folder, urls[FILE].partition("?")[0].lstrip("/"))
            file.parent.mkdir(parents=True)
            file.write_bytes(data)
            assert front.ask(urls[FILE]).body == data
            for url in urls.values():
                load(front, url, 1)
            found: dict[str, list[Load]] = {name: [] for name in urls}
            for _ in range(rounds):
                for name, url in urls.items():
                    found[name].append(load(front, url, seconds))
    return len(data), found


def ratios(found: Sequence[Load], file: Sequence[Load]) -> tuple[float, float]:
    """Return how many of the file's answers there are, and their processor time."""
    pairs = list(zip(found, file, strict=True))
    return (
        median(ours.rate / theirs.rate for ours, theirs in pairs),
        median(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs),
    )


def main() -> None:
    """Print three lines for each image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    rows = []
    for name, path in IMAGES.items():
        size, found = compare(path, given.seconds, given.rounds)
        for way, loads in found.items():
            of_rate, of_cpu = ratios(loads, found[FILE])
            verdict = "met" if of_rate >= LEAST else "MISSED"
            rows.append(
                (
                    f"{name}, {size:,} bytes: {way}",
                    f"{median(each.rate for each in loads):,.0f}",
                    f"{of_rate:.2f}",
                    f"{median(each.cpu_us for each in loads):.1f}",
                    f"{of_cpu:.2f}",
                    verdict if way == SHIPPED else "",
                )
            )
    head = ("", "req/s", "of the file's", "CPU us", "of the file's", f">= {LEAST}")
    print(table.show_machine(given.markdown))
    print(table.show("Cached images through nginx", head, rows, given.markdown))


if __name__ == "__main__":
    main()
