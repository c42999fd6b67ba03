// The carts that the page knows, and what each row says of one. It knows nothing of elements.
//
// Invariant: memory is bounded by the number of carts, not of changes: of each cart the last state and
// its last happenings are kept, and paused changes replace each other by name.

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

/** How many happenings of a cart are remembered before it is opened. */
const REMEMBERED = 12;
/** Within which time a change means that somebody is filling the cart: a shop's setting at first. */
const FILLING_FOR = 15 * 60_000;
/** For how long a cart that is not open any more is shown. */
export const CLOSED_FOR = 60 * 60_000;

export type Condition = "filling" | "idle" | "abandoned" | "ordered" | "merged" | "saved" | "empty";

export class Row {
  readonly name: string;
  cart: Cart;
  /** When it was last changed, by the server's clock: what the list is sorted by. */
  changed = 0;
  /** What `changed` was when the row got its place in the list. */
  placed = 0;
  /** When somebody last changed it. */
  active = 0;
  opened = 0;
  happened: Happening[] = [];
  /** Grows with each change that came while the page was open; 0: none did. */
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

  /** Whether each of the terms is somewhere in what people know of the cart. */
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
  /** What was typed. */
  search: string;
  condition: "all" | "filling" | "idle" | "abandoned" | "held" | "ordered";
  group: string;
  storefront: string;
}

export interface Selected {
  rows: Row[];
  /** How many there are of each condition, whatever is chosen of them. */
  counts: Record<Selection["condition"], number>;
}

export class Carts {
  readonly rows = new Map<string, Row>();
  /** While paused: the last change of each cart, and how many changes that is. */
  private waiting: Map<string, CartChange> | null = null;
  waitingCount = 0;
  /** While a snapshot is coming: the names that it brought. */
  private fresh: Set<string> | null = null;
  /** How many changes were told since the page is open. */
  told = 0;

  get paused(): boolean {
    return this.waiting !== null;
  }

  pause(): void {
    this.waiting ??= new Map();
  }

  /** Applies what came while paused, in the order in which it last came. */
  catchUp(): void {
    const waiting = this.waiting;
    this.waiting = null;
    this.waitingCount = 0;
    for (const change of waiting?.values() ?? []) this.apply(change);
  }

  /** A whole state follows. What is shown stays until it is there. */
  reset(): void {
    this.fresh = new Set();
  }

  /** The whole state was there: what was not in it is gone. */
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

  /** Takes a change, or keeps it while paused. Says whether something that is shown changed. */
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
    // The opened cart may be newer by its own stream or an answer. A snapshot replaces any version.
    else if (this.fresh || cart.version >= row.cart.version) row.take(cart);
    row.remember(happenings(change));
  }

  /** Forgets carts that have not been open for so long that nobody looks at them any more. */
  prune(): void {
    const before = now() - CLOSED_FOR;
    for (const [name, row] of this.rows) {
      if (row.cart.state !== State.OPEN && row.changed < before) this.rows.delete(name);
    }
  }

  /** The rows of a selection, the one changed last first. */
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

  /** The groups and storefronts that there are, by name. */
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
