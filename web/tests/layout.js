// Tests of the layout: the number of visible rows, the colours, the movements.

import { create, toBinary } from "@bufbuild/protobuf";
import { Role, WatchCartFiguresResponseSchema } from "clientela/node";
import { item, ownerOf, Server } from "./server.js";
import { assert, assertEqual, eventually, PHONE } from "./trial.js";

const OFFICE = { width: 1280, height: 900 };
const CARTS = 40;
const IN_SIGHT_MIN = 16;

export async function layout(trial) {
  const sentences = {
    empty: "a chart with nothing to draw says so in words",
    dense: "sixteen carts are in sight at 1280 by 900, under the heads of their columns",
    still: "opening and closing a cart moves nothing else",
    colour: "only carts and figures that are to be looked at have a colour",
    prices: "the prices that a cart shows add up",
  };
  if (trial.only && !Object.values(sentences).some((sentence) => sentence.includes(trial.only))) return;
  // A store of its own: its carts are counted, and at first there are none.
  const server = await Server.start();
  try {
    const { secret: key } = await server.key();

    await trial.test(sentences.empty, async ({ tab }) => {
      const it = await tab({ key, url: server.url });
      await it.page.locator(".chart").getByText("No cart has been filled since").waitFor();
      assertEqual(await it.page.locator(".chart svg").isVisible(), false, "an empty drawing is shown");
      assertEqual(await it.page.locator(".chart .said").innerText(), "", "figures of nothing are shown");
      await it.picture("empty shop light");
      await server.add("shopper-0", "tea", { displayName: "Tea of 0" });
      await it.page.getByRole("img", { name: /Now 1/ }).waitFor();
      assertEqual(await it.page.getByText("No cart has been filled").isVisible(), false, "the words stay");
    });

    for (let n = 0; n < CARTS; n += 1) await server.add(`shopper-${n}`, "tea", { displayName: `Tea of ${n}` });

    await trial.test(sentences.dense, async ({ tab }) => {
      for (const language of ["en-GB", "fr-FR"]) {
        const it = await tab({ key, url: server.url, size: OFFICE, language });
        await whole(it);
        const { rows, heads } = await it.page.evaluate(measured);
        console.log(`        ${rows} carts in sight, ${language}`);
        assert(rows >= IN_SIGHT_MIN, `only ${rows} carts are in sight`);
        const named = heads.filter(({ head }) => head);
        assert(named.length >= 8, `only ${named.length} columns have a head`);
        for (const { head, off, cut } of named) {
          assert(Math.abs(off) <= 1, `the head ${head} is ${off} pixels beside its column`);
          assert(!cut, `the head ${head} is cut off`);
        }
        await it.picture(`dense ${language} light`);
      }
    });

    await trial.test(sentences.still, async ({ tab }) => {
      for (const size of [OFFICE, { width: 1024, height: 768 }, PHONE]) {
        const it = await tab({ key, url: server.url, size, motion: "reduce" });
        await whole(it);
        await it.row("Tea of 37").hover();
        await it.page.locator(".order.held").waitFor();
        const before = await it.page.evaluate(places);
        assert(Object.keys(before).length > 20, "there is nothing to compare");
        await it.row("Tea of 37").click();
        await it.page.locator(".detail.open").getByText("€20.00 each").waitFor();
        assertEqual(await it.page.evaluate(places), before, `opened at ${size.width}`);
        await it.page.getByRole("button", { name: "Close" }).click();
        await it.page.locator(".detail.open").waitFor({ state: "detached" });
        assertEqual(await it.page.evaluate(places), before, `closed at ${size.width}`);
      }
    });

    await trial.test(sentences.colour, async ({ tab }) => {
      for (const theme of ["light", "dark"]) {
        const it = await tab({ key, url: server.url, theme, motion: "reduce" });
        await whole(it);
        const abandoned = it.page.locator(".card.abandoned .value");
        await eventually("figures", async () => (await abandoned.innerText()) === "0");
        assertEqual(await it.page.evaluate(coloured), [], `something has a colour, ${theme}`);
        const { name, number } = await server.add("shopper-33", "tea", { displayName: "Tea of 33" });
        const locked = it.page.locator(`.row[aria-label*=", Cart ${number}, "] .badge.held`);
        const target = { target: { case: "cart", value: name } };
        await server.carts.lockCart({ target });
        await locked.waitFor();
        assertEqual(await it.page.evaluate(coloured), ["locked by staff"], `another colour, ${theme}`);
        await server.carts.unlockCart({ name });
        await locked.waitFor({ state: "detached" });
        // The test does not wait until a cart is abandoned: it sends the figures itself.
        await it.page.route(/WatchCartFigures$/, (route) => route.fulfill(answered({ openCarts: 40n, abandonedCarts: 3n })));
        await it.page.reload();
        await eventually("figures of abandoned carts", async () => (await abandoned.innerText()) === "3");
        assertEqual(await it.page.evaluate(coloured), ["3"], `another colour, ${theme}`);
        await it.picture(`abandoned ${theme}`);
      }
    });

    await trial.test(sentences.prices, async ({ tab }) => {
      const { name: group } = await server.groups.createGroup({
        groupId: "tenth",
        group: { displayNames: { en: "Tenth" }, discountPercent: "10" },
      });
      const { name: customer } = await server.customers.createCustomer({
        customerId: "buyer",
        customer: { firstName: "Bea", lastName: "Buyer", email: "buyer@example.test", groups: [group], defaultGroup: group },
      });
      const add = (product, more, price = {}) => {
        const line = item(product, { displayName: product, ...more });
        Object.assign(line.price, price);
        return server.carts.addItem({ target: ownerOf(customer), item: line });
      };
      // Three pieces do not cost three times the rounded price of one.
      await add("fraction", { quantity: 3, euros: 13.445378 });
      await add("without tax", { quantity: 2, euros: 9.99 }, { priceIncludesTax: false });
      await add("reduced", { quantity: 7, euros: 0.333333 }, { reduction: { reduction: { case: "percent", value: "12.5" } } });
      await add("no discount", { quantity: 1, euros: 5 }, { discountable: false });
      const cart = await add("by hand", { quantity: 4, euros: 8 });
      const support = server.client((await server.key(Role.SUPPORT)).secret);
      await support.carts.updateItem({
        name: cart.items.at(-1).name,
        priceOverride: { amount: { currencyCode: "EUR", micros: 6_125_000n }, reason: "Agreed by telephone" },
      });
      const euros = (n) => ({ currencyCode: "EUR", micros: BigInt(n * 1e6) });
      const change = async (charges, adjustments) =>
        server.carts.updateCart({
          cart: { name: cart.name, charges, adjustments },
          updateMask: { paths: ["charges", "adjustments"] },
        });
      await change([{ kind: "shipping", label: "Shipping", amount: euros(5) }], [{ kind: "voucher", label: "Voucher", amount: euros(-10) }]);
      const it = await tab({ key, url: server.url });
      await it.open(it.row("Bea Buyer"));
      const detail = it.page.locator(".detail.open");
      await detail.getByText("without tax", { exact: true }).waitFor();
      const lines = await detail.locator("tbody tr").allInnerTexts();
      assertEqual(lines.length, 5, "lines");
      const notes = lines.map(addsUp);
      assert(notes.some(({ discount }) => discount > 0) && notes.some(({ tax }) => tax > 0), "nothing was taken off or added");
      assertEqual(await sum(detail), true, "the cart does not add up");
      await it.picture("prices light");
      // A voucher of more than the total.
      await change([], [{ kind: "voucher", label: "Voucher", amount: euros(-500) }]);
      await detail.getByText("Rest of the voucher").waitFor();
      assertEqual(await sum(detail), true, "the cart does not add up when nothing is to pay");
    });
  } finally {
    await server.end();
  }
}

