// Pictures by @takumi-rs/core, from the very HTML that Mimeo's template gives.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { Renderer } from "@takumi-rs/core";
import { fromHtml } from "@takumi-rs/helpers/html";

import { serve } from "./cluster.js";

/** Return a function that copies `node` with `mark` replaced, in the size asked for. */
function stencil(node, mark) {
  const { text, style, children, ...rest } = node;
  if (children) {
    const parts = children.map((child) => stencil(child, mark));
    if (parts.every((part) => typeof part !== "function")) return node;
    const fill = (part, title, size) => (typeof part === "function" ? part(title, size) : part);
    return (title, size) => ({
      ...rest,
      style,
      children: parts.map((part) => fill(part, title, size)),
    });
  }
  if (text?.includes(mark))
    return (title, size) => ({
      ...rest,
      text: text.replaceAll(mark, title),
      style: { ...style, fontSize: size },
    });
  return node;
}

// Each family costs time, wanted or not, so a title gets those that it needs.
const SCRIPTS = [
  [/[\u0600-\u06ff]/, "Noto Sans Arabic"],
  [/[\u1100-\u11ff\u3000-\u9fff\uac00-\ud7af]/, "Noto Sans CJK SC"],
];

async function prepare(assets) {
  const { size, mark, html, styles, images } = JSON.parse(
    await readFile(join(assets, "page.json")),
  );
  const renderer = new Renderer();
  const families = new Set();
  for (const file of await readdir(join(assets, "variable"))) {
    const font = await readFile(join(assets, "variable", file));
    for (const { name } of await renderer.registerFont(font)) families.add(name);
  }
  for (const [, family] of SCRIPTS) {
    if (!families.delete(family)) throw new Error(`${family} is not among the fonts`);
  }
  const page = fromHtml(html);
  const fill = stencil(page.node, mark);
  const [width, height] = size;
  const options = {
    width,
    height,
    format: "png",
    css: [...page.css, ...styles],
    images: await Promise.all(
      images.map(async (src) => ({ src, data: await readFile(join(assets, src)) })),
    ),
  };
  return (title, size) => {
    const needed = SCRIPTS.filter(([letters]) => letters.test(title)).map(([, family]) => family);
    return renderer.render(fill(title, size), {
      ...options,
      fontFamilies: [...families, ...needed],
    });
  };
}

await serve(prepare);
