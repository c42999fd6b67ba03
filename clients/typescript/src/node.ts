// The client for Node, over gRPC.

import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Client, interceptors, urlOf, type ConnectOptions } from "./client.js";

export * from "./client.js";

/** How to connect from Node. */
export interface NodeConnectOptions extends ConnectOptions {
  /** Encrypts connections to this machine, too. `ca` replaces the certificate authorities of the system. */
  tls?: boolean | { ca?: string | Uint8Array; cert?: string | Uint8Array; key?: string | Uint8Array };
}

/**
 * Returns a client. It connects at the first call. The default address is the environment variable
 * `CLIENTELA_SERVER`; without that, 127.0.0.1:50051. The default key is `CLIENTELA_API_KEY`; without a key it throws a
 * `ClientelaError` (KEY_MISSING). Close the client to let the process end.
 */
export function connect(options: NodeConnectOptions = {}): Client {
  const { key = process.env["CLIENTELA_API_KEY"], tls } = options;
  const address = options.address ?? (process.env["CLIENTELA_SERVER"] || "127.0.0.1:50051");
  const baseUrl = urlOf(address, options.plaintext, !!tls);
  const sessionManager = new Http2SessionManager(
    baseUrl,
    { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 },
    typeof tls === "object" ? (tls as object) : {},
  );
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager,
    interceptors: interceptors({ ...options, ...(key && { key }) }),
  });
  return new Client(transport, () => sessionManager.abort());
}
