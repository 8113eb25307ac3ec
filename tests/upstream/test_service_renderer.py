"""A service as a renderer: what it tells at once, and what it is given time for."""

import time

import pytest

from app.renderer.base import Wanted
from app.upstream.errors import CircuitOpen, UpstreamError
from app.upstream.service import Service
from app.upstream.service_renderer import renderer_of
from tests.upstream.doubles import refusing


def wanted(patient: bool, within_s: float = 0.0) -> Wanted:
    return Wanted(1, None, time.monotonic() + within_s, patient)


def test_the_impatient_are_told_of_an_open_breaker_before_they_wait_for_others():
    renderer = renderer_of(Service(name="far", kind="auto", url=refusing()))
    prompt = renderer.parameters(prompt="a ship")
    for _ in range(5):
        with pytest.raises(UpstreamError):
            renderer.remote.make(prompt, wanted(patient=False, within_s=9))

    renderer.remote.check(prompt, wanted(patient=True))
    with pytest.raises(CircuitOpen):
        renderer.remote.check(prompt, wanted(patient=False))


def test_a_service_with_little_time_is_left_alone_for_a_third_of_it():
    upstream = Service(name="far", kind="auto", url=refusing(), total_s=0.6)
    renderer = renderer_of(upstream)
    prompt = renderer.parameters(prompt="a ship")
    for _ in range(5):
        with pytest.raises(UpstreamError):
            renderer.remote.make(prompt, wanted(patient=False, within_s=0.1))

    with pytest.raises(CircuitOpen):
        renderer.remote.check(prompt, wanted(patient=False))
    time.sleep(0.25)
    renderer.remote.check(prompt, wanted(patient=False))
