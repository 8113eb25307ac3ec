// Jobs that this browser has begun: watched, cancelled, and found again after the page was closed.

import { ask, askJson, keptKey } from "./api.js";
import { bytesSaid, html, save, stemOf, useEffect, useRef, useState } from "./ui.js";

const KEPT = "mimeo.jobs";
const MOST = 20;
const ENDED = ["succeeded", "failed", "cancelled"];
// Where too many wait the server answers at once: then no faster than this.
const PAUSE_MS = 700;
const listeners = new Set();

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || [];
  } catch {
    return [];
  }
}

function keep(rows) {
  localStorage.setItem(KEPT, JSON.stringify(rows.slice(0, MOST)));
  listeners.forEach((listener) => listener());
}

// Takes note of what answered `Prefer: respond-async`.
export async function begin(answer, about) {
  // Where no jobs are kept the preference is passed over: these are the images themselves.
  if (answer.status !== 202 && !answer.headers.get("Preference-Applied")) {
    const ending = answer.headers.get("Content-Type").includes("pdf") ? "pdf" : "zip";
    save(await answer.blob(), `${fileOf(about)}.${ending}`);
    return;
  }
  const { id } = await answer.json();
  keep([{ id, ...about }, ...kept().filter((row) => row.id !== id)]);
}

function fileOf({ file, renderer }) {
  return `${stemOf(file)}-${renderer.replace("@", "-")}`;
}

export function Jobs() {
  const [rows, setRows] = useState(kept);
  useEffect(() => {
    const changed = () => setRows(kept());
    listeners.add(changed);
    // Another tab has begun one.
    addEventListener("storage", changed);
    return () => { listeners.delete(changed); removeEventListener("storage", changed); };
  }, []);
  if (rows.length === 0) return null;
  return html`<section class="panel wide-panel jobs" aria-label="Your jobs"><h2>Your jobs</h2>
    <ul>${rows.map((row) => html`<${Job} key=${row.id} row=${row}
      onForget=${() => keep(kept().filter((each) => each.id !== row.id))} />`)}</ul></section>`;
}

function Job({ row, onForget }) {
  const [job, setJob] = useState(null);
  const [left, setLeft] = useState("");
  const [fault, setFault] = useState("");
  const [failures, setFailures] = useState([]);
  useEffect(() => {
    const abort = new AbortController();
    watch(row.id, abort.signal, (document, now) => {
      setJob(document);
      setFault("");
      setLeft(leftOf(document, now));
    }).catch((error) => {
      if (error.name !== "AbortError") setFault(error.status === 404 || error.status === 410 ? "It is not kept any more." : error.message);
    });
    return () => abort.abort();
  }, [row.id]);
  useEffect(() => {
    if (!job?.counts.failed) return;
    ask(job.links.errors.slice(1)).then((answer) => answer.text()).then((text) => {
      setFailures(text.split("\n").filter(Boolean).slice(0, 20).map((line) => JSON.parse(line)));
    }).catch((error) => setFault(error.message));
  }, [job?.counts.failed]);
  const isOver = job && ENDED.includes(job.state);
  const { total = 1, done = 0, failed = 0 } = job?.counts || {};
  async function cancel() {
    try {
      setJob(await askJson(`jobs/${row.id}`, { method: "DELETE" }));
    } catch (error) {
      setFault(error.message);
    }
  }
  return html`<li class=${`job ${job?.state || ""}`} data-state=${job?.state}>
    <div class="job-head"><span><b>${row.file}</b> <span class="hint">${row.renderer}, ${row.form}</span></span>
      <span class="row">
        ${job?.state === "succeeded" && html`<${Download} row=${row} path=${job.links.archive} bytes=${job.bytes} />`}
        ${job && !isOver && html`<button type="button" class="quiet" onClick=${cancel}>Cancel<span class="unseen"> ${row.file}, ${row.form}</span></button>`}
        ${(isOver || fault) && html`<button type="button" class="quiet" onClick=${onForget}>Forget<span class="unseen"> ${row.file}, ${row.form}</span></button>`}
      </span></div>
    ${job && !isOver && html`<progress max=${total} value=${done + failed} aria-label=${`${row.file}: images done`}></progress>`}
    <p class="hint"><span role="status">${job ? saidOf(job) : fault ? "" : "Looking…"}</span>${job?.state === "running" && html`: ${countSaid(job)}${left}`}</p>
    ${row.left > 0 && html`<p class="hint">${row.left.toLocaleString("en")} ${row.left === 1 ? "row that was wrong was" : "rows that were wrong were"} left out</p>`}
    ${fault && html`<p class="fault">${fault}</p>`}
    ${failures.map((each) => html`<p class="fault" key=${each.row}>Image ${each.row}${each.field && `, ${each.field}`}: ${each.message}</p>`)}
  </li>`;
}

function countSaid({ counts }) {
  const failed = counts.failed ? `, ${counts.failed.toLocaleString("en")} failed` : "";
  return `${counts.done.toLocaleString("en")} of ${counts.total.toLocaleString("en")}${failed}`;
}

// What is read aloud: counts that change every second are not.
function saidOf(job) {
  const { state, counts, error } = job;
  if (state === "succeeded") return `Done: ${countSaid(job)}`;
  if (state === "failed") return error?.detail || error?.title || "Failed";
  if (state === "cancelled") return `Cancelled after ${countSaid({ counts: { ...counts, failed: 0 } })}`;
  if (state === "queued") return "Waiting for its turn";
  return state === "running" ? "Being made" : "Being cancelled";
}

// By the server's clock, which may be another one than this browser's.
function leftOf({ state, started, counts }, now) {
  const done = counts.done + counts.failed;
  if (state !== "running" || !started || !done) return "";
  const seconds = ((now - Date.parse(started)) / 1000 / done) * (counts.total - done);
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 90) return `, about ${Math.max(1, Math.round(seconds))} s left`;
  return `, about ${Math.round(seconds / 60)} min left`;
}

// Asks until a job has ended; the server answers when something has changed.
async function watch(id, signal, onLook) {
  let tag = "";
  let state = "";
  while (!ENDED.includes(state)) {
    try {
      const headers = tag ? { Prefer: "wait=20", "If-None-Match": tag } : {};
      const answer = await ask(`jobs/${id}`, { headers, signal, cache: "no-store" });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag") || "";
        const document = await answer.json();
        state = document.state;
        onLook(document, Date.parse(answer.headers.get("Date")) || Date.now());
      }
    } catch (error) {
      // A server that restarts, or has no thread to spare, is asked again.
      if (error.name === "AbortError" || ![0, 429, 503].includes(error.status)) throw error;
    }
    if (!ENDED.includes(state)) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    signal.throwIfAborted();
  }
}

function Download({ row, path, bytes }) {
  const name = fileOf(row);
  const asked = `${path.slice(1)}${path.includes("?") ? "&" : "?"}download=${encodeURIComponent(name)}`;
  const ending = path.split("?")[0].split(".").pop();
  const [busy, setBusy] = useState(false);
  const link = useRef();
  // A link cannot send a key.
  async function fetched(event) {
    if (!keptKey()) return;
    event.preventDefault();
    setBusy(true);
    try {
      save(await (await ask(asked)).blob(), `${name}.${ending}`);
    } finally {
      setBusy(false);
    }
  }
  return html`<a class="button primary" ref=${link} href=${asked} download onClick=${fetched}>
    ${busy ? "Fetching…" : "Download"}<span class="unseen"> ${`${name}.${ending}`}</span> ${bytes ? html`<small>${bytesSaid(bytes)}</small>` : ""}</a>`;
}
