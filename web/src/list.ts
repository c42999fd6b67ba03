// The list of carts. Only the visible rows are elements; each keeps its cart while it is visible.
//
// To a screen reader and to the keyboard it is one list box: one stop of Tab, arrows move within it.

import { h, setAttribute } from "./dom";
import type { Order } from "./order";
import { RowView } from "./row";
import { now } from "./time";

/** Number of rows beyond the edges that are elements, too. */
const MARGIN = 4;
/** Number of elements that are kept for later rows. */
const SPARE_MAX = 40;
/** A tap on a row that moved within this time was meant for another row. */
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
  /** The cart that was pressed: empty if the press opens nothing, null if there was no press. */
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

  /** Whether a part of a row is visible. */
  inSight(name: string): boolean {
    const top = this.place(name) * this.height - this.element.scrollTop;
    return top > -this.height && top < this.visible && this.place(name) >= 0;
  }

  /** Shows the rows in their order, and scrolls to the row that must stay visible. */
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

  /** The row that the keyboard has selected. */
  get chosenRow(): string {
    return this.current;
  }

  /** Marks the row of the opened cart. */
  select(name: string): void {
    this.current = name;
    this.draw();
  }

  /** Lets the changed rows pulse. Only visible rows cost anything. */
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

  /** Whether rows glide to their places: not if there are many moves. */
  calm(calm: boolean): void {
    this.element.classList.toggle("calm", calm);
  }

  focus(): void {
    this.element.focus({ preventScroll: true });
  }

  /** Draws all rows again, for example in another language. */
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

  /** A screen reader clicks without a press; otherwise the pressed row counts. */
  private click(event: Event): void {
    const name = this.pressed ?? this.viewAt(event)?.name;
    this.pressed = null;
    if (name) this.chosen(name);
  }

  /**
   * Returns the cart that a press is meant for. A pointer has held the order since it moved into the list. A
   * finger has not, and may have aimed at the previous row of this place; then it only holds the order.
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
