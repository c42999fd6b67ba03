// The frame of the tests of the page: a browser, tabs whose faults are recorded, and a count at the end.

import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { DESKTOP, launch, PICTURES, Tab } from "./browser.js";
import { Server } from "./server.js";
import { eventually } from "./wait.js";

export const PHONE = { width: 390, height: 844 };
/** How long one test may take. */
const LONGEST = 120_000;

export class Trial {
  passed = 0;
  failed = 0;

  /** Runs the tests with `only` in their names; with `figures` the figures are checked, else only printed. */
  constructor(only, figures) {
    this.only = only;
    this.figures = figures;
  }

  /** A figure depends on the machine: it is checked only with `figures`, and else printed. */
  judge(holds, figure) {
    if (holds) return;
    if (this.figures) throw new Error(figure);
    console.log(`        beyond its limit: ${figure}`);
  }

  async start() {
    mkdirSync(PICTURES, { recursive: true });
    this.browser = await launch();
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

/** Serves the page's files from a folder, with the server's headers, to test them before a build of the program. */
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

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function assertEqual(actual, expected, message) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${message ?? "not equal"}: ${a} is not ${b}`);
}

export { eventually };
