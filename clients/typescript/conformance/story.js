// Runs the story of all clients, in Node and in browsers; see clients/conformance/README.md.

import {
  AdminService, CartFiguresSchema, CartSchema, CartService, CartTargetSchema, ChangeKind, ClientelaError, Code,
  CustomerService, ErrorReason, GroupService, MoneySchema, OperationService, SnapshotBegin_Cause,
  WatchCartFiguresRequestSchema, WatchCartsRequestSchema, all, cart, create, customerCart, fromJson, money, toJson,
  visitorCart,
} from "clientela";

const SERVICES = { AdminService, CartService, CustomerService, GroupService, OperationService };
const FIELDS = { AdminService: "admin", CartService: "carts", CustomerService: "customers", GroupService: "groups", OperationService: "operations" };
/** How long a step waits for its expectation, in milliseconds. */
const PATIENCE = 50_000;

/**
 * Runs `story` with clients that `connectAs` makes for a key. `say` prints a line for each step, and `ask` gives an
 * order to the harness.
 */
export async function play(story, { key, connectAs, say, ask }) {
  const saved = new Map();
  for (const [name, { text, times }] of Object.entries(story.values ?? {})) saved.set(name, text.repeat(times));
  const clients = new Map();
  const watches = new Map();
  const clientOf = (asked = key) => {
    if (!clients.has(asked)) clients.set(asked, connectAs(asked));
    return clients.get(asked);
  };
  const world = { saved, watches, clientOf, connectAs, ask };
  for (const step of story.steps) {
    try {
      await playStep(step, world);
      say(`ok ${step.step}`);
    } catch (error) {
      say(`failed ${step.step}: ${oneLine(error)}`);
    }
  }
  for (const watch of watches.values()) watch.end();
  for (const client of clients.values()) client.close();
  say("end");
}

const oneLine = (error) => String(error?.message ?? error).replaceAll("\n", " ").slice(0, 600);

async function playStep(step, world) {
  const filled = (value) => fill(value, world.saved);
  if (step.call) {
    for (let n = 1; n <= (step.repeat ?? 1); n += 1) {
      world.saved.set("n", String(n));
      await playCall(step, world);
    }
  } else if (step.pages) await playPages(filled(step), world);
  else if (step.watch) {
    const { watch, as, filter = "", names = [] } = filled(step);
    const { target } = filled(step);
    const client = world.clientOf(as);
    const request = create(WatchCartsRequestSchema, { filter, names });
    world.watches.set(watch, new Watched((control) =>
      target ? client.watchCart(fromJson(CartTargetSchema, helped(target)), control) : client.watchCarts(request, control)));
  } else if (step.figures) {
    const { figures, as, request = {} } = filled(step);
    const asked = fromJson(WatchCartFiguresRequestSchema, request);
    world.watches.set(figures, new Watched((control) => world.clientOf(as).watchCartFigures(asked, control)));
  } else if (step.keyless) checkError(thrownBy(() => world.connectAs("")), step.expect.error);
  else if (step.refused) checkText(thrownBy(() => helped(step.refused)), step.expect);
  else if (step.server) await world.ask(step.server);
  else if (step.await) await playAwait(filled(step), world);
  else throw new Error("the program does not know this kind of step");
}

function thrownBy(action) {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

const HELPERS = {
  $cart: (name) => toJson(CartTargetSchema, cart(name)),
  $customerCart: (name) => toJson(CartTargetSchema, customerCart(name)),
  $visitorCart: (token) => toJson(CartTargetSchema, visitorCart(token)),
  $money: (money_) => toJson(MoneySchema, money(...money_)),
};

/** Replaces {"$money": …} and the like by the result of the package's own function of that name. */
function helped(value) {
  if (Array.isArray(value)) return value.map(helped);
  if (value === null || typeof value !== "object") return value;
  const [name] = Object.keys(value);
  if (name in HELPERS) return HELPERS[name](value[name]);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, helped(entry)]));
}

async function playCall(step, world) {
  const { call, request, as, expect } = fill(step, world.saved);
  let response;
  try {
    response = await callByName(world.clientOf(as), call, request);
  } catch (error) {
    if (!expect?.error) throw error;
    return checkError(error, expect.error);
  }
  if (expect?.error) throw new Error(`it was not refused: ${JSON.stringify(response)}`);
  checkSubset(response, expect?.response ?? {}, "the answer");
  for (const [name, path] of Object.entries(step.save ?? {})) {
    const value = path.split(".").reduce((value, key) => value?.[key], response);
    if (value === undefined) throw new Error(`the answer has no ${path}`);
    world.saved.set(name, String(value));
  }
}

/** Calls an RPC by its name, with JSON. */
async function callByName(client, call, request) {
  const [service, rpc] = call.split(".");
  const name = rpc[0].toLowerCase() + rpc.slice(1);
  const { input, output } = SERVICES[service].method[name];
  const response = await client[FIELDS[service]][name](fromJson(input, helped(request)));
  return toJson(output, response, { alwaysEmitImplicit: true });
}

async function playPages({ pages, request, as, expect }, world) {
  const [service, rpc] = pages.split(".");
  const name = rpc[0].toLowerCase() + rpc.slice(1);
  const list = world.clientOf(as)[FIELDS[service]][name];
  const names = [];
  try {
    for await (const item of all(list, fromJson(SERVICES[service].method[name].input, request))) names.push(item.name);
  } catch (error) {
    if (!expect.error) throw error;
    return checkError(error, expect.error);
  }
  if (names.length !== expect.count) throw new Error(`${names.length} instead of ${expect.count}`);
  if (new Set(names).size !== names.length) throw new Error("a name came twice");
}

