"""Answers with an image: headers, bodies, and what is sent without drawing."""

import base64
import hashlib

import orjson
import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import run_wsgi_app

from app.delivery.errors import (
    PreconditionFailed,
    RangeNotSatisfiable,
)
from app.delivery.image import send
from app.delivery.terms import Terms, answer_early
from app.media import Media

DATA = bytes(range(100))
PRINT = "a" * 64
TAG = f'"{PRINT}"'
TERMS = Terms(PRINT, "card", ("png",), negotiated=True)
PINNED = TERMS._replace(pinned=True)
JSON = TERMS._replace(as_json=True)


def media(media_type="image/png", **facts):
    digest = hashlib.sha256(DATA).hexdigest()
    return Media(DATA, media_type, 10, 20, digest, PRINT, facts)


def environ(method="GET", **headers):
    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return {"REQUEST_METHOD": method, **named}


def run(response, asked):
    """Return status, headers and body as a server gets them."""
    body, status, headers = run_wsgi_app(response, asked, buffered=True)
    return int(status[:3]), headers, b"".join(body)


def fetch(terms=TERMS, method="GET", media=media(), headers=None, **described):  # noqa: B008
    asked = environ(method, **(headers or {}))
    return run(send(asked, terms, media, **described), asked)


def revalidate(terms=TERMS, method="GET", **headers):
    asked = environ(method, **headers)
    early = answer_early(asked, terms)
    return None if early is None else run(early, asked)


def test_an_image_has_every_header():
    status, headers, body = fetch()

    assert status == 200
    assert body == DATA
    assert dict(headers) == {
        "Content-Type": "image/png",
        "Content-Length": "100",
        "Content-Disposition": 'inline; filename="card.png"',
        "ETag": TAG,
        "Cache-Control": "public, no-cache",
        "Vary": "Accept",
        "Accept-Ranges": "bytes",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Repr-Digest": headers["Repr-Digest"],
    }


def test_no_header_comes_twice():
    _, headers, _ = fetch(media=media("image/svg+xml", missing_glyphs=["U+4E2D"]))

    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names))


def test_headers_can_still_be_added():
    asked = environ()
    response = send(asked, TERMS, media())
    response.headers["Server-Timing"] = "draw;dur=1"

    assert run(response, asked)[1]["Server-Timing"] == "draw;dur=1"
    assert "Server-Timing" not in fetch()[1]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (TERMS, "public, no-cache"),
        (TERMS._replace(max_age_s=60), "public, max-age=60"),
        (PINNED, "public, max-age=31536000, immutable"),
        (PINNED._replace(max_age_s=60), "public, max-age=31536000, immutable"),
        (PINNED._replace(shared=False), "private, max-age=31536000, immutable"),
        (TERMS._replace(shared=False), "private, no-cache"),
    ],
)
def test_cache_control_depends_on_what_the_url_says(terms, expected):
    _, headers, _ = fetch(terms)

    assert headers["Cache-Control"] == expected


def test_the_digest_is_that_of_the_whole_also_with_a_part():
    _, _, whole = fetch(PINNED)
    status, headers, _ = fetch(PINNED, headers={"range": "bytes=0-3"})

    encoded = base64.b64encode(hashlib.sha256(whole).digest()).decode()
    assert status == 206
    assert headers["Repr-Digest"] == f"sha-256=:{encoded}:"


def test_head_has_the_headers_of_get_and_no_body():
    _, headers, _ = fetch(PINNED)
    status, head, body = fetch(PINNED, "HEAD", headers={"range": "bytes=0-3"})

    assert status == 200
    assert body == b""
    assert list(head) == list(headers)


def test_a_part_says_where_it_belongs():
    status, headers, body = fetch(PINNED, headers={"range": "bytes=5-9"})

    assert status == 206
    assert body == DATA[5:10]
    assert headers["Content-Range"] == "bytes 5-9/100"
    assert headers["Content-Length"] == "5"
    assert headers["ETag"] == TAG


def test_a_range_outside_tells_the_length():
    with pytest.raises(RangeNotSatisfiable) as caught:
        fetch(PINNED, headers={"range": "bytes=100-"})

    assert caught.value.length == 100
    assert Headers(caught.value.headers)["Content-Range"] == "bytes */100"
    assert "100 bytes" in str(caught.value)


def test_a_bare_range_of_an_unpinned_url_is_ignored():
    status, _, body = fetch(headers={"range": "bytes=4-"})

    assert status == 200
    assert body == DATA


