// A service in memory with scripted answers. It keeps the requests.

import { createRouterTransport } from "@connectrpc/connect";
import { CartService, Client, ChangeKind, CustomerService, interceptors } from "../dist/node.js";

/** A client of a service with the handlers `carts` and `customers`. */
export function clientOf({ carts = {}, customers = {}, options = {} }) {
  const routes = (router) => {
    router.service(CartService, carts);
    router.service(CustomerService, customers);
  };
  const transport = { interceptors: interceptors({ key: "clt_key", ...options }) };
  return new Client(createRouterTransport(routes, { transport }));
}

/**
 * A client whose watch of carts gets the streams of `script`, one after the other. A stream is a list of
 * messages; an error is thrown, and the word "hang" waits until the stream is cancelled. After the last
 * stream the service is unavailable. `asked` has the requests, `waits` the pauses before the further streams.
 */
export function scripted(...script) {
  const asked = [];
  const waits = [];
  const end = new AbortController();
  const client = clientOf({
    carts: {
      async *watchCarts(request, { signal }) {
        const messages = script[asked.length];
        asked.push(request);
        for (const message of messages ?? []) {
          if (message === "hang") await new Promise((resolve) => signal.addEventListener("abort", resolve));
          else if (message instanceof Error) throw message;
          else yield message;
        }
      },
    },
  });
  const pause = async (milliseconds) => {
    waits.push(milliseconds);
    if (asked.length >= script.length) end.abort();
  };
  const watch = (request = {}, control = {}) => client.watchCarts(request, { signal: end.signal, pause, ...control });
  return { client, asked, waits, watch };
}

/** Describes an event of a watch in a word or two. */
export async function told(events) {
  const words = [];
  for await (const event of events) {
    if (event.type === "change") {
      const { kind, name, version } = event.change;
      words.push(`${{ 1: "+", 2: "-", 3: "<" }[kind]}${name.slice(6)}@${version}`);
    } else words.push(event.type);
  }
  return words.join(" ");
}

const change = (kind, id, version) => ({ kind, name: `carts/${id}`, version: BigInt(version) });
export const put = (id, version) => change(ChangeKind.UPSERTED, id, version);
export const gone = (id, version) => change(ChangeKind.DELETED, id, version);
export const left = (id, version) => change(ChangeKind.LEFT_FILTER, id, version);

export const begin = (cause = 1) => ({ signal: { case: "snapshotBegin", value: { cause } } });
export const ready = (count, resumeToken) => ({ resumeToken, signal: { case: "snapshotEnd", value: { count: BigInt(count) } } });
export const beat = (resumeToken) => ({ resumeToken, signal: { case: "heartbeat", value: {} } });
export const said = (resumeToken, ...changes) => ({ resumeToken, changes });
