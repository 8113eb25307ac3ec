// Pictures by Chromium, kept warm: each process has a browser and a page that is loaded;
// a request changes the text and takes a screenshot.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { serve } from "./cluster.js";

const RESET = "* { box-sizing: border-box; margin: 0 } p, h1, h2 { margin: 0 }";

async function prepare(assets) {
  const { size, mark, html, styles, images } = JSON.parse(
    await readFile(join(assets, "page.json")),
  );
  const [width, height] = size;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
  });
  const page = await browser.newPage({ viewport: { width, height } });
  let filled = html;
  for (const name of images) {
    const data = await readFile(join(assets, name), "base64");
    filled = filled.replaceAll(`src="${name}"`, `src="data:image/svg+xml;base64,${data}"`);
  }
  await page.setContent(`<style>${RESET}</style><style>${styles.join("\n")}</style>${filled}`);
  await page.evaluate((mark) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode().data !== mark);
    window.title = texts.currentNode;
  }, mark);
  const session = await page.context().newCDPSession(page);
  const shot = { format: "png", optimizeForSpeed: true };
  const draw = async (title, size) => {
    const change = `title.data = ${JSON.stringify(title)}; title.parentElement.style.fontSize = "${size}px"`;
    await session.send("Runtime.evaluate", { expression: change });
    const { data } = await session.send("Page.captureScreenshot", shot);
    return Buffer.from(data, "base64");
  };
  // A page shows one title at a time.
  let last = Promise.resolve();
  return (title, size) => (last = last.then(() => draw(title, size)));
}

await serve(prepare);
