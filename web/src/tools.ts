// The small controls of every view: language, theme, and sign out.

import { h, icon, ICONS } from "./dom";
import { keepLooks, looks } from "./session";
import { language, languageChosen, t } from "./text";
import { LANGUAGES, type Word } from "./words";

const THEMES = ["auto", "light", "dark"] as const;
const THEME_ICONS = { auto: ICONS.auto, light: ICONS.sun, dark: ICONS.moon };

/** Shows the chosen theme. */
export function applyTheme(): void {
  document.documentElement.dataset["theme"] = looks.theme;
}

export function tools(languageChanged: () => void, leave?: () => void): HTMLElement {
  const languages = h("select", {
    class: "language",
    attributes: { "aria-label": t("language") },
    on: {
      change: () => {
        looks.language = languages.value;
        keepLooks();
        languageChosen();
        languageChanged();
        document.querySelector<HTMLElement>("select.language")?.focus();
      },
    },
  });
  for (const [tag, { name }] of Object.entries(LANGUAGES)) {
    languages.append(h("option", { text: name, attributes: { value: tag, lang: tag } }));
  }
  languages.value = language();
  const theme = h("button", {
    class: "quiet theme",
    attributes: { type: "button" },
    on: {
      click: () => {
        looks.theme = THEMES[(THEMES.indexOf(looks.theme) + 1) % THEMES.length]!;
        keepLooks();
        applyTheme();
        showTheme();
      },
    },
  });
  const showTheme = () => {
    const label = `${t("theme")}: ${t(`theme_${looks.theme}` as Word)}`;
    theme.setAttribute("aria-label", label);
    theme.title = label;
    theme.replaceChildren(icon(THEME_ICONS[looks.theme]));
  };
  showTheme();
  const out =
    leave &&
    h(
      "button",
      {
        class: "quiet leave",
        attributes: { type: "button", "aria-label": t("sign_out"), title: t("sign_out") },
        on: { click: leave },
      },
      icon(ICONS.leave),
    );
  return h("div", { class: "tools" }, languages, theme, out);
}
