// The history of the opened cart, while the page is open: the newest first.

import { inWords, type Happening } from "./causes";
import { h, setText, theirs } from "./dom";
import { clock, count, t } from "./text";

/** How many things that happened are kept. */
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

  /** Begins with what the list knows of a cart. */
  begin(happened: Happening[]): void {
    this.entries = [...happened];
    this.told = new Set(happened.map((one) => one.version));
    this.draw();
  }

  /**
   * Takes what happened to the cart, from its own stream, which tells each version, and from that of the
   * list, which may have told one before the cart's began. What was told already is passed over.
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

  /** What happened after a version, in words; empty if nothing was told yet. */
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
    // Versions follow each other by one: what is missing between two was told by neither stream.
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
