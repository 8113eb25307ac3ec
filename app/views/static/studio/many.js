// Make many: a table, its columns bound to parameters, a look at its rows, and a job.

import { ask, askJson } from "./api.js";
import { begin, Jobs } from "./jobs.js";
import { Picker } from "./picker.js";
import { fieldsOf } from "./schema.js";
import { bodyOf, mended, queryOf, rebind, unusedOf } from "./table.js";
import { Act, html, labelOf, useDebounced, useEffect, useId, useMemo, useRenderer, useState } from "./ui.js";

const DEBOUNCE_MS = 250;
const ROWS = 8;
// Characters of a cell that the server tells.
const MOST_CELL = 200;
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
// What columns were bound to for each renderer: a file that was mended is dropped again.
const chosen = new Map();
// What was mended of a file outlasts a look at another tab, too.
const mends = new WeakMap();

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
  const before = chosen.get(about.name) || {};
  const [columns, setColumns] = useState(null);
  const [bound, setBound] = useState(null);
  const [lost, setLost] = useState([]);
  const [format, setFormat] = useState(before.format || "png");
  const [pattern, setPattern] = useState(before.pattern || "");
  const [script, setScript] = useState(before.script || false);
  const [skip, setSkip] = useState(mends.get(file)?.skip || false);
  const [edits, setEdits] = useState(mends.get(file)?.edits || {});
  const [edited, setEdited] = useState(mends.get(file)?.edited || {});
  const [body, setBody] = useState(null);
  const [report, setReport] = useState(null);
  const [problem, setProblem] = useState(null);
  const [seen, setSeen] = useState(null);
  useEffect(() => { bodyOf(file).then(setBody, setProblem); }, [file]);
  useEffect(() => { if (bound) chosen.set(about.name, { bound, format, pattern, script }); }, [bound, format, pattern, script]);
  useEffect(() => { mends.set(file, { skip, edits, edited }); }, [file, skip, edits, edited]);
  const isTable = body?.type !== "application/x-ndjson";
  // The first look is for the columns: there is nothing else to be wrong with.
  const more = { ...(skip && { bad_rows: "skip" }), ...(script && { names: "unicode" }) };
  const terms = bound ? { isTable, format, pattern, more } : { isTable };
  const query = queryOf(about.name, fields, columns || [], bound || {}, terms);
  const wanted = `${query} ${JSON.stringify(edits)}`;
  const asked = useDebounced(wanted, bound ? DEBOUNCE_MS : 0);
  const stale = asked !== wanted;
  const look = `${Boolean(bound)} ${asked}`;
  const waiting = stale || seen !== look;
  useEffect(() => {
    if (!body || stale) return undefined;
    const abort = new AbortController();
    mended(body, edits).then((sent) => askJson(`collections?${query}&preview=${ROWS}`, { method: "POST", ...sent,
      signal: abort.signal })).then((found) => {
      setProblem(null);
      // What the first look finds wrong is that nothing is bound.
      if (bound || found.columns.length === 0) setReport(found);
      else {
        const kept = rebind(fields, found.columns, before.bound);
        setColumns(found.columns);
        setBound(kept.bound);
        setLost(kept.lost);
      }
      setSeen(look);
    }).catch((error) => {
      if (error.name === "AbortError") return;
      setProblem(error);
      setSeen(look);
    });
    return () => abort.abort();
  }, [look, stale, body]);
  const faults = report?.faults || [];
  const named = { ...problem?.fields };
  for (const { row, field, reason } of faults) if (row === null) named[field] = reason;
  // In the query `name` is the pattern: parameters are bound.
  const misnamed = problem?.fields?.name || named["file name"];
  if (problem?.fields?.name) delete named.name;
  const ofTable = faults.filter(({ row }) => row === null);
  const why = whyNot({ waiting, problem, ofTable, faults, report });
  function edit(record, column, text) {
    setEdited({ ...edited, [record.line]: edited[record.line] || record });
    setEdits({ ...edits, [record.line]: { ...edits[record.line], [column]: text } });
  }
  function undo(line) {
    setEdits(({ [line]: _, ...rest }) => rest);
    setEdited(({ [line]: _, ...rest }) => rest);
  }
  return html`
    ${problem && html`<section class="panel wide-panel"><p class="fault" role="alert">${saidOfProblem(problem)}</p></section>`}
    ${!columns && faults.length > 0 && html`<section class="panel wide-panel">${faults.map((fault) => html`
      <p class="fault" role="alert">${saidOf(fault)}</p>`)}</section>`}
    ${columns && html`<section class="panel" aria-label="Columns">
      <h2>Columns</h2>
      ${lost.map(({ name, column }) => html`<p class="said" role="status">${labelOf(name)} was made of “${column}”, which this file has not.</p>`)}
      <${Bindings} fields=${fields} columns=${columns} bound=${bound} named=${named} ofTable=${ofTable}
        onBind=${(name, binding) => setBound({ ...bound, [name]: binding })} />
      <${Unused} names=${isTable ? unusedOf(fields, columns, bound, pattern) : []} />
    </section>`}
    ${columns && report && html`<section class="panel rows" aria-label="Rows" aria-busy=${waiting ? "true" : "false"}>
      <${Rows} report=${report} waiting=${waiting} bound=${bound} edits=${edits} edited=${edited} onEdit=${edit} onUndo=${undo}
        skip=${skip} onSkip=${setSkip} />
    </section>`}
    ${columns && html`<section class="panel take" aria-label="Make them">
      <${Take} about=${about} file=${file} body=${body} edits=${edits} query=${query} why=${why} brief=${waiting} report=${report}
        format=${format} onFormat=${setFormat} pattern=${pattern} onPattern=${setPattern} misnamed=${misnamed}
        script=${script} onScript=${setScript} columns=${columns} />
    </section>`}`;
}

