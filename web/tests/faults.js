// Finds texts with too little contrast, and controls without a name.

/** Runs in the page: controls without a name, and texts whose contrast is below 4.5 to 1. */
export function faults() {
  const found = [];
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const it = colour(getComputedStyle(at).backgroundColor);
      if (it[3] > 0.99) return it;
    }
    return [255, 255, 255, 1];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest("noscript, option, [inert]")) continue;
    const [a, b] = [light(colour(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  for (const control of document.querySelectorAll("a, button, input, select, textarea, [role=listbox], [role=option], [role=img]")) {
    if (!control.checkVisibility()) continue;
    const named =
      control.getAttribute("aria-label") || control.textContent.trim() || (control.labels && control.labels[0]?.textContent.trim());
    if (!named) found.push(`no name: ${control.outerHTML.slice(0, 80)}`);
  }
  return [...new Set(found)];
}
