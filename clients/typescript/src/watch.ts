// Watches: their events, and how a watch follows resources or figures across connections.

import { create, toBinary, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, type CallOptions } from "@connectrpc/connect";
import { WatchCartFiguresRequestSchema } from "./gen/clientela/v1/cart_service_pb.js";
import type { CartFigures, WatchCartFiguresResponse } from "./gen/clientela/v1/cart_service_pb.js";
import { WatchOptionsSchema } from "./gen/clientela/v1/common_pb.js";
import type { Draining, Heartbeat, SnapshotBegin, SnapshotEnd, WatchOptions } from "./gen/clientela/v1/common_pb.js";
import type { SnapshotBegin_Cause } from "./gen/clientela/v1/common_pb.js";
import { Known, type AnyChange } from "./known.js";
import { follow, interval, isTransient, type WatchControl } from "./reconnect.js";

/** An event of a watch. */
export type WatchEvent<Change> =
  /** Discard all resources: a snapshot follows. Every watch begins with it. */
  | { readonly type: "reset"; readonly cause: SnapshotBegin_Cause }
  /** A resource is new, has changed, was deleted, or has left the filter: see `kind`. */
  | { readonly type: "change"; readonly change: Change }
  /** The snapshot is complete: the reader now has `count` resources. */
  | { readonly type: "ready"; readonly count: number };

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

/** Watches resources. It continues after the last resume token and drops the changes that arrive twice. */
export async function* watch<Change extends AnyChange, Request extends DescMessage>(
  schema: Request,
  init: MessageInitShape<Request>,
  open: (request: MessageInitShape<Request>, call: CallOptions) => AsyncIterable<AnyResponse<Change>>,
  control: WatchControl,
): AsyncGenerator<WatchEvent<Change>, void, undefined> {
  const request = create(schema, init) as Message & { options?: WatchOptions };
  const options = create(WatchOptionsSchema, request.options);
  toBinary(schema, { ...request, options } as never); // Throws for a request that no attempt could send.
  const known = new Known(!options.skipSnapshot && options.resumeToken === "");
  let token = options.resumeToken;
  yield* follow<AnyResponse<Change>, WatchEvent<Change>>(
    {
      interval: interval(options.heartbeatInterval),
      open(call) {
        const skipSnapshot = options.skipSnapshot && token === "";
        const asked = { ...options, resumeToken: token, skipSnapshot, resetOnExpiredToken: true };
        return open({ ...request, options: asked } as never, call);
      },
      *read({ changes, resumeToken, signal }) {
        if (signal.case === "snapshotBegin") {
          // A stream that breaks within a snapshot has to begin again.
          token = "";
          known.clear();
          yield { type: "reset", cause: signal.value.cause };
        }
        for (const change of changes) if (known.admits(change)) yield { type: "change", change };
        if (resumeToken) token = resumeToken;
        if (signal.case === "snapshotEnd") yield { type: "ready", count: Number(signal.value.count) };
        if (signal.case === "heartbeat") control.onHeartbeat?.(signal.value);
      },
      isCurable(failure) {
        const { code, reason } = failure;
        const invalid = reason === "INVALID_RESUME_TOKEN" && token !== "";
        if (code !== Code.OutOfRange && code !== Code.Aborted && !invalid) return isTransient(failure);
        // The server cannot continue from the token: begin again without it.
        token = "";
        return true;
      },
    },
    control,
  );
}

/** Watches figures. Every stream begins with the figures as they are. */
export async function* watchFigures(
  init: MessageInitShape<typeof WatchCartFiguresRequestSchema>,
  open: (request: MessageInitShape<typeof WatchCartFiguresRequestSchema>, call: CallOptions) =>
    AsyncIterable<WatchCartFiguresResponse>,
  control: WatchControl,
): AsyncGenerator<CartFigures, void, undefined> {
  const request = create(WatchCartFiguresRequestSchema, init);
  toBinary(WatchCartFiguresRequestSchema, request); // Throws for a request that no attempt could send.
  yield* follow<WatchCartFiguresResponse, CartFigures>(
    {
      interval: Math.max(interval(request.heartbeatInterval), Number(request.minInterval?.seconds ?? 0)),
      open: (call) => open(request, call),
      *read({ figures }) {
        // A message that only announces the end of the stream has no figures.
        if (figures) yield figures;
      },
      isCurable: isTransient,
    },
    control,
  );
}