function whyNot({ waiting, problem, ofTable, faults, report }) {
  if (waiting || !report) return problem && !waiting ? "What is wrong has to be mended first." : "The rows are looked at.";
  if (problem || ofTable.length > 0) return "What is wrong has to be mended first.";
  if (faults.length > 0) return "Rows that are wrong have to be mended first, or left out.";
  return report.count > 0 ? "" : "There are no rows.";
}

function Unused({ names }) {
  if (names.length === 0) return null;
  return html`<p class="said" id="unused">Nothing uses ${names.length === 1 ? "the column" : "the columns"} ${names.join(", ")}.</p>`;
}

function Bindings({ fields, columns, bound, named, ofTable, onBind }) {
  const wrong = (field) => named[field.name] || named[`bind[${field.name}]`];
  const used = fields.filter((field) => bound[field.name] || !RARE.includes(field.name) || wrong(field));
  const rest = fields.filter((field) => !used.includes(field));
  const one = (field) => html`<${Binding} key=${field.name} field=${field} columns=${columns}
    binding=${bound[field.name] || { how: "none", text: "" }} problem=${wrong(field)}
    onBind=${(binding) => onBind(field.name, binding)} />`;
  const elsewhere = ofTable.filter(({ field }) => field !== "file name"
    && !fields.some((each) => [each.name, `bind[${each.name}]`].includes(field)));
  return html`${used.map(one)}
    ${rest.length > 0 && html`<details><summary>${rest.length} more</summary>${rest.map(one)}</details>`}
    ${elsewhere.map((fault) => html`<p class="fault">${saidOf(fault)}</p>`)}`;
}

function parameterOf(field) {
  return /^bind\[(.*)\]$/.exec(field)?.[1] || field;
}

// A parameter, or the column of the table that is meant.
function fieldSaid(field) {
  return /^(bind\[.*\]|[a-z_]+|file name)$/.test(field) ? labelOf(parameterOf(field)) : field;
}

function saidOf({ line, field, reason }) {
  return [line && `Row ${line}`, field && fieldSaid(field), reason].filter(Boolean).join(": ");
}

