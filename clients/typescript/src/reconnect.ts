// Reconnecting: the loop that all watches share. It opens a stream again when the old one ends.

import { Code } from "@connectrpc/connect";
import type { CallOptions } from "@connectrpc/connect";
import { ClientelaError } from "./error.js";
import type { Heartbeat } from "./gen/clientela/v1/common_pb.js";

export const WAIT_FIRST = 100;
const WAIT_MAX = 10_000;
/** The server's interval of heartbeats in seconds, if the request does not name one. */
const HEARTBEAT = 15;

/** How to watch. */
export interface WatchControl {
  /** Ends the watch when it is aborted. */
  signal?: AbortSignal;
  /** Is called when a stream works: the first one, and each after an interruption. */
  onConnected?: () => void;
  /** Is called when a stream has ended. The next one opens after `wait` milliseconds. */
  onDisconnected?: (error: ClientelaError, wait: number) => void;
  /** Is called with each heartbeat. */
  onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** Waits; for tests. */
  pause?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** What a watch asks for, and how it reads the answers. */
export interface Following<Message, Event> {
  open(call: CallOptions): AsyncIterable<Message>;
  /** Yields the events of a message. */
  read(message: Message): Iterable<Event>;
  /** Whether another stream may work after an error. */
  isCurable(failure: ClientelaError): boolean;
  /** A stream that sends nothing for three times as many seconds has ended. */
  interval: number;
}

/** Returns the interval in seconds that the server makes of a requested one. */
export function interval(asked: { seconds: bigint } | undefined): number {
  return Math.min(60, Math.max(1, Number(asked?.seconds ?? HEARTBEAT)));
}

/**
 * Yields events until the reader leaves the loop or aborts the signal. It throws a `ClientelaError` if another
 * attempt cannot help.
 */
export async function* follow<Message, Event>(
  { open, read, isCurable, interval }: Following<Message, Event>,
  { signal, onConnected, onDisconnected, pause = sleep }: WatchControl,
): AsyncGenerator<Event, void, undefined> {
  let wait = WAIT_FIRST;
  while (!signal?.aborted) {
    const stream = new AbortController();
    const stop = () => stream.abort();
    signal?.addEventListener("abort", stop, { once: true });
    // When the loop began to wait for a message; 0 while the reader is busy, which is not silence of the server.
    let waiting = 0;
    const silence = setInterval(() => waiting && Date.now() - waiting > 3e3 * interval && stop(), 1e3 * interval);
    let failure = new ClientelaError("the stream ended without an error", Code.Unavailable);
    try {
      const messages = open({ signal: stream.signal })[Symbol.asyncIterator]();
      for (let first = true; ; first = false) {
        waiting = Date.now();
        const next = await messages.next().catch((error) => (failure = ClientelaError.from(error)));
        waiting = 0;
        if (next instanceof ClientelaError || next.done) break;
        if (first) onConnected?.();
        wait = WAIT_FIRST;
        yield* read(next.value);
      }
    } finally {
      clearInterval(silence);
      signal?.removeEventListener("abort", stop);
      stop();
    }
    if (signal?.aborted) return;
    if (!isCurable(failure)) throw failure;
    const chosen = wait * (0.5 + Math.random() / 2);
    wait = Math.min(WAIT_MAX, wait * 2);
    onDisconnected?.(failure, chosen);
    await pause(chosen, signal);
  }
}

/** Whether the same stream may work at the next attempt. */
export function isTransient({ code, reason }: ClientelaError): boolean {
  if ([Code.Unavailable, Code.Internal, Code.Unknown].includes(code)) return true;
  // Canceled without a reason comes from a proxy that closed the stream: the reader has not.
  return reason === "SLOW_CONSUMER" || (code === Code.Canceled && reason === "");
}

export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
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
