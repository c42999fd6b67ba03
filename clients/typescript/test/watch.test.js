// Tests of watches whose streams end, repeat changes and begin again.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ClientelaError, customerCart } from "../dist/node.js";
import { refusal } from "./details.js";
import { beat, begin, clientOf, gone, left, put, ready, said, scripted, told } from "./service.js";

/** Runs all pending work that does not wait for a timer. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

const away = () => new ConnectError("away", Code.Unavailable);

test("a watch resumes after the last token, and begins again if it broke during the snapshot", async () => {
  const { watch, asked } = scripted(
    [begin(), said("", put("a", 1)), away()],
    [begin(), said("", put("a", 1)), ready(1, "t1"), said("t2", put("b", 1)), beat("t3"), away()],
    [said("t4", put("b", 2))],
    [beat("t5"), begin(3), said("", put("c", 1)), away()],
    [],
  );

  const words = await told(watch());

  assert.equal(words, "reset +a@1 reset +a@1 ready +b@1 +b@2 reset +c@1");
  assert.deepEqual(asked.map(({ options }) => options.resumeToken), ["", "", "t3", "t4", ""]);
  assert.ok(asked.every(({ options }) => options.resetOnExpiredToken));
});

test("a repeated change is dropped, and after a reset no change counts as repeated", async () => {
  const { watch } = scripted(
    [begin(), said("", put("a", 3), put("b", 1)), ready(2, "t1"), said("t2", put("a", 4), gone("b", 2)), away()],
    [said("t3", put("a", 3), put("a", 4), put("b", 1), gone("b", 2), put("a", 5), gone("unknown", 9), put("b", 3)), away()],
    [begin(4), said("", put("a", 1)), ready(1, "t4"), said("t5", put("a", 2))],
  );

  assert.equal(
    await told(watch()),
    "reset +a@3 +b@1 ready +a@4 -b@2 +a@5 +b@3 reset +a@1 ready +a@2",
  );
});

test("a resource that leaves and enters a filter by the clock is yielded with the same version", async () => {
  const { watch } = scripted([
    begin(),
    said("", put("a", 3)),
    ready(1, "t1"),
    said("t2", left("a", 3), left("a", 3), put("a", 3), put("a", 3), left("a", 2)),
  ]);

  assert.equal(await told(watch()), "reset +a@3 ready <a@3 +a@3");
});

test("a watch without a snapshot yields removals of unknown names, and resumes with its token", async () => {
  const { watch, asked } = scripted([said("t1", gone("a", 7), put("b", 1)), away()], []);

  assert.equal(await told(watch({ options: { skipSnapshot: true } })), "-a@7 +b@1");
  assert.deepEqual(
    asked.map(({ options }) => [options.skipSnapshot, options.resumeToken]),
    [[true, ""], [false, "t1"]],
  );
});

test("a watch reconnects to a server that is away for ten minutes, at least every ten seconds", async () => {
  let gone = 0;
  const waits = [];
  const { watch } = scripted(...Array.from({ length: 200 }, () => [away()]), [begin(), ready(0, "t")]);
  const pause = async (milliseconds) => {
    waits.push(milliseconds);
    gone += milliseconds;
  };
  const events = watch({ filter: "state = OPEN" }, { pause });

  assert.deepEqual(await events.next(), { done: false, value: { type: "reset", cause: 1 } });
  await events.return();

  assert.ok(gone > 600_000, `${gone} ms`);
  waits.forEach((wait, n) => {
    const longest = Math.min(10_000, 100 * 2 ** n);
    assert.ok(wait >= longest / 2 && wait <= longest, `wait ${n} was ${wait} ms`);
  });
});

test("after a message the waits are short again, for example behind a proxy that cuts every stream", async () => {
  const cut = () => [beat("t"), away()];
  const { watch, waits } = scripted([away()], [away()], [away()], [begin(), ready(0, "t"), away()], cut(), cut(), cut());

  await told(watch());

  assert.equal(waits.length, 7);
  assert.ok(waits[2] >= 200);
  assert.ok(waits.slice(3).every((wait) => wait <= 100), waits.join(" "));
});

test("a stream that is silent for three heartbeats is closed and opened again", async () => {
  mock.timers.enable({ apis: ["setInterval", "Date"], now: 1e12 });
  try {
    const { watch, asked } = scripted([begin(), ready(0, "t1"), "hang"], [said("t2", put("a", 1))]);
    const heartbeatInterval = { seconds: 5n };
    const events = watch({ options: { heartbeatInterval } });
    await events.next();
    await events.next();

    const next = events.next();
    await turn();
    for (let second = 0; second < 15; second += 5) {
      mock.timers.tick(5_000);
      await turn();
      assert.equal(asked.length, 1, `given up after ${second + 5} s`);
    }
    mock.timers.tick(5_000);

    assert.equal((await next).value.change.name, "carts/a");
    assert.equal(asked[1].options.resumeToken, "t1");
    await events.return();
  } finally {
    mock.timers.reset();
  }
});

test("a slow reader does not make a stream silent", async () => {
  mock.timers.enable({ apis: ["setInterval", "Date"], now: 1e12 });
  try {
    const { watch, asked } = scripted([begin(), ready(0, "t1"), said("t2", put("a", 1)), "hang"]);
    const events = watch();
    await events.next();
    mock.timers.tick(600_000);

    await events.next();
    assert.equal((await events.next()).value.change.name, "carts/a");
    assert.equal(asked.length, 1);
    await events.return();
  } finally {
    mock.timers.reset();
  }
});

test("a token whose history is gone is dropped, and a lost connection keeps the token", async () => {
  const { watch, asked } = scripted(
    [begin(), ready(0, "t1"), refusal(Code.OutOfRange, "RESUME_TOKEN_EXPIRED")],
    [begin(), ready(0, "t2"), refusal(Code.Aborted, "STORE_EPOCH_CHANGED")],
    [begin(), ready(0, "t3"), refusal(Code.InvalidArgument, "INVALID_RESUME_TOKEN")],
    [begin(), ready(0, "t4"), new ConnectError("read ECONNRESET", Code.Aborted)],
    [beat("t5"), refusal(Code.ResourceExhausted, "SLOW_CONSUMER")],
    [beat("t6"), refusal(Code.Unavailable, "DRAINING")],
    [beat("t7"), refusal(Code.Internal, "INTERNAL")],
    [],
  );

  await told(watch());

  assert.deepEqual(
    asked.map(({ options }) => options.resumeToken),
    ["", "", "", "", "t4", "t5", "t6", "t7"],
  );
});

for (const [code, reason] of [
  [Code.Unauthenticated, "KEY_REVOKED"],
  [Code.PermissionDenied, "ROLE_NOT_ALLOWED"],
  [Code.InvalidArgument, "INVALID_FILTER"],
  [Code.NotFound, "NOT_FOUND"],
  [Code.ResourceExhausted, "TOO_MANY_STREAMS"],
]) {
  test(`${reason} ends a watch with the typed error`, async () => {
    const { watch, asked } = scripted([begin(), ready(0, "t"), refusal(code, reason)], []);

    await assert.rejects(told(watch()), (error) => {
      assert.ok(error instanceof ClientelaError);
      assert.equal(error.code, code);
      assert.equal(error.reason, reason);
      return true;
    });
    assert.equal(asked.length, 1);
  });
}

test("a request that cannot be sent is refused at once", async () => {
  const { watch, asked } = scripted([]);

  await assert.rejects(told(watch({ options: { heartbeatInterval: { nanos: "many" } } })), /nanos|int32/);
  assert.equal(asked.length, 0);
});

test("a watch that the reader leaves closes its stream", async () => {
  const { watch, asked } = scripted([begin(), ready(0, "t"), "hang"]);

  for await (const event of watch()) if (event.type === "ready") break;

  assert.equal(asked.length, 1);
});

test("a watch that is aborted ends without an error, also while it waits", async () => {
  const first = new AbortController();
  const waiting = scripted([begin(), ready(0, "t"), "hang"]).watch({}, { signal: first.signal });
  await waiting.next();
  await waiting.next();
  const end = waiting.next();
  first.abort();
  assert.deepEqual(await end, { done: true, value: undefined });

  const second = new AbortController();
  const onDisconnected = () => second.abort();
  const { client } = scripted([away()]);
  assert.equal(await told(client.watchCarts({}, { signal: second.signal, onDisconnected })), "");
});

test("callbacks learn when the connection works and when it is lost", async () => {
  const seen = [];
  const { watch } = scripted([away()], [begin(), ready(0, "t"), beat("t"), away()], [beat("t")]);

  await told(
    watch({}, {
      onConnected: () => seen.push("there"),
      onDisconnected: (error) => seen.push(Code[error.code]),
      onHeartbeat: () => seen.push("beat"),
    }),
  );

  assert.deepEqual(seen, ["Unavailable", "there", "beat", "Unavailable", "there", "beat", "Unavailable"]);
});

test("an error of a callback is not an error of the stream", async () => {
  const { watch, asked } = scripted([beat("t")], []);
  const onHeartbeat = () => {
    throw new RangeError("mine");
  };

  await assert.rejects(told(watch({}, { onHeartbeat })), RangeError);
  assert.equal(asked.length, 1);
});

/** A client whose `method` gets the streams of `script`, and its requests. */
function streams(method, ...script) {
  const asked = [];
  async function* answer(request, { signal }) {
    const messages = script[asked.length] ?? [refusal(Code.Unauthenticated, "KEY_REVOKED")];
    asked.push(request);
    for (const message of messages) {
      if (message === "hang") await new Promise((resolve) => signal.addEventListener("abort", resolve));
      else if (message instanceof Error) throw message;
      else yield message;
    }
  }
  return { asked, client: clientOf({ carts: { [method]: answer } }) };
}

