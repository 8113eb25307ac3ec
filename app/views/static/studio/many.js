// Make many: a table, its columns bound to parameters, a look at its rows, and a job.

import { ask, askJson } from "./api.js";
import { begin, Jobs } from "./jobs.js";
import { Picker } from "./picker.js";
import { fieldsOf } from "./schema.js";
import { bodyOf, guess, queryOf } from "./table.js";
import { html, labelOf, useDebounced, useEffect, useId, useMemo, useRenderer, useState } from "./ui.js";

const DEBOUNCE_MS = 250;
const ROWS = 8;
const FIRST = "badge";
// Parameters that few tables have a column for.
const RARE = ["font", "lang", "emoji"];
const FORMATS = ["png", "jpg", "webp", "svg"];
const FORMS = { zip: "ZIP", pdf: "PDF, a page each", sheet: "Print sheet" };
const PAGES = ["A4", "A4 landscape", "A3", "A3 landscape", "Letter", "Legal"];
const LABELS = ["avery-l7160", "avery-l7159", "avery-l7163", "avery-l7165", "avery-l7651", "avery-5160",
  "avery-5163", "avery-5164", "avery-5371", "avery-5392"];

// It outlasts a look at another tab, and the question for a key.
let dropped = null;

export function Many({ renderers, place }) {
  const drawn = renderers.filter((row) => !row.service);
  const name = place.name || (drawn.some((row) => row.name === FIRST) ? FIRST : drawn[0].name);
  const [about, fault] = useRenderer(name);
  const [file, setFile] = useState(dropped);
  dropped = file;
  if (fault) return html`<p class="notice" role="alert">${fault}</p>`;
  if (!about) return html`<p class="notice">Loading…</p>`;
  return html`<div class="many">
    <section class="panel" aria-label="Table">
      <h1>A picture for each row</h1>
      <p class="hint lead">Drop a spreadsheet, say which column is what, look at the rows, and take them all.</p>
      <${Drop} file=${file} onFile=${setFile} />
      <${Picker} renderers=${drawn} about=${about} tab="many" />
    </section>
    ${file && html`<${Table} key=${`${about.name} ${file.name} ${file.lastModified} ${file.size}`} about=${about} file=${file} />`}
    <${Jobs} />
  </div>`;
}

function Drop({ file, onFile }) {
  const [over, setOver] = useState(false);
  const id = useId();
  function drop(event) {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
  }
  return html`<div class=${`drop large${over ? " over" : ""}`} onDrop=${drop} onDragLeave=${() => setOver(false)}
      onDragOver=${(event) => { event.preventDefault(); setOver(true); }}>
    <input id=${id} type="file" class="file" accept=".xlsx,.ods,.csv,.tsv,.txt,.json,.ndjson,.jsonl"
      onChange=${(event) => { if (event.target.files[0]) onFile(event.target.files[0]); event.target.value = ""; }} />
    <label for=${id} class="drop-said">${file ? html`<b>${file.name}</b> Drop another one, or <u>choose it</u>`
      : html`<b>Drop a table here, or <u>choose a file</u></b> Excel, LibreOffice, CSV, TSV, JSON or NDJSON`}</label>
  </div>`;
}

function Table({ about, file }) {
  const fields = useMemo(() => fieldsOf(about.parameters), [about]);
  const [columns, setColumns] = useState(null);
  const [bound, setBound] = useState(null);
  const [format, setFormat] = useState("png");
  const [pattern, setPattern] = useState("");
  const [body, setBody] = useState(null);
  const [report, setReport] = useState(null);
  const [problem, setProblem] = useState(null);
  const [looking, setLooking] = useState(true);
  useEffect(() => { bodyOf(file).then(setBody, setProblem); }, [file]);
  const isTable = body?.type !== "application/x-ndjson";
  const terms = { isTable, format, pattern };
  const query = queryOf(about.name, fields, columns || [], bound || {}, terms);
  const asked = useDebounced(query, bound ? DEBOUNCE_MS : 0);
  const stale = asked !== query;
  const waiting = looking || stale;
  useEffect(() => {
    if (!body || stale) return undefined;
    const abort = new AbortController();
    setLooking(true);
    const sent = { method: "POST", body: body.body, headers: { "Content-Type": body.type }, signal: abort.signal };
    askJson(`collections?${asked}&preview=${ROWS}`, sent).then((found) => {
      setProblem(null);
      // The first look is for the columns: what it finds wrong is that nothing is bound.
      if (bound || found.columns.length === 0) setReport(found);
      else {
        setColumns(found.columns);
        setBound(guess(fields, found.columns));
      }
      setLooking(false);
    }).catch((error) => {
      if (error.name === "AbortError") return;
      setProblem(error);
      setLooking(false);
    });
    return () => abort.abort();
  }, [asked, stale, body, Boolean(bound)]);
  const faults = report?.faults || [];
  const ready = report && !problem && !waiting && faults.length === 0 && report.count > 0;
  return html`
    ${problem && html`<section class="panel wide-panel"><p class="fault" role="alert">${problem.message}</p></section>`}
    ${!columns && faults.length > 0 && html`<section class="panel wide-panel">${faults.map((fault) => html`
      <p class="fault" role="alert">${saidOf(fault)}</p>`)}</section>`}
    ${columns && html`<section class="panel" aria-label="Columns">
      <h2>Columns</h2>
      <${Bindings} fields=${fields} columns=${columns} bound=${bound} problem=${problem} faults=${faults}
        onBind=${(name, binding) => setBound({ ...bound, [name]: binding })} />
    </section>`}
    ${columns && report && html`<section class="panel rows" aria-label="Rows" aria-busy=${waiting ? "true" : "false"}>
      <${Rows} report=${report} waiting=${waiting} />
    </section>`}
    ${columns && html`<section class="panel take" aria-label="Make them">
      <${Take} about=${about} file=${file} body=${body} query=${query} ready=${ready} report=${report} waiting=${waiting}
        format=${format} onFormat=${setFormat} pattern=${pattern} onPattern=${setPattern} columns=${columns} />
    </section>`}`;
}

