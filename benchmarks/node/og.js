// Pictures by @vercel/og, which is satori and resvg compiled to WebAssembly.

import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { load } from "./assets.js";
import { serve } from "./cluster.js";

// Version 1.0.3 looks for two names that modules do not have.
globalThis.require = createRequire(import.meta.url);
globalThis.__dirname = dirname(fileURLToPath(import.meta.resolve("harfbuzzjs/hb.wasm")));
const { ImageResponse } = await import("@vercel/og");

async function prepare(assets) {
  const { draw, ...options } = await load(assets);
  return async (title, size) => {
    const response = new ImageResponse(draw(title, size), options);
    return Buffer.from(await response.arrayBuffer());
  };
}

await serve(prepare);
