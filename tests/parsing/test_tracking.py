"""What others append to a URL takes no picture down; what is misspelt still does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import BadSetting, Settings
from app.parsing.tracking import part
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue

CARD = "/images/card.png?title=Hello"
USUAL = Settings().tracking_names
APPENDED = [
    ("v=2", "v"),
    ("v=", "v"),
    ("v", "v"),
    ("_=1699999999", "_"),
    ("1699999999", "1699999999"),
    ("utm_source=mail", "utm_source"),
    ("UTM_Source=Mail&utm_source=again", "UTM_Source, utm_source"),
    ("fbclid=abc", "fbclid"),
    ("utm_id=%F0%9F%9A%80&mc_eid=1", "utm_id, mc_eid"),
    ("gad_source=1&gclid=Cj0KCQ", "gad_source, gclid"),
    ("_hsenc=p2ANq&__hstc=1.2.3", "_hsenc, __hstc"),
    ("ref_src=twsrc%5Etfw%7Ctwcamp", "ref_src"),
    ("ver=6.4.2", "ver"),
    ("hsCtaTracking=a%7Cb&__s=x", "hsCtaTracking, __s"),
    ("__cft__[0]=AZ&__tn__=R&sfnsn=mo", "__cft__[0], __tn__, sfnsn"),
    ("ck_subscriber_id=1&sfmc_id=2&dm_i=3", "ck_subscriber_id, sfmc_id, dm_i"),
    ("irclickid=a&cjevent=b&s_kwcid=AL!1", "irclickid, cjevent, s_kwcid"),
    ("ref=producthunt&spm=a2g0o", "ref, spm"),
    ("t=1699999999999", "t"),
    ("ts=1699999999&r=0.8414709848", "ts, r"),
    ("amp;utm_medium=social", "utm_medium"),
    ("utm_source=a&utm_source=b&v=1&v=2", "utm_source, v"),
]


@pytest.mark.parametrize(("query", "names"), APPENDED, ids=[row[0] for row in APPENDED])
def test_what_others_append_takes_no_picture_down(
    client: FlaskClient, query: str, names: str
) -> None:
    bare = client.get(CARD)

    answer = client.get(f"{CARD}&{query}")

    assert answer.status_code == 200
    assert answer.data == bare.data
    assert answer.headers["ETag"] == bare.headers["ETag"]
    assert answer.headers["Cache-Control"] == bare.headers["Cache-Control"]
    assert answer.headers["X-Ignored-Parameters"] == names
    assert "X-Ignored-Parameters" not in bare.headers


def test_a_pinned_url_stays_pinned_whatever_is_appended(client: FlaskClient) -> None:
    tag = client.get(CARD).headers["ETag"].strip('"')

    answer = client.get(f"{CARD}&v={tag}&v=2&fbclid=abc")

    assert answer.headers["Cache-Control"].endswith("immutable")
    assert answer.headers["X-Ignored-Parameters"] == "v, fbclid"
    old = f"{CARD}&v={'0' * 64}&fbclid=abc"
    stale = client.get(old)
    part = client.get(old, headers={"Range": "bytes=0-9"})
    assert (stale.status_code, stale.headers["X-Stale-Pin"]) == (200, tag)
    assert stale.headers["Cache-Control"] == "public, no-cache"
    assert (part.status_code, part.headers["Cache-Control"]) == (410, "no-store")


def test_a_name_escaped_for_html_is_what_it_was(client: FlaskClient) -> None:
    plain = client.get(f"{CARD}&subtitle=World&theme=dark")

    escaped = client.get(f"{CARD}&amp;subtitle=World&amp;theme=dark")

    assert escaped.data == plain.data
    assert "X-Ignored-Parameters" not in escaped.headers


def test_an_answer_from_the_clients_cache_says_it_too(client: FlaskClient) -> None:
    tag = client.get(CARD).headers["ETag"]

    answer = client.get(f"{CARD}&fbclid=abc", headers={"If-None-Match": tag})

    assert answer.status_code == 304
    assert answer.headers["X-Ignored-Parameters"] == "fbclid"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("titel=Hello", "is not known (did you mean title?); known are title, "),
        ("title=A&subtitel=B", "is not known (did you mean subtitle?); known"),
        ("title=A&Theme=dark", "is not known (did you mean theme?); known"),
        ("title=A&sclae=2", "is not known (did you mean scale?); known are"),
        ("title=A&utm-source=mail", "is not known; known are title"),
        ("title=A&version=2", "is not known; known are title"),
        ("title=A&vv=2", "is not known; known are title"),
        ("title=A&12=3", "is not known; known are title"),
        ("title=A&" + "x" * 2000, "is not known; known are title"),
    ],
)
def test_what_is_misspelt_is_refused_with_what_is_like_it(
    client: FlaskClient, query: str, reason: str
) -> None:
    answer = client.get(f"/images/card.png?{query}")

    assert answer.status_code == 422
    reasons = {each["reason"] for each in answer.get_json()["errors"]}
    assert any(each.startswith(reason) for each in reasons)


def test_a_form_and_json_may_have_it_in_their_query(client: FlaskClient) -> None:
    bare = client.get(CARD)

    form = client.post("/images/card.png?utm_source=mail&v=2", data={"title": "Hello"})
    sent = client.post("/images/card.png?fbclid=abc", json={"title": "Hello"})

    assert bare.data == form.data == sent.data
    assert form.headers["X-Ignored-Parameters"] == "utm_source, v"
    assert sent.headers["X-Ignored-Parameters"] == "fbclid"


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of a server whose template takes `v` and `utm_source` itself."""
    folder = tmp_path / "templates" / "campaign"
    folder.mkdir(parents=True)
    folder.joinpath("parameters.toml").write_text(
        """
title = "Campaign"
width = 60
height = 20

[parameters.v]
type = "text"
max_length = 20
example = "1"

[parameters.utm_source]
type = "text"
max_length = 20
example = "mail"
"""
    )
    page = "<p>{{ v }} {{ utm_source }}</p>"
    folder.joinpath("template.html").write_text(page)
    kept = replace(
        settings,
        templates=tmp_path / "templates",
        store="memory:",
        tracking_names=("ref", "my_*"),
    )
    app = create_app(kept, {})
    yield app.test_client()
    app.extensions["mimeo"].close()


