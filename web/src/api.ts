// The server as the page calls it: with the browser client, at the address that the page came from.
//
// A browser has six connections to a server over HTTP/1.1, so the page keeps few streams: the list, the
// figures, and the cart that is looked at.

import {
  ClientelaError,
  Code,
  connect,
  DeliveryMode,
  type CartChange,
  type CartFigures,
  type Client,
  type WatchEvent,
} from "clientela/browser";
import { serverTime } from "./time";

export type CartEvent = WatchEvent<CartChange>;

/** How a watch tells that its stream is there, and that it is not. */
export interface Connection {
  connected(): void;
  disconnected(error: ClientelaError): void;
}

/** How often a stream says that it lives. One that has not for three times as long is opened anew. */
const HEARTBEAT = { seconds: 5n };
/** The list tells a cart at most so often: more often nobody could read it. The last state always comes. */
const LIST_INTERVAL = { nanos: 200_000_000 };
/** How long to wait before a stream that is no watch is opened again. */
const WAIT_FIRST = 250;
const WAIT_LONGEST = 10_000;

export class Server {
  private readonly client: Client;

  constructor(key: string) {
    // The page has come from there: what is to be encrypted is decided by its address.
    const plaintext = location.protocol === "http:";
    this.client = connect({ address: location.origin, key, plaintext });
  }

  /** The carts of a filter and every change to them, for ever. */
  watchCarts(filter: string, signal: AbortSignal, connection: Connection): AsyncGenerator<CartEvent> {
    const options = { heartbeatInterval: HEARTBEAT, minUpdateInterval: LIST_INTERVAL };
    return this.client.watchCarts(
      { filter, options },
      {
        signal,
        onConnected: () => connection.connected(),
        onDisconnected: (error) => connection.disconnected(error),
        onHeartbeat: (heartbeat) => serverTime(heartbeat.serverTime),
      },
    );
  }

  /** One cart and every version of it. */
  watchCart(cart: string, signal: AbortSignal): AsyncGenerator<CartEvent> {
    const options = { heartbeatInterval: HEARTBEAT, deliveryMode: DeliveryMode.EVERY };
    return this.client.watchCart({ target: { target: { case: "cart", value: cart } }, options }, { signal });
  }

  /** The figures, at most once a second, for ever. */
  async *watchFigures(signal: AbortSignal): AsyncGenerator<CartFigures> {
    for (let wait = WAIT_FIRST; !signal.aborted; wait = Math.min(WAIT_LONGEST, wait * 2)) {
      const stream = new AbortController();
      const stop = () => stream.abort();
      signal.addEventListener("abort", stop, { once: true });
      const patience = 3000 * Number(HEARTBEAT.seconds);
      let silence = setTimeout(stop, patience);
      try {
        const messages = this.client.carts.watchCartFigures({ heartbeatInterval: HEARTBEAT }, { signal: stream.signal });
        for await (const { figures } of messages) {
          clearTimeout(silence);
          silence = setTimeout(stop, patience);
          wait = WAIT_FIRST;
          serverTime(figures?.time);
          if (figures) yield figures;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (isRefusal(ClientelaError.from(error))) throw error;
      } finally {
        clearTimeout(silence);
        signal.removeEventListener("abort", stop);
        stop();
      }
      await sleep(wait * (0.5 + Math.random() / 2), signal);
    }
  }

  /** What the groups are called, in each language, by their names. */
  async groupNames(signal: AbortSignal): Promise<Map<string, Record<string, string>>> {
    const names = new Map<string, Record<string, string>>();
    let pageToken = "";
    do {
      const page = await this.client.groups.listGroups({ pageSize: 1000, pageToken }, { signal });
      for (const group of page.groups) names.set(group.name, group.displayNames);
      pageToken = page.nextPageToken;
    } while (pageToken);
    return names;
  }
}

/** Whether trying again would change nothing. */
function isRefusal({ code }: ClientelaError): boolean {
  return [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument, Code.Unimplemented].includes(code);
}

export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
