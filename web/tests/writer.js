// Fills carts, and changes them at a rate, in a process of its own: `writer.js ADDRESS KEY CARTS RATE`. It
// prints `filled` when all carts exist, begins on a line of input, and prints every second the number of
// answered changes. Without a rate it ends after the filling.

import { connect } from "clientela/node";
import { addition } from "./server.js";

const [address, key, carts, rate] = process.argv.slice(2);
const client = connect({ address, key });
const AT_ONCE = 48;
const PRODUCTS = ["Linen shirt", "Enamel mug", "Oak chair", "Wool blanket", "Reading lamp"];

const names = [];
await inParallel(Number(carts), async (n) => {
  const lines = [0, 1, 2].map((k) => (n + k) % PRODUCTS.length);
  const additions = lines.map((product) => addition(`loaded-${n}`, `product-${product}`, { displayName: PRODUCTS[product] }));
  const edits = additions.map(({ item }) => ({ edit: { case: "add", value: item } }));
  const storefront = n % 2 ? "paris" : "lyon";
  const cart = await client.carts.editCart({ target: additions[0].target, edits, storefront });
  names[n] = cart.items[0].name;
});
console.log("filled");
if (!rate) {
  client.close();
  process.exit(0);
}
await new Promise((resolve) => process.stdin.once("data", resolve));

let answered = 0;
let begun = 0;
const started = performance.now();
setInterval(() => console.log(`sent ${answered} waiting 0 each 1`), 1000);
for (let worker = 0; worker < AT_ONCE; worker += 1) void work();

/** Changes one cart after the other, each at its time. */
async function work() {
  for (;;) {
    const n = begun++;
    const wait = started + (n * 1000) / Number(rate) - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    // A stride that reaches all carts, but not in the order of their creation.
    const name = names[(n * 7919) % names.length];
    const quantity = 1 + ((n + Math.floor(n / names.length)) % 9);
    // A change that fails does not count.
    await client.carts.updateItem({ name, quantity }).then(
      () => (answered += 1),
      () => {},
    );
  }
}

async function inParallel(count, run) {
  let next = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < count) await run(next++);
    }),
  );
}
