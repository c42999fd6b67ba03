// Tests of the list's order: it is held while a person is in the list, and one control renews it.

import { ownerOf, Server } from "./server.js";
import { assert, assertEqual, eventually, PHONE } from "./trial.js";

const CARTS = 40;
/** Pause of the writer between two changes, in milliseconds. */
const PAUSE = 250;

export async function order(trial) {
  const sentences = {
    pointer: "a click opens the cart that was under the pointer while carts change",
    finger: "a tap opens the cart that was under the finger while carts change",
    late: "a tap on a row that has just come under the finger opens nothing",
    control: "the order holds, says what would move, and one control brings it up to date",
    keyboard: "the order holds for the keyboard, and a key brings it up to date",
    opened: "the row of the opened cart stays in view while others change",
    gone: "a cart that goes keeps its place while the order holds",
  };
  if (trial.only && !Object.values(sentences).some((sentence) => sentence.includes(trial.only))) return;
  // A store of its own: all its carts are changed.
  const server = await Server.start();
  try {
    const { secret: key } = await server.key();
    const owners = new Map();
    for (let n = 0; n < CARTS; n += 1) {
      const { number } = await server.add(`shopper-${n}`, "tea", { displayName: `Tea of ${n}` });
      owners.set(`Cart ${number}`, `shopper-${n}`);
    }

    await trial.test(sentences.pointer, async ({ tab }) => {
      const it = await tab({ key, url: server.url });
      await whole(it);
      const changes = new Changes(server);
      try {
        for (let click = 0; click < 8; click += 1) {
          const place = await rowBox(it, 1 + (click % 5));
          await it.page.mouse.move(place.x, place.y);
          const aimed = await cartAt(it, place);
          // The person looks at the row; meanwhile other carts change.
          await changes.seen(it, 4);
          await it.page.mouse.click(place.x, place.y);
          await it.page.locator(".detail.open").waitFor();
          assertEqual(await openedCart(it), aimed, `click ${click + 1} opened another cart`);
          await it.page.getByRole("button", { name: "Close" }).click();
          await it.page.getByRole("heading", { name: "Carts, live" }).click();
          await it.page.getByText("Last changed first").waitFor();
        }
      } finally {
        await changes.end();
      }
    });

    await trial.test(sentences.finger, async ({ tab }) => {
      const it = await tab({ key, url: server.url, size: PHONE, hasTouch: true });
      await whole(it);
      const changes = new Changes(server);
      try {
        const place = await rowBox(it, 2);
        const opened = it.page.locator(".detail.open");
        for (let tap = 0; tap < 3; tap += 1) {
          let aimed;
          do {
            // A touch holds the order, for some seconds.
            await it.page.touchscreen.tap(place.x, place.y);
            if ((await opened.count()) > 0) await it.page.getByRole("button", { name: "Close" }).tap();
            await it.page.locator(".order.held").waitFor();
            aimed = await cartAt(it, place);
            await changes.seen(it, 3);
          } while ((await it.page.locator(".order.held").count()) === 0);
          await it.page.touchscreen.tap(place.x, place.y);
          await opened.waitFor();
          assertEqual(await openedCart(it), aimed, `tap ${tap + 1} opened another cart`);
          await it.page.getByRole("button", { name: "Close" }).tap();
        }
      } finally {
        await changes.end();
      }
    });

    await trial.test(sentences.late, async ({ tab }) => {
      const it = await tab({ key, url: server.url, size: PHONE, hasTouch: true });
      await whole(it);
      // In one step of the page, so that no event comes between the move of the row and the tap.
      const opened = it.page.evaluate(
        () =>
          new Promise((resolve) => {
            const list = document.querySelector(".list");
            const tapped = new MutationObserver(() => {
              tapped.disconnect();
              const row = list.querySelector('.row[aria-posinset="3"]');
              const touch = { pointerType: "touch", bubbles: true };
              row.dispatchEvent(new PointerEvent("pointerdown", touch));
              row.dispatchEvent(new PointerEvent("click", touch));
              resolve(document.querySelectorAll(".detail.open").length);
            });
            tapped.observe(list, { subtree: true, attributes: true, attributeFilter: ["style"] });
          }),
      );
      const last = (await carts(it)).at(-1);
      await server.add(owners.get(last), "cake", { displayName: "Cake for the last" });
      assertEqual(await opened, 0, "the tap opened a cart that had just come there");
      // The next tap opens the row that it hits.
      await it.page.locator(".order.held").waitFor();
      const place = await rowBox(it, 2);
      const aimed = await cartAt(it, place);
      await eventually("the cart is shown", async () => {
        if ((await it.page.locator(".detail.open").count()) === 0) await it.page.touchscreen.tap(place.x, place.y);
        return (await it.page.locator(".detail.open").count()) > 0;
      });
      assertEqual(await openedCart(it), aimed, "the next tap opened another cart");
    });

    await trial.test(sentences.control, async ({ tab }) => {
      const it = await tab({ key, url: server.url });
      await whole(it);
      const before = await carts(it);
      const place = await rowBox(it, 3);
      await it.page.mouse.move(place.x, place.y);
      await it.page.getByText("Order held").waitFor();
      const last = before.at(-1);
      await server.add(owners.get(last), "cake", { displayName: "Cake for the last" });
      await server.add(owners.get(before[5]), "cake", { displayName: "Cake for the sixth" });
      await server.add("newcomer", "rope", { displayName: "Long rope" });
      const bar = it.page.locator(".order");
      await bar.getByText("2 would move · 1 new").waitFor();
      assertEqual(await carts(it), before, "rows moved under the pointer");
      const marked = it.page.locator(".row[data-mark=changed]");
      await eventually("changed rows are marked", async () => (await marked.count()) === 2);
      assert((await marked.first().getAttribute("aria-label")).includes("changed "), "the mark is not said");
      // The first row changes and would stay in its place: no further row would move.
      await it.page.getByRole("button", { name: "Update order" }).click();
      await eventually("the newest is first", async () => (await it.rows())[0].includes("Long rope"));
      assertEqual((await carts(it)).slice(1, 3), [before[5], last], "the order is not that of the changes");
      assertEqual(await marked.count(), 0, "a row is still marked");
      await bar.getByRole("status").getByText("The order is up to date.").waitFor();
      // The order is held again, until the pointer leaves.
      await server.add(owners.get(before[0]), "cake", { displayName: "Cake for another" });
      await bar.getByText("1 would move").waitFor();
      await it.page.mouse.move(5, 5);
      await eventually("the list follows", async () => (await carts(it))[0] === before[0]);
      await it.page.getByText("Last changed first").waitFor();
      await server.carts.deleteCart({ target: ownerOf("newcomer") });
      await it.row("Long rope").waitFor({ state: "detached" });
    });

    await trial.test(sentences.keyboard, async ({ tab }) => {
      const it = await tab({ key, url: server.url });
      await whole(it);
      const list = it.page.getByRole("listbox");
      await it.page.getByRole("searchbox").focus();
      for (let n = 0; n < 14 && !(await list.evaluate((list) => list === document.activeElement)); n += 1) {
        await it.page.keyboard.press("Tab");
      }
      for (let n = 0; n < 4; n += 1) await it.page.keyboard.press("ArrowDown");
      const chosen = async () => it.page.locator(`#${await list.getAttribute("aria-activedescendant")}`);
      const before = await carts(it);
      await eventually("the fourth row is chosen", async () => (await cartOf(await chosen())) === before[3]);
      await server.add(owners.get(before[7]), "cake", { displayName: "Cake for the eighth" });
      await it.page.locator(".order").getByText("1 would move").waitFor();
      await it.page.getByRole("status").getByText("Press U in the list").waitFor();
      assertEqual(await (await chosen()).getAttribute("aria-posinset"), "4");
      assertEqual(await carts(it), before, "rows moved under the keyboard");
      await it.page.keyboard.press("u");
      await eventually("the order is new", async () => (await carts(it))[0] === before[7]);
      assertEqual(await cartOf(await chosen()), before[3], "another cart is chosen");
      assertEqual(await (await chosen()).getAttribute("aria-posinset"), "5");
      assert(await list.evaluate((list) => list === document.activeElement), "the focus left the list");
      // The keyboard reaches the control too, and the control gives the focus back when nothing is left to
      // do.
      await server.add(owners.get(before[8]), "cake", { displayName: "Cake for the ninth" });
      await it.page.locator(".order").getByText("1 would move").waitFor();
      await it.page.keyboard.press("Shift+Tab");
      await it.page.keyboard.press("Enter");
      await eventually("the order is new", async () => (await carts(it))[0] === before[8]);
      assert(await list.evaluate((list) => list === document.activeElement), "the focus is lost");
    });

    await trial.test(sentences.opened, async ({ tab }) => {
      const it = await tab({ key, url: server.url });
      await whole(it);
      const [, , aimed] = await carts(it);
      const row = rowOf(it, aimed);
      await row.click();
      await it.page.locator(".detail.open").waitFor();
      await it.page.locator(".detail-head").hover();
      await it.page.getByText("Last changed first").waitFor();
      const owner = owners.get(aimed);
      for (let n = 0; n < CARTS; n += 1) {
        const other = `shopper-${n}`;
        if (other !== owner) await server.add(other, "cake", { displayName: `Cake of ${n}` });
      }
      await eventually("all others are before it", async () => (await row.getAttribute("aria-posinset")) === String(CARTS));
      // It may still glide there.
      await eventually("the row is in sight", async () => {
        const [inner, outer] = [await row.boundingBox(), await it.page.locator(".list").boundingBox()];
        return inner.y >= outer.y - 1 && inner.y + inner.height <= outer.y + outer.height + 1;
      });
    });

    await trial.test(sentences.gone, async ({ tab }) => {
      const going = await server.add("leaver", "ice", { displayName: "Ice" });
      const it = await tab({ key, url: server.url });
      await it.row("Ice").waitFor();
      await it.row("Ice").hover();
      const before = await carts(it);
      await server.carts.deleteCart({ target: { target: { case: "cart", value: going.name } } });
      await it.page.locator(".order").getByText("1 would go").waitFor();
      await it.row("Ice").getByText("gone").waitFor();
      assertEqual(await carts(it), before, "rows moved under the pointer");
      await it.row("Ice").click();
      await it.page.getByText("This cart was deleted").waitFor();
      await it.page.keyboard.press("Escape");
      await it.page.getByRole("heading", { name: "Carts, live" }).click();
      await it.row("Ice").waitFor({ state: "detached" });
    });
  } finally {
    await server.end();
  }
}

