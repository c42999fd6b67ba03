// A shopper who visits the stub: fills a cart, watches the icon, checks out as a guest, pays. The payment
// webhook comes twice at once. Ends with an error if a result is wrong.

import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { Cart_State, connect, Role } from "clientela";
import { serve } from "./main.js";
import { Shop, type Icon } from "./shop.js";

const address = process.env["CLIENTELA_SERVER"] ?? "127.0.0.1:50051";
const admin = connect({ address });
const { apiKey, secret } = await admin.admin.createApiKey({
  apiKey: { displayName: "storefront of the example", roles: [Role.STOREFRONT] },
});
const client = connect({ address, key: secret });
const server = await serve(new Shop(client), 0);
const home = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const cookie = (await fetch(home)).headers.get("set-cookie")!.split(";")[0]!;
const post = (path: string, body: object) =>
  fetch(home + path, { method: "POST", headers: { cookie }, body: JSON.stringify(body) });

/** The icon of a page: `until` waits for a content. */
const gone = new AbortController();
const page = await fetch(`${home}/cart/icon`, { headers: { cookie }, signal: gone.signal });
const shown = page.body!.pipeThrough(new TextDecoderStream()).getReader();
async function until(wanted: Icon): Promise<void> {
  for (let seen = ""; !seen.includes(`data: ${JSON.stringify(wanted)}\n\n`); ) {
    const { value, done } = await shown.read();
    assert.ok(!done, `the icon never showed ${JSON.stringify(wanted)}, but: ${seen}`);
    seen += value;
  }
  console.log(`the icon shows ${wanted.count} things, ${wanted.total}`);
}

await until({ count: 0, total: "" });
const click = crypto.randomUUID();
await Promise.all([post("/cart/items", { product: "mug", click }), post("/cart/items", { product: "mug", click })]);
await until({ count: 1, total: "11.90 EUR" });
await post("/cart/items", { product: "tea", click: crypto.randomUUID() });
await until({ count: 2, total: "23.80 EUR" });

const refused = await post("/checkout", { email: "no address", name: "Ada Lovelace", form: crypto.randomUUID() });
assert.equal(`${refused.status} ${await refused.text()}`, "422 INVALID_FIELD");

const form = crypto.randomUUID();
const [first, second] = await Promise.all(
  [1, 2].map(async () => (await post("/checkout", { email: "ada@example.com", name: "Ada Lovelace", form })).json()),
);
assert.deepEqual(first, second);
await until({ count: 0, total: "" });
console.log(`checked out as ${first.customer}`);

const order = `order-${crypto.randomUUID()}`;
assert.equal((await post("/webhooks/payment", { ...first, order, micros: "1" })).status, 409);
const told = await Promise.all([1, 2].map(() => post("/webhooks/payment", { ...first, order })));
assert.deepEqual(told.map(({ status }) => status), [204, 204]);
assert.equal((await post("/webhooks/payment", { ...first, order })).status, 204);

const cart = await admin.carts.getCart({ target: { target: { case: "cart", value: first.cart } } });
assert.equal(cart.state, Cart_State.ORDERED);
assert.equal(cart.orderReference, order);
assert.equal(cart.customer, first.customer);
console.log(`${cart.name} was ordered once, though it was told three times`);

gone.abort();
server.close();
await admin.admin.revokeApiKey({ name: apiKey!.name });
client.close();
admin.close();
