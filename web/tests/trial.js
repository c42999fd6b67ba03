// What the tests of the page stand on: a browser, tabs whose faults are noted, and a count at the end.

import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { eventually, Server } from "./server.js";

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
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
export const PHONE = { width: 390, height: 844 };
/** How long one test may take. */
const LONGEST = 120_000;

const target = process.env.CARGO_TARGET_DIR ?? path.resolve(import.meta.dirname, "../../target");
export const PICTURES = path.join(target, "test-logs", "monitor-pictures");

export class Trial {
  passed = 0;
  failed = 0;

  /** Runs what has `only` in its name; `figures` are judged, or only told. */
  constructor(only, figures) {
    this.only = only;
    this.figures = figures;
  }

  /** A figure depends on the machine: whoever measures has it judged, and every other run tells it. */
  judge(holds, figure) {
    if (holds) return;
    if (this.figures) throw new Error(figure);
    console.log(`        beyond its limit: ${figure}`);
  }

  async start() {
    mkdirSync(PICTURES, { recursive: true });
    this.browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    this.server = await Server.start();
    return this;
  }

  async end() {
    await this.browser?.close();
    await this.server?.end();
  }

  /** Runs a test, named by a sentence. */
  async test(name, run, longest = LONGEST) {
    if (this.only && !name.includes(this.only)) return;
    const started = performance.now();
    const tabs = [];
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not within ${longest / 1000} s`)), longest);
      });
      await Promise.race([run({ trial: this, server: this.server, tab: (options) => this.tab(tabs, options) }), late]);
      for (const tab of tabs) tab.assertFaultless();
      this.passed += 1;
      console.log(`ok      ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED  ${name}`);
      console.log(error);
      const picture = path.join(PICTURES, `failed ${name.replaceAll("/", " ").slice(0, 80)}.png`);
      const last = tabs.at(-1);
      await last?.page.screenshot({ path: picture }).catch(() => {});
      for (const line of last?.noted ?? []) console.log(`        ${line}`);
    } finally {
      clearTimeout(timer);
      for (const tab of tabs) await tab.context.close().catch(() => {});
      if (!this.server.alive) await this.server.run();
    }
  }

  /** A fresh tab, signed in if it has a key. */
  async tab(tabs, { key, size = DESKTOP, theme = "light", language = "en-GB", url, motion, ...more } = {}) {
    const context = await this.browser.newContext({
      viewport: size,
      colorScheme: theme,
      locale: language,
      timezoneId: "Europe/Paris",
      reducedMotion: motion ?? "no-preference",
      ...more,
    });
    if (process.env.CLIENTELA_PAGE) await servedFrom(context, process.env.CLIENTELA_PAGE);
    const tab = new Tab(context, await context.newPage(), url ?? this.server.url);
    tabs.push(tab);
    await tab.page.goto(tab.url);
    if (key) await tab.signIn(key);
    return tab;
  }
}

/** Has the page's files come from a folder, with the server's headers: to try them before it is built anew. */
function servedFrom(context, folder) {
  return context.route(/:\d+\/(monitor\.(js|css))?$/, async (route) => {
    const answer = await route.fetch().catch(() => null);
    if (!answer) return route.abort("connectionrefused");
    const name = new URL(route.request().url()).pathname.slice(1) || "index.html";
    const { "content-encoding": _, "content-length": __, ...headers } = answer.headers();
    headers["content-type"] = { html: "text/html", js: "text/javascript", css: "text/css" }[name.split(".")[1]];
    await route.fulfill({ status: 200, headers, body: readFileSync(path.join(folder, name)) });
  });
}

/** One tab of a browser, and what went wrong in it. */
export class Tab {
  noted = [];
  /** Faults that a test brings about itself, as a server that is gone. */
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

  /** Connections that are refused or cut are told by the browser itself, and are no fault of the page. */
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

  /** Waits until the list is whole and followed. */
  async live() {
    await this.page.locator(".status[data-status=live]").waitFor();
  }

  row(text) {
    return this.page.locator(".row", { hasText: text });
  }

  /** Opens the cart of a row, which may just move away under the pointer. */
  async open(row) {
    const shown = this.page.locator(".detail.open");
    await eventually("the cart is shown", async () => {
      if ((await shown.count()) > 0) return true;
      await row.click({ force: true });
      return (await shown.count()) > 0;
    });
  }

  /** What the rows in sight say, from top to bottom. */
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

  /** Whether nothing is wider than the page. */
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
      return wide;
    });
  }
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function assertEqual(actual, expected, message) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${message ?? "not equal"}: ${a} is not ${b}`);
}

export { eventually };