/** Changes one cart after the other until it is stopped. */
class Changes {
  made = 0;
  ended = false;

  constructor(server) {
    this.run = (async () => {
      while (!this.ended) {
        const n = (this.made * 7) % CARTS;
        await server.add(`shopper-${n}`, `cup-${this.made}`, { displayName: `Cup ${this.made + 1}.` });
        this.made += 1;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    })();
  }

  /** Waits until this many more changes were made, and the page has received them. */
  async seen(it, more) {
    const until = this.made + more;
    await eventually("changes are made", () => this.made >= until);
    // The list shows them in one of its rows or counts them: the newest is of a cart that the page knows.
    const counted = it.page.locator(".order-pending:not(:empty)");
    const newest = it.page.locator(".row .what", { hasText: /Cup \d+\./ });
    await eventually("the page has them", async () => (await counted.count()) + (await newest.count()) > 0);
  }

  async end() {
    this.ended = true;
    await this.run;
  }
}

async function whole(it) {
  await it.page.locator(".shown").filter({ hasText: `${CARTS} carts` }).waitFor({ state: "attached" });
  await eventually("rows", async () => (await it.rows()).length > 6);
}

function numberIn(label) {
  return /Cart ([^\s,]+)/.exec(label)[0];
}

/** Returns the row of a cart. The text "Cart 1" is also in the row of the cart 10. */
function rowOf(it, cart) {
  return it.page.locator(`.row[aria-label*=", ${cart}, "]`);
}

async function cartOf(row) {
  return numberIn(await row.getAttribute("aria-label"));
}

/** Returns the carts of the rows that are elements, from top to bottom. */
async function carts(it) {
  return (await it.rows()).map(numberIn);
}

/** Returns the middle of the row at an index, counted from the top of the visible part. */
async function rowBox(it, index) {
  return it.page.evaluate((index) => {
    const list = document.querySelector(".list").getBoundingClientRect();
    const { height } = document.querySelector(".row").getBoundingClientRect();
    return { x: list.left + list.width / 3, y: list.top + (index + 0.5) * height };
  }, index);
}

async function cartAt(it, { x, y }) {
  const label = await it.page.evaluate(
    ([x, y]) => document.elementFromPoint(x, y).closest(".row").getAttribute("aria-label"),
    [x, y],
  );
  return numberIn(label);
}

async function openedCart(it) {
  return numberIn(await it.page.locator(".detail .detail-head .under").innerText());
}
