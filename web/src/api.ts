// The server as the page calls it: over gRPC-Web, at the address that the page came from.
//
// A browser has six connections to a server over HTTP/1.1, so the page keeps few streams: the list, the
// figures, and the cart that is looked at.

import { Code, ConnectError, createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { CartService, type CartChange, type CartFigures } from "./gen/clientela/v1/cart_service_pb";
import { DeliveryMode, type SnapshotBegin_Cause } from "./gen/clientela/v1/common_pb";
import { GroupService } from "./gen/clientela/v1/group_service_pb";
import { serverTime } from "./time";

export type CartEvent =
  | { type: "reset"; cause: SnapshotBegin_Cause }
  | { type: "ready" }
  | { type: "change"; change: CartChange };

export type Connection = "connected" | "away";

/** A refusal that trying again does not change. */
export class Refusal extends Error {
  readonly code: Code;
  readonly reason: string;

  constructor(error: ConnectError) {
    super(error.rawMessage);
    this.code = error.code;
    this.reason = reasonOf(error);
  }
}

interface Watch {
  signal: AbortSignal;
  connection?: (state: Connection) => void;
}

const HEARTBEAT_SECONDS = 5n;
const SILENCE = 3 * Number(HEARTBEAT_SECONDS) * 1000;
const WAIT_FIRST = 100;
const WAIT_LONGEST = 10_000;

export class Server {
  private readonly carts: Client<typeof CartService>;
  private readonly groups: Client<typeof GroupService>;

  constructor(key: string) {
    const authorized: Interceptor = (next) => (request) => {
      request.header.set("authorization", `Bearer ${key}`);
      return next(request);
    };
    const transport = createGrpcWebTransport({
      baseUrl: location.origin,
      interceptors: [authorized],
    });
    this.carts = createClient(CartService, transport);
    this.groups = createClient(GroupService, transport);
  }

  /** The carts of a filter and every change to them, for ever. */
  watchCarts(filter: string, watch: Watch): AsyncGenerator<CartEvent> {
    return this.watch(watch, (resumeToken, signal) =>
      this.carts.watchCarts(
        {
          filter,
          options: {
            resumeToken,
            heartbeatInterval: { seconds: HEARTBEAT_SECONDS },
            // More often nobody can read it; a cart that changes faster is told with its last state.
            minUpdateInterval: { nanos: 200_000_000 },
            resetOnExpiredToken: true,
          },
        },
        { signal },
      ),
    );
  }

  /** One cart and every version of it. */
  watchCart(cart: string, watch: Watch): AsyncGenerator<CartEvent> {
    return this.watch(watch, (resumeToken, signal) =>
      this.carts.watchCart(
        {
          target: { target: { case: "cart", value: cart } },
          options: {
            resumeToken,
            heartbeatInterval: { seconds: HEARTBEAT_SECONDS },
            deliveryMode: DeliveryMode.EVERY,
            resetOnExpiredToken: true,
          },
        },
        { signal },
      ),
    );
  }

  private async *watch(
    { signal, connection }: Watch,
    open: (token: string, signal: AbortSignal) => AsyncIterable<import("./gen/clientela/v1/cart_service_pb").WatchCartsResponse>,
  ): AsyncGenerator<CartEvent> {
    let token = "";
    const seen = new Map<string, bigint>();
    const messages = again({ signal, ...(connection && { connection }) }, (signal) => open(token, signal), (error) => {
      const reason = reasonOf(error);
      if (error.code === Code.OutOfRange || error.code === Code.Aborted || reason === "INVALID_RESUME_TOKEN") {
        token = "";
        return true;
      }
      return false;
    });
    for await (const message of messages) {
      const { signal: said } = message;
      if (said.case === "snapshotBegin") {
        seen.clear();
        yield { type: "reset", cause: said.value.cause };
      }
      if (said.case === "heartbeat") serverTime(said.value.serverTime);
      for (const change of message.changes) {
        const known = seen.get(change.name);
        if (known !== undefined && change.version <= known) continue;
        seen.set(change.name, change.version);
        yield { type: "change", change };
      }
      if (said.case === "snapshotEnd") yield { type: "ready" };
      if (message.resumeToken) token = message.resumeToken;
    }
  }

  /** The figures, as often as once a second. */
  async *watchFigures(watch: Watch): AsyncGenerator<CartFigures> {
    const messages = again(watch, (signal) =>
      this.carts.watchCartFigures({ heartbeatInterval: { seconds: HEARTBEAT_SECONDS } }, { signal }),
    );
    for await (const { figures } of messages) {
      serverTime(figures?.time);
      if (figures) yield figures;
    }
  }

  /** What the groups are called, in each language, by their names. */
  async groupNames(signal: AbortSignal): Promise<Map<string, Record<string, string>>> {
    const names = new Map<string, Record<string, string>>();
    let pageToken = "";
    do {
      const page = await this.groups.listGroups({ pageSize: 1000, pageToken }, { signal });
      for (const group of page.groups) names.set(group.name, group.displayNames);
      pageToken = page.nextPageToken;
    } while (pageToken);
    return names;
  }
}

/** The messages of a stream that is opened again whenever it ends, until it is refused. */
async function* again<T>(
  { signal, connection }: Watch,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  forgive: (error: ConnectError) => boolean = () => false,
): AsyncGenerator<T> {
  let wait = WAIT_FIRST;
  while (!signal.aborted) {
    const stream = new AbortController();
    const stop = () => stream.abort();
    signal.addEventListener("abort", stop, { once: true });
    let silence = setTimeout(stop, SILENCE);
    try {
      for await (const message of open(stream.signal)) {
        clearTimeout(silence);
        silence = setTimeout(stop, SILENCE);
        wait = WAIT_FIRST;
        connection?.("connected");
        yield message;
      }
    } catch (error) {
      const failure = ConnectError.from(error);
      if (signal.aborted) return;
      if (isFinal(failure) && !stream.signal.aborted && !forgive(failure)) throw new Refusal(failure);
    } finally {
      clearTimeout(silence);
      signal.removeEventListener("abort", stop);
      stream.abort();
    }
    connection?.("away");
    await pause(wait * (0.5 + Math.random() / 2), signal);
    wait = Math.min(WAIT_LONGEST, wait * 2);
  }
}

function isFinal(error: ConnectError): boolean {
  return ![Code.Unavailable, Code.Internal, Code.Unknown, Code.Canceled, Code.DeadlineExceeded, Code.ResourceExhausted].includes(
    error.code,
  );
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

function reasonOf(error: ConnectError): string {
  const decoder = new TextDecoder();
  for (const detail of error.details) {
    if ("type" in detail && detail.type === "google.rpc.ErrorInfo" && detail.value instanceof Uint8Array) {
      const [tag, length] = detail.value;
      if (tag === 10 && length !== undefined) return decoder.decode(detail.value.subarray(2, 2 + length));
    }
  }
  return "";
}