@pytest.mark.parametrize("header", [TAG, f"W/{TAG}", "*", f'"x", {TAG}'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_client_that_has_the_bytes_gets_304_before_any_media_exist(header, method):
    status, headers, body = revalidate(PINNED, method, if_none_match=header)

    assert status == 304
    assert body == b""
    assert dict(headers) == {
        "ETag": TAG,
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept",
    }


def test_a_client_that_has_other_bytes_gets_no_early_answer():
    assert revalidate() is None
    assert revalidate(if_none_match='"x"') is None


@pytest.mark.parametrize("name", ["if_modified_since", "if_unmodified_since"])
@pytest.mark.parametrize("year", [1994, 2094])
def test_conditions_on_dates_do_not_count_where_there_is_no_date(name, year):
    assert revalidate(**{name: f"Sun, 06 Nov {year} 08:49:37 GMT"}) is None


def test_a_failed_precondition_is_raised_before_any_media_exist():
    with pytest.raises(PreconditionFailed):
        revalidate(if_match='"x"')
    with pytest.raises(PreconditionFailed):
        revalidate(method="POST", if_none_match="*")


@pytest.mark.parametrize(
    ("download", "expected"),
    [
        ("ticket", 'attachment; filename="ticket.png"'),
        ("", 'attachment; filename="card.png"'),
        ("../a\r\nb", 'attachment; filename="ab.png"'),
    ],
)
def test_download_makes_an_attachment_with_a_safe_name(download, expected):
    _, headers, _ = fetch(TERMS._replace(download=download))

    assert headers["Content-Disposition"] == expected


def test_an_svg_may_neither_run_nor_load_anything():
    _, headers, _ = fetch(media=media("image/svg+xml"))

    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert policy.endswith("; sandbox")
    assert "Content-Security-Policy" not in fetch()[1]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (["U+4E2D"], "U+4E2D"),
        (["U+4E2D", "U+6587"], "U+4E2D, U+6587"),
        (["U+4E2D"] * 47, ", ".join(["U+4E2D"] * 47)),
        (["U+4E2D"] * 99, ", ".join([*["U+4E2D"] * 47, "more;count=52"])),
    ],
)
def test_missing_glyphs_are_listed_within_bounds(missing, expected):
    _, headers, _ = fetch(media=media(missing_glyphs=missing))

    assert headers["X-Missing-Glyphs"] == expected


def test_facts_of_any_length_take_1200_bytes_and_all_are_named():
    long = {
        **dict.fromkeys(("seed", "finish_reason", "upstream"), "s" * 5000),
        "converted_from": "image/" + "x" * 5000,
        "missing_glyphs": [f"U+{code:X}" for code in range(0x4E00, 0x5E00)],
        "repairs": ["r" * 5000] * 50,
        "warnings": ["a warning of the service\r\n"] * 5000,
    }

    _, headers, _ = fetch(media=media(**long))

    told = [(name, value) for name, value in headers if name.startswith("X-")]
    assert len(told) == len(long)
    assert sum(len(name) + len(value) + 4 for name, value in told) <= 1200
    for name, count in (("Warnings", 5000), ("Repairs", 50)):
        shown = headers[f"X-Media-{name}"].split(", ")
        assert shown[-1].startswith("more;count=")
        assert int(shown[-1].removeprefix("more;count=")) == count - len(shown) + 1


def test_without_missing_glyphs_the_header_is_missing():
    _, headers, _ = fetch(media=media(missing_glyphs=[]))

    assert "X-Missing-Glyphs" not in headers


def test_clipped_texts_are_listed_by_their_parameters():
    clipped = {"title": "cut", "role": "shrunk"}

    _, headers, _ = fetch(media=media(text_clipped=clipped))

    assert headers["X-Text-Clipped"] == "title;cut, role;shrunk"


def test_json_describes_the_image_and_holds_it():
    status, headers, body = fetch(
        JSON, media=media(seed=7), renderer="card", format="png", url="/x?v=1"
    )

    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(body))
    assert headers["ETag"] == f'"{PRINT}-json"'
    assert orjson.loads(body) == {
        "renderer": "card",
        "format": "png",
        "url": "/x?v=1",
        "media_type": "image/png",
        "width": 10,
        "height": 20,
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "fingerprint": PRINT,
        "facts": {"seed": 7},
        "data": base64.b64encode(DATA).decode(),
    }


def test_json_and_image_never_share_a_tag():
    assert revalidate(JSON, if_none_match=TAG) is None
    assert revalidate(TERMS, if_none_match=JSON.etag) is None
    assert revalidate(JSON, if_none_match=JSON.etag)[0] == 304


def test_json_obeys_the_same_conditions():
    _, _, whole = fetch(JSON)
    status, headers, part = fetch(
        JSON, headers={"range": "bytes=-9", "if_range": JSON.etag}
    )

    assert status == 206
    assert part == whole[-9:]
    assert headers["Content-Range"].endswith(f"/{len(whole)}")


def test_json_is_named_only_for_a_download():
    _, inline, _ = fetch(JSON)
    _, saved, _ = fetch(JSON._replace(download="a.png"))

    assert "Content-Disposition" not in inline
    assert saved["Content-Disposition"] == 'attachment; filename="a.png.json"'
