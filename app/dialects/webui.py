"""Stable Diffusion WebUI's API, `/sdapi/v1`: its fields, answers and lists.

Its clients send some forty fields whatever is wanted, most of them as they are by
default, so only what would change the picture is said to have no effect.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from app.pipeline.generation import GeneratedImages, Generation
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import as_whole

# What one program calls a model is a renderer here.
_MODEL = "sd_model_checkpoint"
_SIDES = ("width", "height")
# Fields that count where the renderer knows them, by the names of its parameters.
_WISHES = ("negative_prompt", "steps", "cfg_scale", "sampler_name", "scheduler")
# Fields that count beside another one alone, which is said, or for no picture.
_SILENT = frozenset(
    (
        *("denoising_strength", "subseed", "refiner_switch_at", "script_args"),
        *("override_settings_restore_afterwards", "force_task_id"),
        *("do_not_save_samples", "do_not_save_grid", "hr_scale", "hr_upscaler"),
        *("hr_resize_x", "hr_resize_y", "hr_prompt", "hr_negative_prompt"),
        *("hr_second_pass_steps", "hr_checkpoint_name", "hr_sampler_name"),
        *("hr_scheduler", "hr_additional_modules", "firstphase_width"),
        "firstphase_height",
    )
)
# What clients send that is as if they did not, beside what is nothing at all.
_USUAL = MappingProxyType(
    {
        "eta": 1,
        "s_noise": 1,
        "s_tmax": float("inf"),
        "seed_resize_from_h": -1,
        "seed_resize_from_w": -1,
    }
)
_PICTURES = ("init_images", "mask")
_READ = frozenset(
    ("prompt", "seed", "batch_size", "n_iter", "override_settings", *_SIDES, *_WISHES)
)
_NO_EFFECT = "has no effect here"

REQUEST_SCHEMA = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "prompt": {"type": "string"},
            "width": {"type": "integer", "minimum": 1, "default": 512},
            "height": {"type": "integer", "minimum": 1, "default": 512},
            "seed": {"type": "integer", "minimum": -1, "default": -1},
            "batch_size": {"type": "integer", "minimum": 1, "default": 1},
            "n_iter": {"type": "integer", "minimum": 1, "default": 1},
            "override_settings": {"type": "object"},
        },
        "required": ["prompt"],
        "additionalProperties": True,
    }
)


def read(
    document: Mapping[str, Any], key: str | None
) -> tuple[Generation, tuple[str, ...]]:
    """Return what is asked for, and warnings of fields without effect.

    Raises BadParameter that names WebUI's fields.
    """
    values = {name: value for name, value in document.items() if value is not None}
    pictures = [name for name in _PICTURES if values.get(name)]
    if pictures:
        raise BadParameter(Fault(pictures[0], "no image is made of another one here"))
    counts = [_count(values, name) for name in ("batch_size", "n_iter")]
    parameters = {"prompt": values.get("prompt", "")}
    parameters |= {side: values.get(side, 512) for side in _SIDES}
    _check_written(values)
    values.setdefault("sampler_name", values.pop("sampler_index", None))
    wishes = {name: values[name] for name in _WISHES if values.get(name)}
    seed = as_whole(values.get("seed", -1))
    if seed != -1:
        wishes["seed"] = seed
    generation = Generation(
        parameters,
        _model(values.get("override_settings", {})),
        counts[0] * counts[1],
        {"format": "png"},
        key,
        "first",
        wishes,
    )
    return generation, tuple(f"{name}: {_NO_EFFECT}" for name in _others(values))


def _others(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would change the answer elsewhere, and changes none here."""
    for name, value in values.items():
        is_usual = not value or value == _USUAL.get(name)
        if name == "send_images":
            is_usual = bool(value)
        if not is_usual and name not in _READ and name not in _SILENT:
            yield name


def _check_written(values: Mapping[str, Any]) -> None:
    """Refuse what the answer, which repeats all that was asked, could not hold."""
    for name, value in values.items():
        try:
            orjson.dumps(value)
        except TypeError as error:
            reason = "has a number of more than 64 bits, or nests too deep"
            raise BadParameter(Fault(name, reason)) from error


def _count(values: Mapping[str, Any], name: str) -> int:
    count = as_whole(values.get(name, 1))
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise BadParameter(Fault(name, "must be a whole number, 1 or more"))
    return count


def _model(settings: Any) -> str | None:
    name = settings.get(_MODEL) if isinstance(settings, Mapping) else settings
    if not isinstance(name, (str, type(None))):
        raise BadParameter(Fault("override_settings", f"{_MODEL} must be a text"))
    return name or None


def renamed(error: BadParameter) -> BadParameter:
    """Return an error of a Generation with the names of this dialect."""
    names = {"n": "batch_size", "renderer": "override_settings"}
    return BadParameter(
        *(Fault(names.get(field, field), why) for field, why in error.faults)
    )


def write(
    album: GeneratedImages, document: Mapping[str, Any], warnings: tuple[str, ...]
) -> dict[str, Any]:
    """Return the answer as a document in which images are bytes.

    `info` is JSON in JSON, as its clients read it.
    """
    first = album.images[0]
    seeds = [media.facts.get("seed", -1) for media in album.images]
    info = {
        "prompt": document.get("prompt", ""),
        "negative_prompt": document.get("negative_prompt") or "",
        "seed": seeds[0],
        "all_seeds": seeds,
        "width": first.width,
        "height": first.height,
        "batch_size": len(album.images),
        "sd_model_name": album.renderer,
        "index_of_first_image": 0,
        "infotexts": [],
        "warnings": warnings,
    }
    return {
        "images": [media.data for media in album.images],
        "parameters": dict(document),
        "info": orjson.dumps(info).decode(),
    }


def write_models(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what takes a prompt as checkpoints."""
    rows = (dict.fromkeys(("title", "model_name", "filename"), name) for name in names)
    return [{**row, "hash": None, "sha256": None, "config": None} for row in rows]


def write_options(name: str) -> dict[str, Any]:
    """Return what may be asked of the settings: which model is the usual one."""
    return {_MODEL: name, "samples_format": "png"}


# Clients choose from a list that is not empty; what draws here samples nothing.
SAMPLERS = ({"name": "Euler a", "aliases": [], "options": {}},)
