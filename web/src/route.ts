// The address of the page. It names the opened cart, so that people can send it, load it again, and go Back
// and Forward.

const CART = /^#\/(carts\/[a-z0-9-]{1,63})$/;

/** The cart that the address names: `carts/{id}`, or empty. */
export function cartInAddress(): string {
  return CART.exec(location.hash)?.[1] ?? "";
}

/** Has the address name a cart, or none. Another address is a step of the browser's history. */
export function nameCart(cart: string): void {
  if (cart !== cartInAddress()) history.pushState(null, "", `#/${cart}`);
}

/** Has the address name nothing, without a step of the history. */
export function forgetCart(): void {
  if (location.hash) history.replaceState(null, "", location.pathname);
}

/** Calls `changed` whenever somebody goes to another address of the page. */
export function onAddress(changed: (cart: string) => void): void {
  addEventListener("hashchange", () => changed(cartInAddress()));
}
