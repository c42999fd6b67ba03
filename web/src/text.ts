// Formats texts, numbers, money and times in the chosen language.

import { looks } from "./session";
import { LANGUAGES, type Word } from "./words";

/** The language of the page: the chosen one, else the first of the browser's languages that the page has. */
export function language(): string {
  for (const tag of [looks.language, ...navigator.languages]) {
    const base = tag.slice(0, 2).toLowerCase();
    if (base in LANGUAGES) return base;
  }
  return "en";
}

let forms = formatters();

/** Call it after another language was chosen. */
export function languageChosen(): void {
  forms = formatters();
}

function formatters() {
  const tag = navigator.languages.find((tag) => tag.startsWith(language())) ?? language();
  const unit = (unit: string) =>
    new Intl.NumberFormat(tag, { style: "unit", unit, unitDisplay: "narrow" });
  return {
    tag,
    words: LANGUAGES[language()]!.words,
    plural: new Intl.PluralRules(tag),
    number: new Intl.NumberFormat(tag),
    clock: new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    minute: new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit" }),
    date: new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short" }),
    second: unit("second"),
    minutes: unit("minute"),
    hour: unit("hour"),
    day: unit("day"),
    money: new Map<string, Intl.NumberFormat>(),
  };
}

/** Returns a word with its values. */
export function t(word: Word, values: Record<string, string | number> = {}): string {
  return forms.words[word].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** Returns the form of a word for a number, with the number. */
export function count(word: "items" | "shown" | "waiting" | "skipped" | "moved" | "added" | "removed", n: number): string {
  const form = forms.plural.select(n) === "one" ? "one" : "other";
  return t(`${word}_${form}`, { n: number(n) });
}

export function number(n: number): string {
  return forms.number.format(n);
}

/** Formats millionths of a currency's unit; with `whole`, without the fraction of the unit. */
export function money(micros: bigint | number, currency: string, whole = false): string {
  return moneyFormat(currency, whole ? { maximumFractionDigits: 0 } : {}).format(Number(micros) / 1e6);
}

/** Formats millionths of a currency's unit with all places, because the price of one piece may have six. */
export function exactMoney(micros: bigint | number, currency: string): string {
  return moneyFormat(currency, { maximumFractionDigits: 6 }).format(Number(micros) / 1e6);
}

/** Formats a duration in its largest unit: `45s`, `12m`, `3h`, `5d`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return forms.second.format(seconds);
  if (seconds < 3600) return forms.minutes.format(Math.floor(seconds / 60));
  if (seconds < 48 * 3600) return forms.hour.format(Math.floor(seconds / 3600));
  return forms.day.format(Math.floor(seconds / 86_400));
}

/** Formats the time since an instant. */
export function ago(milliseconds: number): string {
  return milliseconds < 1500 ? t("just_now") : t("ago", { time: duration(milliseconds) });
}

export function clock(time: number): string {
  return forms.clock.format(time);
}

export function minute(time: number): string {
  return forms.minute.format(time);
}

export function date(time: number): string {
  return forms.date.format(time);
}

/** Returns a text without case and accents, for searches. */
export function folded(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase();
}

function moneyFormat(currency: string, digits: { maximumFractionDigits?: number }): Intl.NumberFormat {
  const kind = `${currency} ${digits.maximumFractionDigits}`;
  let format = forms.money.get(kind);
  if (!format) {
    try {
      format = new Intl.NumberFormat(forms.tag, { style: "currency", currency, ...digits });
    } catch {
      // Without a currency if there is no amount.
      format = forms.number;
    }
    forms.money.set(kind, format);
  }
  return format;
}
