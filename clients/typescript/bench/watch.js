// Measures the changes a second that a watch can read: a client that was away reads every version as fast as
// it can. Only the reading is measured, because the server has all changes and sends them as fast as the
// client reads.
//
//   CLIENTELA_SERVER=… CLIENTELA_API_KEY=… CLIENTELA_PAGE=http://127.0.0.1:PORT node bench/watch.js [CHANGES]
//
// It prints the median of three readings. The server's `--cors-origin` must allow CLIENTELA_PAGE; without
// that variable only Node is measured.

import { connect, DeliveryMode } from "clientela";
import { withPage } from "../conformance/page.js";
import { read } from "./read.js";

const changes = Number(process.argv[2] ?? 20_000);
const { CLIENTELA_SERVER: address, CLIENTELA_API_KEY: key, CLIENTELA_PAGE: origin } = process.env;
const WRITERS = 128;

const client = connect({ address, key });

/** A token after the last change. */
async function presentToken() {
  const options = { skipSnapshot: true, heartbeatInterval: { seconds: 1n }, deliveryMode: DeliveryMode.EVERY };
  for await (const { resumeToken } of client.carts.watchCarts({ options })) if (resumeToken) return resumeToken;
}

async function write() {
  const price = { listPrice: { currencyCode: "EUR", micros: 11_900_000n }, priceIncludesTax: true, taxRate: "20" };
  let left = changes;
  const writer = async (_, n) => {
    const owner = { owner: { case: "visitor", value: `a-visitor-of-the-bench-${n}` } };
    const target = { target: { case: "owner", value: owner } };
    while (left-- > 0) await client.carts.addItem({ target, item: { product: `p-${left % 3}`, quantity: 1, price } });
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

async function middle(measure) {
  const rates = [];
  for (let round = 0; round < 3; round += 1) rates.push(changes / (await measure()));
  return Math.round(rates.sort((a, b) => a - b)[1]).toLocaleString("en");
}

const token = await presentToken();
let from = performance.now();
await write();
console.log(`${changes} changes written, ${Math.round((changes / (performance.now() - from)) * 1e3)} a second`);

// Changes per second of processor time, too, because that does not depend on other work of the machine.
const before = process.cpuUsage();
const rate = await middle(() => read(connect({ address, key }), token, changes));
const { user, system } = process.cpuUsage(before);
const perProcessor = Math.round((3 * changes * 1e6) / (user + system)).toLocaleString("en");
console.log(`Node ${process.versions.node}: ${rate} changes a second, ${perProcessor} in a second of processor`);
if (origin) {
  await withPage(origin, async (tab) => {
    const rate = await middle(() =>
      tab.evaluate(
        async ({ address, key, token, changes }) => {
          const [{ connect }, { read }] = await Promise.all([import("clientela"), import("/bench/read.js")]);
          return read(connect({ address, key }), token, changes);
        },
        { address, key, token, changes },
      ),
    );
    console.log(`Chromium ${tab.context().browser().version()}: ${rate} changes a second`);
  });
}
process.exit();
