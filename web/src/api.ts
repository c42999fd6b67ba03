// Calls the server with the browser client, at the address that the page came from.
//
// A browser has six connections to a server over HTTP/1.1, so the page keeps few streams: the list, the
// figures, and the opened cart.

import {
  ClientelaError,
  Code,
  connect,
  DeliveryMode,
  type Cart,
  type CartChange,
  type CartFigures,
  type Client,
  type Customer,
  type WatchEvent,
} from "clientela/browser";
import type { Edits, Rights } from "./actions";
import { serverTime } from "./time";

export type CartEvent = WatchEvent<CartChange>;

/** Called when the stream of a watch works, and when it is lost. */
export interface Connection {
  connected(): void;
  disconnected(error: ClientelaError): void;
}

/** Interval of heartbeats. A stream that sends nothing for three times as long is opened again. */
const HEARTBEAT = { seconds: 5n };
/** Shortest time between two states of a cart in the list: nobody reads faster. The last one always comes. */
const LIST_INTERVAL = { nanos: 200_000_000 };
/** Wait before a stream that is not a watch is opened again. */
const WAIT_FIRST = 250;
const WAIT_LONGEST = 10_000;
/** Deadline of a call that is not a stream. */
const CALL = { timeoutMs: 15_000 };
/** Lease of a lock by staff, in seconds: the longest that the contract allows. */
const LEASE = { seconds: 900n };

export class Server implements Edits {
  private readonly client: Client;

  constructor(key: string) {
    // The page came from there, so its address decides about encryption.
    const plaintext = location.protocol === "http:";
    this.client = connect({ address: location.origin, key, plaintext });
  }

  /** Watches the carts of a filter. */
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

  /** Watches one cart, with every version. */
  watchCart(cart: string, signal: AbortSignal): AsyncGenerator<CartEvent> {
    const options = { heartbeatInterval: HEARTBEAT, deliveryMode: DeliveryMode.EVERY };
    return this.client.watchCart({ target: { target: { case: "cart", value: cart } }, options }, { signal });
  }

  /** Watches the figures, at most once a second. */
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

  /**
   * Returns the rights of the key. The contract has no call for them, so the page sends a request that every
   * key is refused: UnlockCart without a name. The reason of the refusal shows the rights.
   */
  async rights(signal: AbortSignal): Promise<Rights> {
    for (let wait = WAIT_FIRST; !signal.aborted; wait = Math.min(WAIT_LONGEST, wait * 2)) {
      const { reason, code } = await this.client.carts.unlockCart({ name: "", force: true }, { ...CALL, signal }).then(
        () => ({ reason: "", code: Code.Unknown }),
        (failure: unknown) => ClientelaError.from(failure),
      );
      if (reason === "FIELD_NOT_WRITABLE") return "edit";
      if (code === Code.InvalidArgument) return "force";
      if (code === Code.PermissionDenied) return "look";
      await sleep(wait * (0.5 + Math.random() / 2), signal);
    }
    return "look";
  }

  read(name: string): Promise<Cart> {
    return this.client.carts.getCart({ target: { target: { case: "cart", value: name } } }, CALL);
  }

  lock({ name, etag }: Cart, purpose: string): Promise<Cart> {
    const target = { target: { case: "cart", value: name } } as const;
    return this.client.carts.lockCart({ target, purpose, etag, lease: LEASE }, CALL);
  }

  renewLock(name: string): Promise<Cart> {
    return this.client.carts.renewCartLock({ name, lease: LEASE }, CALL);
  }

  unlock(name: string, force: boolean): Promise<Cart> {
    return this.client.carts.unlockCart({ name, force }, CALL);
  }

  writeNote({ name, etag }: Cart, note: string): Promise<Cart> {
    return this.client.carts.updateCart({ cart: { name, etag, note }, updateMask: { paths: ["note"] } }, CALL);
  }

  customer(name: string, signal: AbortSignal): Promise<Customer> {
    return this.client.customers.getCustomer({ name }, { ...CALL, signal });
  }

  /** Returns the display names of the groups in each language, by resource name. */
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

/** Whether another attempt cannot help. */
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
