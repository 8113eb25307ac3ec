// Make your own: a template beside its pictures, with texts of several lengths at once.

import { ask, askJson } from "./api.js";
import { Code } from "./code.js";
import { Act, html, labelOf, save, Tabs, useAnswer, useEffect, useId, useMemo, useRef, useState } from "./ui.js";

const DEBOUNCE_MS = 300;
const MARKUP = "template.html";
const DECLARATION = "parameters.toml";
const LANGUAGES = { [MARKUP]: "html", [DECLARATION]: "toml" };
const PICTURES = "Pictures";
const FIRST = "ticket";
const SAID = { short: "Short, and no more than required", example: "Typical: the example", longest: "As long as may be",
  arabic: "Arabic", japanese: "Japanese" };
const NAME = /^[a-z][a-z0-9_-]{0,39}$/;

// What was written and then left for another template, to be taken back.
let left = null;
// Whoever has chosen another start goes on from there.
let hasChosen = false;
// Whoever comes back goes on with the template that was last here.
let last = FIRST;

export function Own({ place }) {
  const [templates, setTemplates] = useState(null);
  const [start, setStart] = useState(null);
  const [fault, setFault] = useState("");
  const from = place.name || last;
  last = from;
  useEffect(() => {
    const abort = new AbortController();
    setFault("");
    const { signal } = abort;
    Promise.all([askJson("templates", { signal }), ask(pathOf(from), { signal })]).then(async ([list, answer]) => {
      setTemplates(list);
      setStart({ ...(await answer.json()), tag: answer.headers.get("ETag") });
    }).catch((error) => {
      if (error.name !== "AbortError") setFault(error.message);
    });
    return () => abort.abort();
  }, [from]);
  if (fault) return html`<p class="notice" role="alert">${fault}</p>`;
  if (start?.name !== from) return html`<p class="notice">Loading…</p>`;
  return html`<${Editor} key=${`${from} ${place.visit}`} start=${start} templates=${templates} />`;
}

function pathOf(name) {
  return `templates/${encodeURIComponent(name)}`;
}

function Editor({ start, templates }) {
  const [resumed] = useState(!hasChosen && left?.from === start.name ? left : null);
  const [name, setName] = useState(resumed?.name ?? (start.version ? start.name : `my-${start.name}`.slice(0, 40)));
  const first = useMemo(() => ({ [MARKUP]: "", [DECLARATION]: "", ...start.files }), [start]);
  const [files, setFiles] = useState(resumed?.files ?? first);
  const [undo, setUndo] = useState(null);
  const [kept, setKept] = useState(null);
  const latest = useRef();
  const isWritten = files !== kept && JSON.stringify(files) !== JSON.stringify(first);
  latest.current = { name, files, from: start.name, isWritten };
  // By whatever way the editor is left, nothing that was written is lost.
  useEffect(() => {
    if (resumed) left = null;
    setUndo(left);
    return () => { if (latest.current.isWritten) left = latest.current; };
  }, []);
  const [outlines, setOutlines] = useState(false);
  const [tab, setTab] = useState(MARKUP);
  const [sought, setSought] = useState(0);
  const [generation, setGeneration] = useState(0);
  const isNamed = NAME.test(name);
  const [seen, problem, waiting] = usePreviews({ name: isNamed ? name : "template", files, outlines });
  const faults = useMemo(() => faultsOf(problem, seen), [problem, seen]);
  const fault = faults[0];
  const setFile = (file, text) => setFiles((old) => ({ ...old, [file]: text }));
  function seek() {
    setTab(fault.file);
    setSought(sought + 1);
  }
  function choose(file) {
    setTab(file);
    setSought(0);
  }
  function takeBack() {
    setName(undo.name);
    setFiles(undo.files);
    setGeneration(generation + 1);
    forget();
  }
  function forget() {
    left = null;
    setUndo(null);
  }
  return html`<div class="own">
    <section class="panel written" aria-label="Template">
      <${Head} start=${start} templates=${templates} name=${name} isNamed=${isNamed} files=${files} onName=${setName}
        onKept=${setKept} />
      ${undo && html`<p class="said undo" role="status">What you had written from <code>${undo.from}</code> is not here.
        <button type="button" class="quiet" onClick=${takeBack}>Take it back</button>
        <button type="button" class="quiet" onClick=${forget}>Let it go</button></p>`}
      <div class="own-tabs"><${Tabs} label="Files" names=${[MARKUP, DECLARATION, PICTURES]} chosen=${tab} onChoose=${choose} /></div>
      <div role="tabpanel" aria-label=${tab} class="own-file">
        ${tab === PICTURES ? html`<${Pictures} files=${files} onFiles=${setFiles} />`
          : html`<${Code} key=${`${tab} ${generation}`} text=${files[tab]} language=${LANGUAGES[tab]} label=${tab}
            fault=${faults.find(({ file, line }) => file === tab && line) || null} sought=${sought} onChange=${(text) => setFile(tab, text)} />`}
      </div>
      ${fault && html`<p class="fault" role="alert">
        ${LANGUAGES[fault.file] && html`<button type="button" class="quiet" onClick=${seek}>
          <span class="unseen">Go to </span>${fault.file}${fault.line ? `, line ${fault.line}` : ""}</button> `}${fault.reason}</p>`}
    </section>
    <section class="previews" aria-label="Pictures">
      <div class="previews-head"><h2>${seen ? seen.title : "No picture yet"}</h2>
        <label class="switch">Outline boxes <input type="checkbox" role="switch" checked=${outlines}
          onChange=${(event) => setOutlines(event.target.checked)} /></label>
        <span class="hint" role="status">${waiting ? "Drawing…" : html`<span class="unseen">${drawnSaid(problem, seen)}</span>`}</span></div>
      <div class=${`lengths${problem ? " failed" : ""}`}>${(seen?.previews || []).map((each) => html`
        <${Length} key=${each.length} drawn=${each} />`)}</div>
    </section>
  </div>`;
}