/** A watch in the background, with its events. */
class Watched {
  #end = new AbortController();
  known = new Map();
  changes = 0;
  doubles = 0;
  resets = [];
  /** Whether the snapshot is complete, and whether the first was. */
  ready = false;
  begun = false;
  ended = undefined;

  /** The last figures, of a watch of figures. */
  figures = undefined;

  constructor(open) {
    this.#read(open({ signal: this.#end.signal })).catch((error) => (this.ended = error));
  }

  async #read(events) {
    let versions = new Map();
    for await (const event of events) {
      if ("openCarts" in event) this.figures = event;
      else if (event.type === "reset") {
        this.resets.push(`CAUSE_${SnapshotBegin_Cause[event.cause]}`);
        this.ready = false;
        this.known.clear();
        versions = new Map();
      } else if (event.type === "ready") {
        this.ready = this.begun = true;
        if (event.count !== this.known.size) throw new Error(`ready with ${this.known.size} instead of ${event.count}`);
      } else {
        const { kind, name, version, cart } = event.change;
        if (version <= (versions.get(name) ?? 0n)) this.doubles += 1;
        versions.set(name, version);
        if (this.begun) this.changes += 1;
        if (kind === ChangeKind.UPSERTED) this.known.set(name, cart);
        else this.known.delete(name);
      }
    }
  }

  end() {
    this.#end.abort();
  }
}

async function playAwait({ await: name, as, expect }, world) {
  const watch = world.watches.get(name);
  const until = Date.now() + PATIENCE;
  for (;;) {
    const why = await missing(watch, expect, world.clientOf(as));
    if (why === undefined) break;
    if (Date.now() > until || (watch.ended && !expect.ended)) {
      throw new Error(watch.ended ? `the watch ended: ${oneLine(watch.ended)}` : why);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (expect.ended) checkError(watch.ended, expect.ended);
  if (expect.doubles !== undefined && watch.doubles !== expect.doubles) {
    throw new Error(`${watch.doubles} changes came twice`);
  }
}

/** Describes how a watch differs from the expectation. */
async function missing(watch, expect, client) {
  if (expect.ended) return watch.ended ? undefined : "the watch has not ended";
  if (expect.reset && !watch.resets.includes(expect.reset)) return `the resets were ${watch.resets.join(", ")}`;
  if (expect.known !== undefined && !(watch.ready && watch.known.size === expect.known)) {
    return `${watch.known.size} carts are known`;
  }
  if (expect.changes !== undefined && watch.changes < expect.changes) return `${watch.changes} changes came`;
  if (expect.figures) {
    if (!watch.figures) return "there are no figures";
    return differs(toJson(CartFiguresSchema, watch.figures), expect.figures);
  }
  if (expect.cart) for (const cart of watch.known.values()) {
    const why = differs(toJson(CartSchema, cart), expect.cart);
    if (why) return why;
  }
  if (!expect.state) return undefined;
  if (!watch.ready) return "the snapshot is not whole";
  const listed = new Map();
  for await (const cart of all(client.carts.listCarts, {})) listed.set(cart.name, cart);
  if (listed.size !== watch.known.size) return `${watch.known.size} carts are known, ${listed.size} are there`;
  for (const [name, cart] of listed) {
    const known = watch.known.get(name);
    if (!known || JSON.stringify(toJson(CartSchema, known)) !== JSON.stringify(toJson(CartSchema, cart))) {
      return `${name} is not known as it is`;
    }
  }
  return undefined;
}

function differs(actual, expected) {
  try {
    checkSubset(actual, expected, "it");
  } catch (error) {
    return error.message;
  }
}

/** The text of an error must have every expected part. */
function checkText(error, { text = [] }) {
  const missing = text.filter((part) => !error.message.includes(part));
  if (missing.length > 0) throw new Error(`the text ${error.message} lacks ${missing.join(", ")}`);
}

function checkError(error, expected) {
  if (!(error instanceof ClientelaError)) throw error ?? new Error("there is no error");
  const code = Code[error.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
  checkText(error, expected);
  if (code !== expected.code) throw new Error(`${code} ${error.reason}: ${error.message}`);
  if (expected.reason && error.reason !== expected.reason) throw new Error(`the reason is ${error.reason}`);
  if (error.reason && !(error.reason in ErrorReason)) throw new Error(`${error.reason} is no reason of the contract`);
  checkSubset(error.metadata, expected.metadata ?? {}, "the metadata");
  const fields = error.violations.map(({ field }) => field);
  const others = (expected.violations ?? fields).filter((field) => !fields.includes(field));
  if (others.length > 0) throw new Error(`the violations are ${fields.join(", ")}`);
}

/** Every expected value must be there, and lists must have the same length. */
function checkSubset(actual, expected, where) {
  if (Array.isArray(expected)) {
    if (actual?.length !== expected.length) throw new Error(`${where} is ${JSON.stringify(actual)}`);
    expected.forEach((value, n) => checkSubset(actual[n], value, `${where}.${n}`));
  } else if (expected !== null && typeof expected === "object") {
    for (const [key, value] of Object.entries(expected)) checkSubset(actual?.[key], value, `${where}.${key}`);
  } else if (actual !== expected) throw new Error(`${where} is ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

/** Replaces the names of saved values by the values. */
function fill(value, saved) {
  if (typeof value === "string") return value.replace(/\$\{(\w+)\}/g, (whole, name) => saved.get(name) ?? whole);
  if (Array.isArray(value)) return value.map((entry) => fill(entry, saved));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, fill(entry, saved)]));
}
