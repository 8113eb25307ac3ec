"""Stable Diffusion WebUI's words are read, and answered as its clients read them."""

import base64
import io
import json

import pytest
from flask.testing import FlaskClient
from PIL import Image

from app.dialects.webui import read
from app.pipeline.generation import Generation
from app.renderer.errors import BadParameter

# As `webuiapi` sends it, whatever is wanted.
SENT = {
    **{"enable_hr": False, "hr_scale": 2, "hr_upscaler": "Latent", "hr_resize_x": 0},
    **{"hr_second_pass_steps": 0, "denoising_strength": 0.7, "firstphase_width": 0},
    **{"prompt": "a quiet sea", "styles": [], "seed": -1, "subseed": -1, "eta": 1.0},
    **{"seed_resize_from_h": 0, "sampler_name": "Euler a", "batch_size": 1},
    **{"n_iter": 1, "steps": None, "cfg_scale": 7.0, "width": 96, "height": 64},
    **{"restore_faces": False, "tiling": False, "negative_prompt": "", "s_churn": 0},
    **{"override_settings": {}, "script_args": [], "send_images": True},
    **{"alwayson_scripts": {}, "s_noise": 1, "save_images": False},
}
TXT2IMG = "/sdapi/v1/txt2img"


def test_what_a_client_always_sends_is_no_warning() -> None:
    asked, warnings = read(SENT, None)

    assert warnings == ()
    assert asked == Generation(
        {"prompt": "a quiet sea", "width": 96, "height": 64},
        output={"format": "png"},
        attempt="first",
        wishes={"cfg_scale": 7.0, "sampler_name": "Euler a"},
    )


def test_what_would_change_the_picture_is_named() -> None:
    _, warnings = read({**SENT, "enable_hr": True, "restore_faces": True}, None)

    assert warnings == (
        "enable_hr: has no effect here",
        "restore_faces: has no effect here",
    )


@pytest.mark.parametrize(
    "given",
    [
        {"subseed_strength": 0.9},
        {"eta": 0.3},
        {"s_churn": 40},
        {"seed_resize_from_h": 512},
        {"send_images": False},
        {"save_images": True},
        {"infotext": "a quiet sea, Steps: 20"},
    ],
)
def test_what_counts_elsewhere_and_is_not_as_usual_is_named(given) -> None:
    _, warnings = read({**SENT, **given}, None)

    assert warnings == tuple(f"{name}: has no effect here" for name in given)


def test_the_old_name_of_the_sampler_is_read() -> None:
    asked, warnings = read({"prompt": "a", "sampler_index": "DDIM"}, None)

    assert (asked.wishes, warnings) == ({"sampler_name": "DDIM"}, ())


# The answer repeats them, and was a 500 once the images were made.
@pytest.mark.parametrize(
    "given",
    [
        {"x": 10**30},
        {"negative_prompt": 10**30},
        {"alwayson_scripts": json.loads("[" * 300 + "]" * 300)},
    ],
)
def test_what_no_answer_can_repeat_is_refused(client: FlaskClient, given) -> None:
    sent = {"prompt": "a", "width": 64, "height": 64, **given}

    answer = client.post(TXT2IMG, json=sent)

    assert (answer.status_code, answer.json["field"]) == (422, next(iter(given)))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"n_iter": "two"}, "n_iter"),
        ({"n_iter": True}, "n_iter"),
        ({"init_images": ["AAAA"]}, "init_images"),
        ({"override_settings": {"sd_model_checkpoint": 1}}, "override_settings"),
        ({"override_settings": 5}, "override_settings"),
    ],
)
def test_what_has_no_meaning_is_named(given: dict[str, object], field: str) -> None:
    with pytest.raises(BadParameter, match=field):
        read({**SENT, **given}, None)


def test_images_come_as_its_clients_read_them(client: FlaskClient) -> None:
    given = {"batch_size": 2, "seed": 7}
    settings = {"sd_model_checkpoint": "dream"}

    answer = client.post(TXT2IMG, json={**SENT, **given, "override_settings": settings})

    assert answer.status_code == 200
    info = json.loads(answer.json["info"])
    assert (info["width"], info["height"], info["sd_model_name"]) == (96, 64, "dream")
    assert any(each.startswith("sampler_name: ") for each in info["warnings"])
    assert "sampler_name" in answer.headers["X-Media-Warnings"]
    images = [base64.b64decode(each) for each in answer.json["images"]]
    assert len(set(images)) == 2
    with Image.open(io.BytesIO(images[0])) as image:
        assert (image.format, image.size) == ("PNG", (96, 64))


def test_a_seed_is_the_same_picture_and_none_is_another(client: FlaskClient) -> None:
    def image(**given: object) -> str:
        answer = client.post(TXT2IMG, json={**SENT, **given})
        return str(answer.json["images"][0])

    assert image(seed=7) == image(seed=7)
    assert image() != image()


def test_a_fault_names_the_clients_own_field(client: FlaskClient) -> None:
    answer = client.post(TXT2IMG, json={**SENT, "batch_size": 100, "n_iter": 5})

    assert (answer.status_code, answer.json["field"]) == (422, "batch_size")


def test_the_lists_that_clients_ask_for_first(client: FlaskClient) -> None:
    models = client.get("/sdapi/v1/sd-models").json
    usual = client.get("/sdapi/v1/options").json["sd_model_checkpoint"]

    assert usual in [each["model_name"] for each in models]
    assert client.get("/sdapi/v1/samplers").json[0]["name"]
