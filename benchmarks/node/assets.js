// What the servers are given: a picture's parameters and the fonts.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { pictures } from "./pictures.js";

/** Return a picture's size, its fonts, and `draw(title, size)`: a tree of elements. */
export async function load(assets) {
  const { picture, size, changes, parameters } = JSON.parse(
    await readFile(join(assets, "picture.json")),
  );
  const [width, height] = size;
  const faces = JSON.parse(await readFile(join(assets, "fonts.json")));
  const fonts = await Promise.all(
    faces.map(async ({ file, ...face }) => ({ ...face, data: await readFile(join(assets, file)) })),
  );
  const image = async (name) =>
    `data:image/svg+xml;base64,${await readFile(join(assets, name), "base64")}`;
  const draw = await pictures[picture](image);
  return {
    width,
    height,
    fonts,
    draw: (title, fontSize) => draw({ ...parameters, [changes]: title }, fontSize),
  };
}
