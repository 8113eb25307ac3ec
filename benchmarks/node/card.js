// The cards in satori's terms, inline styles and flex only: the light one of
// app/renderer/templates/card, and benchmarks/templates/poster.

const PAPER = "#fbf7ef";
const INK = "#1d2433";
const MUTED = "#646b7a";
const RED = "#e4572e";
const YELLOW = "#f3b53f";
const BLUE = "#1f4e79";
const GREEN = "#8cc7c0";

const box = (style, ...children) => ({
  type: "div",
  props: { style: { display: "flex", ...style }, children },
});
const text = (style, value) => ({ type: "div", props: { style, children: value } });

const row = { alignItems: "center", gap: 18, maxWidth: 644 };
const cut = { whiteSpace: "nowrap", overflow: "hidden", textOverflow: "ellipsis" };

const tag = (word) =>
  box(
    { ...row, height: 44, marginBottom: 32, fontSize: 22, fontWeight: 700, letterSpacing: 1.76, color: RED },
    box({ flexShrink: 0, width: 36, height: 6, borderRadius: 3, background: RED }),
    text(cut, word),
  );

// No lineClamp: beside textWrap it cuts the title short.
const title = (words) =>
  text(
    { width: 644, fontSize: 67, fontWeight: 800, lineHeight: 1.1, letterSpacing: -2.01, textWrap: "balance" },
    words,
  );

const subtitle = (words) =>
  text({ width: 644, marginTop: 24, fontSize: 32, lineHeight: 1.4, color: MUTED }, words);

const author = (name) =>
  box(
    { ...row, height: 56, marginTop: 32, fontSize: 24, fontWeight: 600 },
    box(
      {
        flexShrink: 0,
        alignItems: "center",
        justifyContent: "center",
        width: 56,
        height: 56,
        borderRadius: 28,
        background: RED,
        color: PAPER,
        fontSize: 26,
        fontWeight: 700,
      },
      name[0],
    ),
    text(cut, name),
  );

const tile = (background, ...shapes) =>
  box({ position: "relative", width: 210, height: 210, background }, ...shapes);

const shape = (background, left, top, side, borderRadius = side / 2) =>
  box({ position: "absolute", left, top, width: side, height: side, borderRadius, background });

const leaf = (background) => shape(background, 0, 0, 210, "0 210px 0 210px");
const dot = (background) => shape(background, 55, 55, 100);

const side = () =>
  box(
    { position: "relative", flexShrink: 0, flexWrap: "wrap", width: 420, height: 630 },
    tile(BLUE, shape(RED, 0, 0, 420), shape(BLUE, 70, 70, 280)),
    tile(YELLOW, dot(BLUE)),
    tile(GREEN, leaf(RED)),
    tile(BLUE, shape(YELLOW, 0, 105, 210)),
    tile(YELLOW, shape(GREEN, 0, 0, 210), dot(BLUE)),
    tile(RED, leaf(BLUE)),
  );

/** Return the card on a gradient as a tree of elements. */
function poster(parameters) {
  return box(
    {
      width: 1200,
      height: 630,
      padding: 72,
      backgroundImage: "linear-gradient(135deg, #0f172a, #4338ca)",
      color: "#ffffff",
      fontFamily: "Inter",
    },
    box(
      {
        flexDirection: "column",
        justifyContent: "center",
        width: 1056,
        height: 486,
        padding: 64,
        borderRadius: 32,
        background: "rgba(255, 255, 255, 0.12)",
      },
      text({ fontSize: 24, fontWeight: 600, lineHeight: 1.2, marginBottom: 24 }, parameters.tag),
      text({ fontSize: 72, fontWeight: 800, lineHeight: 1.1 }, parameters.title),
      text({ marginTop: 28, fontSize: 32, lineHeight: 1.4, color: "#c7d2fe" }, parameters.subtitle),
      text({ marginTop: 40, fontSize: 24, fontWeight: 600, lineHeight: 1.2 }, parameters.author),
    ),
  );
}

/** Return the light card as a tree of elements. */
function card(parameters) {
  return box(
    { width: 1200, height: 630, background: PAPER, color: INK, fontFamily: "Inter" },
    box(
      { flexDirection: "column", width: 780, height: 630, padding: "64px 64px 64px 72px", boxSizing: "border-box", flexShrink: 0 },
      tag(parameters.tag),
      box(
        { flexDirection: "column", flexGrow: 1, justifyContent: "center" },
        title(parameters.title),
        subtitle(parameters.subtitle),
      ),
      author(parameters.author),
    ),
    side(),
  );
}

export const cards = { card, poster };
