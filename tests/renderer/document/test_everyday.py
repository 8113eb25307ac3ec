"""HTML as programs write it: each piece is drawn right, or named in what is ignored."""

import re

import pytest

from app.renderer.document.translation import translate
from app.renderer.embedded_images import EmbeddedImages
from tests.renderer.document.fonts import fonts

SIZE = (200, 100)

OUTLOOK = (
    "<!--[if mso]><table><tr><td>only Outlook</td></tr></table><![endif]-->"
    "<!--[if !mso]><!--><p>all others</p><!--<![endif]-->"
)
WORD = (
    "<html xmlns:o='urn:schemas-microsoft-com:office:office'><head><style>"
    "<!-- @font-face{font-family:Calibri;panose-1:2 15 5 2}"
    " p.MsoNormal,li.MsoNormal{mso-style-unhide:no;margin:0cm;"
    "mso-pagination:widow-orphan;font-size:11.0pt;mso-ansi-language:EN-US}"
    " @page WordSection1{size:612.0pt 792.0pt}"
    " div.WordSection1{page:WordSection1} --></style></head><body lang=EN-US>"
    "<div class=WordSection1><p class=MsoNormal>"
    "<span style='mso-fareast-language:EN-US'>"
    "Dear all<o:p></o:p></span></p></div>"
)
GMAIL = (
    "<div class='gmail_quote'><div dir=ltr class=gmail_attr>On Monday wrote:<br></div>"
    "<blockquote class=gmail_quote style='margin:0 0 0 .8ex;"
    "border-left:1px solid rgb(204,204,204);padding-left:1ex'>Hello</blockquote></div>"
)
GOOGLE_DOCS = (
    "<style>@import url(https://themes.googleusercontent.com/fonts/css?kit=x);"
    ".lst-kix_a-0>li:before{content:'- '}ul.lst-kix_a-0{list-style-type:none}"
    ".c1{orphans:2;widows:2;font-weight:400}</style>"
    "<ul class='c0 lst-kix_a-0 start'><li class=c1><span>one</span></li></ul>"
)
MJML = (
    "<div style='margin:0 auto;max-width:600px'><table align=center border=0"
    " cellpadding=0 cellspacing=0 role=presentation style='width:100%'><tbody><tr>"
    "<td style='direction:ltr;font-size:0;padding:20px 0;text-align:center'>"
    "<div class='mj-column-per-100' style='font-size:0;text-align:left;direction:ltr;"
    "display:inline-block;vertical-align:top;width:100%'><div style='font-size:13px'>"
    "Offer</div></div></td></tr></tbody></table></div>"
)
BOOTSTRAP = (
    "<style>.card{--bs-card-bg:#fff;position:relative;display:flex;flex-direction:column;"
    "min-width:0;word-wrap:break-word;background-color:var(--bs-card-bg);"
    "background-clip:border-box;border:1px solid rgba(0,0,0,.175)}"
    ".card-body{flex:1 1 auto;padding:1rem}.btn:not(:disabled):not(.disabled)"
    "{cursor:pointer}.btn:focus-visible{outline:0}</style>"
    "<div class=card><div class=card-body><h5>Card</h5><a class=btn>Go</a></div></div>"
)
PREFLIGHT = (
    "<style>*,::after,::before,::backdrop,::file-selector-button{box-sizing:border-box;"
    "margin:0;padding:0;border:0 solid}html,:host{line-height:1.5;"
    "-webkit-text-size-adjust:100%;tab-size:4;-webkit-tap-highlight-color:transparent}"
    "ol,ul,menu{list-style:none}::-webkit-inner-spin-button{height:auto}"
    "[hidden]:where(:not([hidden='until-found'])){display:none!important}</style>"
    "<h1>Head</h1><p hidden>no</p>"
)
CKEDITOR = (
    "<figure class=table><table><tbody><tr><td>cell</td></tr></tbody></table>"
    "<figcaption>under</figcaption></figure><p>&nbsp;</p>"
)
TINYMCE = (
    "<p style='text-align:center' data-mce-style='text-align:center'>"
    "<span style='text-decoration:underline'><em>said</em></span></p>"
)
QUILL = (
    "<style>.ql-align-right{text-align:right}.ql-ui{position:absolute}</style>"
    "<p class=ql-align-right>right<strong> bold</strong></p>"
    "<ol><li data-list=bullet><span class=ql-ui contenteditable=false></span>item</ol>"
)
GITHUB = (
    "<div class='markdown-body'><h2 id=user-content-a><a class=anchor href='#a'"
    " aria-hidden=true></a>Title</h2><div class='highlight highlight-source-shell'>"
    "<pre><span class=pl-s1>ls</span></pre></div><ul class=contains-task-list>"
    "<li class=task-list-item><input type=checkbox disabled checked>done</ul></div>"
)