async function whole(it) {
  await it.page.locator(".shown").filter({ hasText: `${CARTS} ` }).waitFor({ state: "attached" });
  await eventually("rows", async () => (await it.rows()).length > 6);
}

/** Runs in the page: counts the rows in sight, and measures the heads against the cells of the first row. */
function measured() {
  const list = document.querySelector(".list").getBoundingClientRect();
  const rows = [...document.querySelectorAll(".row")].filter((row) => {
    const { top, bottom } = row.getBoundingClientRect();
    return top >= list.top - 0.5 && bottom <= Math.min(list.bottom, innerHeight) + 0.5;
  });
  const heads = [...document.querySelectorAll(".heads .cell")].map((head) => {
    const column = head.className.replace("cell ", "");
    const cell = rows[0].querySelector(`.cell.${column}`).getBoundingClientRect();
    const off = head.getBoundingClientRect().left - cell.left;
    return { head: head.textContent, off, cut: head.scrollWidth > head.clientWidth };
  });
  return { rows: rows.length, heads };
}

/** Runs in the page: the places of its panels, controls and rows. */
function places() {
  const found = {};
  const parts = ["header", "header *", ".figures", ".card", ".filters", ".filters *", ".order", ".order-state", ".heads", ".list", ".row"];
  for (const part of parts) {
    document.querySelectorAll(part).forEach((element, index) => {
      // The cart identifies a row, not its age. Rows that have left the margin do not count.
      const label = element.getAttribute("aria-label")?.split(", ").slice(0, 2).join();
      const name = part === ".row" ? label : `${part} ${index}`;
      const { x, y, width, height } = element.getBoundingClientRect();
      // Counts, times and states may make their own text wider, but move nothing else.
      const place = { "header *": [y], ".filters *": [y], ".order-state": [x, y] }[part] ?? [x, y, width, height];
      if (width > 0) found[name] = place.map(Math.round);
    });
  }
  return found;
}

