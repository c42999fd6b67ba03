// The options of a select element.

import { h } from "./dom";

/** Fills a select element, and hides it if there is nothing to choose. */
export function options(select: HTMLSelectElement, any: string, values: (readonly [string, string])[], chosen: string): void {
  const key = JSON.stringify([any, values]);
  if (select.dataset["key"] === key) return;
  select.dataset["key"] = key;
  const option = (value: string, text: string) => h("option", { text, attributes: { value } });
  select.replaceChildren(option("", any), ...values.map(([value, text]) => option(value, text)));
  if (chosen && !values.some(([value]) => value === chosen)) select.append(option(chosen, chosen));
  select.value = chosen;
  select.hidden = values.length < 2 && !chosen;
}
