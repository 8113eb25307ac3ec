// The card by @takumi-rs/core, from the very HTML that Mimeo's template gives.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { Renderer } from "@takumi-rs/core";
import { fromHtml } from "@takumi-rs/helpers/html";

import { serve } from "./cluster.js";

/** Return a function that copies `node` with `mark` replaced in its texts. */
function stencil(node, mark) {
  const { text, children, ...rest } = node;
  if (children) {
    const parts = children.map((child) => stencil(child, mark));
    return (title) => ({ ...rest, children: parts.map((part) => part(title)) });
  }
  if (text?.includes(mark)) return (title) => ({ ...rest, text: text.replaceAll(mark, title) });
  return () => node;
}

async function prepare(assets) {
  const { size, mark, html, styles, fonts } = JSON.parse(
    await readFile(join(assets, "page.json")),
  );
  const renderer = new Renderer();
  const fontFamilies = [];
  for (const file of fonts) {
    const families = await renderer.registerFont(await readFile(join(assets, file)));
    fontFamilies.push(...families.map(({ name }) => name));
  }
  const page = fromHtml(html);
  const fill = stencil(page.node, mark);
  const [width, height] = size;
  const options = { width, height, format: "png", css: [...page.css, ...styles], fontFamilies };
  return (title) => renderer.render(fill(title), options);
}

await serve(prepare);
