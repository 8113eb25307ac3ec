// The pictures in satori's terms, inline styles and flex only: those of
// app/renderer/templates and benchmarks/templates, with the text in the size asked for.

const PAPER = "#fbf7ef";
const INK = "#1d2433";
const MUTED = "#646b7a";
const RED = "#e4572e";
const YELLOW = "#f3b53f";
const BLUE = "#1f4e79";
const GREEN = "#8cc7c0";

const box = (style, ...children) => ({
  type: "div",
  props: { style: { display: "flex", boxSizing: "border-box", ...style }, children },
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
const title = (words, fontSize) =>
  text(
    { width: 644, fontSize, fontWeight: 800, lineHeight: 1.1, letterSpacing: -0.03 * fontSize, textWrap: "balance" },
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
function poster(parameters, fontSize) {
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
      text({ fontSize, fontWeight: 800, lineHeight: 1.1 }, parameters.title),
      text({ marginTop: 28, fontSize: 32, lineHeight: 1.4, color: "#c7d2fe" }, parameters.subtitle),
      text({ marginTop: 40, fontSize: 24, fontWeight: 600, lineHeight: 1.2 }, parameters.author),
    ),
  );
}

/** Return the light card as a tree of elements. */
function card(parameters, fontSize) {
  return box(
    { width: 1200, height: 630, background: PAPER, color: INK, fontFamily: "Inter" },
    box(
      { flexDirection: "column", width: 780, height: 630, padding: "64px 64px 64px 72px", flexShrink: 0 },
      tag(parameters.tag),
      box(
        { flexDirection: "column", flexGrow: 1, justifyContent: "center" },
        title(parameters.title, fontSize),
        subtitle(parameters.subtitle),
      ),
      author(parameters.author),
    ),
    side(),
  );
}

const img = (src, style) => ({ type: "img", props: { src, style, ...style } });

const dial = (background, ...shapes) =>
  box({ position: "relative", width: 150, height: 150, background, overflow: "hidden" }, ...shapes);

/** Return the badge; `code` is the source of its QR code. */
function badge(code, { name, role, company, event }, fontSize) {
  const line = (style, words) => text({ width: 504, lineHeight: 1.25, ...style }, words);
  return box(
    { flexDirection: "column", width: 600, height: 900, background: "#ffffff", color: INK, fontFamily: "Inter" },
    box(
      { flexDirection: "column", justifyContent: "center", height: 168, padding: "24px 48px 0 48px", background: BLUE, color: "#ffffff" },
      box({ position: "absolute", left: 250, top: 18, width: 100, height: 16, borderRadius: 8, background: "#163a5b" }),
      line({ fontSize: 40, fontWeight: 700, lineHeight: 1.2, letterSpacing: -0.4 }, event),
    ),
    box(
      { flexDirection: "column", justifyContent: "center", flexGrow: 1, padding: "24px 48px" },
      line({ fontSize, fontWeight: 800, lineHeight: 1.06, letterSpacing: -0.03 * fontSize, textWrap: "balance" }, name),
      line({ marginTop: 20, fontSize: 34, fontWeight: 600, color: "#d1471f" }, role),
      line({ marginTop: 8, fontSize: 30, fontWeight: 400, color: "#5a6272" }, company),
    ),
    box({ padding: "0 48px 24px 48px" }, img(code, { width: 174, height: 174 })),
    box(
      { width: 600, height: 150 },
      dial(GREEN, shape(RED, 0, 0, 150, "0 150px 0 150px")),
      dial(YELLOW, shape(BLUE, 40, 40, 70)),
      dial(BLUE, shape(YELLOW, 0, 75, 150)),
      dial(RED, shape(GREEN, 0, 0, 300), shape(RED, 50, 50, 200)),
    ),
  );
}

/** Return the certificate; `border` and `seal` are sources of images. */
function certificate(border, seal, { name, course, date, issuer }, fontSize) {
  const gold = "#b08d3c";
  const middle = (style, words) => text({ textAlign: "center", ...style }, words);
  const field = (words) =>
    box(
      { flexDirection: "column", alignItems: "center", justifyContent: "flex-end", width: 280, height: 136 },
      middle({ fontSize: 22, fontWeight: 500, lineHeight: 1.25 }, words),
      box({ width: 280, height: 1, marginTop: 10, background: "#1b2a3d" }),
    );
  const soft = (words) =>
    middle({ fontSize: 22, fontWeight: 400, fontStyle: "italic", lineHeight: 1.4, color: "#5d6672" }, words);
  return box(
    {
      position: "relative",
      flexDirection: "column",
      alignItems: "center",
      width: 1123,
      height: 794,
      padding: "92px 96px 0 96px",
      background: "#fdfaf1",
      color: "#1b2a3d",
      fontFamily: "Source Serif 4",
    },
    box({ position: "absolute", left: 0, top: 0 }, img(border, { width: 1123, height: 794 })),
    middle({ fontSize: 64, fontWeight: 500, lineHeight: 1.15, letterSpacing: 10.24, color: "#24405f" }, "CERTIFICATE"),
    box(
      { alignItems: "center", justifyContent: "center", gap: 14, height: 14, marginTop: 12 },
      box({ width: 120, height: 1, background: gold }),
      box({ width: 9, height: 9, background: gold, transform: "rotate(45deg)" }),
      box({ width: 120, height: 1, background: gold }),
    ),
    box(
      { flexDirection: "column", alignItems: "center", justifyContent: "center", width: 931, height: 354, paddingTop: 8 },
      soft("This is proudly presented to"),
      middle({ maxWidth: 860, marginTop: 10, fontSize, fontWeight: 600, lineHeight: 1.15, letterSpacing: -0.01 * fontSize, textWrap: "balance" }, name),
      box({ width: 560, height: 1, margin: "16px 0 18px 0", background: gold }),
      soft("for the successful completion of"),
      middle({ marginTop: 10, fontSize: 34, fontWeight: 600, lineHeight: 1.25, color: "#24405f" }, course),
    ),
    box(
      { position: "absolute", left: 112, top: 560, alignItems: "flex-end", justifyContent: "space-between", width: 899, height: 156 },
      field(date),
      img(seal, { width: 135, height: 165 }),
      field(issuer),
    ),
  );
}

/** For each picture: its drawing, made of a function that reads the file of an image. */
export const pictures = {
  card: async () => card,
  poster: async () => poster,
  badge: async (image) => badge.bind(null, await image("code.svg")),
  certificate: async (image) =>
    certificate.bind(null, await image("border.svg"), await image("seal.svg")),
};
