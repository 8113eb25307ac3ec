// Pictures by satori and @resvg/resvg-js.

import { Resvg } from "@resvg/resvg-js";
import satori from "satori";

import { load } from "./assets.js";
import { serve } from "./cluster.js";

// satori turns text into paths, so resvg needs no fonts; loading the system's costs time.
const RESVG = { font: { loadSystemFonts: false } };

async function prepare(assets) {
  const { draw, ...options } = await load(assets);
  return async (title, size) => {
    const svg = await satori(draw(title, size), options);
    return new Resvg(svg, RESVG).render().asPng();
  };
}

await serve(prepare);
