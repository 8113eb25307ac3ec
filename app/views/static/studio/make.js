// Make one: a renderer, its parameters, the picture while they are typed, and how to have it.

import { ask, keptKey, Refused } from "./api.js";
import { Fields } from "./fields.js";
import { Picker } from "./picker.js";
import { writePlace } from "./place.js";
import { fieldsOf, notDefault } from "./schema.js";
import { requestOf, snippetsOf } from "./snippets.js";
import { Social } from "./social.js";
import { Act, bytesSaid, Copy, html, save, Tabs, useAnswer, useEffect, useMemo, useRef, useRenderer, useState } from "./ui.js";

// As fast as letters are typed, and no request for each of them.
const DEBOUNCE_MS = 60;
// What every browser shows; others are shown as PNG.
const SHOWN = ["png", "jpg", "webp", "avif", "gif", "svg", "ico"];
const FIRST = "card";
// Formats for which an option of the output says something.
const OF_FORMAT = {
  quality: ["jpg", "webp", "avif"],
  compression: ["png"],
  bleed: ["pdf"],
  sizes: ["ico"],
  scale: ["png", "jpg", "webp", "avif", "gif", "tiff", "pdf", "ico"],
  dpi: ["png", "jpg", "tiff", "pdf"],
};
const NOT_PNG = ["quality", "bleed", "sizes"];
// Parameters that most leave alone.
const RARE = ["lang", "emoji"];

export function Make({ renderers, place }) {
  const name = place.name || (renderers.some((row) => row.name === FIRST) ? FIRST : renderers[0].name);
  const [about, fault] = useRenderer(name);
  if (fault) return html`<p class="notice" role="alert">${fault}</p>`;
  if (about?.name !== name) return html`<p class="notice">Loading…</p>`;
  return html`<${Studio} key=${`${name} ${place.visit}`} about=${about} renderers=${renderers} given=${place.given} />`;
}

function Studio({ about, renderers, given: linked }) {
  const fields = useMemo(() => fieldsOf(about.parameters), [about]);
  const example = useMemo(() => exampleOf(about), [about]);
  const start = useMemo(() => parted(linked ?? example, fields), []);
  const [given, setGiven] = useState(start.given);
  const [options, setOptions] = useState(start.options);
  const [files, setFiles] = useState({});
  const output = useMemo(() => outputFields(about, fields), [about]);
  const format = options.format || "png";
  const usual = output.filter((field) => OF_FORMAT[field.name]?.includes(format) ?? true);
  const kept = notDefault(given, fields);
  // A name that nobody knows is the server's to refuse.
  const known = new Set(["format", ...output.map((field) => field.name)]);
  const unknown = Object.fromEntries(Object.entries(options).filter(([each]) => !known.has(each)));
  const chosen = { ...notDefault(options, usual), ...unknown };
  const hash = writePlace("make", about.name, { ...kept, ...chosen, ...(format !== "png" && { format }) });
  useEffect(() => history.replaceState(null, "", hash), [hash]);

  const named = Object.fromEntries(Object.entries(files).map(([field, file]) => [field, file.name]));
  const request = requestOf(location.origin, about.name, format, { ...kept, ...chosen }, named);
  const [seen, problem, waiting] = usePreview(about, format, kept, chosen, files);
  const problems = problem instanceof Refused ? problem.fields : {};

  const give = (field, value) => setGiven((old) => ({ ...old, [field]: value }));
  const choose = (field, value) => setOptions((old) => ({ ...old, [field]: value }));
  const setFile = (field, file) => setFiles(({ [field]: _, ...rest }) => (file ? { ...rest, [field]: file } : rest));
  const refill = (values) => {
    setGiven(parted(values, fields).given);
    setFiles({});
    setOptions(Object.fromEntries(Object.entries(options).filter(([each]) => known.has(each))));
  };
  const sets = { given, files, problems, onGive: give, onFile: setFile };
  const rare = fields.filter((field) => RARE.includes(field.name));
  const others = fields.filter((field) => !RARE.includes(field.name));
  return html`<div class="make">
    <section class="panel form" aria-label="Parameters">
      <${Picker} renderers=${renderers} about=${about} />
      <form onSubmit=${(event) => event.preventDefault()}>
        <${Fields} fields=${others} ...${sets} />
        ${rare.length > 0 && html`<details open=${rare.some((field) => problems[field.name] || kept[field.name]) || undefined}>
          <summary>Language and emoji</summary><${Fields} fields=${rare} ...${sets} /></details>`}
      </form>
      <p class="row quiet-row">
        <button type="button" class="quiet" onClick=${() => refill(example)}>Fill in the example</button>
        <button type="button" class="quiet" onClick=${() => refill({})}>Clear</button>
      </p>
    </section>
    <section class="stage" aria-label="Picture">
      <${Preview} seen=${seen} problem=${problem} waiting=${waiting} about=${about} format=${format} />
    </section>
    <section class="panel output" aria-label="Output">
      <${Output} about=${about} format=${format} fields=${usual} options=${options} problems=${problems}
        onChoose=${choose} request=${request} files=${files} disabled=${Boolean(problem)} />
    </section>
    <section class="panel use" aria-label="Use it">
      <${Use} request=${request} seen=${seen} given=${kept} />
    </section>
  </div>`;
}

