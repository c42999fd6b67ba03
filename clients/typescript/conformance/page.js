// A page in headless Chromium with the package that is installed beside this folder. It has no bundler: an
// import map names the modules.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const TYPES = { ".js": "text/javascript", ".html": "text/html" };
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The paths of the packages' modules. */
function imports() {
  const names = ["", "/codegenv2", "/reflect", "/wire", "/wkt"].map((part) => `@bufbuild/protobuf${part}`);
  const protocols = ["", "/protocol", "/protocol-connect", "/protocol-grpc", "/protocol-grpc-web"];
  names.push(...protocols.map((part) => `@connectrpc/connect${part}`), "@connectrpc/connect-web");
  const urls = names.map((name) => [name, import.meta.resolve(name)]);
  urls.push(["clientela", import.meta.resolve("clientela/browser")]);
  return Object.fromEntries(urls.map(([name, url]) => [name, `/${fileURLToPath(url).slice(ROOT.length)}`]));
}

/**
 * Opens an empty page at `origin`, or at a free port of this machine, and passes it to `use`. Other requests
 * get files of the project. The service must allow the origin.
 */
export async function withPage(origin, use) {
  const { hostname, port } = new URL(origin ?? "http://127.0.0.1:0");
  const page = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: imports() })}</script>`;
  const server = createServer(async ({ url }, response) => {
    try {
      const path = normalize(decodeURIComponent(new URL(url, "http://page").pathname));
      const body = path === "/" ? page : await readFile(join(ROOT, path));
      response.setHeader("content-type", TYPES[path === "/" ? ".html" : extname(path)] ?? "text/plain");
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(Number(port), hostname, resolve));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
  });
  try {
    const tab = await browser.newPage();
    tab.on("pageerror", (error) => console.error(error));
    await tab.goto(`http://${hostname}:${server.address().port}/`);
    return await use(tab);
  } finally {
    await browser.close();
    server.close();
  }
}
