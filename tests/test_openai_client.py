"""OpenAI's own client works with Mimeo, in front of Mimeo, in front of a service."""

import base64
import io
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
import requests
from PIL import Image

from tests.gunicorn_server import Server, serve
from tests.test_services import Service, serving
from tests.upstream.doubles import Double, double
from tests.upstream.pictures import JPEG, PNG, b64, dump
from tests.upstream.wire_forms import Form

PROMPT = "a lighthouse"
SECRET = "sk-of-nobody"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service that sends two images with their seeds."""
    form = Form(
        dump({"images": [b64(JPEG), b64(PNG)], "seeds": [4, 5]}),
        "application/json",
        (),
        "base64",
    )
    with serving(form) as running:
        yield running


@pytest.fixture(scope="module")
def failing() -> Iterator[Double]:
    with double() as running:
        yield running


@pytest.fixture(scope="module")
def inner(
    service: Service, failing: Double, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Mimeo in front of the service, and of some that fail."""
    folder = tmp_path_factory.mktemp("inner")
    file = folder / "services.toml"
    names = ("400", "403", "429", "500", "html", "holds", "wait-for-ever")
    file.write_text(
        "".join(
            f'[upstreams.x-{name}]\nkind = "json"\nurl = "{failing.url}/{name}"\n'
            for name in names
        )
    )
    settings = {
        "MIMEO_STORE": str(folder / "store"),
        "MIMEO_UPSTREAMS": str(file),
        "AI_SERVICE_URL": service.url,
    }
    with serve(settings=settings) as server:
        yield server


@pytest.fixture(scope="module", params=["simple", "openai"])
def outer(
    request: pytest.FixtureRequest,
    inner: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """Mimeo in front of Mimeo, in either dialect."""
    how = {
        "simple": {"AI_SERVICE_URL": inner.url},
        "openai": {
            "OPENAI_BASE_URL": f"{inner.url}/v1",
            "OPENAI_API_KEY": SECRET,
            "OPENAI_MODEL": "ai-service",
            "MIMEO_DEFAULT_RENDERER": "openai",
        },
    }
    settings = {"MIMEO_STORE": str(tmp_path_factory.mktemp("outer"))}
    with serve(settings=settings | how[request.param]) as server:
        yield server


def client_of(server: Server, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=SECRET, max_retries=retries
    )


@pytest.fixture
def client(inner: Server) -> Iterator[openai.OpenAI]:
    with client_of(inner) as made:
        yield made


def test_models_are_listed(client):
    names = [model.id for model in client.models.list()]

    assert "ai-service" in names
    assert client.models.retrieve("ai-service").owned_by == "mimeo"


def test_images_come_as_base64(client):
    found = client.images.generate(prompt=PROMPT, n=2, response_format="b64_json")

    assert [base64.b64decode(item.b64_json) for item in found.data] == [JPEG, PNG]
    assert [item.seed for item in found.data] == [4, 5]


def test_images_come_by_url(client):
    found = client.images.generate(prompt=PROMPT, n=2, response_format="url")

    answers = [requests.get(item.url, timeout=20) for item in found.data]
    assert [answer.content for answer in answers] == [JPEG, PNG]


def test_a_format_and_a_quality_are_honoured(client):
    found = client.images.generate(
        prompt=PROMPT, output_format="webp", output_compression=40
    )

    data = base64.b64decode(found.data[0].b64_json)
    assert Image.open(io.BytesIO(data)).format == "WEBP"
    assert found.output_format == "webp"


@pytest.mark.parametrize(
    ("asked", "error", "code"),
    [
        ({"model": "gpt-7"}, openai.NotFoundError, "model_not_found"),
        ({"size": "big"}, openai.BadRequestError, "invalid_value"),
        ({"output_format": "gif"}, openai.BadRequestError, "unsupported_value"),
        ({"n": 99}, openai.BadRequestError, "invalid_value"),
        ({"model": "x-400"}, openai.BadRequestError, "upstream_refused"),
        ({"model": "x-403"}, openai.InternalServerError, "upstream_denied"),
        ({"model": "x-429"}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"model": "x-500"}, openai.InternalServerError, "upstream_broken"),
        ({"model": "x-html"}, openai.InternalServerError, "upstream_bad_media"),
    ],
)
def test_errors_are_the_clients_own(client, asked, error, code):
    with pytest.raises(error) as caught:
        client.images.generate(prompt=PROMPT, **asked)

    assert caught.value.code == code
    assert caught.value.request_id
    assert SECRET not in str(caught.value)


def test_a_body_over_the_limit_is_an_error_with_a_code(client):
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(prompt="x" * (9 << 20))

    assert (caught.value.status_code, caught.value.code) == (413, "body_too_large")


def test_the_client_does_not_retry_what_may_have_been_paid(inner, failing):
    before = failing.count("/html")
    with client_of(inner, retries=2) as client, pytest.raises(openai.APIStatusError):
        client.images.generate(prompt="paid", model="x-html")

    assert failing.count("/html") == before + 1


