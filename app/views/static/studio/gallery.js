// What this server draws, what of it is broken, and how it is.

import { ask, askJson } from "./api.js";
import { thumbnail } from "./picker.js";
import { writePlace } from "./place.js";
import { html, Picture, useEffect, useState } from "./ui.js";

const EVERY_MS = 10_000;
const MOST_JOBS = 12;
const FOR_OPERATORS = "Operators are told: with a key of the scope admin, or on the server itself.";

export function Gallery({ renderers, broken }) {
  return html`<div class="gallery">
    <section aria-label="Renderers">
      <h1>${renderers.length} renderers</h1>
      ${broken.map((row) => html`<div class="broken" role="alert" key=${row.name}><b>${row.name} is broken.</b> ${row.reason}
        <code>${row.file}${row.line ? `, line ${row.line}` : ""}</code></div>`)}
      <ul class="grid">${renderers.map((row) => html`<li key=${row.name}><a class="tile" href=${writePlace("make", row.name)}>
        <span class="tile-picture">${row.service ? "Made by a service"
          : html`<${Picture} path=${thumbnail(row)} alt="" loading="lazy" />`}</span>
        <b>${row.title}</b><code>${row.name}</code><small class="tile-said">${saidOfTile(row)}</small></a></li>`)}</ul>
    </section>
    <div class="side"><${Health} /><${Services} renderers=${renderers} /><${Recent} /></div>
  </div>`;
}

function saidOfTile({ paper, saved }) {
  const size = paper ? [`${Math.round(paper.width_mm)} × ${Math.round(paper.height_mm)} mm`] : [];
  return [...size, ...(saved ? ["saved here"] : [])].join(", ");
}

// Asks at once, and again while the page is seen; gives what came and what went wrong.
function useAsked(look) {
  const [found, setFound] = useState(null);
  const [fault, setFault] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    async function again() {
      if (document.hidden) return;
      try {
        setFound(await look(abort.signal));
        setFault(null);
      } catch (error) {
        if (error.name !== "AbortError") setFault(error);
      }
    }
    again();
    const timer = setInterval(again, EVERY_MS);
    return () => { abort.abort(); clearInterval(timer); };
  }, []);
  return [found, fault];
}

function Panel({ title, fault, found, children }) {
  const refused = fault && [401, 403].includes(fault.status);
  return html`<section class="panel" aria-label=${title}><h2>${title}</h2>
    ${fault ? html`<p class=${refused ? "hint" : "fault"}>${refused ? FOR_OPERATORS : fault.message}</p>`
      : found ? children : html`<p class="hint">Looking…</p>`}</section>`;
}

function Health() {
  const [found, fault] = useAsked((signal) => askJson("health/ready", { signal, quiet: true }));
  const fine = found?.status === "ready";
  return html`<${Panel} title="Server" found=${found} fault=${fault}>${found && html`<dl class="said-list">
    <dt>State</dt><dd class=${fine ? "well" : "ill"}>${found.status}</dd>
    ${found.store && html`<dt>Store</dt><dd class=${found.store === "ok" ? "well" : "ill"}>${found.store}</dd>`}
    ${found.version && html`<dt>Version</dt><dd>${found.version}</dd>`}
    ${found.client && html`<dt>You are</dt><dd>${found.client}</dd>`}</dl>
    ${!found.version && html`<p class="hint">${FOR_OPERATORS}</p>`}`}<//>`;
}

function Services({ renderers }) {
  const names = renderers.filter((row) => row.service).map((row) => row.name);
  const [found, fault] = useAsked(async (signal) => servicesOf(await (await ask("metrics", { signal, quiet: true })).text()));
  if (names.length === 0) return null;
  return html`<${Panel} title="Services" found=${found} fault=${fault}>${found && html`<dl class="said-list">
    ${names.map((name) => {
      const { open = 0, good = 0, bad = 0 } = found[name] || {};
      return html`<dt key=${name}>${name}</dt><dd class=${open ? "ill" : "well"}>${open ? "left alone, because it failed again and again" : "in use"}
        <span class="hint"> ${good} answered, ${bad} failed</span></dd>`;
    })}</dl>`}<//>`;
}

// What Prometheus is told of services.
export function servicesOf(text) {
  const found = {};
  for (const [, name, labels, value] of text.matchAll(/^(mimeo_upstream_(?:open|calls_total))\{([^}]*)\} ([\d.e+]+)$/gm)) {
    const label = (key) => new RegExp(`${key}="([^"]*)"`).exec(labels)?.[1];
    const row = (found[label("upstream")] ??= { open: 0, good: 0, bad: 0 });
    if (name === "mimeo_upstream_open") row.open += Number(value);
    else row[label("outcome") === "ok" ? "good" : "bad"] += Number(value);
  }
  return found;
}

function Recent() {
  const [found, fault] = useAsked((signal) => askJson("jobs", { signal, quiet: true }));
  const rows = found?.jobs.slice(0, MOST_JOBS) || [];
  return html`<${Panel} title="Recent jobs" found=${found} fault=${fault}>
    ${rows.length === 0 ? html`<p class="hint">There are none. <a href="#/many">Make many</a> begins one.</p>`
      : html`<ul class="recent">${rows.map((job) => html`<li key=${job.id}><span><b>${job.counts.total.toLocaleString("en")}</b> ${job.form}
          <span class="hint"> ${new Date(job.created).toLocaleString()}</span></span>
        <span class=${["failed", "cancelled"].includes(job.state) || job.counts.failed ? "ill" : "well"}>${saidOf(job)}</span></li>`)}</ul>`}<//>`;
}

function saidOf({ state, counts }) {
  if (state === "running") return `${Math.floor((100 * (counts.done + counts.failed)) / counts.total)} %`;
  return counts.failed ? `${state}, ${counts.failed} failed` : state;
}
