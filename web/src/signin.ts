// The form that asks for a key.

import { h, setText } from "./dom";
import { isKey } from "./session";
import { t } from "./text";

export class SignIn {
  readonly element: HTMLElement;
  private readonly field: HTMLInputElement;
  private readonly button: HTMLButtonElement;
  private readonly message: HTMLElement;

  constructor(key: string, message: string, enter: (key: string) => void, tools: HTMLElement) {
    this.field = h("input", {
      attributes: {
        id: "key",
        type: "password",
        name: "key",
        autocomplete: "off",
        autocapitalize: "off",
        spellcheck: "false",
        required: true,
        placeholder: "clt_…",
        "aria-describedby": "key-hint key-message",
      },
    });
    this.field.value = key;
    this.button = h("button", { class: "primary", text: t("sign_in"), attributes: { type: "submit" } });
    this.message = h("p", {
      class: "message",
      text: message,
      attributes: { id: "key-message", role: "alert" },
    });
    const form = h(
      "form",
      {
        class: "sign-in",
        on: {
          submit: (event) => {
            event.preventDefault();
            const key = this.field.value.trim();
            if (isKey(key)) enter(key);
            else this.say(t("key_wrong"));
          },
        },
      },
      h("span", { class: "logo", attributes: { "aria-hidden": "true" } }),
      h("h1", { text: "Clientela" }),
      h("p", { class: "lead", text: t("title") }),
      h("label", { text: t("key"), attributes: { for: "key" } }),
      this.field,
      h("p", { class: "hint", text: t("key_hint"), attributes: { id: "key-hint" } }),
      this.button,
      this.message,
    );
    this.element = h("main", { class: "entrance" }, tools, form);
  }

  focus(): void {
    this.field.focus();
  }

  /** Disables the form while the key is checked. */
  busy(busy: boolean): void {
    this.button.disabled = busy;
    setText(this.button, t(busy ? "signing_in" : "sign_in"));
  }

  say(message: string): void {
    setText(this.message, message);
    this.busy(false);
    this.field.focus();
  }
}
