"""The catalogue: every renderer by name, in one table."""

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from app.config import Settings
from app.errors import with_fields
from app.renderer.base import ImageSource, Renderer
from app.renderer.builtin import (
    avatar,
    barcode,
    browser,
    dream,
    gradient,
    html,
    identicon,
    markdown,
    placeholder,
    qr,
    solid,
)
from app.renderer.engine.engine import Engine, load_engine
from app.renderer.engine.families import Family
from app.renderer.errors import BrokenTemplate, UnknownRenderer
from app.renderer.input_image import DrawSvg
from app.renderer.template.saved_templates import (
    SavedTemplates,
    TakenTemplate,
    split_version,
)
from app.renderer.template.template import load_templates
from app.renderer.template.template_files import TemplateFiles, read_files
from app.store import Store

PACKAGED = Path(__file__).parent / "templates"


@with_fields
class TakenName(ValueError):
    """A service is named like a renderer of this server."""

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} is the name of a renderer of this server"


class Catalogue:
    """All renderers: drawn ones, services, packaged and the operator's templates.

    An operator's template may replace a packaged one of the same name, not a
    drawn one or a service. In development the operator's folder is looked at on each
    call. `store` has those that were saved over HTTP, which replace nothing and are
    `listed`, but no part of `names`: those do not change while nobody but callers does
    anything. `draw_svg` draws what callers send as SVG, which is refused without
    it, and `images` reads what they name by URL.
    Raises TakenName where a service has the name of another renderer.
    """

    def __init__(
        self,
        settings: Settings,
        services: Iterable[Renderer] = (),
        draw_svg: DrawSvg | None = None,
        images: ImageSource | None = None,
        store: Store | None = None,
    ) -> None:
        self._settings = settings
        self._draw_svg = draw_svg
        self._images = images
        self._engine = load_engine(settings.fonts, settings.system_fonts)
        self._saved = (
            None
            if store is None
            else SavedTemplates(store, self._engine, settings, images)
        )
        self._drawn = {row.name: row for row in drawn(self._engine, settings, draw_svg)}
        self._packaged, broken = load_templates(
            PACKAGED, self._engine, settings, draw_svg
        )
        # A packaged template that is broken is this version's fault: it stops the
        # start.
        if broken:
            raise next(iter(broken.values()))
        for service in services:
            if service.name in self._drawn or service.name in self._packaged:
                raise TakenName(service.name)
            self._drawn[service.name] = service
        self._guard = threading.Lock()
        self._stamp: object = None
        self._renderers: Mapping[str, Renderer] = MappingProxyType({})
        self._names: tuple[str, ...] = ()
        self._own: frozenset[str] = frozenset()
        self._broken: Mapping[str, BrokenTemplate] = MappingProxyType({})
        self._load()

    def names(self) -> tuple[str, ...]:
        """Return the names of all renderers but of saved templates, sorted."""
        self._refresh()
        return self._names

    def renderers(self) -> tuple[Renderer, ...]:
        """Return all renderers that can be used but saved templates, by name."""
        self._refresh()
        return tuple(self._renderers[name] for name in self._names)

    def listed(self) -> tuple[tuple[Renderer, ...], tuple[BrokenTemplate, ...]]:
        """Return all renderers that can be used, by name, and what is broken.

        A saved template has the name by which its newest version is drawn. It is not
        among them where another renderer has got its name.
        """
        self._refresh()
        found = list(self._renderers.values())
        broken = list(self._broken.values())
        if self._saved is not None:
            ready, damaged = self._saved.listed()
            found += [row for row in ready if not self.has(row.name)]
            broken += [each for each in damaged if not self.has(each.name)]
        return tuple(sorted(found, key=lambda row: row.name)), tuple(broken)

    def get(self, name: str) -> Renderer:
        """Return a renderer; raise UnknownRenderer or BrokenTemplate."""
        self._refresh()
        renderer = self._renderers.get(name)
        if renderer is not None:
            return renderer
        broken = self._broken.get(name)
        if broken is not None:
            # A new one each time: a raised exception keeps its traceback.
            raise BrokenTemplate(*broken.args)
        saved = None if self._saved is None else self._saved.renderer(name)
        if saved is None:
            raise UnknownRenderer(name, (*self._names, *self.saved_versions()))
        return saved

    def use(self, names: Iterable[str]) -> None:
        """Note that something is made of renderers: what was saved of them stays.

        Raises UnknownRenderer where one is deleted at this moment, and StoreError.
        """
        for name in names:
            bare, version = split_version(name)
            if self._saved and version and name not in self._renderers:
                self._saved.use(bare, version)

    @property
    def saved(self) -> SavedTemplates | None:
        """The templates that were saved over HTTP; None where none can be."""
        return self._saved

    def check_free(self, name: str) -> None:
        """Raise TakenTemplate where a name is not to be had for a saved template."""
        self._refresh()
        if self.has(name):
            raise TakenTemplate(name)

    def saved_versions(self) -> Mapping[str, int]:
        """Return the newest versions of saved templates that are drawn by their names.

        Those whose names another renderer has got are not among them.
        """
        versions = {} if self._saved is None else self._saved.versions()
        return {name: each for name, each in versions.items() if not self.has(name)}

    def has(self, name: str) -> bool:
        """Tell whether a name is that of a renderer other than a saved template."""
        return name in self._renderers or name in self._broken

    def templates(self) -> Mapping[str, bool]:
        """Return the names of all templates, and whether they are the operator's."""
        self._refresh()
        names = sorted({*self._own, *self._packaged})
        return {name: name in self._own for name in names}

    def files_of(self, name: str) -> TemplateFiles:
        """Return the files of a template, one that is broken as well.

        Raises UnknownRenderer where there is no such template, and BrokenTemplate
        where its files cannot be read.
        """
        self._refresh()
        if self._settings.templates is not None and name in self._own:
            return read_files(self._settings.templates / name)
        if name in self._packaged:
            return read_files(PACKAGED / name)
        raise UnknownRenderer(name, tuple(self.templates()))

    def fonts(self) -> tuple[Family, ...]:
        """Return the families of the loaded fonts, by name."""
        return self._engine.describe()

    def broken(self) -> Mapping[str, BrokenTemplate]:
        """Return the templates that cannot be used, by name."""
        self._refresh()
        return self._broken

    def _refresh(self) -> None:
        # Looking at every file on each request is for those who edit them.
        if not self._settings.development:
            return
        with self._guard:
            if stamp(self._settings.templates) != self._stamp:
                self._load()

    def _load(self) -> None:
        self._stamp = stamp(self._settings.templates)
        own: dict[str, Renderer] = {}
        broken: dict[str, BrokenTemplate] = {}
        if self._settings.templates is not None:
            own, broken = load_templates(
                self._settings.templates, self._engine, self._settings, self._draw_svg
            )
        self._own = frozenset({*own, *broken})
        for name in self._drawn.keys() & (own.keys() | broken.keys()):
            own.pop(name, None)
            reason = "the name belongs to a renderer that is not a template"
            broken[name] = BrokenTemplate(name, name, None, reason)
        renderers = {**self._drawn, **self._packaged, **own}
        # A broken one of the operator's also hides the packaged one that it replaces:
        # better no card than another card.
        self._renderers = MappingProxyType(
            {
                name: replace(row, images=None if row.remote else self._images)
                for name, row in renderers.items()
                if name not in broken or name in self._drawn
            }
        )
        self._names = tuple(sorted(self._renderers))
        self._broken = MappingProxyType(broken)


def drawn(
    engine: Engine, settings: Settings, draw_svg: DrawSvg | None = None
) -> tuple[Renderer, ...]:
    """Return the renderers that are code and not templates."""
    shown = () if settings.browser is None else (settings.browser,)
    return (
        solid.RENDERER,
        gradient.build(engine),
        placeholder.build(engine),
        identicon.RENDERER,
        avatar.build(engine),
        qr.build(settings.max_image_pixels, draw_svg),
        barcode.build(engine),
        html.build(engine, settings),
        markdown.build(engine, settings),
        dream.build(engine),
        *(browser.build(engine, settings, program) for program in shown),
    )


def stamp(folder: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when any file below a folder does."""
    if folder is None:
        return ()
    found = []
    for path in sorted(folder.rglob("*")):
        # An editor may rename a file away between the listing and the look.
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)
