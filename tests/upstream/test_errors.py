"""Errors of upstreams survive a process and tell no secret."""

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.errors import RendererError
from app.upstream import errors
from app.upstream.errors import (
    BadMedia,
    CircuitOpen,
    ForbiddenAddress,
    TooLarge,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamError,
    UpstreamFiltered,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    scrub,
)

SAMPLES = [
    UpstreamUnavailable("art"),
    UpstreamTimeout("art", "first byte", 1.5),
    UpstreamTimeout("art", "connect", 1.5, outcome_unknown=False),
    UpstreamBroken("art", "it was cut off", 500),
    UpstreamRefused("art", 400, "size is not one of 1, 2"),
    UpstreamDenied("art", 401, "the key is not known"),
    UpstreamBusy("art", 7.9),
    CircuitOpen("art", 30),
    UpstreamFiltered("art", "safety"),
    BadMedia("art", "an HTML page"),
    TooLarge("art", "max_pixels", 64_000_000),
    ForbiddenAddress("art"),
]


def test_every_class_has_a_sample():
    classes = {
        kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, UpstreamError) and not name.startswith("_")
    }

    assert {type(error) for error in SAMPLES} == classes - {UpstreamError}


@pytest.mark.parametrize("error", SAMPLES, ids=repr)
def test_an_error_survives_the_way_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (copy.args, vars(copy)) == (error.args, vars(error))
    assert str(copy) == str(error)
    assert copy.outcome_unknown == error.outcome_unknown


@pytest.mark.parametrize("error", SAMPLES, ids=repr)
def test_an_error_is_a_sentence_that_names_the_upstream(error):
    assert isinstance(error, RendererError)
    assert error.upstream == "art"
    assert "pstream 'art'" in str(error)


def test_what_may_have_been_bought_is_told_from_what_was_not():
    unknown = {type(e) for e in SAMPLES if e.outcome_unknown}

    assert unknown == {
        UpstreamTimeout,
        UpstreamBroken,
        BadMedia,
        TooLarge,
        ForbiddenAddress,
    }
    assert not UpstreamTimeout(
        "art", "connect", 1, outcome_unknown=False
    ).outcome_unknown


@pytest.mark.parametrize(
    ("asked", "told"), [(-1, 1), (0, 1), (0.2, 1), (7.1, 8), (120, 120), (99_999, 120)]
)
def test_a_pause_is_one_to_120_whole_seconds(asked, told):
    assert UpstreamBusy("art", asked).retry_s == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("size is not one of 256x256", "size is not one of 256x256"),
        ("Invalid 'prompt': max. 4000 chars", "Invalid 'prompt': max. 4000 chars"),
        ("text_prompts.0.text: too long", "text_prompts.0.text: too long"),
        ("Incorrect key sk-proj-***abcd.", "Incorrect key [key]"),
        ("Authorization: Bearer abcdef123", "Authorization: [key]"),
        ("at https://u:p@10.0.0.1/x?k=1 now", "at [address] now"),
        ("10.1.2.3 refused, [fd00::1:2:3] too", "[address] refused, [[address]] too"),
        ("gpu-7.internal:8188 refused", "[address] refused"),
        ("no gpu-7.cluster.prod here", "no [address] here"),
        ("ask help.example.com", "ask [address]"),
        ("File /home/me/model.ckpt missing", "File [path] missing"),
        (
            "it broke: Traceback (most recent call last):\n  x = 1",
            "it broke: [traceback]",
        ),
        ("got " + "iVBORw0KGgo" * 9 + " instead", "got [omitted] instead"),
        ("two\nlines\x1b[31m", "two lines [31m"),
        ("寿司" * 40, "寿司" * 40),
        ("word " * 100, "word " * 40 + "…"),
    ],
)
def test_an_upstreams_words_are_scrubbed_and_shortened(text, told):
    assert scrub(text) == told


_WORDS = st.text(st.sampled_from("ab .,:/\n"), max_size=2_300)
_CANARIES = st.sampled_from(
    [
        "sk-canary-0123456789",
        "https://canary.example/x",
        "Bearer canary0123456789",
        "canary" * 6,
        "canary.svc.cluster.local",
        "canary:8080",
    ]
)


@given(_WORDS, _CANARIES, _WORDS)
def test_a_secret_is_found_wherever_it_stands(before, secret, after):
    said = str(UpstreamRefused("art", 401, f"{before} {secret} {after}"))

    assert "canary" not in said
    assert len(said) < 300


def test_a_secret_at_the_end_of_what_is_searched_is_not_cut_in_two():
    longest = "https://" + "x" * 1_975
    told = scrub(f"{longest} at canary1{'9' * 40}")

    assert told == "[address] at"


def test_what_an_operator_must_mend_is_no_kind_of_what_a_caller_can():
    assert not issubclass(UpstreamDenied, UpstreamRefused)
    assert not issubclass(UpstreamRefused, UpstreamDenied)
