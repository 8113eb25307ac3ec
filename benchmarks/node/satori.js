// The card by satori and @resvg/resvg-js.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { Resvg } from "@resvg/resvg-js";
import satori from "satori";

import { serve } from "./cluster.js";
import { cards } from "./card.js";

// satori turns text into paths, so resvg needs no fonts; loading the system's costs time.
const RESVG = { font: { loadSystemFonts: false } };

async function loadFonts(assets) {
  const faces = JSON.parse(await readFile(join(assets, "fonts.json")));
  return Promise.all(
    faces.map(async ({ file, ...face }) => ({ ...face, data: await readFile(join(assets, file)) })),
  );
}

async function prepare(assets) {
  const parameters = JSON.parse(await readFile(join(assets, "card.json")));
  const [width, height] = parameters.size;
  const draw = cards[parameters.card];
  const options = { width, height, fonts: await loadFonts(assets) };
  return async (title) => {
    const svg = await satori(draw({ ...parameters, title }), options);
    return new Resvg(svg, RESVG).render().asPng();
  };
}

await serve(prepare);
