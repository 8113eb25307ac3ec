"""Figures are summed over workers, and what a worker had in hand ends with it."""

import http.client
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from prometheus_client.metrics import MetricWrapperBase

from app.access.keys import digest_of, new_key
from app.observability import metrics
from tests.gunicorn_server import ROOT, Reply, Server, serve
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form
from tests.waiting import wait_until

METRICS = "PROMETHEUS_MULTIPROC_DIR"
# A worker that has a drawing and a collection in hand, and says who it is.
HELD = """
import os, sys, threading
from app.observability import metrics

print("loaded", file=sys.stderr, flush=True)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        start_response("200 OK", [("Content-Type", metrics.MEDIA_TYPE)])
        return [metrics.exposition()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/hold":
        return hold()
    return [b"here"]

def hold():
    with metrics.rendering("held"), metrics.streaming():
        yield str(os.getpid()).encode()
        threading.Event().wait(60)
"""


def read(text: str, name: str) -> float:
    """Add up the samples of a name."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("store")
    settings = {"MIMEO_STORE": str(folder), "MIMEO_THREADS": "128", METRICS: ""}
    with serve(settings=settings) as running:
        yield running


def scraped(server: Server) -> str:
    return server.ask("/metrics").body.decode()


def test_equal_requests_at_one_moment_are_drawn_once_by_all_workers(
    server: Server,
) -> None:
    before = read(scraped(server), "mimeo_renders_total")
    urls = [f"/images/card.png?title=Once{round}&scale=3" for round in range(3)]

    with ThreadPoolExecutor(50) as pool:
        for url in urls:
            replies = list(pool.map(server.ask, [url] * 50))
            told = Counter(cache_status(reply) for reply in replies)

            assert {reply.status for reply in replies} == {200}
            assert len({reply.body for reply in replies}) == 1
            assert told["mimeo; fwd=uri-miss"] == 1
            assert told["mimeo; fwd=uri-miss; collapsed"] > 0

    assert read(scraped(server), "mimeo_renders_total") - before == len(urls)


def cache_status(reply: Reply) -> str | None:
    return reply.headers["Cache-Status"]


def test_any_worker_answers_for_all(server: Server) -> None:
    for number in range(20):
        server.ask(f"/images/solid.png?width={number + 1}")

    texts = [scraped(server) for _ in range(8)]

    counts = {read(text, 'mimeo_renders_total{renderer="solid"}') for text in texts}
    assert counts == {20}


def test_metrics_are_text_that_is_not_cached(client: FlaskClient) -> None:
    response = client.get("/metrics")

    assert response.status_code == 200
    assert response.content_type == metrics.MEDIA_TYPE
    assert response.headers["Cache-Control"] == "no-store"
    assert response.text.endswith("\n")


def test_requests_are_counted_by_status(client: FlaskClient) -> None:
    name = r'mimeo_requests_total{status="404"}'
    before = read(metrics.exposition().decode(), name)

    client.get("/images/none.png")

    assert read(metrics.exposition().decode(), name) - before == 1


def test_a_drawing_is_in_flight_while_it_lasts() -> None:
    def figures() -> tuple[float, ...]:
        text = metrics.exposition().decode()
        names = ("renders_in_flight", "renders_total", "render_seconds_count")
        return tuple(read(text, f"mimeo_{name}") for name in names)

    before = figures()
    with metrics.rendering("test"):
        during = figures()
    after = figures()

    assert tuple(b - a for a, b in zip(before, during, strict=True)) == (1, 0, 0)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == (0, 1, 1)


def test_a_drawing_that_fails_is_counted_and_over() -> None:
    before = metrics.exposition().decode()

    with pytest.raises(ZeroDivisionError), metrics.rendering("test"):
        raise ZeroDivisionError

    after = metrics.exposition().decode()
    names = ("mimeo_renders_in_flight", "mimeo_renders_total")
    assert [read(after, n) - read(before, n) for n in names] == [0, 1]


def test_a_store_at_fault_is_counted() -> None:
    before = read(metrics.exposition().decode(), "mimeo_store_errors_total")

    metrics.count_store_error()

    after = read(metrics.exposition().decode(), "mimeo_store_errors_total")
    assert after - before == 1


def test_a_killed_worker_has_nothing_in_flight(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD)
    (tmp_path / "gunicorn.conf.py").symlink_to(ROOT / "gunicorn.conf.py")
    names = ("mimeo_renders_in_flight", "mimeo_streams_in_flight")
    settings = {METRICS: "", "PYTHONPATH": str(ROOT)}

    def in_flight() -> list[float]:
        text = scraped(server)
        return [read(text, name) for name in names]

    with serve("held:app", settings, tmp_path) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        with closing(connection):
            connection.request("GET", "/hold")
            holder = int(connection.getresponse().read1())
            held = in_flight()
            os.kill(holder, signal.SIGKILL)
            wait_until(lambda: in_flight() == [0, 0])
        # A worker that is only starting would not hear that it should end.
        wait_until(lambda: server.log.read_text().count("loaded") == 3)

    assert held == [1, 1]


class Selling(NamedTuple):
    """Two workers with a service of a price, little of everything, and an admin."""

    server: Server
    admin: dict[str, str]

    def ask(self, path: str, **headers: str) -> int:
        return self.server.ask(path, headers=headers).status

    def read(self, name: str) -> float:
        return read(self.server.ask("/metrics", headers=self.admin).body.decode(), name)


@pytest.fixture(scope="module")
def selling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Selling]:
    upstreams = tmp_path_factory.mktemp("services") / "services.toml"
    id, token = new_key()
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        upstreams.write_text(
            f'[upstreams.paid]\nkind = "auto"\nurl = "{service.url}"\nprice = 0.25\n'
        )
        settings = {
            "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
            "MIMEO_STORE_BYTES": str(1 << 20),
            "MIMEO_UPSTREAMS": str(upstreams),
            "MIMEO_OPEN_SERVICES": "paid",
            "MIMEO_BUDGET_IMAGES": "3",
            "MIMEO_RATE_ANONYMOUS": "1/hour",
            "MIMEO_LOCAL_CALLERS": "off",
            "MIMEO_ALLOWED_HOSTS": "mimeo.example",
            "MIMEO_KEYS": f'[keys.{id}]\nsha256 = "{digest_of(token)}"\n'
            'scopes = ["admin", "draw:*"]\n',
            METRICS: "",
        }
        with serve(settings=settings) as running:
            yield Selling(running, {"X-API-Key": token})


def test_what_has_not_happened_is_a_0(selling: Selling) -> None:
    text = selling.server.ask("/metrics", headers=selling.admin).body.decode()

    for reason in metrics.REASONS:
        assert re.search(rf'^mimeo_refusals_total{{reason="{reason}"}} ', text, re.M)
    assert 'mimeo_upstream_cost_total{upstream="paid"}' in text
    assert 'mimeo_store_evictions_total{room="media"}' in text


def test_purchases_cost_and_hits_are_counted_by_service(selling: Selling) -> None:
    statuses = [
        selling.ask(f"/images/paid.png?prompt={prompt}") for prompt in (1, 1, 2, 3, 4)
    ]

    assert statuses == [200, 200, 200, 200, 429]
    assert selling.read('mimeo_upstream_bought_total{upstream="paid"}') == 3
    assert selling.read('mimeo_upstream_cost_total{upstream="paid"}') == 0.75
    hits, misses = (
        selling.read(f'mimeo_store_lookups_total{{result="{result}",room="purchases"}}')
        for result in ("hit", "miss")
    )
    assert (hits, misses) == (1, 4)
    assert selling.read('mimeo_refusals_total{reason="budget"}') == 1


def test_hits_misses_and_evictions_are_counted(selling: Selling) -> None:
    def lookups(result: str) -> float:
        return selling.read(
            f'mimeo_store_lookups_total{{result="{result}",room="media"}}'
        )

    before = lookups("hit"), lookups("miss")
    paths = [f"/images/gradient.png?width={width}" for width in (301, 302, 303)]
    for path in (*paths, paths[0]):
        assert selling.ask(path, **selling.admin) == 200
    after = lookups("hit"), lookups("miss")
    # More than there is room for: the sweeper works in a thread of its own.
    for width in range(60):
        selling.ask(f"/images/card.png?title=Evicted{width}", **selling.admin)
    wait_until(lambda: selling.read("mimeo_store_evictions_total") > 0)

    assert (after[0] - before[0], after[1] - before[1]) == (1, 3)
    assert selling.read("mimeo_store_evicted_bytes_total") > 1000


def test_refusals_are_counted_by_reason(selling: Selling) -> None:
    def refusals(reason: str) -> float:
        return selling.read(f'mimeo_refusals_total{{reason="{reason}"}}')

    reasons = ("auth", "host", "rate")
    before = [refusals(reason) for reason in reasons]
    assert selling.server.ask("/metrics").status == 401
    assert selling.ask("/renderers", Host="other.example") == 421
    assert selling.ask("/images/solid.png?width=1900&height=1000") == 200
    statuses = [selling.ask(f"/images/solid.png?width={n}") for n in range(70, 76)]
    after = [refusals(reason) for reason in reasons]

    refused = statuses.count(429)
    # Each worker has been granted a twentieth of the megapixel.
    assert refused >= 4
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, refused]


def test_labels_are_few_and_none_is_somebodys_word(selling: Selling) -> None:
    for path in ("/images/nobody-knows.png", "/nowhere/at/all", "/collections/zz"):
        selling.ask(path, **selling.admin)
    selling.ask("/images/solid.png", Authorization="Bearer mim_abcdefgh_x")

    text = selling.server.ask("/metrics", headers=selling.admin).body.decode()

    labels = set(re.findall(r'[{,](\w+)="', text))
    assert labels <= {
        *("le", "reason", "renderer", "result", "room", "status", "upstream"),
        *("filtered", "form", "outcome", "repair", "version", "phase", "state"),
    }
    renderers = set(re.findall(r'renderer="([^"]*)"', text))
    assert renderers <= {"card", "gradient", "paid", "solid"}
    assert "nowhere" not in text and "abcdefgh" not in text


def test_the_page_has_every_metric_with_its_type_and_labels() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\|", page, re.MULTILINE)
    told = {name: (kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}

    of_jobs = {
        f"mimeo_{name}": ("gauge", list(labels))
        for name, (_, labels) in metrics._OF_JOBS.items()
    }
    assert told == of_jobs | {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            list(each._labelnames),
        )
        for each in vars(metrics).values()
        if isinstance(each, MetricWrapperBase)
        for family in each.describe()
    }
