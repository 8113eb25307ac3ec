"""A service that is not far away: a Remote that counts and can be held up."""

import io
import threading
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from app.renderer.base import Absent, Encoded, Renderer, Wanted
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import Parameters


class Prompt(Parameters):
    """What the service can be asked for."""

    prompt: str
    seed: int = 0


def picture(shade: int, format: str = "PNG", side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade % 256, 0, 0)).save(buffer, format)
    return buffer.getvalue()


@dataclass
class Far:
    """Makes a new image at every call; `refused` words are what it cannot be told.

    `error` is raised by every call, each of `errors` by one."""

    most: int = 4
    total_s: float = 20.0
    price: float | None = None
    format: str = "PNG"
    missing: int = 0
    error: Exception | None = None
    errors: list[Exception] = field(default_factory=list)
    refused: str | None = None
    data: bytes | memoryview | None = None
    wanted: list[Wanted] = field(default_factory=list)
    made: int = 0
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go.set()

    def check(self, parameters: Any, wanted: Wanted) -> None:
        if self.refused is not None and self.refused in parameters.prompt:
            raise BadParameter(Fault("prompt", "has a word that is not known"))

    def make(
        self, parameters: Any, wanted: Wanted
    ) -> tuple[tuple[Encoded, ...], tuple[Absent, ...]]:
        self.wanted.append(wanted)
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        if self.errors:
            raise self.errors.pop(0)
        images = tuple(self._image() for _ in range(wanted.count - self.missing))
        return images, (Absent("a filter kept it", filtered=True),) * self.missing

    def renderer(self, name: str = "far") -> Renderer:
        """Return the renderer that this service is."""
        return Renderer(
            name,
            "Far away",
            Prompt,
            lambda given: (8, 8),
            _never,
            remote=self,
            example={"prompt": "x"},
        )

    def _image(self) -> Encoded:
        self.made += 1
        data = self.data or picture(self.made, self.format)
        facts = {"upstream": "far", "seed": self.made, "finish_reason": "success"}
        return Encoded(data, f"image/{self.format.lower()}", 8, 8, facts)


def _never(parameters: Any, scale: float) -> Any:
    raise AssertionError("a service's images are never drawn here")
