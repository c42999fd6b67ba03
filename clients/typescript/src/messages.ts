// Messages: short ways to write the messages that almost every program needs.

import { create } from "@bufbuild/protobuf";
import { CartTargetSchema, type CartTarget } from "./gen/clientela/v1/cart_service_pb.js";
import { MoneySchema, type Money } from "./gen/clientela/v1/common_pb.js";

/** The largest amount of the contract, in millionths. */
const MICROS_MAX = 2n ** 53n - 1n;

/** Returns the target of the cart with this name, for example `carts/019a`. */
export function cart(name: string): CartTarget {
  return create(CartTargetSchema, { target: { case: "cart", value: name } });
}

/** Returns the target of the open cart of a customer, for example `customers/ada`, in the slot `main`. */
export function customerCart(customer: string): CartTarget {
  return create(CartTargetSchema, { target: { case: "owner", value: { owner: { case: "customer", value: customer } } } });
}

/**
 * Returns the target of the open cart of a visitor in the slot `main`. The token is the one that the storefront gave
 * to the visitor: 16 to 256 characters.
 */
export function visitorCart(token: string): CartTarget {
  return create(CartTargetSchema, { target: { case: "owner", value: { owner: { case: "visitor", value: token } } } });
}

/**
 * Returns an amount of a currency: `money("EUR", "11.90")` is 11.90 euros. The amount is a decimal number with at
 * most six places. Anything else, and an amount that is too large for the contract, throws a `RangeError`.
 */
export function money(currencyCode: string, amount: string): Money {
  const [, whole, places = ""] = /^(-?[0-9]+)(?:\.([0-9]{1,6}))?$/.exec(amount) ?? [];
  if (whole === undefined) {
    const example = 'for example "11.90"';
    throw new RangeError(`amount ${JSON.stringify(amount)} is not a decimal number with at most six places, ${example}`);
  }
  const micros = BigInt(whole + places.padEnd(6, "0"));
  if (micros > MICROS_MAX || micros < -MICROS_MAX) {
    throw new RangeError(`amount ${JSON.stringify(amount)} is too large: at most 9007199254.740991`);
  }
  return create(MoneySchema, { currencyCode, micros });
}
