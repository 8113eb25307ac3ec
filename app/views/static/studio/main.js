// The page: its header, where one is, and the key where the server asks for one.

import { askJson, keepKey, keptKey, onKeyWanted } from "./api.js";
import { readPlace } from "./place.js";
import { html, render, useEffect, useState } from "./ui.js";

const TABS = [
  { tab: "make", title: "Make one", load: async () => (await import("./make.js")).Make },
  { tab: "many", title: "Make many", load: async () => (await import("./many.js")).Many },
  { tab: "own", title: "Make your own", load: async () => (await import("./own.js")).Own },
  { tab: "gallery", title: "Gallery", load: async () => (await import("./gallery.js")).Gallery },
];

function App() {
  const [place, setPlace] = useState(() => readPlace(location.hash));
  const [catalogue, setCatalogue] = useState(null);
  const [fault, setFault] = useState("");
  const [generation, setGeneration] = useState(0);
  const [page, setPage] = useState({});
  const current = TABS.find(({ tab }) => tab === place.tab) || TABS[0];
  useEffect(() => {
    // Links and the back button; what is typed replaces the place without this event.
    const moved = () => {
      // What had the focus goes with the page it was on; lists that lead here take it back themselves.
      if (!document.activeElement.closest("header, select")) document.querySelector("main").focus();
      setPlace((old) => ({ ...readPlace(location.hash), visit: (old.visit || 0) + 1 }));
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => {
    setFault("");
    // Again with each tab: a template may have been saved or deleted meanwhile.
    askJson("renderers").then(setCatalogue, (error) => setFault(error.message));
  }, [generation, current]);
  useEffect(() => {
    document.title = `${current.title} – Mimeo studio`;
    current.load().then((Page) => setPage({ tab: current.tab, Page }), (error) => setFault(error.message));
  }, [current]);
  const Page = page.tab === current.tab && page.Page;
  return html`<header class="top">
      <a class="brand" href="./"><img src="studio/icon.svg" width="22" height="22" alt="" />Mimeo</a>
      <nav aria-label="Studio">${TABS.map(({ tab, title }) => html`<a key=${tab} href=${`#/${tab}`}
        aria-current=${current.tab === tab ? "page" : undefined}>${title}</a>`)}</nav>
      <a class="to-docs" href="docs/">Docs</a>
      <a class="to-api" href="docs/api">API</a>
      <${KeyBar} onKey=${() => setGeneration(generation + 1)} />
    </header>
    <main tabindex="-1" aria-label=${current.title}>${fault ? html`<p class="notice" role="alert">${fault}</p>`
      : catalogue && Page ? html`<${Page} key=${`${generation} ${current.tab}`} renderers=${catalogue.renderers}
        broken=${catalogue.broken} place=${place} />`
      : html`<p class="notice">Loading…</p>`}</main>`;
}

// Asks for the key once the server does; it is kept until the tab is closed.
function KeyBar({ onKey }) {
  const [wanted, setWanted] = useState(null);
  const [typed, setTyped] = useState("");
  const [has, setHas] = useState(Boolean(keptKey()));
  useEffect(() => onKeyWanted(setWanted), []);
  function take(event) {
    event.preventDefault();
    keepKey(typed.trim());
    setHas(Boolean(typed.trim()));
    setTyped("");
    setWanted(null);
    onKey();
  }
  function forget() {
    keepKey("");
    setHas(false);
    onKey();
  }
  return html`${has && !wanted && html`<button type="button" class="quiet" onClick=${forget}>Forget the key</button>`}
    ${wanted && html`<form class="key" onSubmit=${take}>
      <p role="alert"><strong>${wanted.title}</strong> ${wanted.detail}${wanted.help && html` <span>${wanted.help}</span>`}</p>
      <label>Key <input type="password" autocomplete="off" spellcheck="false" placeholder="mim_…" value=${typed}
        onInput=${(event) => setTyped(event.target.value)} /></label>
      <button class="primary" disabled=${!typed.trim()}>Use it</button>
      <button type="button" class="quiet" onClick=${() => setWanted(null)}>Not now</button>
      <small>It stays in this tab, and is forgotten when you close it.</small>
    </form>`}`;
}

render(html`<${App} />`, document.getElementById("studio"));
