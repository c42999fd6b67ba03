// A browser, and the page in one of its tabs, used as by a person.

import path from "node:path";
import { chromium } from "playwright-core";
import { eventually } from "./wait.js";

const target = process.env.CARGO_TARGET_DIR ?? path.resolve(import.meta.dirname, "../../target");
/** The folder of the pictures. */
export const PICTURES = path.join(target, "test-logs", "monitor-pictures");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // The heap and the main thread are the page's, not those of a busy machine's timers.
  "--enable-precise-memory-info",
];

export const DESKTOP = { width: 1360, height: 860 };

/** Starts the installed Chromium, without a window. */
export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** One tab of a browser, and its faults. */
export class Tab {
  noted = [];
  /** Faults that a test causes itself, for example by killing the server. */
  expected = /$^/;

  constructor(context, page, url) {
    this.context = context;
    this.page = page;
    this.url = url;
    page.setDefaultTimeout(30_000);
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        this.noted.push(`${message.type()}: ${message.text()}`);
      }
    });
    page.on("pageerror", (error) => this.noted.push(`exception: ${error.stack ?? error}`));
  }

  /** The browser itself reports connections that are refused or cut; they are not faults of the page. */
  mayLoseTheServer() {
    this.expected = /ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_SOCKET|ERR_ABORTED/;
    return this;
  }

  assertFaultless() {
    const faults = this.noted.filter((line) => !this.expected.test(line));
    if (faults.length > 0) throw new Error(`the page is not without fault:\n${faults.join("\n")}`);
  }

  async enter(key) {
    await this.page.getByLabel(/API key|Clé d’API/).fill(key);
    await this.page.getByRole("button", { name: /^(Sign in|Se connecter)$/ }).click();
  }

  async signIn(key) {
    await this.enter(key);
    await this.live();
  }

  /** Waits until the list is complete and live. */
  async live() {
    await this.page.locator(".status[data-status=live]").waitFor();
  }

  row(text) {
    return this.page.locator(".row", { hasText: text });
  }

  /** Opens the cart of a row, which may move away under the pointer meanwhile. */
  async open(row) {
    const shown = this.page.locator(".detail.open");
    await eventually("the cart is shown", async () => {
      if ((await shown.count()) > 0) return true;
      await row.click({ force: true });
      return (await shown.count()) > 0;
    });
  }

  /** Returns the texts of the visible rows, from top to bottom. */
  async rows() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll(".row")]
        .map((row) => ({ row, top: row.getBoundingClientRect().top }))
        .sort((a, b) => a.top - b.top)
        .map(({ row }) => row.getAttribute("aria-label")),
    );
  }

  async picture(name) {
    await this.page.screenshot({ path: path.join(PICTURES, `${name}.png`) });
  }

  /** Returns the elements that are wider than the page and, without touch, the figures that are cut off. */
  async fits() {
    return this.page.evaluate(() => {
      const { clientWidth } = document.documentElement;
      const wide = [...document.querySelectorAll("header, main, .filters, .figures, .lists, .detail.open, .row, .detail.open td")]
        .filter((element) => {
          const box = element.getBoundingClientRect();
          return box.width > 0 && (box.right > clientWidth + 1 || box.left < -1);
        })
        .map((element) => element.className || element.tagName);
      if (document.documentElement.scrollWidth > clientWidth) wide.push("the page");
      const figures = document.querySelector(".figures");
      if (figures && document.querySelector("main").clientWidth > 620) {
        const { right } = figures.getBoundingClientRect();
        const cut = [...figures.children].filter((element) => element.getBoundingClientRect().right > right + 1);
        wide.push(...cut.map((element) => `${element.className}, cut off`));
      }
      return wide;
    });
  }
}