// What a link gives is parameters and options in one; a parameter goes before an option.
function parted(values, fields) {
  const own = new Set(fields.map((field) => field.name));
  const given = {};
  const options = {};
  for (const [name, value] of Object.entries(values)) (own.has(name) ? given : options)[name] = value;
  return { given, options };
}

function exampleOf(about) {
  return Object.fromEntries(new URLSearchParams(about.example.split(/\?(.*)/s)[1]));
}

// The options of the output, but for the format, and for those that a parameter is called as.
function outputFields(about, fields) {
  const own = new Set(["format", ...fields.map((field) => field.name)]);
  return fieldsOf(about.output).filter((field) => !own.has(field.name)
    && (field.name !== "bleed" || about.paper?.bleed_mm > 0));
}

// Returns the last good picture, what is wrong with the present one, and whether it is awaited.
function usePreview(about, format, given, options, files) {
  const isShown = SHOWN.includes(format);
  const shown = isShown ? format : "png";
  const laid = isShown ? options
    : Object.fromEntries(Object.entries(options).filter(([name]) => !NOT_PNG.includes(name)));
  const wanted = JSON.stringify([about.name, shown, given, laid,
    Object.entries(files).map(([name, file]) => [name, file.name, file.size, file.lastModified])]);
  const last = useRef("");
  async function show(signal) {
    const found = await look(about.name, shown, { ...given, ...laid }, files, signal);
    // An answer that is too late takes no picture's place.
    URL.revokeObjectURL(signal.aborted ? found.url : last.current);
    if (!signal.aborted) last.current = found.url;
    return found;
  }
  // A service is paid for what it makes: it is asked only when somebody says so.
  return useAnswer(wanted, DEBOUNCE_MS, about.service ? null : show, [keptKey()]);
}

async function look(name, format, given, files, signal) {
  const began = performance.now();
  const answer = await send(name, format, given, files, signal);
  const blob = await answer.blob();
  const ms = performance.now() - began;
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  // Decoded before it takes the old one's place, so nothing flickers.
  await image.decode();
  const said = (header) => decodeURIComponent(answer.headers.get(header) || "");
  return { url, ms, bytes: blob.size, type: blob.type, width: image.naturalWidth, height: image.naturalHeight,
    drawn: drawnMs(answer.headers.get("Server-Timing") || ""), kept: /^hit/.test(answer.headers.get("Server-Timing") || ""),
    missing: answer.headers.get("X-Missing-Glyphs") || "", warnings: said("X-Media-Warnings"), ignored: said("X-Html-Ignored") };
}

export function send(name, format, given, files, signal) {
  const request = requestOf(location.origin, name, format, given, files);
  if (!request.isForm) return ask(request.url, { signal });
  const form = new FormData();
  for (const [field, value] of Object.entries(given)) form.set(field, value);
  for (const [field, file] of Object.entries(files)) form.set(field, file);
  return ask(request.base, { method: "POST", body: form, signal });
}

