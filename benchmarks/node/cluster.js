// One HTTP server in as many processes as there are workers.

import cluster from "node:cluster";
import { createServer } from "node:http";

const HOST = "127.0.0.1";

/** Serve PNGs drawn by `draw(title, size)`; `prepare` makes `draw` once a process. */
export async function serve(prepare) {
  if (cluster.isPrimary) {
    const fork = () => cluster.fork();
    for (let i = 0; i < Number(process.env.WORKERS); i++) fork();
    return;
  }
  const draw = await prepare(process.env.ASSETS);
  const server = createServer((request, response) => answer(draw, request, response));
  server.listen(Number(process.env.PORT), HOST);
}

async function answer(draw, request, response) {
  const { pathname, searchParams } = new URL(request.url, `http://${HOST}`);
  if (pathname !== "/picture.png") {
    response.writeHead(404).end();
    return;
  }
  const png = await draw(searchParams.get("title"), Number(searchParams.get("size")));
  response.writeHead(200, { "Content-Type": "image/png", "Content-Length": png.length });
  response.end(png);
}
