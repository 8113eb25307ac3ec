"""URLs found in answers: fetched without credentials, and never for ever."""

import socket

import pytest

from app.upstream.errors import (
    BadMedia,
    ForbiddenAddress,
    TooLarge,
    UpstreamTimeout,
)
from tests.upstream.caller import fetch, soon
from tests.upstream.doubles import PNG, double, refusing


@pytest.fixture(scope="module")
def server():
    with double() as running:
        yield running


@pytest.fixture
def upstream(server):
    """The double, with nothing seen so far."""
    server.seen.clear()
    server.release.clear()
    return server


def test_a_url_is_fetched_without_credentials(upstream):
    assert fetch(f"{upstream.url}/image?sig=a%2Fb&e=1", upstream.url) == PNG

    (seen,) = upstream.seen
    assert (seen.method, seen.path) == ("GET", "/image?sig=a%2Fb&e=1")
    assert {"Authorization", "Cookie", "Idempotency-Key", "Referer"}.isdisjoint(
        seen.headers
    )


@pytest.mark.parametrize("path", ["", "/v1", "/v1/images?key=k"])
def test_a_relative_url_is_one_of_the_service_itself(upstream, path):
    assert fetch("/image?e=1", f"{upstream.url}{path}") == PNG

    assert [one.path for one in upstream.seen] == ["/image?e=1"]


def test_the_scheme_of_a_url_may_be_in_capitals(upstream):
    url = upstream.url.replace("http:", "HTTP:")

    assert fetch(f"{url}/image", upstream.url) == PNG


@pytest.mark.parametrize("url", ["//169.254.169.254/image", "//localhost:1/image"])
def test_a_relative_url_leads_to_no_forbidden_address(upstream, url):
    with soon(), pytest.raises(ForbiddenAddress):
        fetch(url, upstream.url)

    assert not upstream.seen


def test_a_url_is_fetched_through_a_redirect_without_its_cookies(upstream):
    assert fetch(f"{upstream.url}/cookie", upstream.url) == PNG

    assert [one.path for one in upstream.seen] == ["/cookie", "/image"]
    assert "Cookie" not in upstream.seen[1].headers


@pytest.mark.parametrize("path", ["/to-metadata", "/to-a-file"])
def test_a_redirect_to_a_forbidden_address_is_refused(upstream, path):
    with soon(), pytest.raises(ForbiddenAddress):
        fetch(f"{upstream.url}{path}", upstream.url)

    assert len(upstream.seen) == 1


@pytest.mark.parametrize("path", ["/round", "/to-nowhere"])
def test_redirects_come_to_an_end(upstream, path):
    with pytest.raises(BadMedia, match="too often"):
        fetch(f"{upstream.url}{path}", upstream.url)

    assert len(upstream.seen) == 4


def test_a_fetch_that_failed_is_tried_again(upstream):
    assert fetch(f"{upstream.url}/fails-once", upstream.url) == PNG

    assert len(upstream.seen) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 429])
def test_a_url_that_refuses_is_no_image_and_not_asked_again(upstream, status):
    with pytest.raises(BadMedia, match=str(status)):
        fetch(f"{upstream.url}/{status}", upstream.url)

    assert len(upstream.seen) == 1


@pytest.mark.parametrize("path", ["/image", "/wait-for-ever"])
def test_a_paid_image_that_cannot_be_fetched_never_seems_unbought(upstream, path):
    origin = refusing() if path == "/image" else upstream.url

    with soon(), pytest.raises(BadMedia, match="cannot be reached") as caught:
        fetch(f"{origin}{path}", origin)

    assert caught.value.outcome_unknown


def test_a_slow_way_to_a_paid_image_never_seems_unbought():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"

        with soon(), pytest.raises(UpstreamTimeout) as caught:
            fetch(f"{url}/image", url, connect_s=0.2)

    assert (caught.value.hop, caught.value.outcome_unknown) == ("connect", True)


def test_a_fetched_image_has_its_own_cap(upstream):
    with pytest.raises(TooLarge) as caught:
        fetch(f"{upstream.url}/huge", upstream.url)

    assert caught.value.limit == "max_image_bytes"


def test_a_dripping_image_ends_with_the_deadline(upstream):
    with soon(), pytest.raises(UpstreamTimeout) as caught:
        fetch(f"{upstream.url}/drip-without-length", upstream.url, total_s=0.5)

    assert caught.value.hop == "total"
