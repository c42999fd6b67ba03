// Stands between the page and a real server, and makes a stream of carts busier than this machine's disk
// would: `crowd.js PORT KEY RATE`. It prints the port it listens on, begins on a line of input, and prints
// every second the number of sent changes, the bytes of them that wait, and the bytes of one change.
//
// It answers only WatchCarts: with the server's own carts, which it changes one after the other. It forwards
// everything else.

import { create, toBinary } from "@bufbuild/protobuf";
import { CartCause_Kind, ChangeKind, WatchCartsResponseSchema } from "clientela/node";
import { connect } from "clientela/node";
import http from "node:http";

const [target, key, rate] = process.argv.slice(2);
const TICK = 20;
const client = connect({ address: `127.0.0.1:${target}`, key });
const carts = [];
let pageToken = "";
do {
  const page = await client.carts.listCarts({ pageSize: 500, pageToken });
  carts.push(...page.carts);
  pageToken = page.nextPageToken;
} while (pageToken);
client.close();

let sent = 0;
let begun = 0;
let written = 0;
const streams = new Set();
process.stdin.once("data", () => {
  begun = performance.now();
  setInterval(tick, TICK);
  setInterval(() => {
    const waiting = Math.max(0, ...[...streams].map((stream) => stream.writableLength));
    console.log(`sent ${sent} waiting ${waiting} each ${Math.round(written / Math.max(1, sent))}`);
  }, 1000);
});

const server = http.createServer((request, answer) => {
  if (request.url.endsWith("/WatchCarts")) return watch(request, answer);
  const { url: path, method, headers } = request;
  const on = http.request({ host: "127.0.0.1", port: target, path, method, headers }, (from) => {
    answer.writeHead(from.statusCode, from.headers);
    from.pipe(answer);
  });
  on.on("error", () => answer.destroy());
  answer.on("close", () => on.destroy());
  request.pipe(on);
});
server.listen(0, "127.0.0.1", () => console.log(`listens ${server.address().port}`));

function watch(request, answer) {
  request.resume();
  answer.writeHead(200, { "content-type": "application/grpc-web+proto" });
  write(answer, { signal: { case: "snapshotBegin", value: { cause: 1 } } });
  for (let at = 0; at < carts.length; at += 50) {
    write(answer, { changes: carts.slice(at, at + 50).map((cart) => upserted(cart)) });
  }
  const count = BigInt(carts.length);
  write(answer, { resumeToken: "token", signal: { case: "snapshotEnd", value: { count } } });
  streams.add(answer);
  answer.on("close", () => streams.delete(answer));
}

/** Sends the changes that are due. As from the server, changes of one moment share a message. */
function tick() {
  const due = Math.floor(((performance.now() - begun) * rate) / 1000);
  const changes = [];
  for (; sent < due; sent += 1) changes.push(changed(carts[(sent * 7919) % carts.length], sent));
  if (changes.length === 0) return;
  for (const stream of streams) written += write(stream, { changes, resumeToken: "token" });
}

/** The next version of a cart: a line of it has another quantity. */
function changed(cart, n) {
  const now = Date.now();
  const time = { seconds: BigInt(Math.floor(now / 1000)), nanos: (now % 1000) * 1e6 };
  const line = cart.items[n % cart.items.length];
  const before = line.quantity;
  line.quantity = 1 + (n % 9);
  line.total.micros = line.unitPrice.micros * BigInt(line.quantity);
  cart.total.micros = cart.items.reduce((sum, { total }) => sum + total.micros, 0n);
  cart.itemCount = BigInt(cart.items.reduce((sum, { quantity }) => sum + quantity, 0));
  cart.version += 1n;
  Object.assign(cart.updateTime, time);
  Object.assign(cart.activityTime, time);
  const { name: item, product, quantity: quantityAfter } = line;
  const kind = CartCause_Kind.ITEM_QUANTITY_CHANGED;
  const causes = [{ kind, item, product, quantityBefore: before, quantityAfter, time }];
  return { ...upserted(cart), commitTime: time, causes };
}

function upserted(cart) {
  return { kind: ChangeKind.UPSERTED, name: cart.name, version: cart.version, cart };
}

function write(stream, message) {
  const bytes = toBinary(WatchCartsResponseSchema, create(WatchCartsResponseSchema, message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  stream.write(Buffer.concat([head, bytes]));
  return head.length + bytes.length;
}
