// The client for Node, over gRPC.

import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Client, interceptors, urlOf, type ConnectOptions } from "./client.js";

export * from "./client.js";

/** Where to connect from Node, and as whom. */
export interface NodeConnectOptions extends ConnectOptions {
  /** Encrypts, also on this machine; with a certificate authority of one's own, if named. */
  tls?: boolean | { ca?: string | Uint8Array; cert?: string | Uint8Array; key?: string | Uint8Array };
}

/**
 * Connects when the first call is made. By default to 127.0.0.1:50051, with the key in `CLIENTELA_API_KEY`.
 * Close it to let the process end.
 */
export function connect(options: NodeConnectOptions = {}): Client {
  const { address = "127.0.0.1:50051", key = process.env["CLIENTELA_API_KEY"], tls } = options;
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
