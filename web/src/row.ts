// One row of the list: an element that shows a cart, and is reused for another when it scrolls away.

import type { Row } from "./carts";
import type { Mark } from "./order";
import { foremost, inWords } from "./causes";
import { h, setAttribute, setText, theirs } from "./dom";
import { Cart_Abandonment as Abandonment, Cart_Freeze as Freeze, type Cart } from "clientela/browser";
import { Customer_Kind } from "clientela/browser";
import { ago, count, duration, money, number, t } from "./text";
import type { Word } from "./words";

/** Time after a change in which a cart's dot pulses. */
const BEATS_FOR = 20_000;
/** States that need attention. Only these have a colour. */
const EXCEPTIONS = new Set(["abandoned", "held", "gone"]);

/** The columns in their order. The first has no head, because its dot repeats the state. */
const COLUMNS = ["dot", "who", "total", "items", "what", "when", "state", "groups", "number", "age"] as const;
type Column = (typeof COLUMNS)[number];

/**
 * The heads of the columns. Only for the eye: to a screen reader each row says in its label what its values
 * are.
 */
export function heads(): HTMLElement {
  const cells = COLUMNS.map((column) =>
    h("span", { class: `cell ${column}`, text: column === "dot" ? "" : t(`column_${column}` as Word) }),
  );
  return h("div", { class: "heads", attributes: { "aria-hidden": "true" } }, ...cells);
}

/** Returns the display name of a cart's owner. */
export function owner(cart: Cart): string {
  const name = cart.customerSummary?.displayName || cart.customer.replace("customers/", "");
  return name || t("visitor", { id: cart.visitorId.slice(0, 8) });
}

/** Returns the states of a cart. The first is its stage; the others are lock, freeze and recovery. */
export function states(row: Row, at: number): { kind: string; text: string }[] {
  const { cart } = row;
  const condition = row.condition(at);
  const states = [{ kind: condition as string, text: t(`state_${condition}` as Word) }];
  if (row.held && cart.lock) {
    const { holder } = cart.lock;
    states.push({ kind: "held", text: holder ? t("state_locked", { holder }) : t("state_locked_staff") });
  }
  if (row.held && cart.freeze !== Freeze.UNSPECIFIED) states.push({ kind: "held", text: t("state_frozen") });
  if (cart.abandonment === Abandonment.RECOVERED) {
    states.push({ kind: "recovered", text: t("state_recovered") });
  }
  return states;
}

export class RowView {
  readonly element: HTMLElement;
  /** The cart, version and second that it shows: it is not drawn again for the same. */
  private drawn = "";
  private shown: Row | null = null;
  private pulse = 0;
  private flash = false;
  private place = "";
  private top = -1;
  /** When the order last moved it. */
  moved = 0;
  private readonly cells: Record<Column, HTMLElement>;
  private readonly who = theirs();
  private readonly guest = h("span", { class: "note" });
  private readonly what = theirs();

  constructor() {
    const cells = COLUMNS.map((column) => [column, h("span", { class: `cell ${column}` })] as const);
    this.cells = Object.fromEntries(cells) as Record<Column, HTMLElement>;
    this.cells.who.append(this.who, this.guest);
    this.cells.what.append(this.what);
    this.element = h("div", { class: "row", attributes: { role: "option" } }, ...Object.values(this.cells));
  }

  get name(): string {
    return this.shown?.name ?? "";
  }

  /**
   * Moves the element to the place of the row, and returns whether that is another place. An element that
   * showed another cart does not glide.
   */
  put(id: string, top: number, index: number, all: number, selected: boolean, fresh: boolean): boolean {
    const place = `${id} ${top} ${all} ${selected} ${fresh}`;
    if (place === this.place) return false;
    const moved = fresh || this.top !== top;
    this.place = place;
    this.top = top;
    this.element.id = id;
    this.element.style.transition = fresh ? "none" : "";
    this.element.style.transform = `translateY(${top}px)`;
    setAttribute(this.element, "aria-posinset", String(index + 1));
    setAttribute(this.element, "aria-setsize", String(all));
    setAttribute(this.element, "aria-selected", String(selected));
    return moved;
  }

