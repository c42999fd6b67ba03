// What Node and browsers share: the client over any transport, errors as typed values, and watches that
// last. What is generated from the contract is exported beside it.

import { create, toBinary, type DescMessage, type DescService, type Message } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { CallOptions, Client as Service, Interceptor, Transport } from "@connectrpc/connect";
import { AdminService } from "./gen/clientela/v1/admin_service_pb.js";
import { CartService, WatchCartRequestSchema, WatchCartsRequestSchema } from "./gen/clientela/v1/cart_service_pb.js";
import type { CartChange } from "./gen/clientela/v1/cart_service_pb.js";
import { ChangeKind, WatchOptionsSchema } from "./gen/clientela/v1/common_pb.js";
import type { Heartbeat, SnapshotBegin, SnapshotBegin_Cause, SnapshotEnd } from "./gen/clientela/v1/common_pb.js";
import type { Draining, WatchOptions } from "./gen/clientela/v1/common_pb.js";
import { CustomerService, WatchCustomersRequestSchema } from "./gen/clientela/v1/customer_service_pb.js";
import type { CustomerChange } from "./gen/clientela/v1/customer_service_pb.js";
import type { ErrorReason } from "./gen/clientela/v1/error_reason_pb.js";
import { GroupService, WatchGroupsRequestSchema } from "./gen/clientela/v1/group_service_pb.js";
import type { GroupChange } from "./gen/clientela/v1/group_service_pb.js";
import { OperationService } from "./gen/clientela/v1/operation_service_pb.js";

export * from "./gen/clientela/v1/access_pb.js";
export * from "./gen/clientela/v1/admin_service_pb.js";
export * from "./gen/clientela/v1/cart_service_pb.js";
export * from "./gen/clientela/v1/common_pb.js";
export * from "./gen/clientela/v1/customer_service_pb.js";
export * from "./gen/clientela/v1/error_reason_pb.js";
export * from "./gen/clientela/v1/group_service_pb.js";
export * from "./gen/clientela/v1/operation_service_pb.js";
export { Code };
export { create, fromJson, toJson } from "@bufbuild/protobuf";

/** Where to connect, and as whom. */
export interface ConnectOptions {
  /** `HOST:PORT`, or with `http://` or `https://` before it. */
  address?: string;
  /** The API key, `clt_…`. */
  key?: string;
  /** The shop, which only operator keys name: `shops/{id}` or its id. */
  shop?: string;
  /** The acting person, as `staff/anna`. */
  actor?: string;
  /** For whom the person acts. */
  onBehalfOf?: string;
  /** Speaks without encryption. Without it that is done with this machine only. */
  plaintext?: boolean;
}

/** What was refused, or did not get through. */
export class ClientelaError extends Error {
  override readonly name = "ClientelaError";
  constructor(
    message: string,
    readonly code: Code,
    /** What to switch on; empty if it was not the server that answered. */
    readonly reason: keyof typeof ErrorReason | "" = "",
    /** What comes with the reason, as `current_etag`. */
    readonly metadata: Readonly<Record<string, string>> = {},
    /** The fields that break their rules, all of them. */
    readonly violations: readonly { field: string; reason: string; description: string }[] = [],
    /** After how many milliseconds to try again, if the server said. */
    readonly retryAfter?: number,
    cause?: unknown,
  ) {
    super(message, { cause });
  }

  /** What any failure of a call means. */
  static from(failure: unknown): ClientelaError {
    if (failure instanceof ClientelaError) return failure;
    const error = ConnectError.from(failure);
    const detail = (name: string) => {
      const found = error.details.find((detail) => "type" in detail && detail.type === `google.rpc.${name}`);
      return found && "type" in found ? fields(found.value) : undefined;
    };
    const info = detail("ErrorInfo");
    const pairs = (info?.[3] ?? []).map((pair) => fields(pair as Uint8Array));
    const delay = detail("RetryInfo")?.[1]?.[0];
    const { 1: seconds, 2: nanos } = delay === undefined ? {} : fields(delay as Uint8Array);
    // The server gives a reason with whatever it refuses. Without one the connection broke, which
    // libraries call by several names.
    const broke = !info && (error.code === Code.Aborted || isNoAnswer(error) || isCut(error));
    return new ClientelaError(
      error.rawMessage,
      broke ? Code.Unavailable : error.code,
      text(info?.[1]) as keyof typeof ErrorReason | "",
      Object.fromEntries(pairs.map((pair) => [text(pair[1]), text(pair[2])])),
      (detail("BadRequest")?.[1] ?? []).map((violation) => {
        const { 1: field, 2: description, 3: reason } = fields(violation as Uint8Array);
        return { field: text(field), reason: text(reason), description: text(description) };
      }),
      delay === undefined ? undefined : Number(seconds?.[0] ?? 0) * 1e3 + Number(nanos?.[0] ?? 0) / 1e6,
      failure,
    );
  }
}

