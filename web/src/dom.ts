// Makes elements. Text only ever becomes text: nothing here, or anywhere in the page, writes markup.

type Child = Node | string | null | undefined | false;

interface Options {
  class?: string;
  text?: string;
  attributes?: Record<string, string | boolean | undefined>;
  on?: Record<string, (event: Event) => void>;
}

/** Makes an element with its children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  options: Options = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (options.class) element.className = options.class;
  if (options.text !== undefined) element.textContent = options.text;
  for (const [name, value] of Object.entries(options.attributes ?? {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(options.on ?? {})) {
    element.addEventListener(name, listener);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** Makes an SVG element with attributes. */
export function svg(tag: string, attributes: Record<string, string> = {}, ...children: Node[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Makes a drawing of lines on a field of 20 by 20, hidden from screen readers. */
export function icon(path: string): SVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" },
    svg("path", { d: path }),
  );
}

/** Sets an element's text if it differs. */
export function setText(element: Node, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute if it differs; null removes it. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Makes an element for typed text, whose direction does not affect its surroundings. */
export function theirs(text = "", className = ""): HTMLElement {
  return h("bdi", { class: className, text });
}

export const ICONS = {
  pause: "M7 4v12M13 4v12",
  play: "M6 4l10 6-10 6z",
  update: "M10 16V4M5 9l5-5 5 5",
  close: "M5 5l10 10M15 5L5 15",
  back: "M12 4l-6 6 6 6",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M4 16l1.4-1.4M14.6 5.4L16 4",
  moon: "M16.5 12A7 7 0 0 1 8 3.5a7 7 0 1 0 8.5 8.5z",
  auto: "M10 2.5a7.5 7.5 0 1 0 0 15zM10 2.5a7.5 7.5 0 0 1 0 15",
  leave: "M8 3H4v14h4M13 6l4 4-4 4M17 10H8",
  search: "M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4",
  lock: "M5.5 9h9v7.5h-9zM7 9V6.5a3 3 0 0 1 6 0V9",
};
