// The actions of staff on the opened cart: lock, unlock, and edit the note. They are hidden from keys that
// only watch.
//
// Invariant: a lock and a note are sent with the etag of the cart that the person saw. If the cart has
// changed, the server does nothing; the page says what happened and shows the present cart, and the person
// decides again.

import { Cart_State as State, ClientelaError, type Cart, type CartLock } from "clientela/browser";
import { h, setText } from "./dom";
import { editRefusal } from "./refusals";
import { minute, t } from "./text";
import { milliseconds } from "./time";

/** The rights of a key: it may look at carts, also edit them, or also end the lock of somebody else. */
export type Rights = "look" | "edit" | "force";

/** The calls that change a cart; each returns the changed cart. */
export interface Edits {
  read(name: string): Promise<Cart>;
  /** Locks a cart for a quarter of an hour. */
  lock(cart: Cart, purpose: string): Promise<Cart>;
  /** Renews the lock for another quarter of an hour. */
  renewLock(name: string): Promise<Cart>;
  unlock(name: string, force: boolean): Promise<Cart>;
  writeNote(cart: Cart, note: string): Promise<Cart>;
}

/** Limits of the contract, in characters. */
const PURPOSE_MAX = 255;
const NOTE_MAX = 1000;

export class Actions {
  readonly element: HTMLElement;
  private rights: Rights = "look";
  private cart: Cart | null = null;
  /** The API key that locked a cart from this page. */
  private ownKey = "";
  /** The lock that the server would not end without force. */
  private foreign = "";
  /** The version of the cart that the person saw when they began to edit the note; null if they do not. */
  private noted: Cart | null = null;
  private busy = false;
  /** Returns the outcome of the last action. Drawings ask again: streams explain conflicts later. */
  private outcome: () => string = () => "";
  /** The lock at the time of the outcome. A success message is removed when the lock has changed since. */
  private outcomeLock = "";
  private readonly purpose = h("input", {
    attributes: { maxlength: String(PURPOSE_MAX), placeholder: t("lock_purpose_hint"), "aria-label": t("lock_purpose") },
  });
  private readonly lockForm: HTMLFormElement;
  private readonly unlockButton: HTMLButtonElement;
  private readonly renewButton: HTMLButtonElement;
  private readonly noteButton: HTMLButtonElement;
  private readonly noteForm: HTMLFormElement;
  private readonly note = h("textarea", {
    attributes: { id: "note", maxlength: String(NOTE_MAX), rows: "3" },
  });
  private readonly message = h("p", { class: "outcome", attributes: { role: "status" } });
  private readonly edits: Edits;
  private readonly changed: (cart: Cart) => void;
  private readonly since: (version: bigint) => string;