function saidOfProblem(problem) {
  const errors = problem.problem?.errors || [];
  const said = errors.map(({ field, reason }) => `${field === "name" ? "File names" : fieldSaid(field)}: ${reason}`);
  return said.length > 0 ? said.join("; ") : problem.message;
}

function Binding({ field, columns, binding, problem, onBind }) {
  const id = useId();
  const value = binding.how === "column" ? `column ${columns.indexOf(binding.text)}` : binding.how;
  function choose(event) {
    const [how, place] = event.target.value.split(" ");
    onBind(how === "column" ? { how, text: columns[Number(place)] } : { how, text: "" });
  }
  const typed = binding.how === "same" || binding.how === "template";
  const marks = problem ? { "aria-invalid": "true", "aria-describedby": `${id}-fault` } : {};
  return html`<div class=${`field binding${problem ? " faulty" : ""}`} data-field=${field.name}>
    <label class="label" for=${id}>${labelOf(field.name)}${field.required && html` <span class="required">required</span>`}</label>
    <div>
      <select id=${id} value=${value} onChange=${choose} ...${typed ? {} : marks}>
        <option value="none">${field.fallback ? `Always ${field.fallback}` : "Nothing"}</option>
        <optgroup label="Columns">${columns.map((name, place) => html`<option key=${place} value=${`column ${place}`}
          disabled=${!name.trim()}>${name || `column ${place + 1}, without a name`}</option>`)}</optgroup>
        <option value="same">The same for all…</option>
        <option value="template">Made of columns…</option>
      </select>
      ${typed && html`<input type="text" ...${marks} aria-label=${`${labelOf(field.name)}, ${binding.how === "same" ? "for all" : "made of columns"}`}
        value=${binding.text} placeholder=${binding.how === "same" ? "A text" : placeholderOf(columns)}
        onInput=${(event) => onBind({ ...binding, text: event.target.value })} />`}
      ${problem && html`<p class="fault" id=${`${id}-fault`}>${problem}</p>`}
    </div>
  </div>`;
}

function placeholderOf(columns) {
  const named = columns.filter((name) => name.trim()).slice(0, 2);
  return named.map((name) => `{${name}}`).join(" ");
}

const WHY = { longest: "among the longest", emptiest: "among the least filled", widest: "among the widest" };

// The sheet's own number, where it has one.
function rowOf({ line, row }) {
  return line ?? row;
}