/** Runs in the page: the texts of rows and figures with a colour or on one. */
function coloured() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const isColour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return a > 0 && Math.max(r, g, b) - Math.min(r, g, b) > 32;
  };
  return [...document.querySelectorAll(".card, .card *, .order-state, .row, .row *, .status")]
    .filter((element) => element.checkVisibility())
    .filter((element) => {
      const { color, backgroundColor, borderTopColor, stroke } = getComputedStyle(element);
      return [color, backgroundColor, borderTopColor, stroke].some(isColour);
    })
    .map((element) => element.textContent);
}

/** The answer of a stream that has one message. */
function answered(figures) {
  const frame = (flag, bytes) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(flag, 0);
    head.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  };
  const message = toBinary(WatchCartFiguresResponseSchema, create(WatchCartFiguresResponseSchema, { figures }));
  const body = Buffer.concat([frame(0, message), frame(0x80, Buffer.from("grpc-status: 0\r\n"))]);
  return { status: 200, contentType: "application/grpc-web+proto", body };
}

const CENT = 0.005;

/** Recomputes a line from its shown values: quantity, price of one, discount, tax, total. */
function addsUp(text) {
  const number = (pattern) => Number(pattern.exec(text)?.[1].replaceAll(",", "") ?? 0);
  const quantity = number(/^\s*(\d+)/);
  const each = number(/€([\d.,]+) each/);
  const discount = number(/−€([\d.,]+) discount/);
  const tax = number(/\+\u2060?€([\d.,]+) tax/);
  const total = number(/€([\d.,]+)\s*$/);
  const reckoned = Math.round(quantity * each * 100 + 1e-6) / 100 - discount + tax;
  assert(quantity > 0 && each > 0, `no quantity or price in ${text}`);
  assert(Math.abs(reckoned - total) < CENT, `${text} does not add up: ${reckoned}`);
  return { discount, tax };
}

/** Whether the rows over the total of a cart add up to it. */
async function sum(detail) {
  const rows = await detail.locator("tfoot tr").allInnerTexts();
  const amounts = rows.map((text) => Number(/(-?)€([\d.,]+)\s*$/.exec(text)?.slice(1).join("").replaceAll(",", "")));
  const at = rows.findIndex((text) => text.startsWith("Total"));
  const reckoned = amounts.slice(0, at).reduce((sum, amount) => sum + amount, 0);
  return Math.abs(reckoned - amounts[at]) < CENT;
}
