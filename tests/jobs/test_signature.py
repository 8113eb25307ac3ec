"""What is signed here is verified by the libraries of those who receive it."""

import base64
import json
import time

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from app.jobs.signature import receiver_secret, signed_headers

SECRET, OLDER = (
    b"0123456789abcdef0123456789abcdef",
    b"of-last-year-of-last-year-of-last",
)
ORIGIN = "https://shop.example"


CLIENT = openai.OpenAI(api_key="none")


def unwrap(body: bytes, headers: dict[str, str], secret: str) -> object:
    return CLIENT.webhooks.unwrap(body, headers, secret=secret)


def test_secret_is_one_that_the_standard_knows():
    secret = receiver_secret(SECRET, ORIGIN)

    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret[6:], validate=True)) <= 64


@given(st.text(max_size=200), st.sampled_from([ORIGIN, "http://localhost:9000"]))
def test_both_libraries_verify_a_message(text, origin):
    body = json.dumps({"type": "job.succeeded", "data": text}).encode()
    headers = signed_headers("msg_1", int(time.time()), body, [SECRET], origin)

    secret = receiver_secret(SECRET, origin)

    assert Webhook(secret).verify(body, headers)["data"] == text
    assert unwrap(body, headers, secret).data == text


@pytest.mark.parametrize("secret", [SECRET, OLDER], ids=["new", "old"])
def test_while_a_secret_changes_both_verify(secret):
    now = int(time.time())
    headers = signed_headers("msg_1", now, b"{}", [SECRET, OLDER], ORIGIN)

    given = receiver_secret(secret, ORIGIN)

    assert Webhook(given).verify(b"{}", headers) == {}
    unwrap(b"{}", headers, given)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"a":1}', {}),
        (b"{}", {"webhook-id": "msg_2"}),
        (b"{}", {"webhook-timestamp": str(int(time.time()) + 1)}),
        (b"{}", {"webhook-timestamp": str(int(time.time()) - 400)}),
    ],
)
def test_what_was_changed_is_refused(body, changed):
    now = int(time.time())
    headers = signed_headers("msg_1", now, b"{}", [SECRET], ORIGIN) | changed
    secret = receiver_secret(SECRET, ORIGIN)

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        unwrap(body, headers, secret)


def test_no_receiver_can_sign_for_another():
    secrets = {
        receiver_secret(secret, origin)
        for secret in (SECRET, OLDER)
        for origin in (ORIGIN, "https://shop.example:8443", "https://other.example")
    }

    assert len(secrets) == 6
