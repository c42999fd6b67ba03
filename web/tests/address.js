// Every cart has an address: opening sets it, loading the page with it opens the cart, and the browser's
// history leads through the opened carts.

import { ownerOf } from "./server.js";
import { assertEqual, eventually, PHONE } from "./trial.js";

const HOUR = 60 * 60_000;

export async function address(trial) {
  const { server } = trial;
  const { secret: key } = await server.key();
  const carts = {};
  for (const what of ["Compass", "Sextant"]) {
    carts[what] = (await server.add(`bearer-of-${what}`, what.toLowerCase(), { displayName: what })).name;
  }

  await trial.test("opening a cart sets the address, and Back and Forward lead through it", async ({ tab }) => {
    for (const size of [undefined, PHONE]) {
      const it = await tab({ key, ...(size && { size }) });
      await it.row("Compass").click();
      await shows(it, carts.Compass, "Compass");
      const covered = await it.page.locator(".lists").evaluate((lists) => lists.inert);
      assertEqual(covered, size === PHONE, "whether the list is within reach");
      await it.page.goBack();
      await it.page.locator(".detail.open").waitFor({ state: "detached" });
      assertEqual(hash(it), "", "the list has the address of a cart");
      assertEqual(await it.page.locator(".lists").evaluate((lists) => lists.inert), false, "the list is out of reach");
      await it.page.goForward();
      await shows(it, carts.Compass, "Compass");
      // Another cart from there, as by a link in a message.
      await it.page.evaluate((name) => (location.hash = `#/${name}`), carts.Sextant);
      await shows(it, carts.Sextant, "Sextant");
      await it.page.goBack();
      await shows(it, carts.Compass, "Compass");
      await it.page.getByRole("button", { name: "Close" }).click();
      await it.page.locator(".detail.open").waitFor({ state: "detached" });
      assertEqual(hash(it), "#/", "a closed cart stays in the address");
      await it.page.goBack();
      await shows(it, carts.Compass, "Compass");
    }
  });

  await trial.test("a page loaded with the address of a cart opens it after sign-in", async ({ tab }) => {
    const it = await tab();
    await it.page.goto(`${it.url}/#/${carts.Sextant}`);
    await it.page.reload();
    await it.enter("clt_wrong");
    await it.page.getByRole("alert").getByText("This key is not valid").waitFor();
    await it.signIn(key);
    await shows(it, carts.Sextant, "Sextant");
    await it.page.reload();
    await it.live();
    await shows(it, carts.Sextant, "Sextant");
    await it.page.getByRole("combobox", { name: "Language" }).selectOption("fr");
    await it.page.getByRole("heading", { name: "Paniers en direct" }).waitFor();
    await shows(it, carts.Sextant, "Sextant");
    await it.page.getByRole("button", { name: "Se déconnecter" }).click();
    await it.page.getByRole("button", { name: "Se connecter" }).waitFor();
    assertEqual(hash(it), "", "the address outlives the key");
  });

  await trial.test("the address of a cart that is not in the list opens it, and one of no cart says so", async ({ tab }) => {
    const { name } = await server.add("earlier", "astrolabe", { displayName: "Astrolabe" });
    const target = { target: { case: "cart", value: name } };
    await server.carts.orderCart({ target, orderReference: "address-1" });
    const it = await tab({ key });
    // By this browser's clock the order was hours ago: such carts are not listed any more.
    await it.page.clock.install({ time: Date.now() + 3 * HOUR });
    await it.page.goto(`${it.url}/#/${name}`);
    await it.page.reload();
    await it.page.locator(".detail.open").getByText("Astrolabe", { exact: true }).waitFor();
    await it.page.locator(".detail.open .badge.ordered").waitFor();
    assertEqual(await it.row("Astrolabe").count(), 0, "it is in the list");
    const other = await tab({ key });
    for (const unknown of ["#/carts/no-such-cart", "#/carts/../customers/ada", "#/carts/%3Cb%3E", "#nothing"]) {
      await other.page.evaluate((hash) => (location.hash = hash), unknown);
      const open = other.page.locator(".detail.open");
      if (unknown === "#/carts/no-such-cart") await open.getByText("This shop has no such cart").waitFor();
      else await open.waitFor({ state: "detached" });
    }
    await server.carts.deleteCart({ target: ownerOf("bearer-of-Sextant") });
    // As long as the list has the cart, the page shows it with the notice that it was deleted.
    await eventually("a deleted cart is not shown any more", async () => {
      await other.page.evaluate(() => (location.hash = ""));
      await other.page.locator(".detail.open").waitFor({ state: "detached" });
      await other.page.evaluate((name) => (location.hash = `#/${name}`), carts.Sextant);
      await other.page.locator(".detail.open .notice").waitFor();
      return !(await other.page.locator(".detail").innerText()).includes("Sextant");
    });
  });
}

async function shows(it, name, product) {
  await eventually(`the address names ${name}`, () => hash(it) === `#/${name}`);
  await it.page.locator(".detail.open .lines").getByText(product, { exact: true }).waitFor();
}

function hash(it) {
  return new URL(it.page.url()).hash;
}
