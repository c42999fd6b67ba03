// Tests of the page with a bad key, a missing server, a bad connection, or hostile texts.

import { Proxy } from "./proxy.js";
import { Role, Server } from "./server.js";
import { assert, assertEqual, eventually, PHONE } from "./trial.js";

export async function harm(trial) {
  const { server } = trial;
  const { secret: key } = await server.key();

  await trial.test("a wrong key is refused, and nothing of it is kept", async ({ tab }) => {
    const it = await tab();
    for (const wrong of ["clt_wrong", `${key}x`, "clé\u202e", "two words", "x".repeat(10_000)]) {
      await it.enter(wrong);
      await it.page.getByRole("alert").getByText("This key is not valid").waitFor();
      await it.page.getByRole("button", { name: "Sign in" }).waitFor();
      assertEqual(await it.page.evaluate(() => sessionStorage.length), 0, "something is kept");
    }
    await it.picture("wrong key light");
    await it.signIn(`  ${key}\n`);
  });

  await trial.test("a key that may not watch carts is told what is missing", async ({ tab }) => {
    const storefront = await server.key(Role.STOREFRONT);
    const it = await tab();
    await it.enter(storefront.secret);
    await it.page.getByRole("alert").getByText("may not watch carts").waitFor();
    assertEqual(await it.page.evaluate(() => sessionStorage.length), 0, "something is kept");
    await it.enter(server.operatorKey);
    await it.live();
  });

  await trial.test("a key that may see carts and no figures sees carts", async ({ tab }) => {
    const ingest = await server.key(Role.INGEST);
    await server.add("of-ingest", "saw", { displayName: "Hand saw" });
    const it = await tab({ key: ingest.secret });
    await it.row("Hand saw").waitFor();
    await it.page.locator(".figures").waitFor({ state: "detached" });
  });

  await trial.test("a revoked key ends the page within seconds, and nothing stays on it", async ({ tab }) => {
    const own = await server.key();
    await server.add("revoked", "vase", { displayName: "Blue vase" });
    const it = await tab({ key: own.secret });
    await it.open(it.row("Blue vase"));
    await it.page.locator(".detail.open").waitFor();
    const began = Date.now();
    await server.admin.revokeApiKey({ name: own.name });
    await it.page.getByRole("alert").getByText(/revoked/).waitFor();
    console.log(`        after ${Date.now() - began} ms`);
    trial.judge(Date.now() - began < 7000, "a revoked key took too long");
    const text = await it.page.evaluate(() => document.documentElement.outerHTML + JSON.stringify(sessionStorage));
    assert(!text.includes("Blue vase") && !text.includes(own.secret), "something stays");
  });

  await trial.test("what lies in the tab's storage opens no other shop and is no harm", async ({ tab }) => {
    const other = await Server.start();
    try {
      const elsewhere = await other.key();
      await other.add("elsewhere", "globe", { displayName: "Globe of elsewhere" });
      await server.add("here", "map", { displayName: "Map of here" });
      const it = await tab({ key });
      await it.row("Map of here").waitFor();
      // The key of another store, as if it were copied into this tab.
      await it.page.evaluate((foreign) => {
        const session = JSON.parse(sessionStorage["clientela.session"]);
        sessionStorage["clientela.session"] = JSON.stringify({ ...session, key: foreign, token: "x", resumeToken: "x" });
      }, elsewhere.secret);
      await it.page.reload();
      await it.page.getByRole("alert").getByText("This key is not valid").waitFor();
      assertEqual(await it.row("Map of here").count(), 0, "carts are shown without a key");

      // The key of another shop of the same server, together with its resume token.
      const operator = server.client(server.operatorKey);
      await operator.admin.createShop({ shopId: "second", shop: { displayName: "Second" } });
      const second = server.client(server.operatorKey, { shop: "second" });
      const its = await server.key(Role.MONITOR, second.admin);
      await it.page.evaluate((foreign) => {
        sessionStorage["clientela.session"] = JSON.stringify({ key: foreign, samples: "none", token: "AAAA" });
      }, its.secret);
      await it.page.reload();
      await it.live();
      await it.page.getByText("There are no carts yet.").waitFor();
      assertEqual(await it.row("Map of here").count(), 0, "carts of another shop are shown");

      for (const rubbish of ["{", "null", "[]", '"x"', '{"key":5}', '{"key":"clé"}', '{"key":"a\\nb"}', '{"key":""}']) {
        await it.page.evaluate((rubbish) => (sessionStorage["clientela.session"] = rubbish), rubbish);
        await it.page.evaluate((rubbish) => (localStorage["clientela.looks"] = rubbish), rubbish);
        await it.page.reload();
        await it.page.getByRole("button", { name: "Sign in" }).waitFor();
      }
      await it.enter(server.operatorKey);
      await it.page.getByRole("alert").getByText("This key is for several shops").waitFor();
      await it.signIn(key);
      await it.row("Map of here").waitFor();
    } finally {
      await other.end();
    }
  });

  await trial.test("names and notes are text, however they are written", async ({ tab }) => {
    const evil = "<img src=x onerror=alert(1)><script>alert(2)</script>";
    const rightToLeft = "\u202eمرحبا بالعالم\u202c שלום";
    const emoji = "👩‍👩‍👧‍👦🛒".repeat(12);
    const wide = "W".repeat(255);
    // Ten thousand characters, or as many as the service allows.
    const long = (text) => {
      const repeated = `${text} `.repeat(10_000).slice(0, 10_000);
      return Buffer.byteLength(repeated) < 15_000 ? repeated : repeated.slice(0, 3_000);
    };
    const names = [evil, rightToLeft, emoji, wide, "a\u0301\u0301\u0301".repeat(60), "{name} ${key} %s &amp; \u0000x".replace("\u0000", "")];
    for (const [index, name] of names.entries()) {
      const customerId = `odd-${index}`;
      const email = `${customerId}@example.test`;
      await server.customers.createCustomer({ customerId, customer: { firstName: name, lastName: name, email } });
      const cart = await server.add(`customers/${customerId}`, `odd-${index}`, {
        displayName: name,
        // A variant is an identifier, so it may have no invisible characters.
        variant: name.replace(/\p{Cf}/gu, "").slice(0, 100),
        attributes: { engraving: `${name} `.repeat(3) },
        storefront: "odd",
      });
      await server.carts.updateCart({
        cart: {
          name: cart.name,
          note: `${name}\n`.repeat(3).slice(0, 300),
          attributes: { long: long(name), "<b>key</b>": name },
        },
        updateMask: { paths: ["note", "attributes"] },
      });
    }
    for (const size of [undefined, PHONE]) {
      const it = await tab({ key, ...(size && { size }) });
      it.page.on("dialog", () => it.noted.push("a dialog was opened"));
      await it.page.getByRole("searchbox").fill("odd-");
      await eventually("all are there", async () => (await it.rows()).length === names.length);
      const where = size ? "390 px" : "desktop";
      await it.picture(`odd names ${where}`);
      assertEqual(await it.fits(), [], "something is too wide");
      for (const [index] of names.entries()) {
        await it.page.getByRole("searchbox").fill(`odd-${index}`);
        await eventually("one is there", async () => (await it.rows()).length === 1);
        await it.open(it.page.locator(".row"));
        await it.page.locator(".detail.open .facts dd").first().waitFor();
        assertEqual(await it.fits(), [], "something is too wide");
        if (index < 2) await it.picture(`odd cart ${index} ${where}`);
        await it.page.keyboard.press("Escape");
      }
      const markup = await it.page.evaluate(() => document.querySelectorAll("img, script:not([src='/monitor.js']), b").length);
      assertEqual(markup, 0, "text became markup");
    }
  });

  await trial.test("a proxy that cuts every stream is not noticed, and nothing is missed", async ({ tab }) => {
    const proxy = await Proxy.start(server.port, 2000);
    try {
      const it = (await tab({ key, url: proxy.url })).mayLoseTheServer();
      const said = it.page.evaluate(
        () =>
          new Promise((resolve) => {
            const said = new Set();
            new MutationObserver(() => said.add(document.querySelector(".status").dataset.status)).observe(
              document.querySelector(".status"),
              { attributes: true, childList: true },
            );
            setTimeout(() => resolve([...said]), 9000);
          }),
      );
      await server.add("cut", "thread", { displayName: "Red thread" });
      await it.open(it.row("Red thread"));
      for (let n = 2; n <= 80; n += 1) {
        await server.add("cut", "thread", { displayName: "Red thread" });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await it.row("+1 Red thread (80 now)").waitFor();
      const history = it.page.locator(".detail .history li bdi", { hasText: "Red thread (" });
      await it.page.locator(".detail .history").getByText("+1 Red thread (80 now)").waitFor();
      const told = await history.allInnerTexts();
      assertEqual(new Set(told).size, told.length, "something is told twice");
      const skipped = await it.page.locator(".detail .skipped").allInnerTexts();
      const untold = skipped.reduce((sum, text) => sum + parseInt(text), 0);
      assertEqual(told.length + untold, 79, "something is missing");
      trial.judge(untold <= 8, `${untold} changes were not told one by one`);
      assert(proxy.cuts >= 5, `only ${proxy.cuts} cuts`);
      console.log(`        ${proxy.cuts} connections were cut`);
      const states = await said;
      trial.judge(!states.includes("away"), `the page said ${states}`);
    } finally {
      proxy.end();
    }
  });

  await trial.test("a server that is killed is waited for, and nothing is missed", async ({ tab }) => {
    const it = (await tab({ key })).mayLoseTheServer();
    await server.add("survivor", "axe", { displayName: "Axe" });
    await it.row("Axe").waitFor();
    for (let round = 1; round <= 2; round += 1) {
      await server.kill();
      await it.page.locator(".status[data-status=away]").waitFor();
      await it.row(round === 1 ? "Axe" : "Wedge 1").waitFor();
      if (round === 1) await it.picture("away light");
      await server.run();
      await server.add("survivor", `wedge-${round}`, { displayName: `Wedge ${round}` });
      await it.row(`+1 Wedge ${round}`).waitFor();
      await it.live();
    }
    const { carts, nextPageToken } = await server.carts.listCarts({ pageSize: 1000, filter: "state = OPEN" });
    assertEqual(nextPageToken, "");
    await it.page.getByRole("button", { name: /^All/ }).waitFor();
    const shown = await it.page.evaluate(() => document.querySelector(".shown").textContent);
    const { carts: closed } = await server.carts.listCarts({ pageSize: 1000, filter: "NOT state = OPEN" });
    assertEqual(Number(/\d+/.exec(shown)[0]), carts.length + closed.length, "the page does not show what there is");
  });

  await trial.test("without a server the form says so, and opens when it is there", async ({ tab }) => {
    const it = (await tab()).mayLoseTheServer();
    await server.kill();
    await it.enter(key);
    await it.page.getByRole("alert").getByText("The server does not answer").waitFor();
    await server.run();
    await it.live();
  });

  await trial.test("a server that is away for ten minutes is asked now and then, and followed when it is back", async ({ tab }) => {
    const it = (await tab()).mayLoseTheServer();
    await it.page.clock.install();
    await it.page.goto(it.url);
    await it.signIn(key);
    let asked = 0;
    it.page.on("requestfailed", (request) => (asked += request.url().endsWith("WatchCarts") ? 1 : 0));
    const open = it.page.locator(".card.open .value");
    await eventually("the figures come", async () => /\d/.test(await open.innerText()));
    await server.kill();
    for (let second = 0; second < 600; second += 2) await it.page.clock.runFor(2000);
    await it.page.locator(".status[data-status=away]").waitFor();
    await it.page.locator(".chart").getByText("Not up to date: as of").waitFor();
    console.log(`        asked ${asked} times in ten minutes`);
    assert(asked >= 20 && asked <= 180, `asked ${asked} times`);
    await server.run();
    await server.add("patient", "clock", { displayName: "Patient clock" });
    await eventually("the page goes on", async () => {
      await it.page.clock.runFor(2000);
      return (await it.row("Patient clock").count()) === 1;
    });
    await it.live();
    await eventually("the figures are those of now", async () => {
      await it.page.clock.runFor(2000);
      return (await it.page.getByText("Not up to date").count()) === 0;
    });
  });
}
