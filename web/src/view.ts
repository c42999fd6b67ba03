// The page after sign-in: its parts, and how it is drawn after a change.

import type { Edits } from "./actions";
import type { Condition, Carts, Selection } from "./carts";
import { Detail } from "./detail";
import { h, icon, ICONS, setAttribute, setText } from "./dom";
import { Figures } from "./figures";
import { ListView } from "./list";
import { options } from "./options";
import { Order } from "./order";
import { OrderBar } from "./orderbar";
import { Presence } from "./presence";
import { nameCart } from "./route";
import { heads } from "./row";
import { count, number, t } from "./text";
import type { Word } from "./words";

export type Status = "connecting" | "loading" | "live" | "away";

/** The actions of the page. */
export interface Orders {
  /** Watches a cart that was opened. */
  open(name: string): void;
  close(): void;
  togglePause(): void;
  groups(name: string): string;
  edits: Edits;
}

const CONDITIONS = ["all", "filling", "idle", "abandoned", "held", "ordered"] as const;
/** Shortest time between two sorts of the list, because nobody reads faster. */
const DRAWN_EVERY = 250;
/** Changes a second from which on rows jump to their places instead of gliding. */
const CALM = 4;

export class View {
  readonly element: HTMLElement;
  readonly detail: Detail;
  readonly figures = new Figures();
  readonly list: ListView;
  private readonly order = new Order();
  private readonly orderBar = new OrderBar(() => this.renewOrder());
  private readonly presence: Presence;
  private readonly carts: Carts;
  private readonly orders: Orders;
  private readonly selection: Selection;
  private readonly status = h("span", { class: "status", attributes: { role: "status" } });
  private readonly waiting = h("span", { class: "waiting" });
  private readonly pause: HTMLButtonElement;
  private readonly notice = h("p", { class: "notice-bar", attributes: { role: "alert" } });
  private readonly search: HTMLInputElement;
  private readonly chips = new Map<string, { button: HTMLButtonElement; count: HTMLElement }>();
  private readonly group: HTMLSelectElement;
  private readonly storefront: HTMLSelectElement;
  private readonly shown = h("p", { class: "shown" });
  private readonly empty = h("div", { class: "none" });
  /** The parts that the opened cart covers in a narrow window. */
  private readonly covered: HTMLElement[];
  private due = false;
  private drawnAt = 0;
  private toldBefore = 0;
  private loaded = false;

  constructor(carts: Carts, selection: Selection, orders: Orders, tools: HTMLElement) {
    this.carts = carts;
    this.selection = selection;
    this.orders = orders;
    this.detail = new Detail(orders.groups, orders.edits, () => this.close());
    this.list = new ListView(this.order, t("list"), orders.groups, (name) => this.open(name));
    this.pause = h("button", {
      class: "pause",
      attributes: { type: "button", "aria-keyshortcuts": "p" },
      on: { click: orders.togglePause },
    });
    this.search = h("input", {
      attributes: {
        type: "search",
        placeholder: t("search_hint"),
        "aria-label": t("search"),
        "aria-keyshortcuts": "/",
        autocomplete: "off",
        spellcheck: "false",
      },
      on: { input: () => this.choose({ search: this.search.value }) },
    });
    this.search.value = selection.search;
    const select = (label: Word, field: "group" | "storefront") => {
      const element: HTMLSelectElement = h("select", {
        attributes: { "aria-label": t(label) },
        on: { change: () => this.choose({ [field]: element.value }) },
      });
      return element;
    };
    this.group = select("group", "group");
    this.storefront = select("storefront", "storefront");
    const chips = h("div", { class: "conditions", attributes: { role: "group", "aria-label": t("filter") } });
    for (const condition of CONDITIONS) {
      const count = h("span", { class: "count" });
      const button = h(
        "button",
        { class: `condition ${condition}`, attributes: { type: "button" }, on: { click: () => this.choose({ condition }) } },
        t(condition),
        count,
      );
      this.chips.set(condition, { button, count });
      chips.append(button);
    }
    const header = h(
      "header",
      { class: "bar" },
      h("span", { class: "logo", attributes: { "aria-hidden": "true" } }),
      h("h1", { text: t("title") }),
      this.status,
      h("span", { class: "grow" }),
      this.waiting,
      this.pause,
      tools,
    );
    this.orderBar.element.prepend(this.shown);
    const lists = h("div", { class: "lists" }, this.orderBar.element, heads(), this.list.element, this.empty);
    this.presence = new Presence(lists, () => {
      lists.classList.toggle("still", this.presence.here);
      this.changed();
    });
    const filters = h(
      "div",
      { class: "filters" },
      h("label", { class: "search" }, icon(ICONS.search), this.search),
      chips,
      this.group,
      this.storefront,
    );
    this.covered = [this.figures.element, filters, lists];
    const below = h("div", { class: "below" }, lists, this.detail.element);
    this.element = h(
      "div",
      { class: "page", on: { keydown: (event) => this.key(event as KeyboardEvent) } },
      header,
      this.notice,
      h("main", {}, this.figures.element, filters, below),
    );
    this.draw();
  }

  /** Shows the state of the stream. */
  setStatus(status: Status, message = ""): void {
    this.loaded ||= status === "live";
    this.status.dataset["status"] = this.carts.paused && status === "live" ? "paused" : status;
    setText(this.status, t(this.carts.paused && status === "live" ? "paused" : status));
    setText(this.notice, message);
    this.notice.hidden = !message;
    this.drawPause();
    this.drawEmpty();
  }

