// A browser that another program controls: a request is a line of input, its answer a line of output, `ok` or
// the failure.
//
//   open URL             opens the page
//   sign in KEY          types a key into it, and waits until the list is live
//   row TEXT & TEXT      waits until one row has all of these
//   status NAME          waits until the connection is so, as `live` or `away`
//   picture NAME         keeps what is shown

import { createInterface } from "node:readline";
import { DESKTOP, launch, Tab } from "./browser.js";

const browser = await launch();
const context = await browser.newContext({ viewport: DESKTOP, locale: "en-GB" });
const tab = new Tab(context, await context.newPage(), "").mayLoseTheServer();

const requests = {
  open: (url) => tab.page.goto(url),
  "sign in": (key) => tab.signIn(key),
  row: (texts) =>
    texts
      .split(" & ")
      .reduce((rows, hasText) => rows.filter({ hasText }), tab.page.locator(".row"))
      .first()
      .waitFor(),
  status: (name) => tab.page.locator(`.status[data-status=${name}]`).waitFor(),
  picture: (name) => tab.picture(name),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, request] = Object.entries(requests).find(([name]) => line.startsWith(`${name} `)) ?? [];
  try {
    if (!request) throw new Error(`nobody knows what to do: ${line}`);
    await request(line.slice(name.length + 1));
    tab.assertFaultless();
    console.log("ok");
  } catch (error) {
    console.log(String(error.message).replaceAll("\n", " "));
  }
}
await browser.close();
