// A real server that tests can kill and start again, and a client with its keys.

import { connect, Role } from "clientela/node";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "./wait.js";
export { Role };

const ROOT = path.resolve(import.meta.dirname, "../..");
const PROGRAM = process.env.CLIENTELA ?? path.join(ROOT, "target/debug/clientela");

/** A port below those of outgoing connections, so that no client meets itself while the server is dead. */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = net.createServer();
    const free = await new Promise((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}

/** `clientela serve`, always on the same port and the same data. */
export class Server {
  open = [];

  static async start() {
    const server = new Server();
    server.folder = mkdtempSync(path.join(tmpdir(), "clientela-monitor-"));
    server.data = path.join(server.folder, "data");
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    await server.run();
    const keys = await eventually("keys of the first start", () => {
      const file = path.join(server.data, "keys");
      return existsSync(file) && readFileSync(file, "utf8").includes("admin") && readFileSync(file, "utf8");
    });
    const key = (role) => new RegExp(`^${role}\\s*=\\s*(\\S+)`, "m").exec(keys)[1];
    server.adminKey = key("admin");
    server.operatorKey = key("operator");
    const { admin, carts, customers, groups } = server.client(server.adminKey);
    Object.assign(server, { admin, carts, customers, groups });
    return server;
  }

  /** Starts the program and waits until it answers. */
  async run() {
    const log = openSync(path.join(this.folder, "server.log"), "a");
    const options = [`--data-dir=${this.data}`, `--listen=127.0.0.1:${this.port}`, "--log=warn"];
    this.process = spawn(PROGRAM, ["serve", ...options], { stdio: ["ignore", log, log] });
    await eventually("the server listens", () => {
      if (this.process.exitCode !== null) {
        throw new Error(readFileSync(path.join(this.folder, "server.log"), "utf8"));
      }
      return fetch(this.url).then((answer) => answer.ok, () => false);
    });
  }

  get alive() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async kill() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }

  async end() {
    for (const client of this.open) client.close();
    if (this.process && this.alive) await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A client with a key; closed with the server. */
  client(key, more = {}) {
    const client = connect({ address: `127.0.0.1:${this.port}`, key, ...more });
    this.open.push(client);
    return client;
  }

  /** A fresh key of a role: its secret and its name. */
  async key(role = Role.MONITOR, admin = this.admin) {
    const { secret, apiKey } = await admin.createApiKey({ apiKey: { displayName: "test", roles: [role] } });
    return { secret, name: apiKey.name };
  }

  /** Adds a product to the cart of an owner, who gets one if there is none. */
  add(owner, product, more = {}) {
    return this.carts.addItem(addition(owner, product, more));
  }
}

/** Returns the owner that a text names: a customer by `customers/…`, else a visitor. */
export function ownerOf(text) {
  const owner = text.startsWith("customers/")
    ? { case: "customer", value: text }
    : { case: "visitor", value: `visitor-token-of-${text}` };
  return { target: { case: "owner", value: { owner } } };
}

export function item(product, { quantity = 1, euros = 20, ...more } = {}) {
  const listPrice = { currencyCode: "EUR", micros: BigInt(Math.round(euros * 1e6)) };
  return {
    product,
    quantity,
    price: { listPrice, priceIncludesTax: true, taxRate: "20" },
    ...more,
  };
}

export function addition(owner, product, { storefront = "", ...more } = {}) {
  return { target: ownerOf(owner), item: item(product, more), storefront };
}
