// Changes carts, so many a second, in a process of its own: `writer.js ADDRESS KEY CARTS RATE`. Says
// `filled` when there are so many carts, begins when it is told to, and every second how many changes
// were answered.

import { connect } from "clientela/node";
import { addition } from "./server.js";

const [address, key, carts, rate] = process.argv.slice(2);
const client = connect({ address, key });
const AT_ONCE = 48;
const PRODUCTS = ["Linen shirt", "Enamel mug", "Oak chair", "Wool blanket", "Reading lamp"];

const names = [];
await inParallel(Number(carts), async (n) => {
  const product = (k) => PRODUCTS[(n + k) % PRODUCTS.length];
  const more = { storefront: n % 2 ? "paris" : "lyon" };
  let cart;
  for (let k = 0; k < 3; k += 1) {
    const displayName = product(k);
    cart = await client.carts.addItem(addition(`loaded-${n}`, `product-${(n + k) % 5}`, { ...more, displayName }));
  }
  names[n] = cart.items[0].name;
});
console.log("filled");
await new Promise((resolve) => process.stdin.once("data", resolve));

let answered = 0;
let begun = 0;
const started = performance.now();
setInterval(() => {
  console.log(`answered ${answered}`);
}, 1000);
for (let worker = 0; worker < AT_ONCE; worker += 1) void work();

/** Changes one cart after the other, not before its time has come. */
async function work() {
  for (;;) {
    const n = begun++;
    const due = started + (n * 1000) / Number(rate);
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    // A stride that meets all carts, and not in the order in which they were made.
    const name = names[(n * 7919) % names.length];
    // A change that does not get through is none: how many do is what counts.
    await client.carts.updateItem({ name, quantity: 1 + (n % 9) + Math.floor(n / names.length) % 5 }).then(
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
