// What all parts of the page are written with, and the small parts that they share.

import { h, render } from "./vendor/preact.js";
import { useCallback, useEffect, useId, useMemo, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";
import { ask, askJson, keptKey } from "./api.js";

const MOST_TRIES = 5;
export const html = htm.bind(h);
export { render, useCallback, useEffect, useId, useMemo, useRef, useState };

// What a renderer is, once the server has said so, and what went wrong with that.
export function useRenderer(name) {
  const [about, setAbout] = useState(null);
  const [fault, setFault] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    setFault("");
    askJson(`renderers/${name}`, { signal: abort.signal }).then(setAbout, (error) => {
      if (error.name !== "AbortError") setFault(error.message);
    });
    return () => abort.abort();
  }, [name]);
  return [about, fault];
}

// Tabs of the ARIA Authoring Practices: arrows move, and choose at once.
export function Tabs({ label, names, chosen, onChoose }) {
  const list = useRef();
  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = (names.indexOf(chosen) + step + names.length) % names.length;
    onChoose(names[place]);
    list.current.children[place].focus();
  }
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${move}>
    ${names.map((name) => html`<button key=${name} type="button" role="tab"
      aria-selected=${name === chosen ? "true" : "false"} tabindex=${name === chosen ? 0 : -1}
      onClick=${() => onChoose(name)}>${name}</button>`)}
  </div>`;
}

// A picture by its path. Where a key is needed an <img> cannot send it, so it is fetched.
export function Picture({ path, alt, ...rest }) {
  const [source, setSource] = useState(keptKey() ? "" : path);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    setFailed(false);
    if (!keptKey()) {
      setSource(path);
      return undefined;
    }
    const abort = new AbortController();
    let url = "";
    ask(path, { signal: abort.signal })
      .then((answer) => answer.blob())
      .then((blob) => {
        url = URL.createObjectURL(blob);
        setSource(url);
      })
      .catch(() => setFailed(true));
    return () => {
      abort.abort();
      URL.revokeObjectURL(url);
    };
  }, [path]);
  if (failed) return html`<span class="no-picture">No picture</span>`;
  return source && html`<img ...${rest} src=${source} alt=${alt} onError=${() => setFailed(true)} />`;
}

export function Copy({ text, label = "Copy", disabled }) {
  const [done, setDone] = useState(false);
  async function copy() {
    await toClipboard(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  }
  return html`<button type="button" class="quiet" disabled=${disabled} onClick=${copy}>
    <span aria-live="polite">${done ? "Copied" : label}</span></button>`;
}

async function toClipboard(text) {
  // Browsers offer navigator.clipboard to pages of https and localhost only.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// A button that is found while it does nothing: `why` says why not, beside it unless it is `brief`, and is read with it.
export function Act({ why, brief, onClick, children, ...rest }) {
  const id = useId();
  return html`<button type="button" ...${rest} aria-disabled=${why ? "true" : undefined} aria-describedby=${why ? id : undefined}
    onClick=${(event) => !why && onClick(event)}>${children}</button>${why && html`<p class=${brief ? "unseen" : "hint"} id=${id}>${why}</p>`}`;
}

// What a file is called without its ending.
export function stemOf(name) {
  return name.replace(/\.[^.]*$/, "");
}

// Offers bytes as a file to be kept.
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Returns the last answer to what is `wanted`, what is wrong with it now, and whether it is awaited.
// `request` is called with a signal once nothing has changed for `delay` ms or one of `more` has, and
// again while the server is out of reach or busy; without one nothing is asked.
export function useAnswer(wanted, delay, request, more = []) {
  const asked = useDebounced(wanted, delay);
  const [seen, setSeen] = useState(null);
  const [problem, setProblem] = useState(null);
  const [waiting, setWaiting] = useState(true);
  const [again, setAgain] = useState(0);
  const tries = useRef(0);
  useEffect(() => {
    if (!request) {
      setWaiting(false);
      return undefined;
    }
    const abort = new AbortController();
    let timer = 0;
    setWaiting(true);
    request(abort.signal).then((found) => {
      if (abort.signal.aborted) return;
      tries.current = 0;
      setSeen(found);
      setProblem(null);
      setWaiting(false);
    }, (error) => {
      if (error.name === "AbortError" || abort.signal.aborted) return;
      setProblem(error);
      setWaiting(false);
      if (![0, 429, 503].includes(error.status) || tries.current === MOST_TRIES) return;
      tries.current += 1;
      timer = setTimeout(() => setAgain((old) => old + 1), 1000 * Math.max(1, error.retryAfter));
    });
    return () => { abort.abort(); clearTimeout(timer); };
  }, [asked, again, ...more]);
  return [seen, problem, waiting || asked !== wanted];
}

export function useDebounced(value, delay) {
  const [late, setLate] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), delay);
    return () => clearTimeout(timer);
  }, [value, delay]);
  return late;
}

export function bytesSaid(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} KB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

const ACRONYMS = ["dpi", "html", "qr", "sku", "svg", "url"];

export function labelOf(name) {
  if (ACRONYMS.includes(name)) return name.toUpperCase();
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
