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

function words(name) {
  return name.toLowerCase().split(/[^\p{L}\p{N}]+/u);
}

// The query that says it. Whatever is not bound is passed over, and not taken for a mistake.
export function queryOf(renderer, fields, columns, bound, { isTable, format, pattern, more = {} }) {
  const query = new URLSearchParams({ renderer });
  const used = new Set();
  for (const field of fields) {
    const { how, text } = bound[field.name] || { how: "none", text: "" };
    // Not as a parameter, over which a column of its name would win.
    if (how === "same" && text) query.set(`bind[${field.name}]`, text.replace(/[{}]/g, "$&$&"));
    else if (how === "template" && text) query.set(`bind[${field.name}]`, text);
    else if (how === "column") query.set(`bind[${field.name}]`, placeholder(text));
    // Else a column of its very name would be taken.
    else if (columns.some((name) => loose(name) === loose(field.name))) query.set(`bind[${field.name}]`, "");
    for (const [, name] of (how === "template" ? text : "").matchAll(/\{([^{}|]+)/g)) used.add(loose(name));
    if (how === "column") used.add(loose(text));
  }
  const own = new Set(fields.map((field) => loose(field.name)));
  const counts = new Map();
  for (const name of columns) counts.set(loose(name), (counts.get(loose(name)) || 0) + 1);
  for (const [, name] of (pattern || "").matchAll(/\{([^{}|]+)/g)) used.add(loose(name));
  const passed = columns.filter((name) => loose(name) && !used.has(loose(name)) && !own.has(loose(name))
    && counts.get(loose(name)) === 1);
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
