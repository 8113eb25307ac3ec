"""Whatever HTML is sent, its PDF is a page or a refusal, as its PNG is."""

import contextlib

import pypdfium2
from hypothesis import given, settings
from hypothesis import strategies as st

from app.renderer.base import Output
from app.renderer.errors import RendererError
from app.renderer.produce import produce
from tests.renderer.encode.pdf.drawings import renderer

VALUES = st.sampled_from(
    ["0", "1px", "-1px", "0.001px", "9px", "50%", "1e6px", "-50%", "0.5", "2", "1em"]
)
PLAIN = (
    *("font-size", "letter-spacing", "line-height", "width", "height", "padding"),
    *("border-radius", "margin", "text-indent", "opacity", "word-spacing", "left"),
)
STYLES = st.one_of(
    st.builds("{}:{}".format, st.sampled_from(PLAIN), VALUES),
    st.builds("border:{} dashed red".format, VALUES),
    st.builds("outline:{} solid blue".format, VALUES),
    st.builds("text-shadow:1px 1px {} blue".format, VALUES),
    st.builds("box-shadow:{} {} 0 red".format, VALUES, VALUES),
    st.builds("transform:scale({})".format, VALUES),
    st.builds("filter:blur({})".format, VALUES),
    st.builds("-webkit-text-stroke:{} red".format, VALUES),
    st.builds("clip-path:circle({})".format, VALUES),
    st.sampled_from(
        [
            *("overflow:hidden", "display:flex", "position:absolute"),
            *("text-decoration:underline", "transform:rotate(50deg)"),
            "background:linear-gradient(50deg,red,blue)",
            "background:radial-gradient(red,transparent)",
            "mask-image:linear-gradient(red,transparent)",
            "background-clip:text;color:transparent",
        ]
    ),
)
TEXTS = st.sampled_from(
    ["", "a", "Hello world", "سلام hello", "नमस्ते", "🚀", "\u200b", "漢字", "&nbsp;"]
)


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    styles = st.lists(STYLES, max_size=4).map(";".join)
    kinds = st.sampled_from(["div", "span"])
    within = st.lists(inner, max_size=2).map("".join)
    return st.builds('<{0} style="{1}">{2}</{0}>'.format, kinds, styles, within)


@given(st.recursive(TEXTS, element, max_leaves=6))
@settings(max_examples=300, deadline=None)
def test_any_markup_is_a_page_or_refused(markup: str) -> None:
    html = renderer("html")
    given_ = {"html": f"<p>{markup}", "width": "200", "height": "150"}
    parameters = html.parameters.model_validate_strings(given_)

    with contextlib.suppress(RendererError):
        made = produce(html, parameters, Output(format="pdf"))
        assert len(pypdfium2.PdfDocument(bytes(made.data))) == 1