function Rows({ report, waiting, bound, edits, edited, onEdit, onUndo, skip, onSkip }) {
  const wrong = new Map();
  for (const fault of [...report.faults, ...report.left_out.faults]) {
    if (fault.row !== null) wrong.set(fault.row, [...(wrong.get(fault.row) || []), fault]);
  }
  // Rows that were mended stay in sight, to be undone.
  const there = new Set(report.records.map(({ line }) => line));
  const others = Object.values(edited).filter(({ line }) => !there.has(line));
  const records = [...report.records, ...others].sort((a, b) => a.row - b.row);
  const more = report.more + report.left_out.more;
  const bad = skip ? report.left_out.count : `${wrong.size.toLocaleString("en")}${more ? "+" : ""}`;
  const one = wrong.size === 1 && !more;
  const total = report.count + (skip ? report.left_out.count : wrong.size + more);
  const right = `${report.count.toLocaleString("en")} ${report.count === 1 ? "row is" : "rows are"} right`;
  const not = wrong.size > 0 ? `${bad} ${one ? "is" : "are"} ${skip ? "left out" : "not"}` : "";
  return html`<div class="rows-head"><h2>${right}${not && html`, <span class=${skip ? "" : "fault"} id="wrong">${not}</span>`}</h2>
      <span class="hint" role="status">${waiting ? "Looking…" : html`<span class="unseen">${right}${not && `, ${not}`}</span>`}</span></div>
    ${(wrong.size > 0 || skip) && html`<p class="leave"><label class="switch">Leave out rows that are wrong <input type="checkbox" role="switch"
      checked=${skip} onChange=${(event) => onSkip(event.target.checked)} /></label>
      <span class="hint">Or mend them here: the file stays as it is.</span></p>`}
    ${report.warnings.map((text) => html`<p class="said" key=${text}>${text}</p>`)}
    <ul class="contact">${report.rows.map((row) => html`<li key=${row.row}><figure>
      ${row.data ? html`<img src=${`data:${row.media_type};base64,${row.data}`} alt=${`Row ${rowOf(row)}`} />`
        : html`<p class="fault">${row.error}</p>`}
      <figcaption>Row ${rowOf(row)}, ${WHY[row.why]}</figcaption></figure></li>`)}</ul>
    <div class="table" tabindex="0" role="region" aria-label="Rows as they were read"><table>
      <thead><tr><th scope="col">Row</th>${report.columns.map((name, place) => html`<th scope="col" key=${place}>${name}</th>`)}</tr></thead>
      <tbody>${records.map((record) => html`<${Row} key=${record.row} record=${record} columns=${report.columns} bound=${bound}
        edit=${edits[record.line]} faults=${wrong.get(record.row) || []} skip=${skip} onEdit=${onEdit} onUndo=${onUndo} />`)}</tbody>
    </table></div>
    ${records.length < total && html`<p class="hint">Shown are the first rows, and those that are wrong.</p>`}
    ${more > 0 && html`<p class="fault">${more.toLocaleString("en")} more faults are not listed.</p>`}`;
}

function Row({ record, columns, bound, edit, faults, skip, onEdit, onUndo }) {
  const id = useId();
  const number = rowOf(record);
  const isOpen = (faults.length > 0 || edit) && record.line !== null;
  const blamed = new Set(faults.map(({ field }) => {
    const binding = bound[parameterOf(field)];
    return binding?.how === "column" ? binding.text : field;
  }));
  const cell = (text, place) => {
    const name = columns[place];
    const isOne = name && columns.filter((each) => each === name).length === 1;
    // What is told in short cannot be mended here.
    if (!isOpen || !isOne || text.length >= MOST_CELL) return html`<td key=${place}>${text}</td>`;
    const isWrong = blamed.has(name);
    return html`<td key=${place}><input type="text" value=${edit?.[name] ?? text} aria-label=${`${name}, row ${number}`}
      aria-invalid=${isWrong ? "true" : undefined} aria-describedby=${isWrong ? id : undefined}
      onChange=${(event) => onEdit(record, name, event.target.value)} /></td>`;
  };
  return html`<tr class=${faults.length ? `wrong${skip ? " left-out" : ""}` : ""}><th scope="row">${number}</th>${record.cells.map(cell)}</tr>
    ${(faults.length > 0 || edit) && html`<tr class=${`said-below${faults.length ? " wrong" : ""}`}><td></td><td colspan=${record.cells.length} id=${id}>
      ${faults.map(({ field, reason }) => html`<p class="fault">${field && html`<b>${fieldSaid(field)}</b>: `}${reason}</p>`)}
      ${edit && html`<p class="hint">${faults.length === 0 && "Mended here. "}<button type="button" class="quiet"
        onClick=${() => onUndo(record.line)}>Undo<span class="unseen"> what was typed in row ${number}</span></button></p>`}</td></tr>`}`;
}