function Bindings({ fields, columns, bound, faults, problem, onBind }) {
  const others = faults.filter((fault) => fault.row === null);
  const named = { ...(problem?.fields || {}) };
  for (const { field, reason } of others) named[field] = reason;
  const used = fields.filter((field) => bound[field.name] || !RARE.includes(field.name) || named[field.name] || named[`bind[${field.name}]`]);
  const rest = fields.filter((field) => !used.includes(field));
  const one = (field) => html`<${Binding} key=${field.name} field=${field} columns=${columns}
    binding=${bound[field.name] || { how: "none", text: "" }} problem=${named[field.name] || named[`bind[${field.name}]`]}
    onBind=${(binding) => onBind(field.name, binding)} />`;
  const elsewhere = others.filter(({ field }) => !fields.some((each) => [each.name, `bind[${each.name}]`].includes(field)));
  return html`${used.map(one)}
    ${rest.length > 0 && html`<details><summary>${rest.length} more</summary>${rest.map(one)}</details>`}
    ${elsewhere.map((fault) => html`<p class="fault">${saidOf(fault)}</p>`)}`;
}

function saidOf({ line, field, reason }) {
  return [line && `line ${line}`, field, reason].filter(Boolean).join(": ");
}

function Binding({ field, columns, binding, problem, onBind }) {
  const id = useId();
  const value = binding.how === "column" ? `column ${columns.indexOf(binding.text)}` : binding.how;
  function choose(event) {
    const [how, place] = event.target.value.split(" ");
    onBind(how === "column" ? { how, text: columns[Number(place)] } : { how, text: "" });
  }
  const typed = binding.how === "same" || binding.how === "template";
  return html`<div class=${`field binding${problem ? " faulty" : ""}`} data-field=${field.name}>
    <label class="label" for=${id}>${labelOf(field.name)}${field.required && html` <span class="required">required</span>`}</label>
    <div>
      <select id=${id} value=${value} onChange=${choose} aria-invalid=${problem ? "true" : undefined}
          aria-describedby=${problem ? `${id}-fault` : undefined}>
        <option value="none">${field.fallback ? `Always ${field.fallback}` : "Nothing"}</option>
        <optgroup label="Columns">${columns.map((name, place) => html`<option key=${place} value=${`column ${place}`}
          disabled=${!name.trim()}>${name || `column ${place + 1}, without a name`}</option>`)}</optgroup>
        <option value="same">The same for all…</option>
        <option value="template">Made of columns…</option>
      </select>
      ${typed && html`<input type="text" aria-label=${`${labelOf(field.name)}, ${binding.how === "same" ? "for all" : "made of columns"}`}
        value=${binding.text} placeholder=${binding.how === "same" ? "A text" : "{First name} {Last name}"}
        onInput=${(event) => onBind({ ...binding, text: event.target.value })} />`}
      ${problem && html`<p class="fault" id=${`${id}-fault`}>${problem}</p>`}
    </div>
  </div>`;
}

const WHY = { longest: "the longest", emptiest: "the emptiest", widest: "the widest" };

