"""Two servers of two workers each share a bucket: what one saves, all draw."""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.gunicorn_server import Reply, Server
from tests.production.bucket_servers import two_servers
from tests.views.test_template_preview import DECLARED, files
from tests.waiting import wait_until

JSON = {"Content-Type": "application/json"}
NEW = {**JSON, "If-None-Match": "*"}
# So many requests in a row are answered by both workers of a server.
OFTEN = 12


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    settings = {
        "MIMEO_TEMPLATE_EDITING": "on",
        "MIMEO_LOCAL_CALLERS": "on",
        "WEB_CONCURRENCY": "2",
    }
    with two_servers(tmp_path_factory, settings) as both:
        yield both


def save(server: Server, name: str, color: str, headers: dict[str, str]) -> Reply:
    style = f"width:300px;height:100px;background:{color}"
    markup = f'<div style="{style}">{{{{ title }}}}</div>'
    body = json.dumps({"files": files(markup, DECLARED)}).encode()
    return server.ask(f"/templates/{name}", "PUT", body, {**JSON, **headers})


def draw(server: Server, name: str, title: str = "Ada") -> Reply:
    return server.ask(f"/images/{name}.png?{urlencode({'title': title})}")


def listed(server: Server) -> dict[str, str]:
    rows = json.loads(server.ask("/renderers").body)["renderers"]
    return {row["name"]: row["example"] for row in rows if row["saved"]}


def everywhere(servers: list[Server], true: object) -> None:
    """Wait until something holds of each worker of each server."""
    assert callable(true)
    for server in servers:
        wait_until(lambda s=server: all(true(s) for _ in range(OFTEN)), 60)


def test_what_one_saves_all_list_and_draw_at_once(servers: list[Server]) -> None:
    first, second = servers

    made = save(first, "spring_fair", "red", NEW)

    assert made.status == 201, made.body
    drawn = [draw(server, "spring_fair") for server in servers for _ in range(OFTEN)]
    assert [each.status for each in drawn] == [200] * len(drawn)
    assert len({each.body for each in drawn}) == 1
    everywhere(servers, lambda server: "spring_fair" in listed(server))
    assert second.ask(listed(second)["spring_fair"]).status == 200
    here, there = (server.ask("/templates/spring_fair") for server in servers)
    assert here.body == there.body and here.headers["ETag"] == there.headers["ETag"]


def test_an_edit_of_one_is_seen_by_all(servers: list[Server]) -> None:
    first, second = servers
    tag = save(first, "edited", "red", NEW).headers["ETag"]
    before = draw(second, "edited").body

    saved = save(second, "edited", "blue", {"If-Match": tag})
    late = save(first, "edited", "green", {"If-Match": tag})

    assert (saved.status, late.status) == (200, 412)
    everywhere(servers, lambda server: draw(server, "edited").body != before)
    assert len({draw(server, "edited").body for server in servers}) == 1
    assert all(draw(server, "edited@1").body == before for server in servers)


def test_a_collection_of_one_is_drawn_by_the_other_after_the_deletion(
    servers: list[Server],
) -> None:
    first, second = servers
    save(first, "closing", "red", NEW)
    items = [{"title": title} for title in ("Ada", "Bo", "Cy")]
    body = json.dumps({"renderer": "closing", "items": items}).encode()
    place = first.ask("/collections", "POST", body, JSON).headers["Location"]
    drawn = first.ask(f"{place}/1.png").body

    gone = second.ask("/templates/closing", "DELETE", headers={"If-Match": "*"})

    assert gone.status == 204
    everywhere(servers, lambda server: draw(server, "closing").status == 404)
    everywhere(servers, lambda server: "closing" not in listed(server))
    assert second.ask(f"{place}/1.png").body == drawn
    assert second.ask(f"{place}/3.png").status == 200
    again = save(first, "closing", "blue", NEW)
    assert json.loads(again.body)["renderer"] == "closing@3"


def test_a_job_draws_by_the_version_that_it_was_made_with(
    servers: list[Server],
) -> None:
    first, second = servers
    tag = save(first, "printed", "red", NEW).headers["ETag"]
    items = [{"title": f"Guest {number}"} for number in range(40)]
    body = json.dumps({"renderer": "printed", "items": items}).encode()

    place = second.ask("/jobs?form=zip", "POST", body, JSON).headers["Location"]
    save(first, "printed", "blue", {"If-Match": tag})
    wait_until(lambda: json.loads(first.ask(place).body)["state"] == "succeeded", 120)

    counts = json.loads(second.ask(place).body)["counts"]
    assert counts == {"total": 40, "done": 40, "failed": 0}
    alone = draw(second, "printed@1", "Guest 0").body
    archive = second.ask(f"{place}/archive.zip").body
    assert alone in archive
