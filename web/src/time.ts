// An estimate of the server's clock. Ages and "being filled" use it, so that a wrong local clock does not
// show wrong ages.

/** A timestamp of the contract. */
interface Timestamp {
  seconds: bigint;
  nanos: number;
}

let ahead = 0;

/** Milliseconds since 1970 by the server's clock. */
export function now(): number {
  return Date.now() + ahead;
}

/** Records the present time of the server's clock. A difference of less than a second is network delay. */
export function serverTime(time: Timestamp | undefined): void {
  if (!time) return;
  const difference = milliseconds(time) - Date.now();
  if (Math.abs(difference - ahead) > 1000) ahead = difference;
}

/** A timestamp of the contract in milliseconds, with the microseconds as fraction. */
export function milliseconds(time: Timestamp | undefined): number {
  return time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : 0;
}