function Rows({ report, waiting }) {
  const wrong = new Map();
  for (const fault of report.faults) {
    if (fault.row !== null) wrong.set(fault.row, [...(wrong.get(fault.row) || []), fault]);
  }
  const records = [...report.records].sort((a, b) => a.row - b.row);
  const bad = wrong.size + (report.more ? "+" : "");
  return html`<div class="rows-head"><h2>${report.count.toLocaleString("en")} ${report.count === 1 ? "row is" : "rows are"} right${
      wrong.size > 0 && html`, <span class="fault" id="wrong">${bad} ${wrong.size === 1 && !report.more ? "is" : "are"} not</span>`}</h2>
      <span class="hint" role="status">${waiting ? "Looking…" : ""}</span></div>
    ${report.warnings.map((text) => html`<p class="said">${text}</p>`)}
    <ul class="contact">${report.rows.map((row) => html`<li key=${row.row}><figure>
      ${row.data ? html`<img src=${`data:${row.media_type};base64,${row.data}`} alt=${`Row ${row.row}`} />`
        : html`<p class="fault">${row.error}</p>`}
      <figcaption>Row ${row.row}, ${WHY[row.why]}</figcaption></figure></li>`)}</ul>
    <div class="table" tabindex="0" role="region" aria-label="Rows as they were read"><table>
      <thead><tr><th scope="col">Row</th>${report.columns.map((name, place) => html`<th scope="col" key=${place}>${name}</th>`)}</tr></thead>
      <tbody>${records.map((record) => html`<${Row} key=${record.row} record=${record} faults=${wrong.get(record.row) || []} />`)}</tbody>
    </table></div>
    ${report.more > 0 && html`<p class="fault">${report.more.toLocaleString("en")} more faults are not listed.</p>`}`;
}

function Row({ record, faults }) {
  return html`<tr class=${faults.length ? "wrong" : ""}><th scope="row" title=${record.line ? `line ${record.line}` : undefined}>${record.row}</th>
      ${record.cells.map((cell, place) => html`<td key=${place}>${cell}</td>`)}</tr>
    ${faults.length > 0 && html`<tr class="wrong said-below"><td></td><td colspan=${record.cells.length}>${faults.map(({ field, reason }) =>
      html`<p class="fault">${field && html`<b>${field}</b>: `}${reason}</p>`)}</td></tr>`}`;
}

function Take({ about, file, body, query, ready, report, waiting, format, onFormat, pattern, onPattern, columns }) {
  const [form, setForm] = useState("zip");
  const [paper, setPaper] = useState("A4");
  const [problem, setProblem] = useState(null);
  const [sending, setSending] = useState(false);
  const id = useId();
  const formats = FORMATS.filter((each) => about.formats.includes(each));
  async function make() {
    setSending(true);
    setProblem(null);
    const own = new URLSearchParams(query);
    if (form !== "zip") own.delete("format");
    if (form === "sheet" && LABELS.includes(paper)) own.set("sheet[preset]", paper);
    else if (form === "sheet") {
      own.set("sheet[page]", paper);
      own.set("sheet[marks]", "crop");
    }
    try {
      const path = `collections.${form === "zip" ? "zip" : "pdf"}?${own}`;
      const answer = await ask(path, { method: "POST", body: body.body,
        headers: { "Content-Type": body.type, Prefer: "respond-async" } });
      await begin(answer, { file: file.name, renderer: about.name, form: FORMS[form] });
    } catch (error) {
      setProblem(error);
    }
    setSending(false);
  }
  const why = report && report.faults.length > 0 ? "Rows that are wrong have to be mended first." : "";
  return html`<h2>Take them all</h2>
    <div class="field"><span class="label" id=${`${id}-form`}>As</span>
      <div class="segments" role="radiogroup" aria-labelledby=${`${id}-form`}>${Object.entries(FORMS).map(([name, said]) => html`
        <label key=${name}><input type="radio" name=${`${id}-form`} value=${name} checked=${name === form}
          onChange=${() => setForm(name)} /><span>${said}</span></label>`)}</div></div>
    ${form === "zip" && html`<div class="pair"><div class="field"><label class="label" for=${`${id}-format`}>Format</label>
        <select id=${`${id}-format`} value=${format} onChange=${(event) => onFormat(event.target.value)}>
          ${formats.map((each) => html`<option key=${each} value=${each}>${each.toUpperCase()}</option>`)}</select></div>
      <div class="field"><label class="label" for=${`${id}-pattern`}>File names</label>
        <input id=${`${id}-pattern`} type="text" value=${pattern} placeholder=${`{index}-{${columns[0] || "name"}}`}
          onInput=${(event) => onPattern(event.target.value)} /></div></div>`}
    ${form === "sheet" && html`<div class="field"><label class="label" for=${`${id}-paper`}>Paper</label>
      <select id=${`${id}-paper`} value=${paper} onChange=${(event) => setPaper(event.target.value)}>
        <optgroup label="Pages, with crop marks">${PAGES.map((each) => html`<option key=${each}>${each}</option>`)}</optgroup>
        <optgroup label="Sheets of labels">${LABELS.map((each) => html`<option key=${each}>${each}</option>`)}</optgroup>
      </select></div>`}
    <button type="button" class="primary" disabled=${!ready || sending} onClick=${make}>
      ${sending ? "Sending…" : report && report.count > 0 ? `Make ${report.count.toLocaleString("en")}` : "Make them"}</button>
    ${why && !waiting && html`<p class="hint">${why}</p>`}
    ${problem && html`<p class="fault" role="alert">${problem.message}</p>`}`;
}
