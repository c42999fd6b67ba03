// The opened cart in full, with its events. It lies over the page and moves nothing.

import { Actions, lockId, type Edits } from "./actions";
import { Row, type Carts } from "./carts";
import { happenings } from "./causes";
import { h, icon, ICONS, setText, theirs } from "./dom";
import { facts } from "./facts";
import { History } from "./history";
import { Lines } from "./lines";
import { ChangeKind, type Cart, type CartChange, type Customer } from "clientela/browser";
import { owner, states } from "./row";
import { duration, money, t } from "./text";
import { milliseconds, now } from "./time";

/** Wait before the end of a cart's lock is requested again. */
const LEASE_EVERY = 5000;

export class Detail {
  readonly element: HTMLElement;
  readonly actions: Actions;
  name = "";
  private row: Row | null = null;
  private drawn: Cart | null = null;
  private isGone = false;
  /** The lock and its end from the last answer, because streams do not have the end. */
  private lease = { lock: "", until: 0 };
  private leaseAsked = 0;
  private readonly badges = h("div", { class: "badges" });
  private readonly contact = h("div", { class: "contact" });
  private readonly lines = new Lines();
  private readonly history = new History();
  private readonly facts = h("dl", { class: "facts" });
  private readonly body: HTMLElement;
  private readonly title = h("h2", { attributes: { id: "detail-title", tabindex: "-1" } });
  private readonly under = h("p", { class: "under" });
  private readonly total = h("p", { class: "detail-total" });
  private readonly groups: (name: string) => string;
  private readonly edits: Edits;

  constructor(groups: (name: string) => string, edits: Edits, close: () => void) {
    this.groups = groups;
    this.edits = edits;
    this.actions = new Actions(edits, (cart) => this.answered(cart), (version) => this.history.since(version));
    const button = h(
      "button",
      { class: "quiet close", attributes: { type: "button", "aria-label": t("close"), title: t("close") }, on: { click: close } },
      icon(ICONS.close),
    );
    const who = h("div", { class: "detail-who" }, this.title, this.under);
    this.body = h(
      "div",
      { class: "detail-body", attributes: { tabindex: "-1" } },
      this.badges,
      this.contact,
      this.actions.element,
      this.lines.element,
      this.history.element,
      h("section", {}, h("h3", { text: t("details") }), this.facts),
    );
    this.element = h(
      "aside",
      { class: "detail", attributes: { "aria-labelledby": "detail-title" } },
      h("div", { class: "detail-head" }, who, this.total, button),
      this.body,
    );
    this.close();
  }

  get open(): boolean {
    return this.name !== "";
  }

  /** The customer of the cart: `customers/{id}`, or empty. */
  get customer(): string {
    return this.row?.cart.customer ?? "";
  }

  /** Shows a cart: the one of the list, or, if the list lacks it, the first one of its own stream. */
  show(name: string, row: Row | null): void {
    this.name = name;
    this.row = row;
    this.drawn = null;
    this.isGone = false;
    this.actions.begin();
    this.lines.begin();
    this.history.begin(row?.happened ?? []);
    this.element.classList.add("open");
    this.element.inert = false;
    this.body.scrollTop = 0;
    if (!row) this.clear(t("loading_cart"));
    this.draw();
    this.title.focus({ preventScroll: true });
  }

  close(): void {
    this.name = "";
    this.row = null;
    this.element.classList.remove("open");
    this.element.inert = true;
    this.contact.replaceChildren();
  }

  /** Takes a change of the cart's own stream, which has each version, sooner than the list. */
  change(change: CartChange): void {
    if (change.kind !== ChangeKind.UPSERTED || !change.cart) return this.gone();
    this.isGone = false;
    this.take(change.cart);
    this.history.tell(happenings(change));
    this.draw();
  }

  /** The cart does not exist, or no longer. */
  gone(): void {
    if (!this.open) return;
    this.isGone = true;
    if (!this.row) this.clear(t("no_such_cart"));
    else this.notice(t("gone"));
    this.actions.draw(null);
  }

  /** Shows the e-mail address and the telephone number of the customer. */
  reach({ email, phone }: Pick<Customer, "email" | "phone">): void {
    const link = (href: string, label: string, value: string) =>
      h("a", { attributes: { href, "aria-label": `${label}: ${value}` } }, theirs(value));
    this.contact.replaceChildren();
    if (email) {
      const to = encodeURIComponent(email).replace("%40", "@");
      this.contact.append(link(`mailto:${to}`, t("email"), email));
    }
    if (phone) this.contact.append(link(`tel:${phone.replace(/[^\d+]/g, "")}`, t("phone"), phone));
  }

  /** Draws the changes since the last drawing. */
  draw(carts?: Carts): void {
    if (!this.open || this.isGone) return;
    this.row = carts?.rows.get(this.name) ?? this.row;
    const { row } = this;
    if (!row) return;
    this.history.tell(row.happened);
    const at = now();
    const badges = states(row, at).map(({ kind, text }) => theirs(text, `badge ${kind}`));
    const key = badges.map((badge) => badge.className + badge.textContent).join("\n");
    if (this.badges.dataset["key"] !== key) {
      this.badges.dataset["key"] = key;
      this.badges.replaceChildren(...badges);
    }
    const number = t("cart_number", { number: row.cart.number });
    setText(this.under, `${number} · ${t("opened", { time: duration(at - row.opened) })}`);
    this.actions.draw(row.cart);
    this.askLease(row.cart, at);
    if (this.drawn === row.cart) return;
    this.drawn = row.cart;
    this.title.replaceChildren(theirs(owner(row.cart)));
    setText(this.total, money(row.cart.total?.micros ?? 0n, row.cart.currencyCode));
    this.lines.draw(row.cart);
    this.facts.replaceChildren(...facts(row.cart, this.leaseOf(row.cart), this.groups));
  }

  /** The end of the lock; 0 if the cart is not locked or the end is unknown. */
  private leaseOf({ lock }: Cart): number {
    return lock && lockId(lock) === this.lease.lock ? this.lease.until : 0;
  }

  private askLease(cart: Cart, at: number): void {
    if (!cart.lock || this.leaseOf(cart) > at || at < this.leaseAsked + LEASE_EVERY) return;
    this.leaseAsked = at;
    this.edits.read(cart.name).then((cart) => this.answered(cart)).catch(() => {});
  }

  /** Takes the cart of an action's answer, which comes before that of any stream. */
  private answered(cart: Cart): void {
    if (cart.name !== this.name) return;
    if (cart.lock?.expireTime) {
      this.lease = { lock: lockId(cart.lock), until: milliseconds(cart.lock.expireTime) };
      this.drawn = null;
    }
    this.take(cart);
    this.draw();
  }

  private take(cart: Cart): void {
    if (!this.row) this.row = new Row(cart);
    else if (cart.version > this.row.cart.version) this.row.take(cart);
  }

  private clear(notice: string): void {
    this.title.replaceChildren(t("cart"));
    for (const element of [this.under, this.total]) setText(element, "");
    for (const element of [this.lines.element, this.facts, this.contact]) element.replaceChildren();
    this.notice(notice);
    this.actions.draw(null);
  }

  private notice(text: string): void {
    delete this.badges.dataset["key"];
    this.badges.replaceChildren(h("p", { class: "notice", text }));
  }
}