def test_a_templates_own_parameter_wins(own: FlaskClient) -> None:
    first = own.get("/images/campaign.png?v=2&utm_source=mail&my_id=3")
    other = own.get("/images/campaign.png?v=3&utm_source=mail")
    assert first.status_code == 200, first.get_json()
    url = first.headers["Link"].partition(">")[0].removeprefix("<")

    again = own.get(url)

    assert first.headers["X-Ignored-Parameters"] == "my_id"
    assert first.data != other.data
    assert again.data == first.data
    assert again.headers["Cache-Control"].endswith("immutable")


def test_the_setting_replaces_the_usual_names(own: FlaskClient) -> None:
    assert own.get("/images/card.png?title=A&ref=x").status_code == 200
    assert own.get("/images/card.png?title=A&fbclid=x").status_code == 422


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("none", ()),
        ("ref", ("ref",)),
        (" ref , my_* ", ("ref", "my_*")),
        ("default", USUAL),
        ("default,promo,fbclid", (*USUAL, "promo")),
    ],
)
def test_the_setting_names_what_is_passed_over(text: str, names: object) -> None:
    settings = Settings.from_env({"MIMEO_TRACKING_NAMES": text})

    assert settings.tracking_names == names


@pytest.mark.parametrize("text", ["*", "a b", "utm_*,", "u*m", "none,,", "a;b"])
def test_a_list_of_names_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="must be names between commas"):
        Settings.from_env({"MIMEO_TRACKING_NAMES": text})


def test_no_usual_name_is_one_of_ours(catalogue: Catalogue) -> None:
    fields = {
        field
        for name in catalogue.names()
        for field in catalogue.get(name).parameters.model_fields
    }
    fields |= {*Output.model_fields, "download", "duration", "loop", "columns"}

    kept, ignored = part([(field, "1") for field in fields], (), USUAL)

    assert {name for name, _ in kept} == fields
    assert ignored == ()


def test_links_to_collections_and_signed_urls_bear_it(client: FlaskClient) -> None:
    rows = {"renderer": "solid", "items": [{"width": 9, "height": 9}]}
    place = client.post("/collections", json=rows).headers["Location"]
    made = {"prompt": "a lighthouse", "model": "dream", "response_format": "url"}
    signed = client.post("/v1/images/generations", json=made).get_json()
    url = signed["data"][0]["url"]

    answers = [
        client.get(f"{where}utm_source=mail&v=2&fbclid=abc")
        for where in (
            f"{place}/1.png?",
            f"{place}.zip?",
            f"{place}/sheet.png?cell=40&",
            f"{url}&",
        )
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
    told = {answer.headers["X-Ignored-Parameters"] for answer in answers}
    assert told == {"utm_source, v, fbclid"}
    assert client.get(f"{place}.zip?downlaod=a").status_code == 422
    assert client.get(f"{url}&other=1").status_code == 403
