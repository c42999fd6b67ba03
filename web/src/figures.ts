// The figures of the shop, from the server, and the chart.

import { Chart } from "./chart";
import { h, setText } from "./dom";
import type { CartFigures } from "clientela/browser";
import { minute, money, number, t } from "./text";
import type { Word } from "./words";

/** Figures come at least every five seconds; older ones are stale. */
const STALE_AFTER = 20_000;

export class Figures {
  readonly element: HTMLElement;
  private readonly values = new Map<string, { value: HTMLElement; more: HTMLElement }>();
  private readonly chart = new Chart();
  private shownAt = 0;

  constructor() {
    const card = (name: Word, kind = "") => {
      const value = h("span", { class: "value", text: "–" });
      const more = h("span", { class: "more" });
      this.values.set(name, { value, more });
      return h("div", { class: `card ${kind}` }, h("h3", { text: t(name) }), value, more);
    };
    this.element = h(
      "section",
      // It scrolls only on a telephone, with the keyboard too.
      { class: "figures", attributes: { "aria-label": t("figures"), tabindex: "0" } },
      card("open_carts", "open"),
      card("filling_carts", "filling"),
      card("idle_carts"),
      card("abandoned_carts", "abandoned"),
      card("online"),
      card("open_value", "amount"),
      card("at_risk", "amount at-risk"),
      this.chart.element,
    );
  }

  show(figures: CartFigures, told: number): void {
    this.set("filling_carts", number(Number(figures.fillingCarts)));
    this.set("open_carts", number(Number(figures.openCarts)));
    this.set("idle_carts", number(Number(figures.idleCarts)));
    this.set("abandoned_carts", number(Number(figures.abandonedCarts)));
    const [customers, visitors] = [Number(figures.customersOnline), Number(figures.visitorsOnline)];
    const parts = { customers: number(customers), visitors: number(visitors) };
    this.set("online", number(customers + visitors), t("online_parts", parts));
    for (const [name, of] of [["open_value", "open"], ["at_risk", "atRisk"]] as const) {
      const amounts = figures.values
        .map((value) => value[of])
        .filter((amount) => amount !== undefined)
        .sort((a, b) => Number(b.micros - a.micros))
        .map((amount) => money(amount.micros, amount.currencyCode, true));
      this.set(name, amounts[0] ?? number(0), amounts.slice(1).join(" · "));
    }
    this.warn("abandoned_carts", figures.abandonedCarts > 0n);
    this.warn("at_risk", figures.values.some(({ atRisk }) => atRisk && atRisk.micros > 0n));
    this.shownAt = Date.now();
    this.chart.add(Number(figures.fillingCarts), told);
    this.tick();
  }

  /** Shows a warning if the figures are stale. */
  tick(): void {
    const stale = this.shownAt > 0 && Date.now() - this.shownAt > STALE_AFTER;
    this.element.classList.toggle("stale", stale);
    this.chart.warn(stale ? t("figures_stale", { time: minute(this.shownAt) }) : "");
  }

  /** Only figures that need attention have a colour. */
  private warn(name: string, warn: boolean): void {
    this.values.get(name)!.value.classList.toggle("warning", warn);
  }

  private set(name: string, value: string, more = ""): void {
    const card = this.values.get(name)!;
    setText(card.value, value);
    setText(card.more, more);
    card.more.title = more;
  }
}
