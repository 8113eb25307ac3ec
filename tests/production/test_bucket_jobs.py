"""Two servers share a bucket and no disk: a job is the same for both."""

import json
from collections.abc import Iterator

import pytest

from tests.gunicorn_server import Server
from tests.production.bucket_servers import two_servers
from tests.waiting import wait_until

JSON = {"Content-Type": "application/json"}
ROWS = 600
BODY = json.dumps(
    {
        "renderer": "identicon",
        "items": [{"seed": f"row {number}", "size": 32} for number in range(ROWS)],
    }
).encode()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with two_servers(tmp_path_factory, {"WEB_CONCURRENCY": "1"}) as both:
        yield both


def test_a_job_of_one_server_is_the_others_too(servers: list[Server]) -> None:
    first, second = servers
    place = first.ask("/jobs", "POST", BODY, JSON).headers["Location"]

    again = second.ask("/jobs", "POST", BODY, JSON).headers["Location"]
    wait_until(lambda: json.loads(second.ask(place).body)["state"] == "succeeded", 120)
    job = json.loads(first.ask(place).body)
    alone = first.ask("/collections.zip", "POST", BODY, JSON).body

    assert again == place
    assert job["counts"] == {"total": ROWS, "done": ROWS, "failed": 0}
    for name in ("self", "archive", "manifest", "errors"):
        here, there = (server.ask(job["links"][name]) for server in servers)
        assert here.status == there.status == 200
        assert here.body == there.body
        assert here.headers["ETag"] == there.headers["ETag"]
    assert second.ask(job["links"]["archive"]).body == alone


def test_what_one_begins_to_send_the_other_sends_on(servers: list[Server]) -> None:
    first, second = servers
    place = first.ask("/jobs", "POST", BODY, JSON).headers["Location"]
    wait_until(lambda: json.loads(first.ask(place).body)["state"] == "succeeded", 120)
    path = f"{place}/archive.zip"
    whole = first.ask(path)

    rest = second.ask(
        path,
        headers={"Range": "bytes=1000-", "If-Range": whole.headers["ETag"]},
    )

    assert (rest.status, rest.body) == (206, whole.body[1000:])


def test_one_cancels_what_the_other_draws(servers: list[Server]) -> None:
    first, second = servers
    items = [{"name": f"Guest {n}", "event": "Long"} for n in range(5000)]
    body = json.dumps({"renderer": "badge", "items": items}).encode()
    place = first.ask("/jobs", "POST", body, JSON).headers["Location"]
    wait_until(lambda: json.loads(first.ask(place).body)["state"] == "running", 60)

    asked = second.ask(place, "DELETE")

    assert asked.status == 202
    wait_until(lambda: json.loads(first.ask(place).body)["state"] == "cancelled", 60)
    assert json.loads(second.ask(place).body)["counts"]["done"] < 5000
