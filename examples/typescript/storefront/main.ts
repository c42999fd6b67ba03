// A stub of a storefront: the calls of a shop behind HTTP, for one page of one product.

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pathToFileURL } from "node:url";
import { ClientelaError, connect } from "clientela";
import { Shop } from "./shop.js";

const PAGE = `<!doctype html><meta charset="utf-8"><title>A shop</title>
<p>Cart: <b id="icon">…</b></p>
<button onclick="fetch('/cart/items', {method: 'POST', body: JSON.stringify({product: 'mug', click: crypto.randomUUID()})})">
Put a mug into the cart</button>
<script>
new EventSource("/cart/icon").onmessage = ({ data }) => {
  const { count, total } = JSON.parse(data);
  document.getElementById("icon").textContent = count + " · " + total;
};
</script>`;

/** The visitor's token: from the cookie, or a new one. */
function visitorOf(request: IncomingMessage, response: ServerResponse): string {
  const [, known] = /(?:^|; )visitor=([\w-]{16,64})/.exec(request.headers.cookie ?? "") ?? [];
  const visitor = known ?? randomUUID();
  if (!known) response.setHeader("set-cookie", `visitor=${visitor}; HttpOnly; SameSite=Lax; Path=/`);
  return visitor;
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, string>> {
  let text = "";
  for await (const part of request.setEncoding("utf8")) text += part;
  return JSON.parse(text);
}

async function answer(shop: Shop, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const visitor = visitorOf(request, response);
  const route = `${request.method} ${request.url}`;
  const json = (value: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(value));
  if (route === "GET /") {
    response.setHeader("content-type", "text/html").end(PAGE);
  } else if (route === "POST /cart/items") {
    const { product = "", click = "" } = await bodyOf(request);
    const { itemCount } = await shop.add({ visitor }, product, 1, 11_900_000n, click);
    json({ count: Number(itemCount) });
  } else if (route === "GET /cart/icon") {
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    for await (const icon of shop.icon({ visitor }, gone.signal)) response.write(`data: ${JSON.stringify(icon)}\n\n`);
  } else if (route === "POST /checkout") {
    const { email = "", name = "", form = "" } = await bodyOf(request);
    const { guest, cart } = await shop.checkOut(visitor, email, name, form);
    json({ customer: guest.name, cart: cart.name, micros: String(cart.total!.micros), currencyCode: cart.currencyCode });
  } else if (route === "POST /webhooks/payment") {
    // A real shop checks the signature of the payment service here.
    const { order = "", cart = "", micros = "0", currencyCode = "" } = await bodyOf(request);
    const fits = await shop.paid({ order, cart, micros: BigInt(micros), currencyCode });
    response.writeHead(fits ? 204 : 409).end();
  } else response.writeHead(404).end();
}

/** Serves the shop on a port of this machine; port 0 takes a free one. */
export function serve(shop: Shop, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    answer(shop, request, response).catch((error: unknown) => {
      const refused = error instanceof ClientelaError && error.reason !== "";
      if (!refused) console.error(error);
      if (response.headersSent) response.end();
      else response.writeHead(refused ? 422 : 503).end(refused ? error.reason : "");
    });
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const client = connect({ address: process.env["CLIENTELA_SERVER"] ?? "127.0.0.1:50051" });
  const port = Number(process.env["PORT"] ?? 8080);
  await serve(new Shop(client), port);
  console.log(`a shop at http://127.0.0.1:${port}/`);
}
