// A form made of a renderer's schema: one labelled control for each parameter.

import { askJson } from "./api.js";
import { stepOf } from "./schema.js";
import { html, labelOf, useEffect, useId, useRef, useState } from "./ui.js";

const CONTROLS = { text: Text, long: Long, json: Long, number: Text, slider: Slider, color: Color,
  choice: Choice, switch: Switch, font: Font, image: Image };
const MOST_SEGMENTS = 4;

export function Fields({ fields, given, files, problems, onGive, onFile }) {
  return fields.map((field) => html`<${Field} key=${field.name} field=${field}
    value=${given[field.name] ?? ""} file=${files?.[field.name]} problem=${problems[field.name]}
    onGive=${(value) => onGive(field.name, value)} onFile=${(file) => onFile(field.name, file)} />`);
}

function Field({ field, value, file, problem, onGive, onFile }) {
  const id = useId();
  const Control = CONTROLS[field.kind];
  const hint = `${id}-hint`;
  const fault = `${id}-fault`;
  const grouped = field.kind === "choice" && isSegmented(field);
  const label = html`${labelOf(field.name)}${field.required && html` <span class="required">required</span>`}`;
  const left = field.length !== null && field.kind !== "color" && value.length > field.length * 0.7;
  const described = [field.description && hint, problem && fault].filter(Boolean).join(" ");
  return html`<div class=${`field${problem ? " faulty" : ""}`} data-field=${field.name}>
    <div class="field-head">
      ${grouped ? html`<span class="label" id=${`${id}-label`}>${label}</span>`
        : html`<label class="label" for=${id}>${label}</label>`}
      ${left && html`<span class="count">${value.length} of ${field.length}</span>`}
    </div>
    <${Control} id=${id} field=${field} value=${value} file=${file} onGive=${onGive} onFile=${onFile}
      about=${{ "aria-describedby": described || undefined, "aria-invalid": problem ? "true" : undefined }} />
    ${problem && html`<p class="fault" id=${fault}>${problem}</p>`}
    ${field.description && html`<p class="hint" id=${hint}>${field.description}</p>`}
  </div>`;
}

function placeholderOf(field) {
  if (field.fallback !== null && field.fallback !== "") return String(field.fallback);
  const example = field.examples[0];
  return typeof example === "string" && field.fallback !== null ? `such as ${example.split("\n")[0]}` : "";
}

function Text({ id, field, value, onGive, about }) {
  const numeric = field.kind === "number";
  return html`<input ...${about} id=${id} type="text" value=${value} autocomplete="off"
    inputmode=${numeric ? "decimal" : undefined} class=${numeric ? "short" : undefined}
    placeholder=${placeholderOf(field)} onInput=${(event) => onGive(event.target.value)} />`;
}

function Long({ id, field, value, onGive, about }) {
  const area = useRef();
  // Grows with its text, up to a bound in the style sheet.
  useEffect(() => {
    area.current.style.height = "auto";
    area.current.style.height = `${area.current.scrollHeight + 2}px`;
  }, [value]);
  const isCode = field.name === "html" || field.kind === "json";
  return html`<textarea ...${about} id=${id} ref=${area} rows=${isCode ? 6 : 2} value=${value}
    class=${isCode ? "code" : undefined} spellcheck=${isCode ? "false" : undefined}
    placeholder=${placeholderOf(field)} onInput=${(event) => onGive(event.target.value)}></textarea>`;
}

function Slider({ id, field, value, onGive, about }) {
  const set = (event) => onGive(event.target.value);
  const middle = field.fallback ?? field.least;
  return html`<div class="slider">
    <input type="range" min=${field.least} max=${field.most} step=${stepOf(field)} tabindex="-1"
      aria-hidden="true" value=${value === "" ? middle : value} onInput=${set} />
    <input ...${about} id=${id} type="text" inputmode="decimal" value=${value}
      placeholder=${field.fallback ?? "auto"} onInput=${set} />
  </div>`;
}

function Color({ id, field, value, onGive, about }) {
  const shown = value || field.fallback || "";
  const set = (event) => onGive(event.target.value);
  return html`<div class="color">
    <input type="color" aria-label=${`${labelOf(field.name)}, picker`} value=${sixDigits(shown)}
      class=${shown ? "" : "unset"} onInput=${set} />
    <input ...${about} id=${id} type="text" value=${value} spellcheck="false" autocomplete="off"
      placeholder=${field.fallback || "automatic"} onInput=${set} />
  </div>`;
}