  /** `changed` receives the cart that an action returned; `since` describes the changes after a version. */
  constructor(edits: Edits, changed: (cart: Cart) => void, since: (version: bigint) => string) {
    this.edits = edits;
    this.changed = changed;
    this.since = since;
    const button = (text: string, click: () => void) =>
      h("button", { text, attributes: { type: "button" }, on: { click } });
    const form = (className: string, submit: () => void, ...children: HTMLElement[]) =>
      h(
        "form",
        {
          class: className,
          on: {
            submit: (event) => {
              event.preventDefault();
              submit();
            },
          },
        },
        ...children,
      );
    const submit = (text: string) => h("button", { text, attributes: { type: "submit" } });
    this.lockForm = form("lock-form", () => void this.lock(), this.purpose, submit(t("lock")));
    this.unlockButton = button("", () => void this.unlock());
    this.renewButton = button(t("lock_renew"), () => void this.renew());
    this.noteButton = button(t("note_edit"), () => this.beginNote());
    this.noteForm = form(
      "note-form",
      () => void this.saveNote(),
      h("label", { text: t("note_label"), attributes: { for: "note" } }),
      this.note,
      submit(t("note_save")),
      button(t("cancel"), () => this.endNote()),
    );
    this.noteForm.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      // Closes the editor and not the cart.
      event.stopPropagation();
      this.endNote();
    });
    this.element = h(
      "section",
      { class: "actions", attributes: { "aria-label": t("actions") } },
      this.lockForm,
      h("div", { class: "buttons" }, this.unlockButton, this.renewButton, this.noteButton),
      this.noteForm,
      this.message,
    );
  }

  /** Begins with another cart. */
  begin(): void {
    this.cart = this.noted = null;
    this.outcome = () => "";
    this.purpose.value = this.foreign = "";
  }

  allow(rights: Rights): void {
    this.rights = rights;
    this.draw(this.cart);
  }

  /** Shows the actions that a cart allows now; null stands for a cart that is gone. */
  draw(cart: Cart | null): void {
    this.cart = cart;
    const done = !this.message.classList.contains("failed");
    if (done && this.outcomeLock !== lockOf(cart)) this.outcome = () => "";
    const open = cart?.state === State.OPEN;
    const lock = open ? cart.lock : undefined;
    const another = !!lock && this.isForeign(lock);
    const writing = open && this.noted !== null;
    this.element.hidden = this.rights === "look" || (!open && !this.outcome());
    this.lockForm.hidden = !open || !!lock;
    this.unlockButton.hidden = !lock || (another && this.rights !== "force");
    setText(this.unlockButton, t(another ? "unlock_anyway" : "unlock"));
    this.renewButton.hidden = !lock || !this.isOwn(lock);
    this.noteButton.hidden = !open || writing;
    this.noteForm.hidden = !writing;
    setText(this.message, this.outcome());
  }

  private isOwn({ apiKey, holder }: CartLock): boolean {
    return apiKey === this.ownKey && holder === "";
  }

  private isForeign(lock: CartLock): boolean {
    return this.ownKey ? !this.isOwn(lock) : this.foreign === lockId(lock);
  }

  private async lock(): Promise<void> {
    const { cart } = this;
    if (!cart) return;
    const locked = await this.run(cart, () => this.edits.lock(cart, this.purpose.value.trim()), (locked) => {
      this.ownKey = locked.lock?.apiKey ?? "";
      return t("locked_now", { time: expiry(locked) });
    });
    if (!locked) return;
    this.purpose.value = "";
    this.unlockButton.focus();
  }

  private async renew(): Promise<void> {
    const { cart } = this;
    if (!cart) return;
    await this.run(cart, () => this.edits.renewLock(cart.name), (cart) => t("locked_now", { time: expiry(cart) }));
  }

  private async unlock(): Promise<void> {
    const { cart } = this;
    if (!cart?.lock) return;
    const { lock } = cart;
    const force = this.isForeign(lock) && this.rights === "force";
    const unlocked = await this.run(
      cart,
      () => this.edits.unlock(cart.name, force),
      () => t("unlocked_now"),
      ({ reason }) => {
        if (reason === "CART_LOCKED") this.foreign = lockId(lock);
      },
    );
    if (unlocked) this.purpose.focus();
  }

  private beginNote(): void {
    this.noted = this.cart;
    this.note.value = this.cart?.note ?? "";
    this.outcome = () => "";
    this.draw(this.cart);
    this.note.focus();
  }

  private endNote(): void {
    this.noted = null;
    this.draw(this.cart);
    this.noteButton.focus();
  }

  private async saveNote(): Promise<void> {
    const { noted } = this;
    if (!noted) return;
    const saved = await this.run(noted, () => this.edits.writeNote(noted, this.note.value), () => t("note_saved"));
    if (saved) this.endNote();
    // The person sees the present cart now, so the next attempt may replace its note.
    else if (this.noted && this.cart) this.noted = this.cart;
  }

  /** Runs one action on a cart, shows its outcome, and returns whether it succeeded. */
  private async run(
    seen: Cart,
    call: () => Promise<Cart>,
    done: (cart: Cart) => string,
    refused: (error: ClientelaError) => void = () => {},
  ): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.element.setAttribute("aria-busy", "true");
    try {
      const cart = await call();
      const said = done(cart);
      if (!this.shows(seen)) return false;
      this.say(() => said, cart, false);
      this.changed(cart);
      return true;
    } catch (failure) {
      const error = ClientelaError.from(failure);
      refused(error);
      if (this.shows(seen)) await this.refused(seen, error);
      return false;
    } finally {
      this.busy = false;
      this.element.removeAttribute("aria-busy");
    }
  }

  private async refused(seen: Cart, error: ClientelaError): Promise<void> {
    const refusal = editRefusal(error);
    // The person decides again with the present cart.
    const present = await this.edits.read(seen.name).catch(() => null);
    if (!this.shows(seen)) return;
    this.say(() => (error.reason === "ETAG_MISMATCH" ? this.conflict(seen) : refusal), present, true);
    if (present) this.changed(present);
    else this.draw(this.cart);
  }

  private conflict(seen: Cart): string {
    const what = this.since(seen.version);
    const parts = [what ? t("conflict", { what }) : t("conflict_unknown")];
    const { cart } = this;
    if (this.noted && cart && cart.note !== seen.note) {
      parts.push(cart.note ? t("conflict_note", { note: cart.note }) : t("conflict_no_note"));
    }
    parts.push(t(this.noted ? "conflict_save" : "conflict_again"));
    return parts.join(" ");
  }

  private say(outcome: () => string, cart: Cart | null, failed: boolean): void {
    this.outcome = outcome;
    this.outcomeLock = lockOf(cart);
    this.message.classList.toggle("failed", failed);
  }

  private shows({ name }: Cart): boolean {
    return this.cart?.name === name;
  }
}

/** Returns a value that differs between two locks of a cart. */
export function lockId({ apiKey, holder, acquireTime }: CartLock): string {
  return `${apiKey} ${holder} ${milliseconds(acquireTime)}`;
}

function lockOf(cart: Cart | null): string {
  return cart?.lock ? lockId(cart.lock) : "";
}

function expiry({ lock }: Cart): string {
  return minute(milliseconds(lock?.expireTime));
}
