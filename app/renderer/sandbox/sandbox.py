"""Draw untrusted input in a process of its own, killed at the deadline."""

from app.config import Settings
from app.renderer.base import Encoded, Output, Renderer
from app.renderer.catalogue import drawn
from app.renderer.encode import FORMATS
from app.renderer.engine.engine import Engine
from app.renderer.engine.fonts import load_fonts
from app.renderer.errors import RenderTimeout, Undrawable
from app.renderer.params import Parameters
from app.renderer.produce import produce
from app.renderer.sandbox.process import Cell, Died, Expired

# Filled in the isolated process only, before its first drawing.
_ROWS: dict[str, Renderer] = {}


class Isolation:
    """Draws what is isolated; cheap until it is first used."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.render_timeout_s
        self._cell = Cell(prepare, settings, memory_bytes=settings.html_memory_bytes)

    def produce(
        self, renderer: Renderer, parameters: Parameters, output: Output
    ) -> Encoded:
        """Draw and encode as `app.renderer.produce` does, in the other process.

        Raises RenderTimeout at the deadline, Undrawable where the process died,
        and what drawing raises.
        """
        try:
            return self._cell.run(
                draw, renderer.name, parameters, output, timeout_s=self._timeout_s
            )
        except Expired as error:
            raise RenderTimeout("MIMEO_RENDER_TIMEOUT_S", self._timeout_s) from error
        except (Died, MemoryError) as error:
            raise Undrawable(
                "Drawing was stopped: it needs more memory than is allowed, or the"
                " engine cannot cope with it."
            ) from error

    def close(self) -> None:
        """End the process."""
        self._cell.close()


def prepare(settings: Settings) -> None:
    """Load fonts and engine, and whatever encoders load late, in this process."""
    engine = Engine(load_fonts(settings.fonts, settings.system_fonts))
    for row in drawn(engine, settings):
        if row.isolated:
            _ROWS[row.name] = row
            _rehearse(row)


def draw(name: str, parameters: Parameters, output: Output) -> Encoded:
    """Draw and encode in this process, which `prepare` made ready."""
    return produce(_ROWS[name], parameters, output)


def _rehearse(row: Renderer) -> None:
    values = {**row.example, "width": "16", "height": "16"}
    parameters = row.parameters.model_validate_strings(values)
    for name in FORMATS:
        produce(row, parameters, Output.model_validate({"format": name}))
