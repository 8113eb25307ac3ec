// A table before it is drawn: how it is sent, and which column a parameter is bound to.

const TYPES = { csv: "text/csv", tsv: "text/tab-separated-values", txt: "text/csv", ndjson: "application/x-ndjson",
  jsonl: "application/x-ndjson",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  ods: "application/vnd.oasis.opendocument.spreadsheet" };

// Returns the body and its type. A list in JSON goes as its lines; all else is the server's to read.
export async function bodyOf(file) {
  const ending = file.name.split(".").pop().toLowerCase();
  if (ending !== "json") return { body: file, type: TYPES[ending] || "application/octet-stream" };
  const items = itemsOf(JSON.parse(await file.text()));
  return { body: new Blob(items.map((item) => `${JSON.stringify(item)}\n`)), type: TYPES.ndjson };
}

function itemsOf(value) {
  const items = Array.isArray(value) ? value : value?.items;
  if (!Array.isArray(items)) throw new Error("The file holds no list: [{…}, {…}], or an object with items.");
  return items;
}

// A name as the server compares them, near enough to guess by.
export function loose(name) {
  return name.normalize("NFKC").toLowerCase().replace(/[\s_\-|,{}]+/g, "");
}

// A binding is { how, text }: "column" and its name, "same" and a text, "template", or "none".
export function guess(fields, columns) {
  const free = new Set(columns.filter((name) => name.trim()));
  const found = {};
  const take = (fits) => {
    for (const field of fields) {
      if (found[field.name]) continue;
      const column = [...free].find((each) => fits(loose(field.name), loose(each), each));
      if (column === undefined) continue;
      found[field.name] = { how: "column", text: column };
      free.delete(column);
    }
  };
  take((field, column) => field === column);
  // "Full name" for name, "QR code" for qr; two letters are in too many words.
  take((field, column, name) => words(name).includes(field));
  take((field, column) => field.length > 3 && column.includes(field));
  const rest = fields.find((field) => field.required && !found[field.name]);
  const first = [...free][0];
  if (rest && first && rest.kind !== "image") found[rest.name] = { how: "column", text: first };
  return found;
}

// Bindings of another table, for the columns of this one; what is lost is said. A field that was left alone is guessed.
export function rebind(fields, columns, before) {
  const guessed = guess(fields, columns);
  const wanted = Object.entries(before || {}).filter(([, { how }]) => how === "column");
  const found = new Map(columns.map((name) => [loose(name), name]));
  const there = wanted.filter(([, { text }]) => found.has(loose(text)));
  if (!before || (wanted.length > 0 && there.length === 0)) return { bound: guessed, lost: [] };
  const taken = new Set(there.map(([, { text }]) => loose(text)));
  const free = Object.entries(guessed).filter(([name, { text }]) => !taken.has(loose(text)) && before[name]?.how !== "none");
  const others = Object.entries(before).filter(([, { how }]) => how !== "column");
  const kept = there.map(([name, { how, text }]) => [name, { how, text: found.get(loose(text)) }]);
  const lost = wanted.filter(([, { text }]) => !found.has(loose(text))).map(([name, { text }]) => ({ name, column: text }));
  return { bound: Object.fromEntries([...free, ...others, ...kept]), lost };
}

// The columns that no parameter and no file name is made of.
export function unusedOf(fields, columns, bound, pattern) {
  const used = new Set();
  const note = (text) => {
    for (const [, name] of text.matchAll(/\{([^{}|]+)/g)) used.add(loose(name.replace(/^column:/, "")));
  };
  for (const field of fields) {
    const { how, text } = bound[field.name] || {};
    if (how === "template") note(text);
    if (how === "column") used.add(loose(text));
  }
  note(pattern || "");
  return columns.filter((name) => loose(name) && !used.has(loose(name)));
}

// What is sent where cells were mended: `edits` are texts by line and column.
export async function mended({ body, type }, edits) {
  const lines = Object.entries(edits);
  if (lines.length === 0) return { body, headers: { "Content-Type": type } };
  if (type === TYPES.ndjson) {
    const texts = (await body.text()).split("\n");
    for (const [line, cells] of lines) texts[line - 1] = JSON.stringify({ ...JSON.parse(texts[line - 1]), ...cells });
    return { body: texts.join("\n"), headers: { "Content-Type": type } };
  }
  const form = new FormData();
  for (const [line, cells] of lines) for (const [column, text] of Object.entries(cells)) form.set(`cell[${line}:${column}]`, text);
  form.set("rows", new Blob([body], { type }), body.name);
  // The browser says the type: it has the boundary.
  return { body: form, headers: {} };
}

function words(name) {
  return name.toLowerCase().split(/[^\p{L}\p{N}]+/u);
}

// The query that says it. Whatever is not bound is passed over, and not taken for a mistake.
export function queryOf(renderer, fields, columns, bound, { isTable, format, pattern, more = {} }) {
  const query = new URLSearchParams({ renderer });
  for (const field of fields) {
    const { how, text } = bound[field.name] || { how: "none", text: "" };
    // Not as a parameter, over which a column of its name would win.
    if (how === "same" && text) query.set(`bind[${field.name}]`, text.replace(/[{}]/g, "$&$&"));
    else if (how === "template" && text) query.set(`bind[${field.name}]`, text);
    else if (how === "column") query.set(`bind[${field.name}]`, placeholder(text));
    // Else a column of its very name would be taken.
    else if (columns.some((name) => loose(name) === loose(field.name))) query.set(`bind[${field.name}]`, "");
  }
  const own = new Set(fields.map((field) => loose(field.name)));
  const counts = new Map();
  for (const name of columns) counts.set(loose(name), (counts.get(loose(name)) || 0) + 1);
  const passed = unusedOf(fields, columns, bound, pattern).filter((name) => !own.has(loose(name)) && counts.get(loose(name)) === 1);
  if (isTable && passed.length) query.set("ignore", passed.map((name) => name.replace(/,/g, " ")).join(","));
  if (format && format !== "png") query.set("format", format);
  if (pattern) query.set("name", pattern);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query.toString();
}

function placeholder(column) {
  // What means something in a template means nothing in a column's name: it is compared loosely.
  return `{column:${column.replace(/[{}|]/g, " ")}}`;
}