function drawnMs(timing) {
  const found = [...timing.matchAll(/(?:draw|encode);dur=([\d.]+)/g)];
  return found.reduce((sum, [, ms]) => sum + Number(ms), 0);
}

function Preview({ seen, problem, waiting, about, format }) {
  const kind = seen && `${seen.width} × ${seen.height}`;
  const other = !SHOWN.includes(format) && html`<span>shown as PNG</span>`;
  return html`<div class="preview">
    <div class=${`canvas${waiting ? " waiting" : ""}${problem ? " failed" : ""}`}>
      ${seen && html`<img id="preview" src=${seen.url} width=${seen.width} height=${seen.height} alt=${`Preview of ${about.title}`} />`}
      ${about.service && html`<p class="over">A service makes this one, for money maybe: take the call from “Use it”.</p>`}
      ${problem && html`<p class="over" role="alert"><strong>${problem.problem?.title || "No picture"}</strong>${problem.message}</p>`}
    </div>
    <p class="facts" aria-live="off">
      ${seen && html`<span title=${seen.kept ? "It was kept: nothing was drawn" : `Drawn and encoded in ${seen.drawn.toFixed(1)} ms`}>
        <b id="took">${Math.round(seen.ms)}</b> ms</span><span><b id="bytes">${bytesSaid(seen.bytes)}</b></span>
        <span>${kind} pixels</span>${other}`}
    </p>
    <p class="unseen" role="status">${seen && !problem && !waiting && `Drawn: ${kind} pixels`}</p>
    ${seen?.missing && html`<p class="said">No font here has: ${seen.missing}</p>`}
    ${seen?.ignored && html`<p class="said">Not drawn: ${seen.ignored}</p>`}
    ${seen?.warnings && html`<p class="said">${seen.warnings}</p>`}
  </div>`;
}

function Output({ about, format, fields, options, problems, onChoose, request, files, disabled }) {
  const [fault, setFault] = useState("");
  async function download() {
    setFault("");
    try {
      const answer = await send(about.name, format, request.given, files);
      save(await answer.blob(), request.file);
    } catch (error) {
      setFault(error.message);
    }
  }
  const first = fields.filter((field) => field.name === "scale");
  const rest = fields.filter((field) => field.name !== "scale");
  const sets = { given: options, problems, onGive: onChoose };
  return html`<h2>Output</h2>
    <div class="field"><span class="label" id="formats">Format</span>
      <div class="segments wrap" role="radiogroup" aria-labelledby="formats">${about.formats.map((each) => html`
        <label key=${each}><input type="radio" name="format" value=${each} checked=${each === format}
          onChange=${() => onChoose("format", each)} /><span>${each.toUpperCase()}</span></label>`)}</div>
      ${problems.format && html`<p class="fault">${problems.format}</p>`}
    </div>
    <${Fields} fields=${first} ...${sets}  />
    ${rest.length > 0 && html`<details open=${rest.some((field) => problems[field.name] || options[field.name]) || undefined}>
      <summary>More options</summary><${Fields} fields=${rest} ...${sets} /></details>`}
    <${Act} class="primary" why=${about.service ? "A service makes it: take the call from “Use it”." : disabled ? "What is wrong has to be mended first." : ""}
      onClick=${download}>Download ${format.toUpperCase()}<//>
    ${fault && html`<p class="fault" role="alert">${fault}</p>`}`;
}

function Use({ request, seen, given }) {
  const [tab, setTab] = useState("URL");
  const snippets = { ...snippetsOf(request, { keyed: Boolean(keptKey()), ...(seen || {}) }), "Social previews": null };
  const one = snippets[tab];
  return html`<h2>Use it</h2>
    <${Tabs} label="Use it as" names=${Object.keys(snippets)} chosen=${tab} onChoose=${setTab} />
    <div role="tabpanel" aria-label=${tab}>
      ${one === null ? html`<${Social} seen=${seen} given=${given} />`
        : html`<div class="snippet"><pre tabindex="0" aria-label=${tab}><code id="snippet">${one.text || one.none}</code></pre>
          <${Copy} text=${one.text} disabled=${!one.text} /></div>`}
    </div>`;
}
