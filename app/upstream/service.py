"""One service that makes images, as the operator described it."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["auto", "openai", "stability", "sdwebui", "binary", "json"]
Api = Literal["v1", "v2beta"]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A secret from the environment and the header that carries it.

    The scheme goes before the secret, with a space; an empty one sends the secret
    alone. With `Basic` the secret is `user:password` (RFC 7617).
    """

    secret: str = field(repr=False)
    header: str = "Authorization"
    scheme: str = "Bearer"

    @property
    def value(self) -> str:
        """The value of the header."""
        secret = self.secret
        if self.scheme.lower() == "basic":
            secret = b64encode(secret.encode()).decode()
        return f"{self.scheme} {secret}".lstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service by its name, which is also that of the renderer it becomes.

    It is trusted, and often on a private address. `url` is the base of the kind's own
    paths; of `binary` and `json` it is the whole address, as it is of `auto` with a
    path or a query. `api` belongs to `stability`, `pointer` (a JSON pointer, `*` for
    every index) to `json`. `knows` are the parameters beside the prompt that it takes,
    `sizes` the only sizes; None and no size mean whatever its kind and model take.

    `total_s` counts from the request's acceptance to the last byte, `first_byte_s` from
    the connection to the end of the answer's headers, `idle_s` from one piece of the
    body to the next. `max_wire_bytes` counts the body as it is sent (base64 is a third
    larger than what it holds), `max_image_bytes` one image as it is delivered.
    `price` is what an image costs, in the money in which budgets of keys are then.
    """

    name: str
    kind: Kind
    # A query may hold a key.
    url: str = field(repr=False)
    credential: Credential | None = None
    api: Api | None = None
    model: str | None = None
    pointer: str | None = None
    knows: tuple[str, ...] | None = None
    sizes: tuple[Size, ...] = ()
    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 30.0
    total_s: float = 180.0
    max_wire_bytes: int = 64 << 20
    max_image_bytes: int = 32 << 20
    max_images: int = 16
    max_pixels: int = 64_000_000
    concurrency: int = 4
    price: float | None = None
