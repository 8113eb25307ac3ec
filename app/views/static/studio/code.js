// A text with colours and line numbers, and what is wrong at its line: CodeMirror, without
// what this page has no use for.

import { EditorState, StateEffect, StateField } from "./vendor/codemirror-state.js";
import { Decoration, drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, MatchDecorator, ViewPlugin,
  WidgetType } from "./vendor/codemirror-view.js";
import { bracketMatching, HighlightStyle, LRLanguage, StreamLanguage, syntaxHighlighting } from "./vendor/codemirror-language.js";
import { defaultKeymap, history, historyKeymap } from "./vendor/codemirror-commands.js";
import { tags } from "./vendor/lezer-highlight.js";
import { configureNesting, parser as htmlParser } from "./vendor/lezer-html.js";
import { parser as cssParser } from "./vendor/lezer-css.js";
import { toml } from "./vendor/codemirror-toml.js";
import { html, useEffect, useRef } from "./ui.js";

const nested = configureNesting([{ tag: "style", parser: cssParser }], [{ name: "style", parser: cssParser.configure({ top: "Styles" }) }]);
const LANGUAGES = {
  html: LRLanguage.define({ parser: htmlParser.configure({ wrap: nested }) }),
  toml: StreamLanguage.define(toml),
};

// Colours of the page: they are custom properties, which shadow trees inherit.
const COLORS = HighlightStyle.define([
  { tag: [tags.tagName, tags.keyword, tags.propertyName, tags.heading], color: "var(--accent)" },
  { tag: [tags.string, tags.attributeValue, tags.number, tags.bool, tags.atom, tags.color, tags.unit], color: "var(--good)" },
  { tag: [tags.comment, tags.angleBracket, tags.punctuation, tags.attributeName], color: "var(--muted)" },
  { tag: tags.invalid, color: "var(--danger)" },
]);
const THEME = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--surface)", fontSize: "13px", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--muted)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    { backgroundColor: "color-mix(in srgb, var(--accent) 24%, transparent)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft)" },
  ".jinja, .jinja *": { color: "var(--mark) !important" },
  ".wrong": { backgroundColor: "var(--danger-soft)" },
  ".said": { backgroundColor: "var(--danger-soft)", color: "var(--danger)", padding: "0 6px 4px", fontFamily: "var(--mono)",
    whiteSpace: "pre-wrap", overflowWrap: "anywhere" },
});

const jinja = new MatchDecorator({ regexp: /\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}/g, decoration: Decoration.mark({ class: "jinja" }) });
const JINJA = ViewPlugin.fromClass(class {
  constructor(view) { this.decorations = jinja.createDeco(view); }
  update(update) { this.decorations = jinja.updateDeco(update, this.decorations); }
}, { decorations: (plugin) => plugin.decorations });

class Said extends WidgetType {
  constructor(reason) { super(); this.reason = reason; }
  eq(other) { return other.reason === this.reason; }
  toDOM() {
    const said = document.createElement("div");
    said.className = "said";
    said.textContent = this.reason;
    return said;
  }
}

const setFault = StateEffect.define();
// Until the server has looked again, the mark stays with what was wrong.
const FAULT = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    const set = transaction.effects.find((effect) => effect.is(setFault));
    return set ? marksOf(set.value, transaction.state.doc) : marks.map(transaction.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

function marksOf(fault, doc) {
  if (!fault) return Decoration.none;
  const line = doc.line(Math.min(Math.max(fault.line, 1), doc.lines));
  return Decoration.set([
    Decoration.line({ class: "wrong" }).range(line.from),
    Decoration.widget({ widget: new Said(fault.reason), block: true, side: 1 }).range(line.to),
  ]);
}

// `text` is what it begins with. `fault` is { line, reason }; it is scrolled to at first, and the cursor goes there when
// `sought` changes, which is 0 where nobody seeks it. Tab leaves the text, as everywhere on the page.
export function Code({ text, language, label, fault, sought, onChange }) {
  const host = useRef();
  const view = useRef();
  const told = useRef();
  told.current = onChange;
  useEffect(() => {
    // Its styles are sheets of a shadow tree: in the page they would be a style element, which
    // the Content-Security-Policy forbids.
    const root = host.current.shadowRoot || host.current.attachShadow({ mode: "open" });
    const extensions = [
      lineNumbers(), history(), drawSelection(), bracketMatching(), highlightActiveLine(), EditorView.lineWrapping,
      keymap.of([...defaultKeymap, ...historyKeymap]), LANGUAGES[language], syntaxHighlighting(COLORS), THEME, FAULT,
      ...(language === "html" ? [JINJA] : []),
      EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
      EditorView.updateListener.of((update) => update.docChanged && told.current(update.state.doc.toString())),
    ];
    view.current = new EditorView({ root, parent: root, state: EditorState.create({ doc: text, extensions }) });
    return () => view.current.destroy();
  }, [language, label]);
  useEffect(() => { view.current.dispatch({ effects: setFault.of(fault) }); }, [fault?.line, fault?.reason]);
  useEffect(() => {
    if (!fault) return;
    const { doc } = view.current.state;
    const line = doc.line(Math.min(fault.line, doc.lines));
    const effects = EditorView.scrollIntoView(line.from, { y: "center" });
    view.current.dispatch(sought ? { effects, selection: { anchor: line.from } } : { effects });
    if (sought) view.current.focus();
  }, [sought]);
  return html`<div class="code-host" ref=${host}></div>`;
}
