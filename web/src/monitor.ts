// Controls the page: it keeps the key, opens the streams, and distributes their events.

import { ClientelaError } from "clientela/browser";
import { Server, sleep, type CartEvent, type Connection } from "./api";
import type { Rights } from "./actions";
import { Carts, CLOSED_FOR, type Selection } from "./carts";
import { keyRefusal } from "./refusals";
import { cartInAddress, forgetCart, onAddress } from "./route";
import * as session from "./session";
import { SignIn } from "./signin";
import { language, minute, t } from "./text";
import { now } from "./time";
import { tools } from "./tools";
import { View, type Status } from "./view";

/** Time without a connection after which the page shows it, because a proxy may cut streams now and then. */
const SAID_AFTER = 2500;
/** Time for which a hidden tab keeps all its streams. */
const HIDDEN_FOR = 30_000;
/** Wait if the key has too many streams. */
const CROWDED_WAIT = 5_000;
/** Shortest time between two requests for unknown groups. */
const GROUPS_EVERY = 30_000;

export class Monitor {
  private readonly carts = new Carts();
  private readonly selection: Selection = { search: "", condition: "all", group: "", storefront: "" };
  private view: View | null = null;
  private entrance: SignIn | null = null;
  private server: Server | null = null;
  /** Ends all streams and calls of the key. */
  private life = new AbortController();
  private figures: AbortController | null = null;
  private detail: AbortController | null = null;
  private rights: Rights = "look";
  private groupNames = new Map<string, Record<string, string>>();
  private groupsAsked = 0;
  private status: Status = "connecting";
  private message = "";
  private narrow = 0;
  private away: ReturnType<typeof setTimeout> | undefined;
  private hidden: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    setInterval(() => this.tick(), 1000);
    setInterval(() => this.carts.prune(), 30_000);
    document.addEventListener("visibilitychange", () => this.seen());
    matchMedia("(max-width: 1023px)").addEventListener("change", () => this.view?.cover());
    onAddress((cart) => this.view?.go(cart));
    const key = session.key();
    if (key) {
      this.show();
      this.begin(key);
    } else this.ask("");
  }

  /** Shows the page in the chosen language. */
  private show(): void {
    document.documentElement.lang = language();
    document.title = `Clientela · ${t("title")}`;
    if (this.entrance && !this.server) return this.ask("");
    this.detail?.abort();
    this.entrance = null;
    this.view = new View(
      this.carts,
      this.selection,
      {
        open: (name) => this.follow(name),
        close: () => this.detail?.abort(),
        togglePause: () => this.togglePause(),
        groups: (name) => this.groupName(name),
        edits: {
          read: (name) => this.signedIn().read(name),
          lock: (cart, purpose) => this.signedIn().lock(cart, purpose),
          renewLock: (name) => this.signedIn().renewLock(name),
          unlock: (name, force) => this.signedIn().unlock(name, force),
          writeNote: (cart, note) => this.signedIn().writeNote(cart, note),
        },
      },
      tools(() => this.show(), () => this.signOut()),
    );
    document.body.replaceChildren(this.view.element);
    this.view.setStatus(this.status, this.message);
    this.view.tick();
    this.view.detail.actions.allow(this.rights);
    if (!this.figures) return;
    this.watchFigures();
    this.view.go(cartInAddress());
  }

  private signOut(): void {
    forgetCart();
    this.leave("");
  }

  private ask(message: string, key = ""): void {
    document.documentElement.lang = language();
    document.title = "Clientela";
    this.view = null;
    this.entrance = new SignIn(key, message, (key) => this.begin(key), tools(() => this.ask("")));
    document.body.replaceChildren(this.entrance.element);
    this.entrance.focus();
  }

  /** Ends all streams and asks for a key. */
  private leave(message: string, key = ""): void {
    this.end();
    session.signOut();
    this.ask(message, key);
  }

  private end(): void {
    this.life.abort();
    this.detail?.abort();
    this.figures?.abort();
    this.figures = this.detail = this.server = null;
    clearTimeout(this.away);
    this.away = undefined;
    this.carts.clear();
    Object.assign(this.selection, { search: "", condition: "all", group: "", storefront: "" });
    this.groupNames.clear();
    this.groupsAsked = this.narrow = 0;
    this.status = "connecting";
    this.message = "";
    this.rights = "look";
  }

  private begin(key: string): void {
    this.end();
    this.life = new AbortController();
    this.server = new Server(key);
    this.entrance?.busy(true);
    void this.watch(key, this.server, this.life.signal);
  }

  /** Watches the carts until an error that another attempt cannot cure. */
  private async watch(key: string, server: Server, signal: AbortSignal): Promise<void> {
    const connection: Connection = {
      connected: () => signal.aborted || this.connected(),
      disconnected: () => signal.aborted || this.disconnected(),
    };
    while (!signal.aborted) {
      try {
        for await (const event of server.watchCarts(this.filter(), signal, connection)) {
          if (signal.aborted) return;
          if (!this.view) this.entered(key);
          this.take(event);
        }
      } catch (error) {
        if (signal.aborted) return;
        const refused = ClientelaError.from(error);
        if (refused.reason === "WATCH_TOO_WIDE" && !this.narrow) this.narrow = now() - CLOSED_FOR;
        else if (refused.reason === "TOO_MANY_STREAMS") await this.crowded(signal);
        else return this.leave(keyRefusal(refused), key);
      }
    }
  }

  /** Other tabs use all streams of the key: waits until one may be free. */
  private async crowded(signal: AbortSignal): Promise<void> {
    this.entrance?.say(t("too_many_streams"));
    this.tell("away", t("too_many_streams"));
    await sleep(CROWDED_WAIT, signal);
  }

  /** The key was accepted. */
  private entered(key: string): void {
    session.signIn(key);
    this.show();
  }

  private askForRights(server: Server, signal: AbortSignal): void {
    void server.rights(signal).then((rights) => {
      if (signal.aborted) return;
      this.rights = rights;
      this.view?.detail.actions.allow(rights);
    });
  }

  /** Open carts, and those that closed while they are still shown. */
  private filter(): string {
    const since = new Date(now() - CLOSED_FOR).toISOString();
    return this.narrow ? `update_time > ${since}` : `state = OPEN OR update_time > ${since}`;
  }

  private take(event: CartEvent): void {
    switch (event.type) {
      case "reset":
        this.carts.reset();
        this.tell("loading");
        break;
      case "ready":
        this.carts.ready();
        this.tell("live");
        if (!this.figures) this.begun();
        this.view?.tick();
        break;
      case "change":
        this.carts.change(event.change);
        this.view?.changed();
    }
  }

  /** The list is complete for the first time. */
  private begun(): void {
    this.watchFigures();
    this.view?.go(cartInAddress());
    if (this.server) this.askForRights(this.server, this.life.signal);
  }

  private connected(): void {
    clearTimeout(this.away);
    this.away = undefined;
    if (this.status === "away") this.tell("live");
  }

  private disconnected(): void {
    const after = this.status === "connecting" ? 0 : SAID_AFTER;
    this.away ??= setTimeout(() => {
      this.entrance?.say(t("no_server"));
      this.tell("away", t("no_server"));
    }, after);
  }

  private tell(status: Status, message = ""): void {
    this.status = status;
    this.message = message || (this.narrow ? t("too_wide", { time: minute(this.narrow) }) : "");
    this.view?.setStatus(status, this.message);
  }

  private togglePause(): void {
    const caughtUp = this.carts.paused;
    if (caughtUp) this.carts.catchUp();
    else this.carts.pause();
    this.view?.setStatus(this.status, this.message);
    if (caughtUp) this.view?.draw(true);
    else this.view?.changed();
    // The page ignored its stream meanwhile.
    const open = this.view?.detail.name;
    if (caughtUp && open) this.follow(open);
  }

  private watchFigures(): void {
    this.figures?.abort();
    const { server } = this;
    if (!server) return;
    const stop = (this.figures = new AbortController());
    const follow = async () => {
      for await (const figures of server.watchFigures(stop.signal)) {
        if (!this.carts.paused) this.view?.figures.show(figures, this.carts.told);
      }
    };
    // A key that may see only the carts still sees those.
    follow().catch(() => this.view?.figures.element.remove());
  }

  /** Watches the opened cart with its own stream. */
  private follow(name: string): void {
    this.detail?.abort();
    const { server, view } = this;
    if (!server || !view) return;
    const { detail } = view;
    const { signal } = (this.detail = new AbortController());
    let reached = "";
    /** Requests the customer's e-mail address and telephone number. A key that is refused sees nothing. */
    const reach = () => {
      const { customer } = detail;
      if (!customer || customer === reached) return;
      reached = customer;
      server
        .customer(customer, signal)
        .then((found) => signal.aborted || detail.reach(found))
        .catch(() => {});
    };
    const follow = async () => {
      let exists = false;
      for await (const event of server.watchCart(name, signal)) {
        if (event.type === "reset") exists = false;
        // The snapshot of a cart that does not exist has no change.
        if (event.type === "ready" && !exists) detail.gone();
        if (event.type !== "change") continue;
        exists = true;
        if (this.carts.paused) continue;
        detail.change(event.change);
        reach();
      }
    };
    reach();
    follow().catch((error: unknown) => {
      if (ClientelaError.from(error).reason === "NOT_FOUND") detail.gone();
    });
  }

  private signedIn(): Server {
    if (!this.server) throw new Error("no key");
    return this.server;
  }

  private groupName(name: string): string {
    const names = this.groupNames.get(name);
    if (!names) this.askForGroups();
    return names?.[language()] ?? Object.values(names ?? {})[0] ?? name.replace("groups/", "");
  }

  private askForGroups(): void {
    const { server, life } = this;
    if (!server || Date.now() - this.groupsAsked < GROUPS_EVERY) return;
    this.groupsAsked = Date.now();
    server
      .groupNames(life.signal)
      .then((names) => {
        if (life.signal.aborted) return;
        this.groupNames = names;
        this.view?.list.forget();
        this.view?.tick();
      })
      // Without display names, groups appear by their ids.
      .catch(() => {});
  }

  /** A hidden tab closes all connections except the one of the list. */
  private seen(): void {
    clearTimeout(this.hidden);
    if (document.hidden) {
      this.hidden = setTimeout(() => {
        this.figures?.abort();
        this.detail?.abort();
      }, HIDDEN_FOR);
      return;
    }
    if (this.figures?.signal.aborted) this.watchFigures();
    const open = this.view?.detail.name;
    if (this.detail?.signal.aborted && open) this.follow(open);
    this.view?.changed();
  }

  private tick(): void {
    if (!document.hidden) this.view?.tick();
  }
}
