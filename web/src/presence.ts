// Detects whether a person is in a part of the page: with a pointer, with the keyboard, or with a finger.

/** Time for which a touch counts. A finger does not hover, so its return cannot be detected. */
const TOUCH_LASTS = 15_000;

export class Presence {
  private pointer = false;
  private keyboard = false;
  private touched = false;
  private touch: ReturnType<typeof setTimeout> | undefined;
  private before = false;
  private readonly changed: () => void;

  /** `changed` is called when the person enters or leaves. */
  constructor(area: HTMLElement, changed: () => void) {
    this.changed = changed;
    const on = <K extends keyof HTMLElementEventMap>(names: K[], listener: (event: HTMLElementEventMap[K]) => void) => {
      for (const name of names) {
        area.addEventListener(name, (event) => {
          listener(event);
          this.tell();
        }, { passive: true });
      }
    };
    // Not `pointerenter`: it also fires when the page changes under a pointer that does not move.
    on(["pointermove", "pointerdown"], (event) => {
      if (event.pointerType === "touch") this.touches();
      else this.pointer = true;
      if (event.type === "pointerdown") this.keyboard = false;
    });
    on(["pointerleave"], (event) => {
      if (event.pointerType !== "touch") this.pointer = false;
    });
    // After a swipe the list still scrolls, without a finger on it.
    area.addEventListener("scroll", () => this.touched && this.touches(), { capture: true, passive: true });
    // Focus from a click does not count as keyboard focus.
    on(["focusin"], (event) => (this.keyboard = (event.target as Element).matches(":focus-visible")));
    on(["keydown"], () => (this.keyboard = true));
    on(["focusout"], (event) => {
      if (!area.contains(event.relatedTarget as Node | null)) this.keyboard = false;
    });
  }

  get here(): boolean {
    return this.pointer || this.keyboard || this.touched;
  }

  private touches(): void {
    this.touched = true;
    clearTimeout(this.touch);
    this.touch = setTimeout(() => {
      this.touched = false;
      this.tell();
    }, TOUCH_LASTS);
  }

  private tell(): void {
    const { here } = this;
    if (here === this.before) return;
    this.before = here;
    this.changed();
  }
}
