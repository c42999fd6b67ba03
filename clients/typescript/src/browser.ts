// The client for browsers, over gRPC-Web. Pages of other origins need the server's `--cors-origin`.

import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Client, interceptors, urlOf, type ConnectOptions } from "./client.js";

export * from "./client.js";

/** Returns a client of an address; by default of the page's own origin. Throws without a key. */
export function connect(options: ConnectOptions = {}): Client {
  const { address, plaintext } = options;
  return new Client(
    createGrpcWebTransport({
      baseUrl: address === undefined ? location.origin : urlOf(address, plaintext),
      interceptors: interceptors(options),
    }),
  );
}
