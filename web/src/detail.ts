// One cart in full, with what happened to it, as it happens.

import { Carts, type Row } from "./carts";
import { inWords, type Happening } from "./causes";
import { h, icon, ICONS, setText, theirs } from "./dom";
import type { Cart, Item } from "clientela/browser";
import type { Address } from "clientela/browser";
import { owner, states } from "./row";
import { clock, count, date, duration, money, number, t } from "./text";
import { milliseconds, now } from "./time";
import type { Word } from "./words";

/** How many things that happened are kept of the cart that is looked at. */
const HISTORY_MAX = 200;

export class Detail {
  readonly element: HTMLElement;
  name = "";
  private row: Row | null = null;
  private drawn: Cart | null = null;
  private history: Happening[] = [];
  private told = new Set<bigint>();
  private quantities = new Map<string, number>();
  private readonly head = h("div", { class: "detail-head" });
  private readonly badges = h("div", { class: "badges" });
  private readonly lines = h("div", { class: "lines" });
  private readonly facts = h("dl", { class: "facts" });
  private readonly log = h("ol", { class: "history" });
  private readonly logHint = h("p", { class: "hint" });
  private readonly body: HTMLElement;
  private readonly title = h("h2", { attributes: { id: "detail-title", tabindex: "-1" } });
  private readonly under = h("p", { class: "under" });
  private readonly total = h("p", { class: "detail-total" });
  private readonly groups: (name: string) => string;

  constructor(groups: (name: string) => string, close: () => void) {
    this.groups = groups;
    const button = h(
      "button",
      { class: "quiet close", attributes: { type: "button", "aria-label": t("close"), title: t("close") }, on: { click: close } },
      icon(ICONS.close),
    );
    this.head.append(h("div", { class: "detail-who" }, this.title, this.under), this.total, button);
    this.body = h(
      "div",
      { class: "detail-body", attributes: { tabindex: "-1" } },
      this.badges,
      h("h3", { text: t("lines") }),
      this.lines,
      h("h3", { text: t("history") }),
      this.logHint,
      this.log,
      h("h3", { text: t("details") }),
      this.facts,
    );
    this.element = h(
      "aside",
      { class: "detail", attributes: { "aria-labelledby": "detail-title" } },
      this.head,
      this.body,
    );
    this.close();
  }

  get open(): boolean {
    return this.name !== "";
  }

  /** Shows a cart from what the list knows of it. */
  show(row: Row): void {
    this.name = row.name;
    this.row = row;
    this.drawn = null;
    this.quantities.clear();
    this.history = [...row.happened];
    this.told = new Set(this.history.map((one) => one.version));
    this.element.classList.add("open");
    this.element.inert = false;
    this.body.scrollTop = 0;
    this.drawLog();
    this.draw();
    this.title.focus({ preventScroll: true });
  }

  close(): void {
    this.name = "";
    this.row = null;
    this.element.classList.remove("open");
    this.element.inert = true;
  }

  /**
   * Takes what happened to the cart, from its own stream, which tells each version, and from that of the
   * list, which may have told one before the cart's began. What was told already is passed over.
   */
  tell(happened: Happening[]): void {
    const news = happened.filter((one) => !this.told.has(one.version));
    if (news.length === 0) return;
    const last = this.history.at(-1)?.version ?? 0n;
    for (const one of news) this.told.add(one.version);
    this.history.push(...news);
    if (news[0]!.version < last) {
      this.history.sort((a, b) => Number(a.version - b.version));
      this.drawLog();
    } else for (const one of news) this.log.prepend(this.entry(one, true));
    while (this.history.length > HISTORY_MAX) {
      this.told.delete(this.history.shift()!.version);
      this.log.lastElementChild?.remove();
    }
  }

  private drawLog(): void {
    this.log.replaceChildren(...this.history.map((one) => this.entry(one, false)).reverse());
  }

  /** The cart is not there any more. */
  gone(): void {
    if (!this.open) return;
    this.row = null;
    this.badges.replaceChildren(h("p", { class: "notice", text: t("gone") }));
  }

  /** Draws what changed since it was drawn. */
  draw(carts?: Carts): void {
    if (!this.open) return;
    if (carts) {
      const row = carts.rows.get(this.name) ?? null;
      if (!row && this.row) return this.gone();
      this.row = row ?? this.row;
    }
    const { row } = this;
    if (!row) return;
    this.tell(row.happened);
    const at = now();
    const badges = states(row, at).map(({ kind, text }) => theirs(text, `badge ${kind}`));
    const key = badges.map((badge) => badge.className + badge.textContent).join("\n");
    if (this.badges.dataset["key"] !== key || this.badges.querySelector(".notice")) {
      this.badges.dataset["key"] = key;
      this.badges.replaceChildren(...badges);
    }
    setText(this.under, `${t("cart_number", { number: row.cart.number })} · ${t("opened", { time: duration(at - row.opened) })}`);
    this.logHint.textContent = t(this.history.length > 0 ? "history_hint" : "history_none");
    if (this.drawn === row.cart) return;
    this.drawn = row.cart;
    this.whole(row.cart);
  }

