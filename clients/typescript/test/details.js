// Refusals as the server sends them, with details of `google.rpc`.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ConnectError } from "@connectrpc/connect";

/** Encodes a message from its fields by number; a value is text, bytes, a number, or a list of these. */
export function message(fields) {
  const writer = new BinaryWriter();
  for (const [number, values] of Object.entries(fields)) {
    for (const value of [values].flat()) {
      if (typeof value === "number") writer.tag(Number(number), WireType.Varint).int64(value);
      else if (typeof value === "string") writer.tag(Number(number), WireType.LengthDelimited).string(value);
      else writer.tag(Number(number), WireType.LengthDelimited).bytes(value);
    }
  }
  return writer.finish();
}

/** A refusal with a reason, and with further details by their names. */
export function refusal(code, reason, metadata = {}, details = {}) {
  const error = new ConnectError(`refused: ${reason}`, code);
  const pairs = Object.entries(metadata).map(([key, value]) => message({ 1: key, 2: value }));
  const all = { ErrorInfo: message({ 1: reason, 2: "clientela.v1", 3: pairs }), ...details };
  error.details = Object.entries(all).map(([name, value]) => ({ type: `google.rpc.${name}`, value }));
  return error;
}