const atOnce = { pause: async () => {} };

test("a watch of one cart continues after an interruption", async () => {
  const target = customerCart("customers/ada");
  for (const request of [target, { target }]) {
    const { asked, client } = streams("watchCart", [begin(), said("", put("a", 1)), ready(1, "t1"), away()],
      [said("t2", put("a", 1), put("a", 2))], []);
    const events = client.watchCart(request, atOnce);

    for (const type of ["reset", "change", "ready"]) assert.equal((await events.next()).value.type, type);
    assert.equal((await events.next()).value.change.version, 2n);
    await events.return();

    assert.deepEqual(asked.map(({ options }) => options.resumeToken), ["", "t1"]);
    assert.ok(asked.every(({ target }) => target.target.value.owner.value === "customers/ada"));
  }
});

const counted = (openCarts) => ({ figures: { openCarts: BigInt(openCarts) } });

test("figures continue after an interruption and end with an error that another attempt cannot cure", async () => {
  const { asked, client } = streams("watchCartFigures", [counted(1), counted(2), { draining: {} }, away()],
    [new ConnectError("given up", Code.Canceled)], [counted(3)]);
  const open = [];
  const read = async () => {
    for await (const { openCarts } of client.watchCartFigures({ storefront: "berlin" }, atOnce)) open.push(openCarts);
  };

  await assert.rejects(read, { name: "ClientelaError", reason: "KEY_REVOKED" });

  assert.deepEqual(open, [1n, 2n, 3n]);
  assert.equal(asked.length, 4);
  assert.ok(asked.every(({ storefront }) => storefront === "berlin"));
});

test("a stream of figures that is silent for three heartbeats is opened again", async () => {
  mock.timers.enable({ apis: ["setInterval", "Date"], now: 1e12 });
  try {
    const { asked, client } = streams("watchCartFigures", [counted(1), "hang"], [counted(2)]);
    const figures = client.watchCartFigures({ heartbeatInterval: { seconds: 5n } }, atOnce);
    await figures.next();

    const next = figures.next();
    await turn();
    for (let second = 0; second < 20; second += 5) {
      assert.equal(asked.length, 1, `given up after ${second} s`);
      mock.timers.tick(5_000);
      await turn();
    }

    assert.equal((await next).value.openCarts, 2n);
    await figures.return();
  } finally {
    mock.timers.reset();
  }
});