function drawnSaid(problem, seen) {
  if (problem || !seen) return "Not drawn.";
  const failed = seen.previews.filter((each) => each.problem).length;
  const noted = seen.previews.filter((each) => factsOf(each).length > 0).length;
  return [`${seen.previews.length - failed} pictures drawn`, failed && `${failed} not`, noted && `${noted} of them with a remark`]
    .filter(Boolean).join(", ");
}

const AS_JSON = { "Content-Type": "application/json" };

function Head({ start, templates, name, isNamed, files, onName, onKept }) {
  const id = useId();
  const [fault, setFault] = useState("");
  const [isAsked, setAsked] = useState(false);
  // The version that the next one replaces, by its entity tag.
  const [kept, setKept] = useState(start.version ? { name: start.name, renderer: start.renderer, tag: start.tag } : {});
  const from = useRef();
  useEffect(() => { if (hasChosen) from.current.focus(); hasChosen = false; }, []);
  // What was wrong with another text or name is not wrong with this one.
  useEffect(() => setFault(""), [name, files]);
  const isKept = templates.editing && kept.name === name;
  const why = isNamed ? "" : "It needs a name first.";
  function begin(event) {
    hasChosen = true;
    location.hash = `#/own/${event.target.value}`;
  }
  async function keep() {
    setFault("");
    const condition = kept.name === name ? { "If-Match": kept.tag } : { "If-None-Match": "*" };
    try {
      const answer = await ask(pathOf(name), { method: "PUT", headers: { ...AS_JSON, ...condition }, body: JSON.stringify({ files }) });
      const { renderer } = await answer.json();
      onKept(files);
      setKept({ name, renderer, tag: answer.headers.get("ETag") });
    } catch (error) {
      setFault(error.status === 412 ? "There is another version of this name: start from it, or choose another name." : error.message);
    }
  }
  async function remove() {
    setFault("");
    setAsked(false);
    from.current.focus();
    try {
      await ask(pathOf(name), { method: "DELETE", headers: { "If-Match": kept.tag } });
      // What stands here is all that is left of it.
      onKept(null);
      setKept({ deleted: name });
    } catch (error) {
      setFault(error.status === 412 ? "There is another version of this name: start from it to delete it." : error.message);
    }
  }
  async function download() {
    setFault("");
    try {
      const body = JSON.stringify({ name, files });
      const answer = await ask("templates/export", { method: "POST", headers: AS_JSON, body });
      save(await answer.blob(), `${name}.zip`);
      onKept(files);
    } catch (error) {
      setFault(error.message);
    }
  }
  return html`<div class="own-head">
    <div class="field"><label class="label" for=${`${id}-from`}>Start from</label>
      <select id=${`${id}-from`} ref=${from} value=${start.name} onChange=${begin}>
        ${templates.templates.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></div>
    <div class=${`field${isNamed ? "" : " faulty"}`}><label class="label" for=${`${id}-name`}>Name</label>
      <input id=${`${id}-name`} type="text" value=${name} autocomplete="off" spellcheck="false"
        aria-invalid=${isNamed ? undefined : "true"} aria-describedby=${isNamed ? undefined : `${id}-fault`}
        onInput=${(event) => onName(event.target.value)} />
      ${!isNamed && html`<p class="fault" id=${`${id}-fault`}>a to z, digits, - and _, up to 40</p>`}</div>
    ${templates.editing && html`<${Act} class="primary" why=${why} brief onClick=${keep}>Save<//>`}
    <${Act} class=${templates.editing ? "quiet tall" : "primary"} why=${why} brief onClick=${download}>Download ZIP<//>
  </div>
  <div role="status">${kept.renderer && html`<p class="hint">Saved as <a href=${`#/make/${kept.renderer}`}>${kept.renderer}</a>, which stays as it is.
      ${" "}${isKept && html`<button type="button" class="quiet" aria-expanded=${isAsked} onClick=${() => setAsked(!isAsked)}>Delete</button>`}</p>`}
    ${kept.deleted && html`<p class="hint"><code>${kept.deleted}</code> is deleted. What you see here can be saved anew.</p>`}</div>
  ${isKept && isAsked && html`<p class="said undo" role="status">Delete all its versions? Collections and jobs made of it are drawn still.
    <button type="button" class="quiet" onClick=${remove}>Delete it</button>
    <button type="button" class="quiet" onClick=${() => setAsked(false)}>Keep it</button></p>`}
  ${fault && html`<p class="fault" role="alert">${fault}</p>`}`;
}

// The pictures of the folder, which the markup names in `src`.
function Pictures({ files, onFiles }) {
  const id = useId();
  const names = Object.keys(files).filter((name) => !LANGUAGES[name]);
  async function add(event) {
    const added = {};
    for (const file of event.target.files) added[file.name] = await base64Of(file);
    event.target.value = "";
    onFiles((old) => ({ ...old, ...added }));
  }
  function remove(name) {
    onFiles(({ [name]: _, ...rest }) => rest);
  }
  return html`<div class="pictures">
    <ul>${names.map((name) => html`<li key=${name}><img src=${`data:${typeOf(name)};base64,${files[name]}`} alt="" />
      <code>${`<img src="${name}">`}</code>
      <button type="button" class="quiet" onClick=${() => remove(name)}>Remove<span class="unseen"> ${name}</span></button></li>`)}</ul>
    ${names.length === 0 && html`<p class="hint">No picture lies beside the template.</p>`}
    <div class="drop small"><input id=${id} type="file" class="file" multiple accept=".png,.jpg,.jpeg,.webp,.gif,.svg" onChange=${add} />
      <label for=${id} class="drop-said">Pictures of the template: <u>choose some</u></label></div>
  </div>`;
}

function typeOf(name) {
  const ending = name.split(".").pop().toLowerCase();
  return `image/${{ svg: "svg+xml", jpg: "jpeg" }[ending] || ending}`;
}

async function base64Of(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}

function Length({ drawn }) {
  const { length, problem, fits } = drawn;
  return html`<figure data-length=${length}>
    <figcaption><b>${SAID[length]}</b>${factsOf(drawn).map((said) => html`<span key=${said} class="hint">${said}</span>`)}</figcaption>
    ${problem ? html`<p class="fault">${reasonOf(problem)}</p>`
      : html`<img src=${`data:${drawn.media_type};base64,${drawn.data}`} width=${drawn.width} height=${drawn.height}
        alt=${`The template with texts: ${SAID[length]}`} />`}
    ${fits.length > 0 && html`<details><summary>What <code>fit</code> found</summary>
      <table><thead><tr><th scope="col">Text</th><th scope="col">Size</th><th scope="col">Lines</th></tr></thead>
        <tbody>${fits.map((fit, at) => html`<tr key=${at} class=${fit.clipped ? "wrong" : undefined}><td>${fit.text}</td>
          <td>${fit.size} px${fit.clipped && `, ${fit.clipped}`}</td><td>${fit.lines}</td></tr>`)}</tbody></table></details>`}
  </figure>`;
}

function factsOf({ facts, outside }) {
  if (!facts) return [];
  const lost = outside.length > 0 ? [`Reaches out of the picture: ${outside.map((text) => `“${text}”`).join(", ")}`] : [];
  const clipped = Object.entries(facts.text_clipped || {}).map(([name, how]) => `${labelOf(name)} is ${how}`);
  const missing = facts.missing_glyphs ? [`No font here has: ${facts.missing_glyphs}`] : [];
  return [...lost, ...clipped, ...missing, ...(facts.warnings || [])];
}

// The server names the folder, too, and repeats the place in its words.
function reasonOf(problem) {
  return problem.file ? problem.detail.replace(/^.*? is broken: [^:]*: /, "") : problem.detail || problem.title;
}

function faultsOf(problem, seen) {
  const found = problem ? [problem.problem || {}] : (seen?.previews || []).map((each) => each.problem).filter(Boolean);
  const told = found.map((each) => ({ file: each.file?.split("/").pop(), line: each.line, reason: reasonOf(each) }));
  return problem && !problem.problem.file ? [{ reason: problem.message }] : told;
}

// Returns the last pictures, what is wrong with the present template, and whether it is drawn.
function usePreviews(template) {
  const body = JSON.stringify(template);
  const options = { method: "POST", headers: AS_JSON, body };
  return useAnswer(body, DEBOUNCE_MS, (signal) => askJson("templates/preview", { ...options, signal }));
}
