// The facts of a cart beside its lines, as terms and their values.

import type { Address, Cart } from "clientela/browser";
import { h, theirs } from "./dom";
import { pairs } from "./lines";
import { date, minute, number, t } from "./text";
import { milliseconds } from "./time";
import type { Word } from "./words";

/** `lease` is the end of the cart's lock, or 0; `groups` returns the display name of a group. */
export function facts(cart: Cart, lease: number, groups: (name: string) => string): HTMLElement[] {
  const facts: HTMLElement[] = [];
  const fact = (word: Word, ...values: string[]) => {
    const texts = values.filter(Boolean);
    if (texts.length === 0) return;
    facts.push(h("dt", { text: t(word) }), h("dd", {}, ...texts.map((text) => theirs(text))));
  };
  const time = (word: Word, stamp: Cart["createTime"]) => stamp && fact(word, date(milliseconds(stamp)));
  fact("lock_purpose", cart.lock?.purpose ?? "");
  fact("lock_expires", lease ? minute(lease) : "");
  fact("customer", cart.customer);
  fact("groups", ...(cart.customerSummary?.groups ?? []).map(groups));
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

function address(address: Address | undefined): string {
  if (!address) return "";
  const person = [address.firstName, address.lastName].filter(Boolean).join(" ");
  const city = [address.postalCode, address.city].filter(Boolean).join(" ");
  const { company, line1, line2, region, countryCode } = address;
  return [person, company, line1, line2, city, region, countryCode].filter(Boolean).join(", ");
}