def test_a_wait_of_days_is_not_more_than_the_client_bears(inner):
    with client_of(inner) as client, pytest.raises(openai.RateLimitError) as caught:
        client.images.generate(prompt=PROMPT, model="x-wait-for-ever")

    assert float(caught.value.response.headers["Retry-After"]) <= 120


def test_retries_of_a_client_cost_nothing(inner, service):
    before = len(service.asked)
    with client_of(inner) as client:
        shas = {
            client.images.generate(
                prompt="again and again",
                extra_headers={"x-stainless-retry-count": str(count)},
            )
            .data[0]
            .b64_json
            for count in range(5)
        }

    assert len(shas) == 1
    assert len(service.asked) == before + 1


def test_a_client_that_asks_anew_gets_another_image(client, service):
    before = len(service.asked)

    for _ in range(3):
        client.images.generate(prompt="regenerate")

    assert len(service.asked) == before + 3


def test_a_client_that_gave_up_gets_what_was_bought_meanwhile(inner, failing):
    failing.release.clear()
    before = failing.count("/holds")
    release = threading.Timer(2.5, failing.release.set)
    release.start()

    with client_of(inner, retries=2).with_options(timeout=1.5) as client:
        found = client.images.generate(prompt="slow", model="x-holds")

    release.join()
    assert found.data[0].b64_json
    assert failing.count("/holds") == before + 1


def test_what_a_client_cannot_have_is_said(client):
    found = client.images.generate(
        prompt=PROMPT, quality="hd", style="vivid", moderation="low"
    )

    assert [text.partition(":")[0] for text in found.warnings] == [
        *("style", "moderation", "quality")
    ]


def test_a_stream_is_read_by_the_client(client):
    events = list(client.images.generate(prompt=PROMPT, stream=True, partial_images=1))

    assert [event.type for event in events] == ["image_generation.completed"]
    assert base64.b64decode(events[0].b64_json) == JPEG


def test_another_key_is_another_purchase(client, service):
    before = len(service.asked)
    for key in ("one", "two", "one"):
        client.images.generate(prompt="keyed", extra_headers={"Idempotency-Key": key})

    assert len(service.asked) == before + 2


def test_one_mimeo_is_anothers_service(outer, service):
    before = len(service.asked)
    with client_of(outer) as client:
        key = {"Idempotency-Key": f"chained {outer.url}"}
        asked = {"prompt": "chained", "n": 2, "extra_headers": key}
        found = client.images.generate(**asked)
        again = client.images.generate(**asked, response_format="url")

    linked = [requests.get(item.url, timeout=20).content for item in again.data]
    assert [base64.b64decode(item.b64_json) for item in found.data] == [JPEG, PNG]
    assert linked == [JPEG, PNG]
    assert [item.seed for item in found.data] == [4, 5]
    assert len(service.asked) == before + 1


def test_a_chain_hands_on_binary_untouched(outer):
    headers = {"Accept": "image/*"}
    body = {"prompt": "binary"}

    answer = requests.post(
        f"{outer.url}/inference", json=body, headers=headers, timeout=60
    )

    assert (answer.status_code, answer.content) == (200, JPEG)
    assert answer.headers["X-Media-Seed"] == "4"


def test_a_hundred_clients_and_their_retries_pay_once(inner, failing):
    def persist(number: int) -> tuple[int, bytes]:
        """Ask until there is an answer, as a client does that is told to come back."""
        body = {"prompt": "everybody", "renderer": "x-holds"}
        with requests.Session() as session:
            while True:
                answer = session.post(f"{inner.url}/inference", json=body, timeout=60)
                if answer.status_code != 503:
                    return answer.status_code, answer.content
                assert 1 <= int(answer.headers["Retry-After"]) <= 120
                time.sleep(0.2)

    before = failing.count("/holds")
    with ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(persist, number) for number in range(100)]
        while failing.count("/holds") == before:
            time.sleep(0.01)
        failing.release.set()
        answers = {future.result(60) for future in asked}

    assert len(answers) == 1
    assert answers.pop()[0] == 200
    assert failing.count("/holds") == before + 1


def test_what_the_guide_says_works(inner, root, capsys):
    guide = (root / "docs" / "how-to" / "openai-client.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", guide, re.M | re.S))
    code = code.replace("http://127.0.0.1:8000", inner.url)
    # Forty images of a batch show what a thousand do.
    shorter = code.replace("range(1000)", "range(40)")
    assert shorter != code
    names: dict[str, Any] = {}

    exec(shorter.replace('model="openai"', 'model="ai-service"'), names)

    names["client"].close()
    image = base64.b64decode(names["answer"].data[0].b64_json)
    assert Image.open(io.BytesIO(image)).size == (512, 512)
    shown = capsys.readouterr().out
    assert "dream" in shown
    assert re.findall(r"^card-(\d+) \d{4,}$", shown, re.M) == [*map(str, range(40))]