def shown_text(document: str) -> str:
    """Return the letters of a page, by single blanks."""
    body = translate(document, SIZE, EmbeddedImages(10_000), 200, fonts()).body
    body = body.replace("\xa0", " ").replace("\u200b", "")
    return " ".join(re.sub("<[^>]*>", " ", body).split())


def ignored(document: str) -> tuple[str, ...]:
    return translate(document, SIZE, EmbeddedImages(10_000), 200, fonts()).ignored


@pytest.mark.parametrize(
    ("document", "text", "named"),
    [
        (OUTLOOK, "all others", ()),
        (WORD, "Dear all", ()),
        (GMAIL, "On Monday wrote: Hello", ()),
        (GOOGLE_DOCS, "- one", ("@import",)),
        (MJML, "Offer", ()),
        (BOOTSTRAP, "Card Go", ()),
        (PREFLIGHT, "Head", ()),
        (CKEDITOR, "cell under", ()),
        (TINYMCE, "said", ()),
        (QUILL, "right bold 1. item", ()),
        (GITHUB, "Title ls done", ()),
    ],
    ids=[
        *("Outlook", "Word", "Gmail", "Google Docs", "MJML", "Bootstrap", "Tailwind"),
        *("CKEditor", "TinyMCE", "Quill", "GitHub"),
    ],
)
def test_what_programs_write_is_drawn(document: str, text: str, named) -> None:
    assert shown_text(document) == text
    assert ignored(document) == named


STYLED = "<svg width=9 height=9><style>{}</style><rect class=a id=b width=9 /></svg>"


@pytest.mark.parametrize(
    "css",
    [
        ".a{fill:#00aa44}",
        "#b{fill:#00aa44}",
        "svg .a{fill:#00aa44}",
        "rect{fill:#000}.a{fill:#00aa44}",
        "<![CDATA[.a{fill:#00aa44}]]>",
        "@media screen{.a{fill:#00aa44}}",
        ".a{fill:var(--no,#00aa44)}",
        ".a{--c:#00aa44;fill:var(--c)}",
    ],
)
def test_a_drawings_own_styles_stay_in_it(css: str) -> None:
    document = STYLED.format(css) + "<p class=a id=b>x</p>"
    body = translate(document, SIZE, EmbeddedImages(10_000), 200, fonts()).body

    drawing, _, after = body.partition("</svg>")
    assert "#00aa44" in drawing
    assert "fill" not in after and "var(" not in drawing


def test_a_drawing_has_the_variables_of_its_page() -> None:
    document = "<style>:root{--c:#00aa44}</style>" + STYLED.format(".a{fill:var(--c)}")
    body = translate(document, SIZE, EmbeddedImages(10_000), 200, fonts()).body

    assert "fill:#00aa44" in body


@pytest.mark.parametrize(
    "markup",
    [
        "<img src='https://a.example/b.png'>",
        "<img src='//a.example/b.png'>",
        "<img src='cid:logo@mail'>",
        "<img src='file:///C:/logo.png'>",
        "<img src='blob:https://a.example/1'>",
        "<img src='data:image/png;base64,AAAA'>",
        "<img srcset='https://a.example/b.png 2x'>",
        "<p style='background-image:url(logo.png)'>x",
        "<p style='background:#fff url(\"logo.png\") no-repeat'>x",
        "<table background=logo.png><tr><td>x</table>",
        "<style>p::before{content:url(logo.png)}</style><p>x",
        "<ul style='list-style-image:url(logo.png)'><li>x</ul>",
        "<video poster=logo.png></video>",
        "<input type=image src=logo.png>",
    ],
)
def test_images_that_cannot_be_had_are_named(markup: str) -> None:
    assert ignored(markup)
