// The server's clock, as far as this browser knows it: ages and "being filled now" follow it, so that a
// wrong clock on somebody's desk does not show wrong ages.

/** A time of the contract. */
interface Timestamp {
  seconds: bigint;
  nanos: number;
}

let ahead = 0;

/** Milliseconds since 1970, as the server counts them. */
export function now(): number {
  return Date.now() + ahead;
}

/** Notes what the server's clock showed just now. Less than a second is the way of the message. */
export function serverTime(time: Timestamp | undefined): void {
  if (!time) return;
  const difference = milliseconds(time) - Date.now();
  if (Math.abs(difference - ahead) > 1000) ahead = difference;
}

/** A time of the contract in milliseconds, with its microseconds behind the point. */
export function milliseconds(time: Timestamp | undefined): number {
  return time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : 0;
}