  show(row: Row, mark: Mark, at: number, groups: (name: string) => string): void {
    const same = this.shown?.name === row.name;
    const drawn = `${row.cart.version} ${row.pulse} ${mark} ${Math.floor(at / 1000)}`;
    if (same && this.shown === row && this.drawn === drawn) return;
    const changed = !same || row.pulse !== this.pulse || this.drawn.split(" ")[0] !== String(row.cart.version);
    if (same && row.pulse > this.pulse) this.highlight();
    else if (!same) delete this.element.dataset["flash"];
    this.shown = row;
    this.drawn = drawn;
    this.pulse = row.pulse;
    if (changed) this.draw(row, groups);
    this.tick(row, mark, at);
  }

  private draw(row: Row, groups: (name: string) => string): void {
    const { cart } = row;
    const { cells } = this;
    setText(this.who, owner(cart));
    const guest = cart.customerSummary?.kind === Customer_Kind.GUEST;
    setText(this.guest, guest ? ` · ${t("guest")}` : "");
    setText(cells.total, money(cart.total?.micros ?? 0n, cart.currencyCode));
    setText(cells.items, number(Number(cart.itemCount)));
    const happened = foremost(row.happened);
    setText(this.what, happened ? inWords(happened) : lastLine(cart));
    const names = (cart.customerSummary?.groups ?? []).map(groups);
    cells.groups.replaceChildren(...names.flatMap((name, n) => (n > 0 ? [", ", theirs(name)] : [theirs(name)])));
    const where = cart.storefront ? ` · ${cart.storefront}` : "";
    setText(cells.number, cart.number + where);
  }

  private tick(row: Row, mark: Mark, at: number): void {
    const { cart } = row;
    const { cells, element } = this;
    const known = mark === "gone" ? [{ kind: "gone", text: t("mark_gone") }] : states(row, at);
    const { kind } = known[0]!;
    setAttribute(element, "data-state", kind);
    setAttribute(element, "data-mark", mark || null);
    setAttribute(element, "data-beats", kind === "filling" && at - row.active < BEATS_FOR ? "" : null);
    // An exception says more than the state, which the dot shows.
    const exceptions = known.filter(({ kind }) => EXCEPTIONS.has(kind));
    const shown = exceptions.length > 0 ? exceptions : known.slice(0, 1);
    setAttribute(element, "data-exception", exceptions.length > 0 ? "" : null);
    const badges = shown.map(({ kind, text }) => `${kind}\t${text}`).join("\n");
    if (cells.state.dataset["badges"] !== badges) {
      cells.state.dataset["badges"] = badges;
      cells.state.replaceChildren(...shown.map(({ kind, text }) => theirs(text, `badge ${kind}`)));
    }
    setText(cells.when, (mark === "changed" ? "↑ " : "") + ago(at - row.changed));
    const age = duration(at - row.opened);
    setText(cells.age, age);
    // Read out again at most every ten seconds.
    const when = ago(Math.floor((at - row.changed) / 10_000) * 10_000);
    const items = Number(cart.itemCount);
    const label = [
      owner(cart),
      t("cart_number", { number: cart.number }),
      ...known.map(({ text }) => text),
      items > 0 ? count("items", items) : "",
      cells.total.textContent,
      this.what.textContent,
      mark === "changed" ? t("mark_changed", { when }) : when,
      t("opened", { time: age }),
    ];
    setAttribute(element, "aria-label", label.filter(Boolean).join(", ").slice(0, 500));
  }

  /** Shows that the cart changed. The animation has two names, so that it begins again each time. */
  private highlight(): void {
    this.flash = !this.flash;
    this.element.dataset["flash"] = this.flash ? "a" : "b";
  }
}

/** Replaces the last change, for a cart that has not changed since the page was opened: its last line. */
function lastLine(cart: Cart): string {
  const item = cart.items.at(-1);
  if (!item) return "";
  const name = item.displayName || item.product;
  return item.quantity > 1 ? `${item.quantity} × ${name}` : name;
}