// What a browser's picker can show: no names, no functions, no alpha.
function sixDigits(text) {
  const found = /^#?([0-9a-f]{6})(?:[0-9a-f]{2})?$/i.exec(text);
  if (found) return `#${found[1].toLowerCase()}`;
  const short = /^#?([0-9a-f])([0-9a-f])([0-9a-f])[0-9a-f]?$/i.exec(text);
  if (short) return `#${[1, 2, 3].map((place) => short[place] + short[place]).join("").toLowerCase()}`;
  return named(text) || "#808080";
}

function named(text) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = "#010203";
  context.fillStyle = text;
  if (/^#[0-9a-f]{6}$/.test(context.fillStyle)) return context.fillStyle === "#010203" ? "" : context.fillStyle;
  const channels = context.fillStyle.match(/\d+/g).slice(0, 3);
  return `#${channels.map((each) => Number(each).toString(16).padStart(2, "0")).join("")}`;
}

function isSegmented(field) {
  return field.choices.length + (field.nullable ? 1 : 0) <= MOST_SEGMENTS;
}

function Choice({ id, field, value, onGive, about }) {
  const fallback = field.fallback === null ? "" : String(field.fallback);
  const chosen = value || fallback;
  const names = field.nullable ? ["", ...field.choices] : field.choices;
  const said = (name) => (name === "" ? "Automatic" : name);
  if (!isSegmented(field)) {
    return html`<select ...${about} id=${id} value=${chosen} onChange=${(event) => onGive(event.target.value)}>
      ${names.map((name) => html`<option key=${name} value=${name}>${said(name)}</option>`)}
    </select>`;
  }
  return html`<div class="segments" role="radiogroup" aria-labelledby=${`${id}-label`} ...${about}>
    ${names.map((name) => html`<label key=${name}><input type="radio" name=${id} value=${name}
      checked=${name === chosen} onChange=${() => onGive(name)} /><span>${said(name)}</span></label>`)}
  </div>`;
}

function Switch({ id, field, value, onGive, about }) {
  const on = value === "" ? field.fallback === true : value === "on";
  return html`<input ...${about} id=${id} type="checkbox" role="switch" checked=${on}
    onChange=${(event) => onGive(event.target.checked ? "on" : "off")} />`;
}

let families = null;

function Font({ id, field, value, onGive, about }) {
  const [known, setKnown] = useState([]);
  // The list is long, and most never look at it.
  function load() {
    families = families || askJson("fonts").then((page) => page.fonts.map((font) => font.name || font.family));
    families.then(setKnown, () => { families = null; });
  }
  return html`<input ...${about} id=${id} type="text" list=${`${id}-fonts`} value=${value} autocomplete="off"
      placeholder=${placeholderOf(field)} onFocus=${load} onInput=${(event) => onGive(event.target.value)} />
    <datalist id=${`${id}-fonts`}>${known.map((name) => html`<option key=${name} value=${name} />`)}</datalist>`;
}

function Image({ id, field, file, onFile, about }) {
  const [over, setOver] = useState(false);
  const [shown, setShown] = useState("");
  useEffect(() => {
    const url = file ? URL.createObjectURL(file) : "";
    setShown(url);
    return () => URL.revokeObjectURL(url);
  }, [file]);
  function drop(event) {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
  }
  return html`<div class=${`drop small${over ? " over" : ""}`} onDrop=${drop} onDragLeave=${() => setOver(false)}
      onDragOver=${(event) => { event.preventDefault(); setOver(true); }}>
    ${shown && html`<img src=${shown} alt="" />`}
    <input ...${about} id=${id} type="file" accept="image/*" class="file"
      onChange=${(event) => { if (event.target.files[0]) onFile(event.target.files[0]); event.target.value = ""; }} />
    <label for=${id} class="drop-said">${file ? file.name : html`Drop a picture, or <u>choose one</u>`}</label>
    ${file && html`<button type="button" class="quiet" onClick=${() => onFile(null)}>Remove</button>`}
  </div>`;
}