/** Whether `fetch` had no answer at all. */
function isNoAnswer(error: ConnectError): boolean {
  return error.code === Code.Unknown && error.cause instanceof TypeError;
}

/** Whether the connection under a call over HTTP/2 was lost, and not the call given up here. */
function isCut(error: ConnectError): boolean {
  return error.code === Code.Canceled && error.rawMessage.startsWith("http/2 ");
}

type Fields = Record<number, (Uint8Array | bigint)[]>;

/** The fields of a message of `google.rpc`, of which there are no stubs. */
function fields(bytes: Uint8Array): Fields {
  const found: Fields = {};
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) (found[number] ??= []).push(reader.bytes());
    else if (type === WireType.Varint) (found[number] ??= []).push(BigInt(reader.int64()));
    else reader.skip(type, number);
  }
  return found;
}

function text(values: (Uint8Array | bigint)[] | undefined): string {
  return values?.[0] instanceof Uint8Array ? new TextDecoder().decode(values[0]) : "";
}

/** What a watch tells. */
export type WatchEvent<Change> =
  /** Forget what you know: a snapshot follows. Also what every watch begins with. */
  | { readonly type: "reset"; readonly cause: SnapshotBegin_Cause }
  /** A resource that is new to you, has changed, or is gone: see its `kind`. */
  | { readonly type: "change"; readonly change: Change }
  /** The snapshot is whole: you hold `count` resources. */
  | { readonly type: "ready"; readonly count: number };

/** How to watch. */
export interface WatchControl {
  /** Ends the watch when it is aborted. */
  signal?: AbortSignal;
  /** Is told when a stream is there, whether new or again. */
  onConnected?: () => void;
  /** Is told when a stream ended that will be opened again after `wait` milliseconds. */
  onDisconnected?: (error: ClientelaError, wait: number) => void;
  /** Is told of each heartbeat. */
  onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** How to wait; for tests. */
  pause?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

interface AnyChange {
  kind: ChangeKind;
  name: string;
  version: bigint;
}

interface AnyResponse<Change> {
  changes: Change[];
  resumeToken: string;
  signal:
    | { case: "snapshotBegin"; value: SnapshotBegin }
    | { case: "snapshotEnd"; value: SnapshotEnd }
    | { case: "heartbeat"; value: Heartbeat }
    | { case: "draining"; value: Draining }
    | { case: undefined; value?: undefined };
}

const ATTEMPTS = 5;
const WAIT_FIRST = 100;
const WAIT_OF_CALLS = 2_000;
const WAIT_OF_WATCHES = 10_000;
/** The server's interval of heartbeats, in seconds, where none is asked for. */
const HEARTBEAT = 15;
/** How many of those that are gone are remembered: none is told again that was told so long ago. */
const GONE_MAX = 10_000;

/** The services, and watches that last. Made by `connect`. */
export class Client {
  readonly customers: Service<typeof CustomerService>;
  readonly groups: Service<typeof GroupService>;
  readonly carts: Service<typeof CartService>;
  readonly admin: Service<typeof AdminService>;
  readonly operations: Service<typeof OperationService>;

  constructor(
    transport: Transport,
    /** Closes the connection. */
    readonly close: () => void = () => {},
  ) {
    this.customers = service(CustomerService, transport);
    this.groups = service(GroupService, transport);
    this.carts = service(CartService, transport);
    this.admin = service(AdminService, transport);
    this.operations = service(OperationService, transport);
  }

  /** The carts of a filter, or of names, and every change to them, for ever: see `watch`. */
  watchCarts(request: MessageInitShape<typeof WatchCartsRequestSchema> = {}, control: WatchControl = {}) {
    return watch<CartChange, typeof WatchCartsRequestSchema>(
      WatchCartsRequestSchema, request, this.carts.watchCarts, control);
  }

