// The lines of the opened cart and their sum.
//
// Invariant: the shown amounts add up. Unit price times quantity, with the discount and the tax of the line,
// is the line's total. The lines, charges and adjustments are the cart's total.

import type { Cart, Item } from "clientela/browser";
import { h, theirs } from "./dom";
import { exactMoney, money, number, t } from "./text";

export class Lines {
  readonly element = h("section", { class: "lines" });
  /** The quantity of each line that was shown, to mark the lines that changed. */
  private quantities = new Map<string, number>();

  /** Forgets the quantities, for another cart. */
  begin(): void {
    this.quantities.clear();
  }

  draw(cart: Cart): void {
    const head = (...names: string[]) =>
      h("thead", {}, h("tr", {}, ...names.map((text) => h("th", { text, attributes: { scope: "col" } }))));
    const columns = h("colgroup", {}, ...["quantity", "", "amount"].map((name) => h("col", { class: name })));
    const body = h("tbody", {}, ...cart.items.map((item) => this.line(cart, item)));
    this.quantities = new Map(cart.items.map((item) => [item.name, item.quantity]));
    const title = h("h3", { text: t("lines") });
    if (cart.items.length === 0) title.append(h("span", { class: "hint", text: ` · ${t("state_empty")}` }));
    this.element.replaceChildren(
      title,
      h("table", {}, columns, head(t("quantity"), t("product"), t("total")), body, foot(cart)),
    );
  }

  private line(cart: Cart, item: Item): HTMLElement {
    const before = this.quantities.get(item.name);
    const changed = this.quantities.size > 0 && before !== item.quantity;
    const notes = [item.variant, ...reckoning(item, cart.currencyCode)];
    if (item.priceOverride) notes.push(`${t("by_hand")}: ${item.priceOverride.reason}`);
    notes.push(...pairs(item.attributes).map(([name, value]) => `${name}: ${value}`));
    // Each has its own direction, so that right-to-left text stays in its place.
    const under = notes.filter(Boolean).flatMap((note, n) => (n > 0 ? [" · ", theirs(note)] : [theirs(note)]));
    return h(
      "tr",
      { class: changed ? "changed" : "" },
      h("td", { class: "quantity", text: number(item.quantity) }),
      h("td", {}, theirs(item.displayName || item.product), h("span", { class: "under" }, ...under)),
      h("td", { class: "amount", text: money(micros(item.total), cart.currencyCode) }),
    );
  }
}

/** Shows how a line's total is made: the price of one with all its places, the discount, the tax. */
function reckoning(item: Item, currency: string): string[] {
  const parts = [t("each", { price: exactMoney(micros(item.unitPrice), currency) })];
  const discount = micros(item.discount);
  if (discount !== 0n) parts.push(t("line_discount", { amount: money(discount, currency) }));
  // If prices are without tax, the tax is added.
  const tax = micros(item.total) - micros(item.subtotal) + discount;
  if (tax !== 0n) parts.push(t("line_tax", { amount: money(tax, currency) }));
  return parts;
}

function foot(cart: Cart): HTMLElement {
  const foot = h("tfoot");
  const row = (label: string, micros: bigint, kind = "") =>
    foot.append(
      h(
        "tr",
        { class: kind },
        h("th", { attributes: { scope: "row", colspan: "2" } }, theirs(label)),
        h("td", { class: "amount", text: money(micros, cart.currencyCode) }),
      ),
    );
  const extras = [...cart.charges, ...cart.adjustments];
  const lines = cart.items.reduce((sum, { total }) => sum + micros(total), 0n);
  const total = micros(cart.total);
  if (extras.length > 0) row(t("lines_total"), lines);
  for (const one of extras) row(one.label || one.kind, micros(one.amount));
  // A total is never below zero: the rest of a voucher is not used.
  const rest = total - extras.reduce((sum, { amount }) => sum + micros(amount), lines);
  if (rest !== 0n) row(t("not_below_zero"), rest);
  row(t("total"), total, "sum");
  if (micros(cart.tax) !== 0n) row(t("tax_included"), micros(cart.tax), "of-it");
  if (micros(cart.discount) !== 0n) row(t("discount_included"), micros(cart.discount), "of-it");
  return foot;
}

function micros(amount: { micros: bigint } | undefined): bigint {
  return amount?.micros ?? 0n;
}

/** The shop's own attributes, as text. */
export function pairs(object: Record<string, unknown> | undefined): [string, string][] {
  return Object.entries(object ?? {}).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}
