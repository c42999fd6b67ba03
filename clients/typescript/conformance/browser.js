// The story in Chromium, over gRPC-Web.

import { address, ask, key, say, story } from "./harness.js";
import { withPage } from "./page.js";

await withPage(process.env.CLIENTELA_PAGE, async (tab) => {
  await tab.exposeFunction("say", say);
  await tab.exposeFunction("ask", ask);
  await tab.evaluate(
    async ({ story, key, address }) => {
      const [{ connect }, { play }] = await Promise.all([import("clientela"), import("/conformance/story.js")]);
      await play(story, { key, connectAs: (key) => connect({ address, key }), say, ask });
    },
    { story, key, address },
  );
});
process.exit();