  /** One cart, or an owner's open cart and then the next: see `watch`. */
  watchCart(request: MessageInitShape<typeof WatchCartRequestSchema>, control: WatchControl = {}) {
    return watch<CartChange, typeof WatchCartRequestSchema>(
      WatchCartRequestSchema, request, this.carts.watchCart, control);
  }

  /** Customers, like carts. */
  watchCustomers(request: MessageInitShape<typeof WatchCustomersRequestSchema> = {}, control: WatchControl = {}) {
    return watch<CustomerChange, typeof WatchCustomersRequestSchema>(
      WatchCustomersRequestSchema, request, this.customers.watchCustomers, control);
  }

  /** Groups, like carts. */
  watchGroups(request: MessageInitShape<typeof WatchGroupsRequestSchema> = {}, control: WatchControl = {}) {
    return watch<GroupChange, typeof WatchGroupsRequestSchema>(
      WatchGroupsRequestSchema, request, this.groups.watchGroups, control);
  }
}

/**
 * Watches for as long as it is read: a stream that ends is opened again where it ended, however long the
 * server is away, and what is told twice is dropped. It ends without an error when it is left or aborted,
 * and throws a `ClientelaError` when it is refused.
 */
async function* watch<Change extends AnyChange, Request extends DescMessage>(
  schema: Request,
  init: MessageInitShape<Request>,
  open: (request: MessageInitShape<Request>, call: CallOptions) => AsyncIterable<AnyResponse<Change>>,
  { signal, onConnected, onDisconnected, onHeartbeat, pause = sleep }: WatchControl,
): AsyncGenerator<WatchEvent<Change>, void, undefined> {
  const request = create(schema, init) as Message & { options?: WatchOptions };
  const options = create(WatchOptionsSchema, request.options);
  toBinary(schema, { ...request, options } as never); // Throws what no attempt would mend.
  const known = new Known(!options.skipSnapshot && options.resumeToken === "");
  const heartbeat = Math.min(60, Math.max(1, Number(options.heartbeatInterval?.seconds ?? HEARTBEAT)));
  let token = options.resumeToken;
  let wait = WAIT_FIRST;
  while (!signal?.aborted) {
    const stream = new AbortController();
    const stop = () => stream.abort();
    signal?.addEventListener("abort", stop, { once: true });
    // Only the time counts in which the next message is waited for.
    let waiting = 0;
    const silence = setInterval(() => waiting && Date.now() - waiting > 3e3 * heartbeat && stop(), 1e3 * heartbeat);
    let failure = new ClientelaError("the stream ended without a word", Code.Unavailable);
    try {
      const skipSnapshot = options.skipSnapshot && token === "";
      const asked = { ...options, resumeToken: token, skipSnapshot, resetOnExpiredToken: true };
      const call = { signal: stream.signal };
      const messages = open({ ...request, options: asked } as never, call)[Symbol.asyncIterator]();
      for (let first = true; ; first = false) {
        waiting = Date.now();
        const next = await messages.next().catch((error) => (failure = ClientelaError.from(error)));
        waiting = 0;
        if (next instanceof ClientelaError || next.done) break;
        if (first) onConnected?.();
        wait = WAIT_FIRST;
        const { changes, resumeToken, signal: said } = next.value;
        if (said.case === "snapshotBegin") {
          token = "";
          known.clear();
          yield { type: "reset", cause: said.value.cause };
        }
        for (const change of changes) if (known.admits(change)) yield { type: "change", change };
        if (resumeToken) token = resumeToken;
        if (said.case === "snapshotEnd") yield { type: "ready", count: Number(said.value.count) };
        if (said.case === "heartbeat") onHeartbeat?.(said.value);
      }
    } finally {
      clearInterval(silence);
      signal?.removeEventListener("abort", stop);
      stop();
    }
    if (signal?.aborted) return;
    if (isStale(failure)) token = "";
    else if (!isPassing(failure)) throw failure;
    const chosen = wait * (0.5 + Math.random() / 2);
    wait = Math.min(WAIT_OF_WATCHES, wait * 2);
    onDisconnected?.(failure, chosen);
    await pause(chosen, signal);
  }
}

/** Whether a watch has to begin with a snapshot again. */
function isStale({ code, reason }: ClientelaError): boolean {
  return code === Code.OutOfRange || code === Code.Aborted || reason === "INVALID_RESUME_TOKEN";
}

/** Whether a watch that ended so can be opened again where it ended. */
function isPassing({ code, reason }: ClientelaError): boolean {
  if ([Code.Unavailable, Code.Internal, Code.Unknown].includes(code)) return true;
  return reason === "SLOW_CONSUMER" || (code === Code.Canceled && reason === "");
}

/** The versions that a watch has told. */
class Known {
  private readonly present = new Map<string, bigint>();
  private readonly gone = new Map<string, bigint>();

