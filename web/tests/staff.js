// Tests of the actions of staff on a cart; keys that only watch see none of them.

import { faults } from "./faults.js";
import { Role } from "./server.js";
import { assert, assertEqual, eventually, PHONE } from "./trial.js";

export async function staff(trial) {
  const { server } = trial;
  const keys = {};
  for (const role of ["MONITOR", "SUPPORT", "ADMIN"]) keys[role] = (await server.key(Role[role])).secret;
  const { name: customer } = await server.customers.createCustomer({
    customerId: "ringer",
    customer: { firstName: "Rita", lastName: "Ringer", email: "rita@example.test", phone: "+33 1 23 45 67 89" },
  });
  const add = (product) => server.add(customer, product, { displayName: `A ${product}` });
  const { name } = await add("bell");
  const target = { target: { case: "cart", value: name } };
  const lockOf = async () => (await server.carts.getCart({ target })).lock;
  /** A tab with the cart opened. */
  const opened = async (tab, role, more = {}) => {
    const it = await tab({ key: keys[role], ...more });
    await it.page.evaluate((name) => (location.hash = `#/${name}`), name);
    const detail = it.page.locator(".detail.open");
    await detail.getByText("A bell", { exact: true }).waitFor();
    return { it, detail, button: (name) => detail.getByRole("button", { name, exact: true }) };
  };
  /** Runs a function after the page has sent a call and before the server receives it. */
  const before = async (it, call, happens) => {
    await it.page.route(new RegExp(`${call}$`), async (route) => {
      await happens();
      await route.continue();
    }, { times: 1 });
  };

  await trial.test("a cart shows how to reach its customer to keys that may know it", async ({ tab }) => {
    for (const role of ["MONITOR", "SUPPORT"]) {
      const { detail } = await opened(tab, role);
      const email = detail.getByRole("link", { name: "E-mail: rita@example.test" });
      assertEqual(await email.getAttribute("href"), "mailto:rita@example.test");
      const phone = detail.getByRole("link", { name: "Telephone: +33 1 23 45 67 89" });
      assertEqual(await phone.getAttribute("href"), "tel:+33123456789");
    }
    // Every role that may watch carts may read customers, so the test sends the refusal itself.
    const it = await tab({ key: keys.MONITOR });
    const refused = { "grpc-status": "7", "grpc-message": "not for this key" };
    let asked = 0;
    await it.page.route(/GetCustomer$/, (route) => {
      asked += 1;
      return route.fulfill({ status: 200, contentType: "application/grpc-web+proto", headers: refused });
    });
    await it.open(it.row("Rita Ringer"));
    await eventually("the customer is asked for", () => asked > 0);
    await add("bell");
    await it.page.locator(".detail.open .history li").first().waitFor();
    assertEqual(await it.page.locator(".contact a").count(), 0, "something is shown of the customer");
  });

  await trial.test("a support key locks and unlocks a cart, and a monitor key only sees it", async ({ tab }) => {
    const { it, detail, button } = await opened(tab, "SUPPORT");
    const { detail: watched, button: buttonOfMonitor } = await opened(tab, "MONITOR");
    await detail.getByRole("textbox", { name: "Purpose of the lock" }).fill("Telephone order");
    await button("Lock").click();
    await detail.getByText(/You have locked the cart until \d\d:\d\d/).waitFor();
    assertEqual((await lockOf())?.purpose, "Telephone order");
    assert(await button("Unlock").evaluate((button) => button === document.activeElement), "the focus is lost");
    await watched.locator(".badge", { hasText: "locked by staff" }).waitFor();
    await watched.getByText("Telephone order").waitFor();
    await watched.getByText("Locked until").waitFor();
    for (const name of ["Lock", "Unlock", "Unlock anyway", "Edit note", "Lock for longer"]) {
      assertEqual(await buttonOfMonitor(name).count(), 0, `a monitor key has the button ${name}`);
    }
    await button("Lock for longer").click();
    await detail.getByText("You have locked the cart").waitFor();
    await it.picture("locked light");
    await button("Unlock").click();
    await detail.getByText("The cart is unlocked.").waitFor();
    assertEqual(await lockOf(), undefined);
    await watched.locator(".badge.held").waitFor({ state: "detached" });
    await button("Lock").waitFor();
  });

  await trial.test("a cart that changed before it was locked is shown as it is, and is not locked", async ({ tab }) => {
    const { it, detail, button } = await opened(tab, "SUPPORT");
    await before(it, "LockCart", () => add("whistle"));
    await button("Lock").click();
    await detail.getByText("Not done, because the cart changed before: +1 A whistle. You see it as it is now.").waitFor();
    await detail.locator("tbody").getByText("A whistle", { exact: true }).waitFor();
    assertEqual(await lockOf(), undefined);
    await it.picture("conflict light");
    await button("Lock").click();
    await detail.getByText("You have locked the cart").waitFor();
    await button("Unlock").click();
    await detail.getByText("The cart is unlocked.").waitFor();
  });

  await trial.test("the lock of another is ended by those who may", async ({ tab }) => {
    await server.carts.lockCart({ target, purpose: "Stocktaking" });
    const { detail, button } = await opened(tab, "SUPPORT");
    await button("Unlock").click();
    await detail.getByText(/The cart is locked by staff, for: Stocktaking, until \d\d:\d\d/).waitFor();
    await button("Unlock").waitFor({ state: "hidden" });
    assertEqual(await button("Unlock anyway").isVisible(), false, "a support key is offered what it may not do");
    assertEqual((await lockOf())?.purpose, "Stocktaking");
    const { detail: admins, button: buttonOfAdmin } = await opened(tab, "ADMIN");
    await buttonOfAdmin("Unlock").click();
    await admins.getByText(/The cart is locked by staff/).waitFor();
    await buttonOfAdmin("Unlock anyway").click();
    await admins.getByText("The cart is unlocked.").waitFor();
    assertEqual(await lockOf(), undefined);
  });

  await trial.test("a note is written, and no other is overwritten unseen", async ({ tab }) => {
    const noteOf = async () => (await server.carts.getCart({ target })).note;
    const { it, detail, button } = await opened(tab, "SUPPORT");
    await button("Edit note").click();
    const note = detail.getByRole("textbox", { name: /note/ });
    await note.fill("Ring twice");
    // Esc leaves the editor, and the cart stays open.
    await it.page.keyboard.press("Escape");
    await note.waitFor({ state: "hidden" });
    assert(await button("Edit note").evaluate((button) => button === document.activeElement), "the focus is lost");
    await button("Edit note").click();
    await note.fill("Ring twice");
    await button("Save note").click();
    await detail.getByText("The note is saved.").waitFor();
    assertEqual(await noteOf(), "Ring twice");
    await button("Edit note").click();
    await note.fill("Ring three times");
    const write = (note) => server.carts.updateCart({ cart: { name, note }, updateMask: { paths: ["note"] } });
    await before(it, "UpdateCart", () => write("Do not ring"));
    await button("Save note").click();
    await detail.getByText("Its note is now: “Do not ring”. Save again").waitFor();
    assertEqual(await noteOf(), "Do not ring");
    assertEqual(await note.inputValue(), "Ring three times", "what was typed is lost");
    await button("Save note").click();
    await detail.getByText("The note is saved.").waitFor();
    assertEqual(await noteOf(), "Ring three times");
    await detail.locator(".facts").getByText("Ring three times").waitFor();
  });

  await trial.test("a refused action is explained in plain words", async ({ tab }) => {
    const { it, detail, button } = await opened(tab, "SUPPORT");
    await server.carts.freezeCart({ target, freeze: 2 });
    await detail.locator(".badge", { hasText: "frozen" }).waitFor();
    await button("Edit note").click();
    await button("Save note").click();
    await detail.getByText("The cart is frozen").waitFor();
    await button("Cancel").click();
    await server.carts.unfreezeCart({ target });
    await detail.locator(".badge", { hasText: "frozen" }).waitFor({ state: "detached" });
    // Without an answer the outcome is unknown.
    it.mayLoseTheServer();
    await it.page.route(/LockCart$/, (route) => route.abort("connectionrefused"));
    await button("Lock").click();
    await detail.getByText("this may or may not have been done").waitFor();
    await it.page.unroute(/LockCart$/);
    await before(it, "LockCart", () => server.carts.orderCart({ target, orderReference: "staff-1" }));
    await button("Lock").click();
    await detail.getByText(/The cart is not open any more|the cart changed before: ordered/).waitFor();
    for (const name of ["Lock", "Edit note"]) await button(name).waitFor({ state: "hidden" });
    await server.carts.reopenCart({ name });
    await button("Lock").waitFor();
  });

  for (const theme of ["light", "dark"]) {
    for (const [size, where] of [[undefined, "desktop"], [PHONE, "390 px"]]) {
      await trial.test(`the actions of staff are within reach and can be read, ${theme}, ${where}`, async ({ tab }) => {
        const { it, detail, button } = await opened(tab, "SUPPORT", { theme, ...(size && { size }), motion: "reduce" });
        await button("Lock").waitFor();
        await detail.locator("h2").focus();
        const reached = [];
        for (let n = 0; n < 8; n += 1) {
          await it.page.keyboard.press("Tab");
          reached.push(await it.page.evaluate(() => {
            const { activeElement: at } = document;
            return at.getAttribute("aria-label") ?? at.textContent;
          }));
        }
        for (const name of ["Close", "E-mail: rita@example.test", "Telephone: +33 1 23 45 67 89", "Purpose of the lock", "Lock", "Edit note"]) {
          assert(reached.includes(name), `Tab does not lead to ${name}, but to ${reached}`);
        }
        await button("Edit note").press("Enter");
        await detail.getByRole("textbox", { name: /note/ }).waitFor();
        await before(it, "LockCart", () => add("gong"));
        await button("Lock").press("Enter");
        await detail.getByText("Not done").waitFor();
        await it.picture(`staff ${where} ${theme}`);
        assertEqual(await it.page.evaluate(faults), []);
        assertEqual(await it.fits(), []);
      });
    }
  }
}
