// Signs a customer up, adds it to a group, fills a cart, and watches the cart meanwhile.

import { ChangeKind, ClientelaError, connect } from "clientela";

const client = connect({ address: process.env["CLIENTELA_SERVER"] ?? "127.0.0.1:50051" });
const email = process.argv[2] ?? `ada-${Date.now()}@example.com`;

// A group with a discount; a second run finds it.
try {
  await client.groups.createGroup({
    groupId: "regulars",
    group: { displayNames: { en: "Regulars" }, discountPercent: "10" },
  });
} catch (error) {
  if (!(error instanceof ClientelaError && error.reason === "NAME_TAKEN")) throw error;
}

const customer = await client.customers.createCustomer({
  customer: { firstName: "Ada", lastName: "Lovelace", email },
});
console.log(`signed up ${customer.name} as number ${customer.number}`);

// An error has a reason to switch on, and metadata that saves another call.
try {
  await client.customers.createCustomer({ customer: { firstName: "Ada", email } });
} catch (error) {
  if (!(error instanceof ClientelaError)) throw error;
  console.log(`a second time: ${error.reason}, it is ${error.metadata["customer"]}`);
}

await client.groups.addMembers({ group: "groups/regulars", members: [customer.name], makeDefault: true });

const owner = { target: { case: "owner", value: { owner: { case: "customer", value: customer.name } } } } as const;
const price = { listPrice: { currencyCode: "EUR", micros: 11_900_000n }, priceIncludesTax: true, taxRate: "20" };

// A watch yields every change after it is ready, so the writer waits for that.
for await (const event of client.watchCart({ target: owner })) {
  if (event.type === "ready") {
    await client.carts.addItem({ target: owner, item: { product: "mug", quantity: 2, price } });
    await client.carts.addItem({ target: owner, item: { product: "tea", quantity: 1, price } });
  }
  if (event.type !== "change" || event.change.kind !== ChangeKind.UPSERTED) continue;
  const { itemCount, total, customerSummary } = event.change.cart!;
  console.log(`${customerSummary?.displayName} has ${itemCount} things for ${Number(total!.micros) / 1e6} ${total!.currencyCode}`);
  if (itemCount === 3n) break;
}
client.close();
