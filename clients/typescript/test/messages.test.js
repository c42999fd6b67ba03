// Tests of the functions that write messages, and of the iterator over pages.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { all, cart, customerCart, money, visitorCart } from "../dist/node.js";
import { refusal } from "./details.js";
import { clientOf } from "./service.js";

test("a target names a cart or its owner", () => {
  assert.deepEqual({ ...cart("carts/a").target }, { case: "cart", value: "carts/a" });
  assert.deepEqual({ ...customerCart("customers/ada").target.value.owner }, { case: "customer", value: "customers/ada" });
  assert.deepEqual({ ...visitorCart("a-token-of-a-visitor").target.value.owner },
    { case: "visitor", value: "a-token-of-a-visitor" });
});

test("money is exact", () => {
  const largest = 2n ** 53n - 1n;
  const wanted = {
    "11.90": 11_900_000n, "0": 0n, "-0.01": -10_000n, "13.445378": 13_445_378n, "007": 7_000_000n,
    "9007199254.740991": largest, "-9007199254.740991": -largest,
  };
  for (const [amount, micros] of Object.entries(wanted)) {
    const made = money("EUR", amount);
    assert.deepEqual([made.currencyCode, made.micros], ["EUR", micros], amount);
  }
});

test("money that is not a decimal number is refused", () => {
  for (const amount of ["", "11,90", "1.2345678", "1e3", ".5", "1.", "+1", " 1", "1\n", "٣", "9007199254.740992"]) {
    assert.throws(() => money("EUR", amount), { name: "RangeError", message: /^amount / }, amount);
  }
});

/** A client whose carts come in these pages, and the requests for them; an error ends the pages. */
function paged(...pages) {
  const asked = [];
  const listCarts = ({ pageToken, pageSize }) => {
    asked.push([pageToken, pageSize]);
    const page = pages[asked.length - 1];
    if (page instanceof Error) throw page;
    const nextPageToken = asked.length < pages.length ? `p${asked.length}` : "";
    return { carts: page.map((name) => ({ name })), nextPageToken };
  };
  return { asked, client: clientOf({ carts: { listCarts } }) };
}

test("every item of every page is yielded", async () => {
  // A page may be empty and still not be the last.
  const { asked, client } = paged(["a", "b"], [], ["c"]);
  const request = { pageSize: 2 };
  const names = [];

  for await (const { name } of all(client.carts.listCarts, request)) names.push(name);

  assert.deepEqual(names, ["a", "b", "c"]);
  assert.deepEqual(asked, [["", 2], ["p1", 2], ["p2", 2]]);
  assert.deepEqual(request, { pageSize: 2 });
});

test("a page is fetched only when the reader needs it", async () => {
  const { asked, client } = paged(["a", "b"], ["c"]);

  for await (const _ of all(client.carts.listCarts, {})) break;

  assert.equal(asked.length, 1);
});

test("the error of a page ends the iterator", async () => {
  const { client } = paged(["a"], refusal(Code.PermissionDenied, "ROLE_NOT_ALLOWED"));
  const names = [];

  await assert.rejects(
    async () => {
      for await (const { name } of all(client.carts.listCarts, {})) names.push(name);
    },
    { name: "ClientelaError", reason: "ROLE_NOT_ALLOWED" },
  );
  assert.deepEqual(names, ["a"]);
});
