// The list of carts: only the rows in sight are elements, each keeps its cart while it is in sight.
//
// To a screen reader and to the keyboard it is one list box: one stop of Tab, arrows move within it.

import { h, setAttribute } from "./dom";
import type { Order } from "./order";
import { RowView } from "./row";
import { now } from "./time";

/** How many rows beyond the edges are kept ready. */
const MARGIN = 4;
/** How many elements are kept for rows to come. */
const SPARE_MAX = 40;
/** A tap on a row that came to its place less than so long ago was meant for another. */
const SETTLED_AFTER = 500;

export class ListView {
  readonly element: HTMLElement;
  private readonly space: HTMLElement;
  private readonly order: Order;
  private views = new Map<string, RowView>();
  private spare: RowView[] = [];
  private ids = new Map<RowView, string>();
  private height = 68;
  private current = "";
  /** Which cart was pressed: none, if the press is not to be followed; null, if there was no press. */
  private pressed: string | null = null;
  private visible = 800;
  private top = 0;
  private readonly groups: (name: string) => string;
  private readonly chosen: (name: string) => void;

  constructor(order: Order, label: string, groups: (name: string) => string, chosen: (name: string) => void) {
    this.order = order;
    this.groups = groups;
    this.chosen = chosen;
    this.space = h("div", { class: "space", attributes: { role: "presentation" } });
    this.element = h(
      "div",
      {
        class: "list",
        attributes: { role: "listbox", tabindex: "0", "aria-label": label, "aria-describedby": "order-hint" },
        on: {
          scroll: () => this.scrolled(),
          keydown: (event) => this.key(event as KeyboardEvent),
          pointerdown: (event) => (this.pressed = this.meant(event as PointerEvent)),
          click: (event) => this.click(event),
          focus: () => this.draw(),
        },
      },
      this.space,
    );
    new ResizeObserver(() => this.measure()).observe(this.element);
  }

  /** Whether a part of a row is in sight. */
  inSight(name: string): boolean {
    const top = this.place(name) * this.height - this.element.scrollTop;
    return top > -this.height && top < this.visible && this.place(name) >= 0;
  }

  /** Shows the rows in their order. One that is to be kept in sight is scrolled to. */
  show(keep = ""): void {
    const height = `${this.order.rows.length * this.height}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    const kept = keep ? this.place(keep) : -1;
    if (kept >= 0) this.reveal(kept);
    this.draw(true);
  }

  /** Shows the first rows. */
  toTop(): void {
    this.element.scrollTop = this.top = 0;
    this.draw();
  }

  /** The row that the keyboard has chosen. */
  get chosenRow(): string {
    return this.current;
  }

  /** Marks a row, as that of the cart that is looked at. */
  select(name: string): void {
    this.current = name;
    this.draw();
  }

  /** How many rows pulse at the most is how many are in sight; the rest costs nothing. */
  draw(ordered = false): void {
    const { height } = this;
    const { rows } = this.order;
    const first = Math.max(0, Math.floor(this.top / height) - MARGIN);
    const last = Math.min(rows.length, Math.ceil((this.top + this.visible) / height) + MARGIN);
    const at = now();
    const drawn = performance.now();
    const wanted = new Set<string>();
    for (let index = first; index < last; index++) wanted.add(rows[index]!.name);
    for (const [name, view] of this.views) {
      if (wanted.has(name)) continue;
      this.views.delete(name);
      this.spare.push(view);
    }
    for (let index = first; index < last; index++) {
      const row = rows[index]!;
      const known = this.views.get(row.name);
      const view = known ?? this.spare.pop() ?? this.made();
      view.show(row, this.order.mark(row), at, this.groups);
      const put = view.put(this.ids.get(view)!, index * height, index, rows.length, row.name === this.current, !known);
      if (ordered && put) view.moved = drawn;
      if (known) continue;
      this.views.set(row.name, view);
      if (!view.element.isConnected) this.space.append(view.element);
    }
    for (const view of this.spare) view.element.remove();
    this.spare.length = Math.min(this.spare.length, SPARE_MAX);
    const active = this.views.get(this.current);
    setAttribute(this.element, "aria-activedescendant", active ? this.ids.get(active)! : null);
  }

  /** Whether the moves of rows may be shown: not if there are many of them. */
  calm(calm: boolean): void {
    this.element.classList.toggle("calm", calm);
  }

  focus(): void {
    this.element.focus({ preventScroll: true });
  }

  /** Draws all rows anew, as after another language was chosen. */
  forget(): void {
    for (const view of [...this.views.values(), ...this.spare]) view.element.remove();
    this.views.clear();
    this.spare = [];
    this.ids.clear();
  }

  private made(): RowView {
    const view = new RowView();
    this.ids.set(view, `row-${this.ids.size}`);
    return view;
  }

  private measure(): void {
    const height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row"));
    const keep = this.inSight(this.current) ? this.current : "";
    this.visible = this.element.clientHeight;
    if (height > 0) this.height = height;
    this.show(keep);
  }

  private scrolled(): void {
    this.top = this.element.scrollTop;
    this.draw();
  }

  /** A screen reader clicks without a press; otherwise the row that was pressed is meant. */
  private click(event: Event): void {
    const name = this.pressed ?? this.viewAt(event)?.name;
    this.pressed = null;
    if (name) this.chosen(name);
  }

  /**
   * The cart that a press is meant for. A pointer was seen coming and the order was held for it; a finger
   * was not, and may have been aimed at the row that was there before. Then it only holds the order.
   */
  private meant(event: PointerEvent): string {
    const view = this.viewAt(event);
    if (!view) return "";
    const settled = performance.now() - view.moved > SETTLED_AFTER;
    return event.pointerType !== "touch" || settled ? view.name : "";
  }

  private place(name: string): number {
    return name ? this.order.rows.findIndex((row) => row.name === name) : -1;
  }

  private viewAt(event: Event): RowView | undefined {
    const element = (event.target as Element).closest(".row");
    return [...this.views.values()].find((view) => view.element === element);
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { rows } = this.order;
    const at = this.place(this.current);
    const page = Math.max(1, Math.floor(this.visible / this.height) - 1);
    const moves: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? 0 : at - 1,
      PageDown: Math.max(at, 0) + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (at >= 0) this.chosen(this.current);
      return;
    }
    const move = moves[event.key];
    if (move === undefined || rows.length === 0) return;
    event.preventDefault();
    const to = Math.min(rows.length - 1, Math.max(0, move));
    this.current = rows[to]!.name;
    this.reveal(to);
    this.draw();
  }

  private reveal(index: number): void {
    const { element, height } = this;
    const top = index * height;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + height > element.scrollTop + this.visible) {
      element.scrollTop = top + height - this.visible;
    }
    this.top = element.scrollTop;
  }
}
