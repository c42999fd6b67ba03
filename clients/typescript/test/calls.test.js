// Tests of calls: the key, repetition, typed errors, and the address.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ClientelaError, connect, create, CreateCustomerRequestSchema, urlOf } from "../dist/node.js";
import { message, refusal } from "./details.js";
import { clientOf } from "./service.js";

/** A client whose calls fail with the errors, one after the other, and then succeed. */
function failing(...errors) {
  const asked = [];
  const answer = (request, { requestHeader }) => {
    asked.push({ ...request, header: requestHeader });
    const error = errors[asked.length - 1];
    if (error) throw error;
    return {};
  };
  const options = { key: " clt_key\n", shop: "shops/a", actor: "staff/anna", onBehalfOf: "customers/b" };
  return { asked, client: clientOf({ customers: { createCustomer: answer, getCustomer: answer }, options }) };
}

const away = () => new ConnectError("away", Code.Unavailable);

test("key, shop and people go with every call", async () => {
  const { client, asked } = failing();
  await client.customers.getCustomer({ name: "customers/a" });

  const { header } = asked[0];
  assert.equal(header.get("authorization"), "Bearer clt_key");
  assert.equal(header.get("clientela-shop"), "shops/a");
  assert.equal(header.get("clientela-actor"), "staff/anna");
  assert.equal(header.get("clientela-on-behalf-of"), "customers/b");
});

test("a failed call is retried with the same request id", async () => {
  const { client, asked } = failing(away(), away());
  await client.customers.createCustomer({ customer: { firstName: "Ada" } });
  await client.customers.createCustomer({ customer: { firstName: "Ada" } });

  const ids = asked.map(({ requestId }) => requestId);
  assert.equal(ids.length, 4);
  assert.match(ids[0], /^[0-9a-f]{32}$/);
  assert.equal(ids[0], ids[1]);
  assert.equal(ids[0], ids[2]);
  assert.notEqual(ids[0], ids[3]);
});

test("a request id of the caller stays, and the caller's message does not change", async () => {
  const { client, asked } = failing();
  await client.customers.createCustomer({ requestId: "mine" });
  const request = create(CreateCustomerRequestSchema, {});
  await client.customers.createCustomer(request);

  assert.equal(asked[0].requestId, "mine");
  assert.notEqual(asked[1].requestId, "");
  assert.equal(request.requestId, "");
});

test("a call to a server that stays away is made five times", async () => {
  const { client, asked } = failing(...Array.from({ length: 9 }, away));

  await assert.rejects(client.customers.getCustomer({}), { name: "ClientelaError", code: Code.Unavailable, reason: "" });
  assert.equal(asked.length, 5);
});

test("a refused call is not retried", async () => {
  const { client, asked } = failing(refusal(Code.AlreadyExists, "EMAIL_TAKEN", { customer: "customers/a" }));

  await assert.rejects(client.customers.createCustomer({}), (error) => {
    assert.ok(error instanceof ClientelaError && error instanceof Error);
    assert.equal(error.code, Code.AlreadyExists);
    assert.equal(error.reason, "EMAIL_TAKEN");
    assert.deepEqual(error.metadata, { customer: "customers/a" });
    assert.equal(error.message, "EMAIL_TAKEN: refused: EMAIL_TAKEN");
    assert.equal(error.rawMessage, "refused: EMAIL_TAKEN");
    return true;
  });
  assert.equal(asked.length, 1);
});

test("an error has all violations and the time to wait", () => {
  const violation = (field, reason) => message({ 1: field, 2: "is wrong", 3: reason });
  const error = ClientelaError.from(
    refusal(Code.InvalidArgument, "INVALID_FIELD", {}, {
      BadRequest: message({ 1: [violation("customer.email", "MALFORMED"), violation("customer.phone", "TOO_LONG")] }),
      RetryInfo: message({ 1: message({ 1: 2, 2: 500_000_000 }) }),
    }),
  );

  assert.deepEqual(error.violations, [
    { field: "customer.email", reason: "MALFORMED", description: "is wrong" },
    { field: "customer.phone", reason: "TOO_LONG", description: "is wrong" },
  ]);
  assert.equal(error.retryAfter, 2500);
  assert.equal(error.message, "INVALID_FIELD: customer.email: is wrong; customer.phone: is wrong");
});

test("unreadable details are ignored", () => {
  const error = new ConnectError("odd", Code.Internal);
  error.details = [{ type: "elsewhere.Detail", value: new Uint8Array([255]) }];

  const { code, reason, retryAfter } = ClientelaError.from(error);
  assert.deepEqual([code, reason, retryAfter], [Code.Internal, "", undefined]);
});

test("a lost connection is unavailable, whatever code a library gives it", () => {
  const reset = new ConnectError("read ECONNRESET", Code.Aborted);
  const cut = new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled);
  const noAnswer = new ConnectError("Failed to fetch", Code.Unknown, undefined, undefined, new TypeError("Failed to fetch"));
  for (const error of [reset, cut, noAnswer]) assert.equal(ClientelaError.from(error).code, Code.Unavailable);

  const given = new ConnectError("This operation was aborted", Code.Canceled);
  assert.equal(ClientelaError.from(given).code, Code.Canceled);
  assert.equal(ClientelaError.from(refusal(Code.Aborted, "ETAG_MISMATCH")).code, Code.Aborted);
});

test("a cancelled call is not retried", async () => {
  const { client, asked } = failing(away(), away(), away());
  const signal = AbortSignal.abort();

  await assert.rejects(client.customers.getCustomer({}, { signal }), { code: Code.Canceled });
  assert.ok(asked.length <= 1);
});

test("only connections to this machine use plaintext, unless an option asks for it", () => {
  assert.equal(urlOf("127.0.0.1:50051"), "http://127.0.0.1:50051");
  assert.equal(urlOf("localhost:50051"), "http://localhost:50051");
  assert.equal(urlOf("[::1]:50051"), "http://[::1]:50051");
  assert.equal(urlOf("localhost:50051", undefined, true), "https://localhost:50051");
  assert.equal(urlOf("https://localhost:1"), "https://localhost:1");
  assert.equal(urlOf("shop.example:50051"), "https://shop.example:50051");
  assert.equal(urlOf("shop.example:80"), "https://shop.example:80");
  assert.equal(urlOf("shop.example:50051", true), "http://shop.example:50051");
  assert.equal(urlOf("http://shop.example:50051", true), "http://shop.example:50051");
  assert.equal(urlOf("127.0.0.1.shop.example:1"), "https://127.0.0.1.shop.example:1");
  assert.throws(() => urlOf("http://shop.example:50051"), /set plaintext/);
  assert.throws(() => urlOf("127.0.0.1:1", false) && urlOf("127.0.0.1:1", true, true), /excludes/);
  assert.throws(() => urlOf("not an address"), TypeError);
});

test("a client without a key is refused before any call", () => {
  const before = process.env.CLIENTELA_API_KEY;
  delete process.env.CLIENTELA_API_KEY;
  try {
    for (const options of [{}, { key: "" }, { key: " \n" }]) {
      assert.throws(() => connect({ address: "127.0.0.1:1", ...options }), (error) => {
        assert.ok(error instanceof ClientelaError);
        assert.deepEqual([error.code, error.reason], [Code.Unauthenticated, "KEY_MISSING"]);
        assert.match(error.message, /CLIENTELA_API_KEY/);
        return true;
      });
    }
  } finally {
    if (before !== undefined) process.env.CLIENTELA_API_KEY = before;
  }
});
