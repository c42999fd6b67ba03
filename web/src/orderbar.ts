// The line above the list: it shows whether the order is held, and has the control that renews it. Its height
// is constant, so that it never moves the list.

import { h, icon, ICONS, setText } from "./dom";
import type { Order } from "./order";
import { count, t } from "./text";

export class OrderBar {
  readonly element: HTMLElement;
  /** Describes the list to screen readers. */
  readonly hint = h("span", { class: "unseen", text: t("order_hint"), attributes: { id: "order-hint" } });
  private readonly state = h("span", { class: "order-state" });
  private readonly pending = h("span", { class: "order-pending", attributes: { id: "order-pending" } });
  private readonly said = h("span", { class: "unseen", attributes: { role: "status" } });
  private readonly button: HTMLButtonElement;
  private warned = false;

  constructor(update: () => void) {
    this.button = h(
      "button",
      {
        class: "primary order-update",
        attributes: { type: "button", "aria-keyshortcuts": "u", "aria-describedby": "order-pending", title: t("order_key") },
        on: { click: update },
      },
      icon(ICONS.update),
      h("span", { text: t("order_update") }),
    );
    this.element = h("div", { class: "order" }, this.state, this.button, this.pending, this.said, this.hint);
  }

  /** Whether the control has the focus. The next drawing removes the focus if there is nothing left to do. */
  get focused(): boolean {
    return document.activeElement === this.button;
  }

  draw(order: Order, held: boolean): void {
    const { moved, added, removed } = order.pending;
    const waiting = held && !order.upToDate;
    this.element.classList.toggle("held", held);
    this.element.classList.toggle("pending", waiting);
    setText(this.state, t(held ? "order_held" : "order_live"));
    const parts = [moved && count("moved", moved), added && count("added", added), removed && count("removed", removed)];
    setText(this.pending, waiting ? parts.filter(Boolean).join(" · ") : "");
    this.button.classList.toggle("needless", !waiting);
    // Announced once, because the counts change too often to be read out.
    if (waiting && !this.warned) setText(this.said, t("order_waits"));
    this.warned = waiting || (this.warned && held);
    if (!held) setText(this.said, "");
  }

  /** Tells screen readers that the order was renewed. */
  renewed(): void {
    setText(this.said, t("order_renewed"));
  }
}
