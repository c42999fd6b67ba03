// A small chart of the last hour: the number of carts that are being filled, and the rate of changes, every
// ten seconds. It begins when the page is opened, because the server keeps no history of its figures.

import { h, setAttribute, setText, svg } from "./dom";
import { keepSamples, samples as stored, type Sample } from "./session";
import { minute, number, t } from "./text";

const HOUR = 60 * 60_000;
const STEP = 10_000;
/** Time without a sample after which the line has a gap. */
const GAP = 4 * STEP;
const WIDTH = 360;
const HEIGHT = 64;

export class Chart {
  readonly element: HTMLElement;
  private samples: Sample[];
  private readonly area = svg("path", { class: "area" });
  private readonly line = svg("path", { class: "stroke" });
  private readonly bars = svg("path", { class: "bars" });
  private readonly mark = svg("line", { class: "mark", y1: "0", y2: String(HEIGHT) });
  private readonly said = h("p", { class: "said" });
  /** Replaces the drawing while there is nothing to draw. */
  private readonly nothing = h("p", { class: "nothing" });
  private warning = "";
  private readonly drawing: SVGElement;
  private pointed: number | null = null;
  private changesAtStart = 0;

  constructor() {
    this.samples = stored();
    this.drawing = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      this.bars,
      this.area,
      this.line,
      this.mark,
    );
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => this.point(null));
    const label = h("h3", { text: t("chart") });
    this.element = h("div", { class: "card chart" }, label, this.drawing, this.nothing, this.said);
    this.draw(Date.now());
  }

  /** Adds a sample; `told` is the number of changes since the page was opened. */
  add(filling: number, told: number): void {
    const time = Date.now();
    const last = this.samples.at(-1);
    if (last && time - last.time < STEP) {
      last.filling = filling;
      this.draw(time);
      return;
    }
    // The changes since the previous sample belong to the step that ends now.
    if (last) last.changes = Math.round(((told - this.changesAtStart) * 60_000) / Math.max(STEP, time - last.time));
    this.changesAtStart = told;
    this.samples.push({ time, filling, changes: 0 });
    this.samples = this.samples.filter((sample) => time - sample.time < HOUR);
    keepSamples(this.samples);
    this.draw(time);
  }

  /** Shows a warning in place of the summary; an empty text removes it. */
  warn(warning: string): void {
    if (warning === this.warning) return;
    this.warning = warning;
    this.draw(Date.now());
  }

  private draw(time: number): void {
    const { samples } = this;
    const empty = samples.every(({ filling, changes }) => filling + changes === 0);
    setAttribute(this.drawing, "hidden", empty ? "" : null);
    this.nothing.hidden = !empty;
    setText(this.nothing, empty ? t("chart_nothing", { since: minute(samples[0]?.time ?? time) }) : "");
    const most = Math.max(0, ...samples.map((sample) => sample.filling));
    const busiest = Math.max(1, ...samples.map((sample) => sample.changes));
    const x = (sample: Sample) => (WIDTH * (HOUR - (time - sample.time))) / HOUR;
    const y = (sample: Sample) => HEIGHT - 2 - ((HEIGHT - 8) * sample.filling) / Math.max(1, most);
    let line = "";
    let area = "";
    let bars = "";
    samples.forEach((sample, index) => {
      const before = samples[index - 1];
      const next = samples[index + 1];
      const broken = !before || sample.time - before.time > GAP;
      const at = `${x(sample).toFixed(1)} ${y(sample).toFixed(1)}`;
      // A point without neighbours is a dot.
      line += broken ? `M${at}h0` : `L${at}`;
      area += broken ? `M${x(sample).toFixed(1)} ${HEIGHT}L${at}` : `L${at}`;
      if (!next || next.time - sample.time > GAP) area += `L${x(sample).toFixed(1)} ${HEIGHT}Z`;
      const height = ((HEIGHT - 8) * sample.changes) / busiest / 2;
      if (sample.changes > 0) bars += `M${x(sample).toFixed(1)} ${HEIGHT}v${(-height).toFixed(1)}`;
    });
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", area);
    this.bars.setAttribute("d", bars);
    this.say(time, most);
  }

  private say(time: number, most: number): void {
    const { samples } = this;
    const summary = t("chart_summary", {
      now: number(samples.at(-1)?.filling ?? 0),
      max: number(most),
      since: minute(samples[0]?.time ?? time),
    });
    setAttribute(this.drawing, "aria-label", `${t("chart")}: ${summary}`);
    const wanted = this.pointed === null ? undefined : time - HOUR * (1 - this.pointed);
    const sample =
      wanted === undefined
        ? undefined
        : samples.findLast((sample) => sample.time <= wanted + STEP / 2) ?? samples[0];
    this.said.classList.toggle("warning", this.warning !== "");
    setText(
      this.said,
      this.warning || (!this.nothing.hidden ? "" : sample
        ? t("chart_point", {
            time: minute(sample.time),
            filling: number(sample.filling),
            changes: number(sample.changes),
          })
        : summary),
    );
    const at = String((this.pointed ?? 0) * WIDTH);
    setAttribute(this.mark, "x1", at);
    setAttribute(this.mark, "x2", at);
    setAttribute(this.mark, "visibility", sample ? "visible" : "hidden");
  }

  private point(event: Event | null): void {
    const box = this.drawing.getBoundingClientRect();
    const pointer = event as PointerEvent | null;
    this.pointed = pointer ? (pointer.clientX - box.left) / Math.max(1, box.width) : null;
    this.draw(Date.now());
  }
}
