// The list of carts: only the rows in sight are elements, each keeps its cart while it is in sight.
//
// To a screen reader and to the keyboard it is one list box: one stop of Tab, arrows move within it.

import type { Row } from "./carts";
import { h, setAttribute } from "./dom";
import { RowView } from "./row";
import { now } from "./time";

/** How many rows beyond the edges are kept ready. */
const MARGIN = 4;
/** How many elements are kept for rows to come. */
const SPARE_MAX = 40;

export class ListView {
  readonly element: HTMLElement;
  private readonly space: HTMLElement;
  private rows: Row[] = [];
  private views = new Map<string, RowView>();
  private spare: RowView[] = [];
  private ids = new Map<RowView, string>();
  private height = 68;
  private current = "";
  private pressed = "";
  private visible = 800;
  private top = 0;
  private readonly groups: (name: string) => string;
  private readonly chosen: (name: string) => void;

  constructor(label: string, groups: (name: string) => string, chosen: (name: string) => void) {
    this.groups = groups;
    this.chosen = chosen;
    this.space = h("div", { class: "space", attributes: { role: "presentation" } });
    this.element = h(
      "div",
      {
        class: "list",
        attributes: { role: "listbox", tabindex: "0", "aria-label": label },
        on: {
          scroll: () => this.scrolled(),
          keydown: (event) => this.key(event as KeyboardEvent),
          pointerdown: (event) => (this.pressed = this.nameAt(event)),
          click: () => this.click(),
          focus: () => this.draw(),
        },
      },
      this.space,
    );
    new ResizeObserver(() => this.measure()).observe(this.element);
  }

  /** Shows these rows. */
  show(rows: Row[]): void {
    this.rows = rows;
    const height = `${rows.length * this.height}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
    this.draw();
  }

  /** Marks a row, as that of the cart that is looked at. */
  select(name: string): void {
    this.current = name;
    this.draw();
  }

  /** How many rows pulse at the most is how many are in sight; the rest costs nothing. */
  draw(): void {
    const { rows, height } = this;
    const first = Math.max(0, Math.floor(this.top / height) - MARGIN);
    const last = Math.min(rows.length, Math.ceil((this.top + this.visible) / height) + MARGIN);
    const at = now();
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
      view.show(row, at, this.groups);
      view.put(this.ids.get(view)!, index * height, index, rows.length, row.name === this.current, !known);
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
    this.visible = this.element.clientHeight;
    const height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row"));
    if (height > 0 && height !== this.height) {
      this.height = height;
      this.show(this.rows);
    } else this.draw();
  }

  private scrolled(): void {
    this.top = this.element.scrollTop;
    this.draw();
  }

  /** The row that was pressed is the one that is meant, though another may be under the pointer by now. */
  private click(): void {
    if (this.pressed) this.chosen(this.pressed);
    this.pressed = "";
  }

  private nameAt(event: Event): string {
    const element = (event.target as Element).closest(".row");
    return [...this.views.values()].find((view) => view.element === element)?.name ?? "";
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = this.rows.findIndex((row) => row.name === this.current);
    const page = Math.max(1, Math.floor(this.visible / this.height) - 1);
    const moves: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? 0 : at - 1,
      PageDown: Math.max(at, 0) + page,
      PageUp: at - page,
      Home: 0,
      End: this.rows.length - 1,
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (at >= 0) this.chosen(this.current);
      return;
    }
    const move = moves[event.key];
    if (move === undefined || this.rows.length === 0) return;
    event.preventDefault();
    const to = Math.min(this.rows.length - 1, Math.max(0, move));
    this.current = this.rows[to]!.name;
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
