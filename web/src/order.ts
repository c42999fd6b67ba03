// The order of the rows, without the DOM.
//
// Invariant: while the order is held, no row changes its place. Rows of deleted carts keep their place, and
// new rows get none, until the order is renewed.

import type { Row } from "./carts";

/** The effect of a renewal of the order. */
export interface Pending {
  /** Rows that would move, without those that only make room. */
  moved: number;
  /** Rows that would appear. */
  added: number;
  /** Rows that would disappear. */
  removed: number;
}

const NOTHING: Pending = { moved: 0, added: 0, removed: 0 };

export type Mark = "" | "changed" | "gone";

export class Order {
  rows: Row[] = [];
  pending: Pending = NOTHING;
  private gone = new Set<Row>();

  get upToDate(): boolean {
    const { moved, added, removed } = this.pending;
    return moved + added + removed === 0;
  }

  /** Puts the rows into this order. */
  renew(rows: Row[]): void {
    for (const row of rows) row.placed = row.changed;
    this.rows = rows;
    this.pending = NOTHING;
    this.gone.clear();
  }

  /** Keeps each row at its place. `rows` is the order that a renewal would give, `known` has all carts by name. */
  hold(rows: Row[], known: ReadonlyMap<string, Row>): void {
    // Nothing can move in an empty list.
    if (this.rows.length === 0) return this.renew(rows);
    const places = new Map<string, number>();
    this.gone.clear();
    this.rows = this.rows.map((row, place) => {
      places.set(row.name, place);
      const now = known.get(row.name);
      if (!now) this.gone.add(row);
      else if (now !== row) now.placed = row.placed;
      return now ?? row;
    });
    const kept: number[] = [];
    for (const row of rows) {
      const place = places.get(row.name);
      if (place !== undefined) kept.push(place);
    }
    this.pending = {
      moved: kept.length - longestRise(kept),
      added: rows.length - kept.length,
      removed: this.rows.length - kept.length,
    };
  }

  /** The mark of a row about its place. */
  mark(row: Row): Mark {
    if (this.gone.has(row)) return "gone";
    return row.changed > row.placed ? "changed" : "";
  }
}

/** Returns the length of the longest increasing subsequence: the number of rows that can stay. */
function longestRise(values: number[]): number {
  // The smallest end of an increasing subsequence of each length.
  const ends: number[] = [];
  for (const value of values) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle]! < value) low = middle + 1;
      else high = middle;
    }
    ends[low] = value;
  }
  return ends.length;
}
