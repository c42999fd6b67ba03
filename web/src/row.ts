// One row of the list: an element that shows a cart, and is used again for another when it scrolls away.

import type { Row } from "./carts";
import type { Mark } from "./order";
import { foremost, inWords } from "./causes";
import { h, setAttribute, setText, theirs } from "./dom";
import { Cart_Abandonment as Abandonment, Cart_Freeze as Freeze, type Cart } from "clientela/browser";
import { Customer_Kind } from "clientela/browser";
import { ago, count, duration, money, t } from "./text";
import type { Word } from "./words";

/** Within which time after a change a cart's dot beats. */
const BEATS_FOR = 20_000;
const CHIPS = 3;

/** Who a cart belongs to, as people call them. */
export function owner(cart: Cart): string {
  const name = cart.customerSummary?.displayName || cart.customer.replace("customers/", "");
  return name || t("visitor", { id: cart.visitorId.slice(0, 8) });
}

/** What is to be known of a cart at a glance, most important first. */
export function states(row: Row, at: number): { kind: string; text: string }[] {
  const { cart } = row;
  const condition = row.condition(at);
  const states = [{ kind: condition as string, text: t(`state_${condition}` as Word) }];
  if (row.held && cart.lock) {
    const { holder } = cart.lock;
    states.push({ kind: "held", text: holder ? t("state_held", { holder }) : t("state_held_staff") });
  }
  if (row.held && cart.freeze !== Freeze.UNSPECIFIED) states.push({ kind: "held", text: t("state_frozen") });
  if (cart.abandonment === Abandonment.RECOVERED) {
    states.push({ kind: "recovered", text: t("state_recovered") });
  }
  return states;
}

export class RowView {
  readonly element: HTMLElement;
  /** Which cart it shows, in which version, at which second: what it need not be drawn again for. */
  private drawn = "";
  private shown: Row | null = null;
  private pulse = 0;
  private flash = false;
  private place = "";
  private top = -1;
  /** When the order last put it where it is. */
  moved = 0;
  private readonly who = theirs("", "who");
  private readonly under = h("span", { class: "under" });
  private readonly state = h("span", { class: "state" });
  private readonly chips = h("span", { class: "chips" });
  private readonly what = h("bdi", { class: "what" });
  private readonly when = h("span", { class: "when" });
  private readonly items = h("span", { class: "items" });
  private readonly total = h("span", { class: "total" });
  private readonly age = h("span", { class: "age" });

  constructor() {
    this.element = h(
      "div",
      { class: "row", attributes: { role: "option" } },
      h("span", { class: "dot" }),
      h("span", { class: "cell person" }, this.who, h("span", { class: "line" }, this.state, this.under)),
      h("span", { class: "cell did" }, this.what, this.when),
      h("span", { class: "cell groups" }, this.chips),
      h("span", { class: "cell sum" }, this.total, h("span", { class: "under" }, this.items, this.age)),
    );
  }

  get name(): string {
    return this.shown?.name ?? "";
  }

  /**
   * Puts the element where the row belongs, and says whether that is another place. An element that showed
   * another cart does not glide there.
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
    setText(this.who, owner(cart));
    const kind = cart.customerSummary?.kind === Customer_Kind.GUEST ? ` · ${t("guest")}` : "";
    const where = cart.storefront ? ` · ${cart.storefront}` : "";
    setText(this.under, t("cart_number", { number: cart.number }) + kind + where);
    const names = (cart.customerSummary?.groups ?? []).map(groups);
    const chips = names.slice(0, CHIPS).map((name) => theirs(name, "chip"));
    if (names.length > CHIPS) chips.push(theirs(`+${names.length - CHIPS}`, "chip more"));
    this.chips.replaceChildren(...chips);
    const happened = foremost(row.happened);
    setText(this.what, happened ? inWords(happened) : lastLine(cart));
    const items = Number(cart.itemCount);
    setText(this.items, items > 0 ? count("items", items) : t("empty"));
    setText(this.total, money(cart.total?.micros ?? 0n, cart.currencyCode));
  }

  private tick(row: Row, mark: Mark, at: number): void {
    const known = states(row, at);
    const [state, ...others] = mark === "gone" ? [{ kind: "gone", text: t("mark_gone") }] : known;
    const { element } = this;
    setAttribute(element, "data-state", state!.kind);
    setAttribute(element, "data-mark", mark || null);
    setAttribute(element, "data-beats", state!.kind === "filling" && at - row.active < BEATS_FOR ? "" : null);
    const badges = [state!, ...others].map(({ kind, text }) => `${kind}\t${text}`).join("\n");
    if (this.state.dataset["badges"] !== badges) {
      this.state.dataset["badges"] = badges;
      this.state.replaceChildren(
        ...[state!, ...others].map(({ kind, text }) => theirs(text, `badge ${kind}`)),
      );
    }
    const since = (milliseconds: number) =>
      mark === "changed" ? t("mark_changed", { when: ago(milliseconds) }) : ago(milliseconds);
    setText(this.when, since(at - row.changed));
    setText(this.age, t("open_since", { time: duration(at - row.opened) }));
    const { cart } = row;
    const label = [
      owner(cart),
      t("cart_number", { number: cart.number }),
      ...[state!, ...others].map(({ text }) => text),
      this.items.textContent,
      this.total.textContent,
      this.what.textContent,
      since(Math.floor((at - row.changed) / 10_000) * 10_000),
    ];
    setAttribute(element, "aria-label", label.filter(Boolean).join(", ").slice(0, 500));
  }

  /** Shows that something happened. Two names of one animation, so that it begins anew each time. */
  private highlight(): void {
    this.flash = !this.flash;
    this.element.dataset["flash"] = this.flash ? "a" : "b";
  }
}

/** What a cart says that was there before the page was opened: its last line. */
function lastLine(cart: Cart): string {
  const item = cart.items.at(-1);
  if (!item) return "";
  const name = item.displayName || item.product;
  return item.quantity > 1 ? `${item.quantity} × ${name}` : name;
}