function Take({ about, file, body, edits, query, why, brief, report, format, onFormat, pattern, onPattern, misnamed, script, onScript,
  columns }) {
  const [form, setForm] = useState("zip");
  const [paper, setPaper] = useState("A4");
  const [problem, setProblem] = useState(null);
  const [sending, setSending] = useState(false);
  const [begun, setBegun] = useState("");
  // What was wrong with another request is not wrong with this one.
  useEffect(() => { setProblem(null); setBegun(""); }, [query, edits, form, paper]);
  // A press while the rows are looked at counts once they were.
  const [pressed, setPressed] = useState(false);
  useEffect(() => {
    if (!pressed || brief) return;
    setPressed(false);
    if (!why) make();
  }, [pressed, brief, why]);
  const id = useId();
  const formats = FORMATS.filter((each) => about.formats.includes(each));
  async function make() {
    setSending(true);
    setProblem(null);
    setBegun("");
    const own = new URLSearchParams(query);
    if (form !== "zip") own.delete("format");
    if (form === "sheet" && LABELS.includes(paper)) own.set("sheet[preset]", paper);
    else if (form === "sheet") {
      own.set("sheet[page]", paper);
      own.set("sheet[marks]", "crop");
    }
    try {
      const path = `collections.${form === "zip" ? "zip" : "pdf"}?${own}`;
      const sent = await mended(body, edits);
      const answer = await ask(path, { method: "POST", body: sent.body, headers: { ...sent.headers, Prefer: "respond-async" } });
      await begin(answer, { file: file.name, renderer: about.name, form: FORMS[form], left: report.left_out.count });
      setBegun("Begun, whether this page is open or not. How far it is, and the download, stand under “Your jobs”.");
    } catch (error) {
      setProblem(error);
    }
    setSending(false);
  }
  return html`<h2>Take them all</h2>
    <div class="field"><span class="label" id=${`${id}-form`}>As</span>
      <div class="segments" role="radiogroup" aria-labelledby=${`${id}-form`}>${Object.entries(FORMS).map(([name, said]) => html`
        <label key=${name}><input type="radio" name=${`${id}-form`} value=${name} checked=${name === form}
          onChange=${() => setForm(name)} /><span>${said}</span></label>`)}</div></div>
    ${form === "zip" && html`<div class="pair"><div class="field"><label class="label" for=${`${id}-format`}>Format</label>
        <select id=${`${id}-format`} value=${format} onChange=${(event) => onFormat(event.target.value)}>
          ${formats.map((each) => html`<option key=${each} value=${each}>${each.toUpperCase()}</option>`)}</select></div>
      <div class=${`field${misnamed ? " faulty" : ""}`}><label class="label" for=${`${id}-pattern`}>File names</label>
        <input id=${`${id}-pattern`} type="text" value=${pattern} placeholder=${`Numbers, or such as {index}-{${columns[0] || "name"}}`}
          aria-invalid=${misnamed ? "true" : undefined} aria-describedby=${misnamed ? `${id}-misnamed` : undefined}
          onInput=${(event) => onPattern(event.target.value)} />
        ${misnamed && html`<p class="fault" id=${`${id}-misnamed`}>${misnamed}</p>`}</div></div>
      <p class="script"><label class="switch">File names in their own script, not in ASCII <input type="checkbox" role="switch"
        checked=${script} onChange=${(event) => onScript(event.target.checked)} /></label></p>
      ${script && !pattern.trim() && html`<p class="hint" role="status">The names are numbers so far, 00001: say above what they are made of.</p>`}`}
    ${form === "sheet" && html`<div class="field"><label class="label" for=${`${id}-paper`}>Paper</label>
      <select id=${`${id}-paper`} value=${paper} onChange=${(event) => setPaper(event.target.value)}>
        <optgroup label="Pages, with crop marks">${PAGES.map((each) => html`<option key=${each}>${each}</option>`)}</optgroup>
        <optgroup label="Sheets of labels">${LABELS.map((each) => html`<option key=${each}>${each}</option>`)}</optgroup>
      </select></div>`}
    <${Act} class="primary" why=${sending || pressed ? "It is being sent." : brief ? "" : why} brief=${sending || pressed} onClick=${() => setPressed(true)}>
      ${sending ? "Sending…" : report && report.count > 0 ? `Make ${report.count.toLocaleString("en")}` : "Make them"}<//>
    <p class="hint" role="status">${begun}</p>
    ${problem && html`<p class="fault" role="alert">${saidOfProblem(problem)}</p>`}`;
}
