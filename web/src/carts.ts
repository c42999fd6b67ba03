// The carts that the page knows, and the content of their rows, without the DOM.
//
// Invariant: memory is bounded by the number of carts, not of changes: the last state and the last events of
// each cart are kept, and paused changes replace each other by name.

import { ChangeKind } from "clientela/browser";
import {
  Cart_Abandonment as Abandonment,
  Cart_Freeze as Freeze,
  Cart_State as State,
  type Cart,
  type CartChange,
} from "clientela/browser";
import { happenings, type Happening } from "./causes";
import { folded } from "./text";
import { milliseconds, now } from "./time";

/** Number of events of a cart that are kept before it is opened. */
const REMEMBERED = 12;
/** Time after a change in which a cart counts as being filled: the default of a shop. */
const FILLING_FOR = 15 * 60_000;
/** Time for which a cart that is no longer open is shown. */
export const CLOSED_FOR = 60 * 60_000;

export type Condition = "filling" | "idle" | "abandoned" | "ordered" | "merged" | "saved" | "empty";

export class Row {
  readonly name: string;
  cart: Cart;
  /** When the cart last changed, by the server's clock. The list is sorted by it. */
  changed = 0;
  /** The value of `changed` when the row got its place in the list. */
  placed = 0;
  /** When a caller last changed it. */
  active = 0;
  opened = 0;
  happened: Happening[] = [];
  /** Grows with each change while the page is open; 0 if there was none. */
  pulse = 0;
  private search: string | null = null;

  constructor(cart: Cart) {
    this.name = cart.name;
    this.cart = cart;
    this.take(cart);
  }

  take(cart: Cart): void {
    this.cart = cart;
    this.changed = milliseconds(cart.updateTime);
    this.active = milliseconds(cart.activityTime);
    this.opened = milliseconds(cart.createTime);
    this.search = null;
  }

  remember(happened: Happening[]): void {
    if (happened.length === 0) return;
    this.pulse += 1;
    this.happened.push(...happened);
    if (this.happened.length > REMEMBERED) this.happened = this.happened.slice(-REMEMBERED);
  }

  condition(at: number): Condition {
    const { cart } = this;
    if (cart.state === State.ORDERED) return "ordered";
    if (cart.state === State.MERGED) return "merged";
    if (cart.slot === "saved" || cart.slot.startsWith("saved-")) return "saved";
    if (cart.items.length === 0) return "empty";
    if (cart.abandonment === Abandonment.ABANDONED) return "abandoned";
    return at - this.active < FILLING_FOR ? "filling" : "idle";
  }

  get held(): boolean {
    return this.cart.state === State.OPEN && (!!this.cart.lock || this.cart.freeze !== Freeze.UNSPECIFIED);
  }

  /** Whether each of the terms occurs in a searchable text of the cart. */
  has(terms: string[], groups: (name: string) => string): boolean {
    this.search ??= searched(this.cart, groups);
    const text = this.search;
    return terms.every((term) => text.includes(term));
  }
}

function searched(cart: Cart, groups: (name: string) => string): string {
  const summary = cart.customerSummary;
  const parts = [cart.name, cart.number, cart.displayName, cart.storefront, cart.orderReference];
  parts.push(cart.customer, cart.visitorId, cart.note, summary?.displayName ?? "");
  parts.push(...(summary?.groups ?? []).map(groups), cart.lock?.holder ?? "");
  for (const item of cart.items) parts.push(item.product, item.displayName, item.variant);
  return folded(parts.join("\n"));
}

export interface Selection {
  /** The search text. */
  search: string;
  condition: "all" | "filling" | "idle" | "abandoned" | "held" | "ordered";
  group: string;
  storefront: string;
}

export interface Selected {
  rows: Row[];
  /** The number of carts in each state, independent of the chosen filter. */
  counts: Record<Selection["condition"], number>;
}

export class Carts {
  readonly rows = new Map<string, Row>();
  /** While paused: the last change of each cart, and how many changes that is. */
  private waiting: Map<string, CartChange> | null = null;
  waitingCount = 0;
  /** During a snapshot: its names so far. */
  private fresh: Set<string> | null = null;
  /** Number of changes since the page was opened. */
  told = 0;

