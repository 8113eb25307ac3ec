// The same request as others write it. Pure: texts in, texts out.

// Longer ones are refused by some servers and programs, so the parameters go as a form.
const LONGEST_URL = 4000;

// What is asked for: `given` are texts by name, `files` names of files by parameter.
export function requestOf(origin, renderer, format, given, files = {}) {
  const base = `${origin}/images/${renderer.split("/").map(encodeURIComponent).join("/")}.${format}`;
  const query = new URLSearchParams(given).toString();
  const url = query ? `${base}?${query}` : base;
  const isForm = Object.keys(files).length > 0 || url.length > LONGEST_URL;
  return { base, url, given, files, isForm, file: `${renderer.split("/").pop()}.${format}` };
}

export function snippetsOf(request, { keyed = false, width = 0, height = 0, type = "" } = {}) {
  const makers = { URL: asUrl, curl: asCurl, Python: asPython, JavaScript: asJavaScript,
    HTML: asHtml, Markdown: asMarkdown };
  const about = { keyed, width, height, type };
  return Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, make(request, about)]));
}

const NO_LINK = "files or long texts are sent along, so no link holds it: see curl.";

function asUrl(request) {
  return request.isForm ? { none: `A URL cannot be given: ${NO_LINK}` } : { text: request.url };
}

function asCurl(request, { keyed }) {
  const words = ["curl", "--fail", "-o", quoted(request.file)];
  if (keyed) words.push("-H", '"X-API-Key: $MIMEO_KEY"');
  if (request.isForm) {
    // A value of -F that begins with @ or < would be read as a file.
    for (const [name, value] of Object.entries(request.given)) {
      words.push("--form-string", quoted(`${name}=${value}`));
    }
    for (const [name, file] of Object.entries(request.files)) words.push("-F", quoted(`${name}=@"${file.replace(/["\\]/g, "\\$&")}"`));
  }
  words.push(quoted(request.isForm ? request.base : request.url));
  return { text: words.join(" ") };
}

function asPython(request, { keyed }) {
  const { given, files, isForm } = request;
  const sends = Object.keys(files).length > 0;
  const lines = [...(keyed ? ["import os", ""] : []), "import requests", ""];
  if (Object.keys(given).length) {
    lines.push("parameters = {");
    for (const [name, value] of Object.entries(given)) lines.push(`    ${literal(name)}: ${literal(value)},`);
    lines.push("}");
  } else {
    lines.push("parameters = {}");
  }
  if (sends) {
    lines.push("files = {");
    for (const [name, file] of Object.entries(files)) lines.push(`    ${literal(name)}: open(${literal(file)}, "rb"),`);
    lines.push("}");
  }
  const parts = [literal(request.base), isForm ? "data=parameters" : "params=parameters"];
  if (sends) parts.push("files=files");
  if (keyed) parts.push('headers={"X-API-Key": os.environ["MIMEO_KEY"]}');
  lines.push(`answer = requests.${isForm ? "post" : "get"}(`, ...parts.map((part) => `    ${part},`), ")");
  lines.push("answer.raise_for_status()", `with open(${literal(request.file)}, "wb") as file:`,
    "    file.write(answer.content)");
  return { text: lines.join("\n") };
}

function asJavaScript(request, { keyed }) {
  const { given, files, isForm } = request;
  const lines = [];
  if (isForm) {
    lines.push("const form = new FormData();");
    for (const [name, value] of Object.entries(given)) lines.push(`form.set(${literal(name)}, ${literal(value)});`);
    for (const name of Object.keys(files)) {
      lines.push(`form.set(${literal(name)}, document.querySelector("input[type=file]").files[0]);`);
    }
  } else {
    lines.push(`const url = new URL(${literal(request.base)});`);
    for (const [name, value] of Object.entries(given)) {
      lines.push(`url.searchParams.set(${literal(name)}, ${literal(value)});`);
    }
  }
  const options = [...(isForm ? ['method: "POST"', "body: form"] : []),
    ...(keyed ? ['headers: { "X-API-Key": key }'] : [])];
  const what = isForm ? literal(request.base) : "url";
  lines.push(`const answer = await fetch(${what}${options.length ? `, { ${options.join(", ")} }` : ""});`);
  lines.push("if (!answer.ok) throw new Error((await answer.json()).detail);");
  lines.push("const image = await answer.blob();");
  return { text: lines.join("\n") };
}

function asHtml(request, { width, height, type }) {
  if (request.isForm) return { none: `A page cannot name it: ${NO_LINK}` };
  const lines = [`<meta property="og:image" content="${escaped(request.url)}">`];
  if (type) lines.push(`<meta property="og:image:type" content="${escaped(type)}">`);
  if (width) lines.push(`<meta property="og:image:width" content="${width}">`);
  if (height) lines.push(`<meta property="og:image:height" content="${height}">`);
  lines.push('<meta name="twitter:card" content="summary_large_image">');
  return { text: lines.join("\n") };
}

function asMarkdown(request) {
  if (request.isForm) return { none: `A text cannot name it: ${NO_LINK}` };
  const said = Object.values(request.given)[0] || request.file;
  const alt = said.replace(/[\s[\]\\]+/g, " ").trim().slice(0, 120);
  // Brackets would end the link.
  return { text: `![${alt}](${request.url.replaceAll("(", "%28").replaceAll(")", "%29")})` };
}

// A word of a shell: in quotes, where a quote is closed, escaped and opened again.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// JSON's texts are those of Python and JavaScript, apart from lone surrogates.
function literal(text) {
  return JSON.stringify(text);
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
