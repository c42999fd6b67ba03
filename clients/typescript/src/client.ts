// The client over any transport, for Node and for browsers.

import type { DescService, Message, MessageInitShape } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import type { Client as Service, Interceptor, Transport } from "@connectrpc/connect";
import { ClientelaError } from "./error.js";
import { AdminService } from "./gen/clientela/v1/admin_service_pb.js";
import { CartService, WatchCartRequestSchema, WatchCartsRequestSchema } from "./gen/clientela/v1/cart_service_pb.js";
import type { CartChange, CartTarget, WatchCartFiguresRequestSchema } from "./gen/clientela/v1/cart_service_pb.js";
import { CustomerService, WatchCustomersRequestSchema } from "./gen/clientela/v1/customer_service_pb.js";
import type { CustomerChange } from "./gen/clientela/v1/customer_service_pb.js";
import { GroupService, WatchGroupsRequestSchema } from "./gen/clientela/v1/group_service_pb.js";
import type { GroupChange } from "./gen/clientela/v1/group_service_pb.js";
import { OperationService } from "./gen/clientela/v1/operation_service_pb.js";
import { SavedFilterService } from "./gen/clientela/v1/saved_filter_service_pb.js";
import { sleep, WAIT_FIRST, type WatchControl } from "./reconnect.js";
import { watch, watchFigures } from "./watch.js";

export * from "./gen/clientela/v1/access_pb.js";
export * from "./gen/clientela/v1/admin_service_pb.js";
export * from "./gen/clientela/v1/cart_service_pb.js";
export * from "./gen/clientela/v1/common_pb.js";
export * from "./gen/clientela/v1/customer_service_pb.js";
export * from "./gen/clientela/v1/error_reason_pb.js";
export * from "./gen/clientela/v1/group_service_pb.js";
export * from "./gen/clientela/v1/operation_service_pb.js";
export * from "./gen/clientela/v1/saved_filter_service_pb.js";
export { Code };
export { ClientelaError, type Violation } from "./error.js";
export { cart, customerCart, money, visitorCart } from "./messages.js";
export { all, type ItemOf } from "./pages.js";
export type { WatchControl } from "./reconnect.js";
export type { WatchEvent } from "./watch.js";
export { create, fromJson, toJson } from "@bufbuild/protobuf";

/** How to connect. */
export interface ConnectOptions {
  /** `HOST:PORT`, or with `http://` or `https://` before it. */
  address?: string;
  /** The API key, `clt_…`. */
  key?: string;
  /** The shop of every call, `shops/{id}` or its id. Only operator keys need it. */
  shop?: string;
  /** The acting person of every call, for example `staff/anna`. Only keys that may name the actor can set it. */
  actor?: string;
  /** The person for whom the actor acts. */
  onBehalfOf?: string;
  /** Sends the key and all data without encryption. By default only connections to this machine do that. */
  plaintext?: boolean;
}

const ATTEMPTS = 5;
const WAIT_OF_CALLS = 2_000;

/** The services of the contract, and watches that reconnect. `connect` makes it. */
export class Client {
  readonly customers: Service<typeof CustomerService>;
  readonly groups: Service<typeof GroupService>;
  readonly carts: Service<typeof CartService>;
  readonly admin: Service<typeof AdminService>;
  readonly operations: Service<typeof OperationService>;
  readonly savedFilters: Service<typeof SavedFilterService>;

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
    this.savedFilters = service(SavedFilterService, transport);
  }

  /**
   * Watches the carts of a filter or of names. When the server or the network fails, the watch waits up to 10 s and
   * connects again, however long that takes. It continues after the last event and yields no change twice. It ends
   * without an error when the loop is left or the signal aborted, and throws a `ClientelaError` if another attempt
   * cannot help, for example after the key was revoked.
   */
  watchCarts(request: MessageInitShape<typeof WatchCartsRequestSchema> = {}, control: WatchControl = {}) {
    return watch<CartChange, typeof WatchCartsRequestSchema>(
      WatchCartsRequestSchema, request, this.carts.watchCarts, control);
  }

  /**
   * Watches one cart, or the open carts of an owner: after an order it continues with the owner's next cart. Write
   * the target with `cart`, `customerCart` or `visitorCart`. Apart from that it is like `watchCarts`.
   */
  watchCart(target: CartTarget, control?: WatchControl): ReturnType<Client["watchCarts"]>;
  watchCart(
    request: MessageInitShape<typeof WatchCartRequestSchema>, control?: WatchControl): ReturnType<Client["watchCarts"]>;
  watchCart(asked: CartTarget | MessageInitShape<typeof WatchCartRequestSchema>, control: WatchControl = {}) {
    const isTarget = "$typeName" in asked && asked.$typeName === "clientela.v1.CartTarget";
    const request = isTarget ? { target: asked } : (asked as MessageInitShape<typeof WatchCartRequestSchema>);
    return watch<CartChange, typeof WatchCartRequestSchema>(
      WatchCartRequestSchema, request, this.carts.watchCart, control);
  }

  /**
   * Watches the figures of the shop's open carts: at once, and whenever they change. It reconnects and ends as
   * `watchCarts` does. A new connection begins with the figures as they are then.
   */
  watchCartFigures(request: MessageInitShape<typeof WatchCartFiguresRequestSchema> = {}, control: WatchControl = {}) {
    return watchFigures(request, this.carts.watchCartFigures, control);
  }

  /** Watches customers as `watchCarts` watches carts. */
  watchCustomers(request: MessageInitShape<typeof WatchCustomersRequestSchema> = {}, control: WatchControl = {}) {
    return watch<CustomerChange, typeof WatchCustomersRequestSchema>(
      WatchCustomersRequestSchema, request, this.customers.watchCustomers, control);
  }

  /** Watches groups as `watchCarts` watches carts. */
  watchGroups(request: MessageInitShape<typeof WatchGroupsRequestSchema> = {}, control: WatchControl = {}) {
    return watch<GroupChange, typeof WatchGroupsRequestSchema>(
      WatchGroupsRequestSchema, request, this.groups.watchGroups, control);
  }
}

/** Makes a service whose calls fail with a `ClientelaError`. */
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

/** Returns interceptors for the key, the request ids of mutations, and retries. Throws without a key. */
export function interceptors({ key, shop, actor, onBehalfOf }: ConnectOptions): Interceptor[] {
  if (!key?.trim()) {
    const message = "there is no API key: pass one, or in Node set the environment variable CLIENTELA_API_KEY";
    throw new ClientelaError(message, Code.Unauthenticated, "KEY_MISSING");
  }
  const headers = new Headers({ authorization: `Bearer ${key.trim()}` });
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

/** Adds a request id to a mutation, so that the server applies it once however often it is sent. */
function repeatable<M extends Message>(message: M): M {
  if ((message as { requestId?: string }).requestId !== "") return message;
  // Not `randomUUID`: browsers do not offer it to pages that were loaded without encryption.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { ...message, requestId: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

/** Returns an address as a URL. Its scheme is https, except for this machine and with `plaintext`. */
export function urlOf(address: string, plaintext: boolean | undefined, tls = false): string {
  const [, scheme, host] = /^(?:(https?):\/\/)?(.+)$/.exec(address) ?? [];
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(`http://${host}`).hostname);
  const encrypted = tls || scheme === "https";
  const open = plaintext ?? (loopback && !encrypted);
  if (open && encrypted) throw new TypeError("plaintext excludes tls and https: leave one out");
  if (!open && scheme === "http") throw new TypeError(`${address} is not this machine: set plaintext, or use https`);
  return new URL(`${open ? "http" : "https"}://${host}`).origin;
}
