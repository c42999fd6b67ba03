// The story in Chromium, over gRPC-Web: serves a page with the package as it is installed here, opens it
// without a window, and hands on what it says. The service must let pages of CLIENTELA_PAGE call it.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { address, ask, key, say, story } from "./harness.js";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const TYPES = { ".js": "text/javascript", ".html": "text/html" };
const { host, hostname, port } = new URL(process.env.CLIENTELA_PAGE ?? "http://127.0.0.1:0");
const here = fileURLToPath(new URL(".", import.meta.url));

/** Where the packages' modules lie, for a page that no bundler has made. */
function imports() {
  const names = ["", "/codegenv2", "/reflect", "/wire", "/wkt"].map((part) => `@bufbuild/protobuf${part}`);
  names.push(...["", "/protocol", "/protocol-connect", "/protocol-grpc", "/protocol-grpc-web"].map((part) => `@connectrpc/connect${part}`));
  names.push("@connectrpc/connect-web");
  const paths = names.map((name) => [name, import.meta.resolve(name)]);
  paths.push(["clientela", import.meta.resolve("clientela/browser")]);
  return Object.fromEntries(paths.map(([name, url]) => [name, `/${fileURLToPath(url).slice(here.length)}`]));
}

const page = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: imports() })}</script>`;

const server = createServer(async ({ url }, response) => {
  try {
    const path = normalize(decodeURIComponent(new URL(url, "http://page").pathname));
    const body = path === "/" ? page : await readFile(join(here, path));
    response.setHeader("content-type", path === "/" ? TYPES[".html"] : (TYPES[extname(path)] ?? "text/plain"));
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(Number(port), hostname, resolve));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
  ignoreDefaultArgs: ["--headless=old"],
});
try {
  const tab = await browser.newPage();
  tab.on("pageerror", (error) => console.error(error));
  await tab.exposeFunction("say", say);
  await tab.exposeFunction("ask", ask);
  await tab.goto(`http://${host.replace(":0", `:${server.address().port}`)}/`);
  await tab.evaluate(
    async ({ story, key, address }) => {
      const [{ connect }, { play }] = await Promise.all([import("clientela"), import("/story.js")]);
      await play(story, { key, connectAs: (key) => connect({ address, key }), say: window.say, ask: window.ask });
    },
    { story, key, address },
  );
} finally {
  await browser.close();
}
process.exit();