  get paused(): boolean {
    return this.waiting !== null;
  }

  pause(): void {
    this.waiting ??= new Map();
  }

  /** Applies the paused changes in the order of their arrival. */
  catchUp(): void {
    const waiting = this.waiting;
    this.waiting = null;
    this.waitingCount = 0;
    for (const change of waiting?.values() ?? []) this.apply(change);
  }

  /** A snapshot follows. The page keeps the old carts until it is complete. */
  reset(): void {
    this.fresh = new Set();
  }

  /** The snapshot is complete: carts that are not in it are gone. */
  ready(): void {
    const fresh = this.fresh;
    this.fresh = null;
    if (!fresh) return;
    for (const name of this.rows.keys()) if (!fresh.has(name)) this.rows.delete(name);
    for (const name of this.waiting?.keys() ?? []) if (!fresh.has(name)) this.waiting?.delete(name);
  }

  clear(): void {
    this.rows.clear();
    this.waiting = null;
    this.waitingCount = 0;
    this.fresh = null;
  }

  /** Takes a change, or keeps it while paused. Returns whether a visible cart changed. */
  change(change: CartChange): boolean {
    const gone = change.kind !== ChangeKind.UPSERTED;
    if (gone) this.fresh?.delete(change.name);
    else this.fresh?.add(change.name);
    if (change.causes.length > 0) this.told += 1 + change.conflated;
    if (!this.waiting) {
      this.apply(change);
      return true;
    }
    const earlier = this.waiting.get(change.name);
    if (earlier) {
      change.conflated += earlier.conflated + 1;
      this.waiting.delete(change.name);
    }
    this.waiting.set(change.name, change);
    this.waitingCount += 1;
    return false;
  }

  private apply(change: CartChange): void {
    const { cart } = change;
    if (change.kind !== ChangeKind.UPSERTED || !cart) {
      this.rows.delete(change.name);
      return;
    }
    let row = this.rows.get(change.name);
    if (!row) this.rows.set(change.name, (row = new Row(cart)));
    // The opened cart may be newer, from its own stream or an answer. A snapshot replaces any version.
    else if (this.fresh || cart.version >= row.cart.version) row.take(cart);
    row.remember(happenings(change));
  }

  /** Removes carts that have been closed for longer than they are shown. */
  prune(): void {
    const before = now() - CLOSED_FOR;
    for (const [name, row] of this.rows) {
      if (row.cart.state !== State.OPEN && row.changed < before) this.rows.delete(name);
    }
  }

  /** The rows of a selection, the last changed first. */
  select(selection: Selection, groups: (name: string) => string): Selected {
    const counts = { all: 0, filling: 0, idle: 0, abandoned: 0, held: 0, ordered: 0 };
    const terms = folded(selection.search).split(/\s+/).filter(Boolean);
    const at = now();
    const rows: Row[] = [];
    for (const row of this.rows.values()) {
      const { cart } = row;
      if (selection.storefront && cart.storefront !== selection.storefront) continue;
      if (selection.group && !cart.customerSummary?.groups.includes(selection.group)) continue;
      if (terms.length > 0 && !row.has(terms, groups)) continue;
      const condition = row.condition(at);
      const { held } = row;
      counts.all += 1;
      if (condition in counts) counts[condition as keyof typeof counts] += 1;
      if (held) counts.held += 1;
      const wanted = selection.condition;
      if (wanted === "all" || wanted === condition || (wanted === "held" && held)) rows.push(row);
    }
    rows.sort((a, b) => b.changed - a.changed || (a.name < b.name ? -1 : 1));
    return { rows, counts };
  }

  /** All groups and storefronts, by name. */
  kinds(): { groups: string[]; storefronts: string[] } {
    const groups = new Set<string>();
    const storefronts = new Set<string>();
    for (const { cart } of this.rows.values()) {
      for (const group of cart.customerSummary?.groups ?? []) groups.add(group);
      if (cart.storefront) storefronts.add(cart.storefront);
    }
    return { groups: [...groups].sort(), storefronts: [...storefronts].sort() };
  }
}
