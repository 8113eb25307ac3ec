// From the JSON Schema of a renderer to the fields of a form.

// Texts that may be so long, or are called so, get more than one line.
const LONG = 150;
const LINES = /\b(lines|line breaks|sentences|HTML|in words)\b/i;

export function fieldsOf(schema) {
  const required = new Set(schema.required || []);
  return Object.entries(schema.properties).map(([name, property]) => {
    const kinds = property.anyOf || [property];
    const plain = kinds.find((each) => each.type !== "null") || {};
    const nullable = kinds.some((each) => each.type === "null");
    const field = {
      name,
      required: required.has(name),
      description: property.description || plain.description || "",
      fallback: property.default ?? null,
      least: plain.minimum ?? plain.ge ?? null,
      most: plain.maximum ?? plain.le ?? plain.exclusiveMaximum ?? null,
      length: plain.maxLength ?? null,
      choices: plain.enum || null,
      examples: property.examples || plain.examples || [],
      nullable,
    };
    return { ...field, kind: kindOf(field, plain) };
  });
}

function kindOf(field, plain) {
  if (plain.contentEncoding === "base64") return "image";
  if (plain.type === "array") return "json";
  if (plain.enum) return "choice";
  if (plain.type === "boolean") return "switch";
  if (plain.format === "color") return "color";
  if (plain.format === "font-family") return "font";
  if (plain.type === "integer" || plain.type === "number") {
    // A length may have a unit, which no slider has.
    const span = field.most - field.least;
    const slides = field.most !== null && field.least !== null && span <= 1000;
    return slides && !/length/.test(field.description) ? "slider" : "number";
  }
  if (field.length >= LONG || field.length === null) {
    if (field.length > 2000 || LINES.test(field.description)) return "long";
    return field.length ? "long" : "text";
  }
  return "text";
}

// What a slider steps by.
export function stepOf(field) {
  const whole = [field.least, field.most].every(Number.isInteger);
  return whole ? 1 : 0.01;
}

function same(field, value) {
  const plain = (text) => (field.kind === "color" ? String(text).replace("#", "").toLowerCase() : String(text));
  return plain(value) === plain(field.fallback);
}

// What is given, without what is empty or says no more than the default.
export function notDefault(given, fields) {
  const kept = {};
  for (const field of fields) {
    const value = given[field.name];
    if (value === undefined || value === "") continue;
    if (!field.required && field.fallback !== null && same(field, value)) continue;
    kept[field.name] = value;
  }
  return kept;
}