  private whole(cart: Cart): void {
    const amount = (micros: bigint | undefined) => money(micros ?? 0n, cart.currencyCode);
    this.title.replaceChildren(theirs(owner(cart)));
    setText(this.total, amount(cart.total?.micros));
    const body = h("tbody", {}, ...cart.items.map((item) => this.line(cart, item)));
    this.quantities = new Map(cart.items.map((item) => [item.name, item.quantity]));
    const foot = h("tfoot");
    const sum = (label: string, micros: bigint | undefined, kind = "") => {
      if (micros === undefined || (micros === 0n && kind !== "sum")) return;
      foot.append(
        h(
          "tr",
          { class: kind },
          h("th", { attributes: { scope: "row", colspan: "2" } }, theirs(label)),
          h("td", { class: "amount", text: amount(micros) }),
        ),
      );
    };
    if (cart.discount && cart.discount.micros !== 0n) {
      sum(t("subtotal"), cart.subtotal?.micros);
      sum(t("discount"), -cart.discount.micros);
    }
    for (const charge of cart.charges) sum(charge.label || charge.kind, charge.amount?.micros);
    for (const one of cart.adjustments) sum(one.label || one.kind, one.amount?.micros);
    sum(t("total"), cart.total?.micros ?? 0n, "sum");
    sum(t("tax_included"), cart.tax?.micros, "tax");
    const head = h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { text: t("quantity"), attributes: { scope: "col" } }),
        h("th", { text: t("lines"), attributes: { scope: "col" } }),
        h("th", { text: t("total"), attributes: { scope: "col" } }),
      ),
    );
    const columns = h("colgroup", {}, ...["quantity", "", "amount"].map((name) => h("col", { class: name })));
    this.lines.replaceChildren(h("table", {}, columns, head, body, foot));
    this.facts.replaceChildren(...this.known(cart));
  }

  private line(cart: Cart, item: Item): HTMLElement {
    const before = this.quantities.get(item.name);
    const changed = this.quantities.size > 0 && before !== item.quantity;
    const notes = [item.variant, t("each", { price: money(item.unitPrice?.micros ?? 0n, cart.currencyCode) })];
    if (item.priceOverride) notes.push(`${t("by_hand")}: ${item.priceOverride.reason}`);
    notes.push(...pairs(item.attributes).map(([name, value]) => `${name}: ${value}`));
    // Each in a direction of its own: one that is written from right to left stays in its place.
    const under = notes.filter(Boolean).flatMap((note, n) => (n > 0 ? [" · ", theirs(note)] : [theirs(note)]));
    return h(
      "tr",
      { class: changed ? "changed" : "" },
      h("td", { class: "quantity", text: number(item.quantity) }),
      h("td", {}, theirs(item.displayName || item.product), h("span", { class: "under" }, ...under)),
      h("td", { class: "amount", text: money(item.total?.micros ?? 0n, cart.currencyCode) }),
    );
  }

  private known(cart: Cart): HTMLElement[] {
    const facts: HTMLElement[] = [];
    const fact = (word: Word, ...values: string[]) => {
      const texts = values.filter(Boolean);
      if (texts.length === 0) return;
      facts.push(h("dt", { text: t(word) }), h("dd", {}, ...texts.map((text) => theirs(text))));
    };
    const time = (word: Word, stamp: Cart["createTime"]) =>
      stamp && fact(word, date(milliseconds(stamp)));
    fact("customer", cart.customer);
    fact("groups", ...(cart.customerSummary?.groups ?? []).map(this.groups));
    fact("order_reference", cart.orderReference);
    fact("cart_name", cart.displayName);
    fact("slot", cart.slot === "main" ? "" : cart.slot);
    fact("storefront", cart.storefront);
    fact("language_code", cart.languageCode);
    fact("shipping_method", cart.shippingMethod);
    fact("delivery_address", address(cart.deliveryAddress));
    fact("billing_address", address(cart.billingAddress));
    fact("note", cart.note);
    for (const [name, value] of pairs(cart.attributes)) {
      facts.push(h("dt", {}, theirs(name)), h("dd", {}, theirs(value)));
    }
    time("created", cart.createTime);
    time("changed", cart.updateTime);
    fact("version", number(Number(cart.version)));
    return facts;
  }

  private entry(one: Happening, fresh: boolean): HTMLElement {
    // Versions follow each other by one: what is missing between two was told by neither stream.
    const before = this.history[this.history.indexOf(one) - 1];
    const skipped = before ? Number(one.version - before.version) - 1 : 0;
    return h(
      "li",
      { class: fresh ? "fresh" : "" },
      h("time", { text: clock(one.time), attributes: { datetime: new Date(one.time).toISOString() } }),
      h(
        "span",
        {},
        theirs(inWords(one)),
        one.actor && theirs(t("by", { actor: one.actor }), "under"),
        skipped > 0 && h("span", { class: "under skipped", text: count("skipped", skipped) }),
      ),
    );
  }
}

/** The fields that a shop has put there itself, as text. */
function pairs(object: Record<string, unknown> | undefined): [string, string][] {
  return Object.entries(object ?? {}).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}

function address(address: Address | undefined): string {
  if (!address) return "";
  const person = [address.firstName, address.lastName].filter(Boolean).join(" ");
  const city = [address.postalCode, address.city].filter(Boolean).join(" ");
  const { company, line1, line2, region, countryCode } = address;
  return [person, company, line1, line2, city, region, countryCode].filter(Boolean).join(", ");
}
