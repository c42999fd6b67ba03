// The calls of a shop. A shopper is a visitor, identified by a token that the shop stored in a cookie, until
// an account or a checkout makes a customer.

import {
  Cart_State, ChangeKind, ClientelaError, Customer_Kind,
  type Cart, type Client, type Customer,
} from "clientela";

export type Shopper = { visitor: string } | { customer: string };

export interface Icon {
  count: number;
  total: string;
}

export interface Payment {
  order: string;
  cart: string;
  /** The paid amount, in millionths. */
  micros: bigint;
  currencyCode: string;
}

const EMPTY: Icon = { count: 0, total: "" };

/** Returns the open cart of a shopper. */
function cartOf(shopper: Shopper) {
  const owner =
    "visitor" in shopper
      ? ({ case: "visitor", value: shopper.visitor } as const)
      : ({ case: "customer", value: shopper.customer } as const);
  return { target: { case: "owner", value: { owner } } } as const;
}

export class Shop {
  constructor(private readonly client: Client) {}

  /** Adds a product to the open cart, or to a new one. With one `click` a double click counts once. */
  add(shopper: Shopper, product: string, quantity: number, micros: bigint, click: string): Promise<Cart> {
    const price = { listPrice: { currencyCode: "EUR", micros }, priceIncludesTax: true, taxRate: "20" };
    return this.client.carts.addItem({
      target: cartOf(shopper),
      item: { product, quantity, price },
      requestId: click,
    });
  }

  /** Yields the content of the cart icon, now and after every change in any tab or device. */
  async *icon(shopper: Shopper, signal: AbortSignal): AsyncGenerator<Icon> {
    let icon = EMPTY;
    for await (const event of this.client.watchCart({ target: cartOf(shopper) }, { signal })) {
      if (event.type === "reset") icon = EMPTY;
      if (event.type === "change") {
        const { kind, cart } = event.change;
        // The cart was ordered or assigned: the shopper begins with an empty one.
        const open = kind === ChangeKind.UPSERTED && cart?.state === Cart_State.OPEN;
        icon = open ? { count: Number(cart.itemCount), total: amount(cart) } : EMPTY;
      }
      // During a snapshot the content is not known yet.
      if (event.type !== "reset") yield icon;
    }
  }

  /**
   * Makes a guest of a visitor, with the address and the cart, in one call: all of it or nothing. `getCart`
   * of the guest returns the cart.
   */
  async checkOut(visitor: string, email: string, name: string, form: string): Promise<{ guest: Customer; cart: Cart }> {
    const [firstName = "", ...rest] = name.split(" ");
    const person = { firstName, lastName: rest.join(" ") };
    const guest = await this.client.customers.createCustomer({
      customer: { ...person, email, kind: Customer_Kind.GUEST },
      addresses: [{ ...person, line1: "1 Main Street", city: "Berlin", postalCode: "10115", countryCode: "DE" }],
      visitor,
      requestId: form,
    });
    const cart = await this.client.carts.getCart({ target: cartOf({ customer: guest.name }) });
    return { guest, cart };
  }

  /**
   * Handles the webhook of the payment service, which repeats it until it is answered. The order is placed
   * once, and every repetition gets the same answer. Returns false if the payment does not fit the cart.
   */
  async paid({ order, cart, micros, currencyCode }: Payment): Promise<boolean> {
    try {
      await this.client.carts.orderCart({
        target: { target: { case: "cart", value: cart } },
        orderReference: order,
        expectedTotal: { micros, currencyCode },
      });
      return true;
    } catch (error) {
      if (error instanceof ClientelaError && error.reason === "TOTAL_CHANGED") return false;
      throw error;
    }
  }
}

function amount({ total }: Cart): string {
  return `${(Number(total?.micros ?? 0n) / 1e6).toFixed(2)} ${total?.currencyCode}`;
}