  /** Draws with the next frame, at the limited rate. */
  changed(): void {
    this.drawPause();
    if (this.due) return;
    this.due = true;
    const wait = Math.max(0, this.drawnAt + DRAWN_EVERY - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
  }

  /** Draws the page. The order of the list is held while a person is in it, unless `renew` is set. */
  draw(renew = false): void {
    this.due = false;
    this.drawnAt = performance.now();
    const { rows, counts } = this.carts.select(this.selection, this.orders.groups);
    const kept = this.keptInSight();
    const held = this.presence.here && this.loaded;
    if (held && !renew) this.order.hold(rows, this.carts.rows);
    else this.order.renew(rows);
    this.list.show(kept);
    this.orderBar.draw(this.order, held);
    this.detail.draw(this.carts);
    for (const [condition, { button, count }] of this.chips) {
      setText(count, number(counts[condition as Exclude<Condition, "merged" | "saved" | "empty">]));
      setAttribute(button, "aria-pressed", String(this.selection.condition === condition));
    }
    const all = this.carts.rows.size;
    const total = count("shown", rows.length);
    setText(this.shown, rows.length === all ? total : t("of", { shown: number(rows.length), all: count("shown", all) }));
    this.empty.hidden = rows.length > 0;
    this.drawEmpty();
  }

  /** Renews the order of the list. */
  renewOrder(): void {
    const { focused } = this.orderBar;
    this.draw(true);
    if (!this.keptInSight()) this.list.toTop();
    this.orderBar.renewed();
    if (focused) this.list.focus();
  }

  /** The row that stays visible while others move: of the opened cart, else of the keyboard's selection. */
  private keptInSight(): string {
    const name = this.detail.name || this.list.chosenRow;
    return this.list.inSight(name) ? name : "";
  }

  /** Updates ages, timed states, groups and storefronts once a second. */
  tick(): void {
    const told = this.carts.told;
    this.list.calm(told - this.toldBefore < CALM);
    this.toldBefore = told;
    const { groups, storefronts } = this.carts.kinds();
    const named = groups.map((name) => [name, this.orders.groups(name)] as const);
    named.sort((a, b) => a[1].localeCompare(b[1]));
    options(this.group, t("any_group"), named, this.selection.group);
    const places = storefronts.map((name) => [name, name] as const);
    options(this.storefront, t("any_storefront"), places, this.selection.storefront);
    this.figures.tick();
    this.changed();
  }

  /** Shows the cart that the address names, or none. */
  go(name: string): void {
    if (name === this.detail.name) return;
    if (name) this.open(name);
    else this.close();
  }

  private open(name: string): void {
    // A deleted cart may still have its row while the order is held.
    const row = this.carts.rows.get(name) ?? this.order.rows.find((row) => row.name === name);
    this.list.select(name);
    this.detail.show(name, row ?? null);
    nameCart(name);
    this.cover();
    this.orders.open(name);
  }

  private close(): void {
    this.detail.close();
    nameCart("");
    this.cover();
    this.orders.close();
    this.list.focus();
  }

  /** Makes the page inert where the opened cart covers it. */
  cover(): void {
    const covers = this.detail.open && matchMedia("(max-width: 1023px)").matches;
    for (const element of this.covered) element.inert = covers;
  }

  private choose(choice: Partial<Selection>): void {
    Object.assign(this.selection, choice);
    this.list.element.scrollTop = 0;
    this.draw(true);
  }

  private drawPause(): void {
    const { paused, waitingCount } = this.carts;
    const label = t(paused ? "catch_up" : "pause");
    if (this.pause.dataset["label"] !== label) {
      this.pause.dataset["label"] = label;
      this.pause.replaceChildren(icon(paused ? ICONS.play : ICONS.pause), h("span", { text: label }));
      this.pause.classList.toggle("primary", paused);
    }
    setText(this.waiting, paused ? count("waiting", waitingCount) : "");
  }

  private drawEmpty(): void {
    if (this.empty.hidden || !this.loaded) {
      if (!this.loaded) this.empty.replaceChildren();
      delete this.empty.dataset["said"];
      return;
    }
    const none = this.carts.rows.size === 0;
    const said = t(none ? "nothing" : "nothing_found");
    if (this.empty.dataset["said"] === said) return;
    this.empty.dataset["said"] = said;
    const all = h("button", {
      class: "primary",
      text: t("clear"),
      attributes: { type: "button" },
      on: {
        click: () => {
          this.search.value = "";
          this.choose({ search: "", condition: "all", group: "", storefront: "" });
          this.group.value = this.storefront.value = "";
          this.search.focus();
        },
      },
    });
    this.empty.replaceChildren(h("p", { text: said }), ...(none ? [] : [all]));
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      if (this.detail.open) this.close();
      else if (event.target === this.search && this.search.value) {
        this.search.value = "";
        this.choose({ search: "" });
      } else return;
      event.preventDefault();
    }
    // Single letters only in the list, where nothing is typed.
    if (event.target !== this.list.element) return;
    if (event.key === "/") {
      event.preventDefault();
      this.search.focus();
    }
    if (event.key === "p") this.orders.togglePause();
    if (event.key === "u") this.renewOrder();
  }
}