  /** @param whole whether the watch began with all that is there, so that what is not known never was. */
  constructor(private whole: boolean) {}

  clear(): void {
    this.whole = true;
    this.present.clear();
    this.gone.clear();
  }

  /** Notes a change. Says whether it is news. */
  admits({ kind, name, version }: AnyChange): boolean {
    const here = kind === ChangeKind.UPSERTED;
    const shown = this.present.get(name);
    const last = shown ?? this.gone.get(name);
    // What the clock lets enter or leave a filter does so with the version it has.
    if (last !== undefined && (version < last || (version === last && here === (shown !== undefined)))) return false;
    if (here) {
      this.gone.delete(name);
      this.present.set(name, version);
      return true;
    }
    this.present.delete(name);
    this.gone.delete(name);
    this.gone.set(name, version);
    for (const oldest of this.gone.keys()) {
      if (this.gone.size <= GONE_MAX) break;
      this.gone.delete(oldest);
    }
    return shown !== undefined || (last === undefined && !this.whole);
  }
}

/** A service whose calls fail with `ClientelaError`. */
function service<S extends DescService>(description: S, transport: Transport): Service<S> {
  const plain = createClient(description, transport) as Record<string, (...call: unknown[]) => unknown>;
  const typed: typeof plain = {};
  for (const { localName, methodKind } of description.methods) {
    const method = plain[localName]!;
    typed[localName] =
      methodKind === "unary"
        ? (...call) => (method(...call) as Promise<unknown>).catch((failure) => Promise.reject(ClientelaError.from(failure)))
        : async function* (...call) {
            try {
              yield* method(...call) as AsyncIterable<unknown>;
            } catch (failure) {
              throw ClientelaError.from(failure);
            }
          };
  }
  return typed as Service<S>;
}

/** What is done with every call: the key goes with it, and it can be, and is, repeated. */
export function interceptors({ key, shop, actor, onBehalfOf }: ConnectOptions): Interceptor[] {
  const headers = new Headers();
  if (key?.trim()) headers.set("authorization", `Bearer ${key.trim()}`);
  if (shop) headers.set("clientela-shop", shop);
  if (actor) headers.set("clientela-actor", actor);
  if (onBehalfOf) headers.set("clientela-on-behalf-of", onBehalfOf);
  const prepared: Interceptor = (next) => (request) => {
    headers.forEach((value, name) => request.header.set(name, value));
    return next(request.stream ? request : { ...request, message: repeatable(request.message) });
  };
  const repeated: Interceptor = (next) => async (request) => {
    for (let attempt = 1, wait = WAIT_FIRST; ; attempt += 1, wait = Math.min(WAIT_OF_CALLS, wait * 2)) {
      try {
        return await next(request);
      } catch (failure) {
        const away = ClientelaError.from(failure).code === Code.Unavailable;
        if (!away || request.stream || attempt === ATTEMPTS || request.signal.aborted) throw failure;
        await sleep(wait * (0.5 + Math.random() / 2), request.signal);
      }
    }
  };
  return [prepared, repeated];
}

/** Gives a mutation an id by which the server knows it again, so that it is done once however often it is sent. */
function repeatable<M extends Message>(message: M): M {
  if ((message as { requestId?: string }).requestId !== "") return message;
  // Not `randomUUID`, which browsers keep from pages that came without encryption.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { ...message, requestId: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

/** The address as a URL: encrypted, unless it is this machine or `plaintext` asks for it. */
export function urlOf(address: string, plaintext: boolean | undefined, tls = false): string {
  const [, scheme, host] = /^(?:(https?):\/\/)?(.+)$/.exec(address) ?? [];
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(`http://${host}`).hostname);
  const encrypted = tls || scheme === "https";
  const open = plaintext ?? (loopback && !encrypted);
  if (open && encrypted) throw new TypeError("plaintext and encryption exclude each other");
  if (!open && scheme === "http") throw new TypeError(`${address} is not this machine: ask for plaintext or use https`);
  return new URL(`${open ? "http" : "https"}://${host}`).origin;
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}
