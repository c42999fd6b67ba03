// Runs the tests of the page: `main.js [--only TEXT] [--figures] [--seconds N] [--writes]`.

import { parseArgs } from "node:util";
import { address } from "./address.js";
import { harm } from "./harm.js";
import { layout } from "./layout.js";
import { load } from "./load.js";
import { order } from "./order.js";
import { page } from "./page.js";
import { staff } from "./staff.js";
import { Trial } from "./trial.js";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    figures: { type: "boolean" },
    seconds: { type: "string", default: "10" },
    writes: { type: "boolean" },
  },
});
const trial = new Trial(values.only, values.figures);
try {
  await trial.start();
  await page(trial);
  await layout(trial);
  await address(trial);
  await staff(trial);
  await order(trial);
  await harm(trial);
  await load(trial, Number(values.seconds), values.writes);
} catch (error) {
  trial.failed += 1;
  console.log("FAILED  the run cannot go on");
  console.log(error);
} finally {
  await trial.end();
}
console.log(`${trial.passed} passed, ${trial.failed} failed`);
process.exit(trial.failed > 0 ? 1 : 0);
