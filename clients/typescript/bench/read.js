// Reads the changes since a token, in Node or in a page.

import { DeliveryMode } from "clientela";

/** Returns the seconds in which a watch yields a number of changes. */
export async function read(client, resumeToken, changes) {
  const options = { resumeToken, deliveryMode: DeliveryMode.EVERY };
  const from = performance.now();
  let left = changes;
  let items = 0;
  for await (const event of client.watchCarts({ options })) {
    if (event.type !== "change") throw new Error(`a ${event.type} came`);
    items += event.change.cart.items.length;
    if (--left === 0) break;
  }
  if (items < changes) throw new Error("carts came without what is in them");
  client.close();
  return (performance.now() - from) / 1e3;
}
