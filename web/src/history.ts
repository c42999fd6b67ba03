// The events of the opened cart since the page was opened, the newest first.

import { inWords, type Happening } from "./causes";
import { h, setText, theirs } from "./dom";
import { clock, count, t } from "./text";

/** Number of events that are kept. */
const KEPT = 200;

export class History {
  readonly element: HTMLElement;
  private entries: Happening[] = [];
  private told = new Set<bigint>();
  private readonly list = h("ol", { class: "history" });
  private readonly hint = h("p", { class: "hint" });

  constructor() {
    this.element = h("section", {}, h("h3", { text: t("history") }), this.hint, this.list);
  }

  /** Begins with the events that the list has of a cart. */
  begin(happened: Happening[]): void {
    this.entries = [...happened];
    this.told = new Set(happened.map((one) => one.version));
    this.draw();
  }

  /**
   * Takes a change of the cart, from its own stream, which has each version, or from the list's, which may
   * have had one before the cart's stream began. Known versions are ignored.
   */
  tell(happened: Happening[]): void {
    const news = happened.filter((one) => !this.told.has(one.version));
    if (news.length === 0) return;
    const last = this.entries.at(-1)?.version ?? 0n;
    for (const one of news) this.told.add(one.version);
    this.entries.push(...news);
    if (news[0]!.version < last) {
      this.entries.sort((a, b) => Number(a.version - b.version));
      this.draw();
    } else for (const one of news) this.list.prepend(this.entry(one, true));
    while (this.entries.length > KEPT) {
      this.told.delete(this.entries.shift()!.version);
      this.list.lastElementChild?.remove();
    }
    this.sayHint();
  }

  /** Describes the events after a version in words; empty if there are none yet. */
  since(version: bigint): string {
    return this.entries
      .filter((one) => one.version > version)
      .map((one) => inWords(one) + (one.actor && ` (${one.actor})`))
      .join("; ");
  }

  private draw(): void {
    this.list.replaceChildren(...this.entries.map((one) => this.entry(one, false)).reverse());
    this.sayHint();
  }

  private sayHint(): void {
    setText(this.hint, t(this.entries.length > 0 ? "history_hint" : "history_none"));
  }

  private entry(one: Happening, fresh: boolean): HTMLElement {
    // Versions grow by one: neither stream sent the versions that are missing between two.
    const before = this.entries[this.entries.indexOf(one) - 1];
    const skipped = before ? Number(one.version - before.version) - 1 : 0;
    return h(
      "li",
      { class: fresh ? "fresh" : "" },
      h("time", { text: clock(one.time), attributes: { datetime: new Date(one.time).toISOString() } }),
      h(
        "span",
        {},
        theirs(inWords(one)),
        one.actor && theirs(t("by", { actor: one.actor }), "under"),
        skipped > 0 && h("span", { class: "under skipped", text: count("skipped", skipped) }),
      ),
    );
  }
}
