// Errors: why a call failed, as values that a program can decide by.

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ErrorReason } from "./gen/clientela/v1/error_reason_pb.js";

/** One field of a request that breaks a rule. */
export interface Violation {
  /** The path of the field, for example `customer.email`. */
  readonly field: string;
  /** The rule, for example `TOO_LONG`. */
  readonly reason: string;
  /** What is wrong, in English. */
  readonly description: string;
}

/**
 * A call that failed. Decide by `code` and `reason`, not by the text. The text has the reason, or the code if there
 * is none, and every violation, or the message of the server if there are none.
 */
export class ClientelaError extends Error {
  override readonly name = "ClientelaError";
  constructor(
    /** The message of the server, in English. */
    readonly rawMessage: string,
    readonly code: Code,
    /** The reason of the contract. Empty if the server did not answer. */
    readonly reason: keyof typeof ErrorReason | "" = "",
    /** Values that belong to the reason, for example `current_etag`. */
    readonly metadata: Readonly<Record<string, string>> = {},
    /** All fields of the request that break a rule. */
    readonly violations: readonly Violation[] = [],
    /** How many milliseconds to wait before the next attempt, if the server says so. */
    readonly retryAfter?: number,
    cause?: unknown,
  ) {
    const fields = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
    super(`${reason || Code[code]}: ${fields || rawMessage}`, { cause });
  }

  /** Converts any error of a call. */
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
    // The server always gives a reason. Without one the connection broke, which the libraries name in several ways.
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

/** Whether `fetch` got no answer. */
function isNoAnswer(error: ConnectError): boolean {
  return error.code === Code.Unknown && error.cause instanceof TypeError;
}

/** Whether the HTTP/2 connection of a call broke. A call that this program cancels has another text. */
function isCut(error: ConnectError): boolean {
  return error.code === Code.Canceled && error.rawMessage.startsWith("http/2 ");
}

type Fields = Record<number, (Uint8Array | bigint)[]>;

/** The fields of a message of `google.rpc`, for which there are no stubs. */
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
