// How a link's picture is cropped where links are shared, and what is lost of it.

import { html, labelOf } from "./ui.js";

// The sides of each frame, by those who use it; none: the picture is shown whole.
const FRAMES = [
  { who: "X, Facebook, LinkedIn", ratio: 1.91, kind: "wide" },
  { who: "Slack, Discord", ratio: null, kind: "whole" },
  { who: "WhatsApp, Signal: the small square", ratio: 1, kind: "square" },
];

export function Social({ seen, given }) {
  if (!seen) return html`<p class="notice">There is no picture yet.</p>`;
  const [title, line] = [...Object.values(given), "Your page"];
  return html`<div class="social">${FRAMES.map(({ who, ratio, kind }) => html`<figure key=${kind} class=${kind}>
    <div class="frame"><img src=${seen.url} alt=${`As shown by ${who}`} />
      <div class="frame-said"><small>${location.host}</small><b>${title}</b>${kind === "whole" && line && html`<span>${line}</span>`}</div></div>
    <figcaption><b>${who}</b> ${lossOf(seen, ratio)}</figcaption>
  </figure>`)}</div>`;
}

export function lossOf({ width, height }, ratio) {
  if (ratio === null) return "whole";
  const own = width / height;
  const lost = own > ratio ? 1 - ratio / own : 1 - own / ratio;
  if (lost < 0.015) return "whole";
  return `${Math.round(lost * 100)} % of the ${own > ratio ? "width" : "height"} is cut off`;
}
