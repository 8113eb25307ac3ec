// Which renderer: a button that says it, and a dialog with a picture of each.

import { html, Picture, useEffect, useRef, useState } from "./ui.js";
import { writePlace } from "./place.js";

// A picture that is small in bytes: it is shown 160 pixels wide.
export function thumbnail(row) {
  return row.example.replace(/^\/(.*)\.png\?/, "$1.webp?quality=45&");
}

export function Picker({ renderers, about, tab = "make" }) {
  const dialog = useRef();
  const [open, setOpen] = useState(false);
  const [sought, setSought] = useState("");
  function show() {
    setOpen(true);
    setSought("");
    dialog.current.showModal();
  }
  useEffect(() => {
    if (open) dialog.current.querySelector("input").focus();
  }, [open]);
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const found = renderers.filter((row) => words.every((word) => `${row.name} ${row.title}`.toLowerCase().includes(word)));
  // Enter takes the first that is found.
  function take(event) {
    if (event.key !== "Enter" || words.length === 0 || found.length === 0) return;
    event.preventDefault();
    dialog.current.close();
    location.hash = writePlace(tab, found[0].name);
  }
  return html`<button type="button" class="picked" aria-haspopup="dialog" onClick=${show}>
      <span><b>${about.title}</b><code>${about.name}</code></span><span class="change">Change</span></button>
    <dialog ref=${dialog} class="picker" aria-label="Renderers" onClose=${() => setOpen(false)}
        onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
      ${open && html`<div class="picker-in">
        <div class="picker-head">
          <input type="search" placeholder="Search" aria-label="Search renderers" value=${sought} onKeyDown=${take}
            onInput=${(event) => setSought(event.target.value)} />
          <button type="button" class="quiet" onClick=${() => dialog.current.close()}>Close</button>
        </div>
        <ul class="grid">${found.map((row) => html`<li key=${row.name}>
          <a class="tile" href=${writePlace(tab, row.name)} aria-current=${row.name === about.name ? "true" : undefined}
              onClick=${() => dialog.current.close()}>
            <span class="tile-picture">${row.service ? "Made by a service"
              : html`<${Picture} path=${thumbnail(row)} alt="" loading="lazy" />`}</span>
            <b>${row.title}</b><code>${row.name}</code>${row.saved && html`<small class="tile-said">saved here</small>`}</a></li>`)}</ul>
        ${found.length === 0 && html`<p class="notice">Nothing is called so.</p>`}
      </div>`}
    </dialog>`;
}
