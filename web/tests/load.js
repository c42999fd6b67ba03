// Measures the cost of the page with two thousand carts and a thousand changes a second, by Chromium's own
// figures. A proxy adds the changes to the server's stream (crowd.js), because a test machine may not flush
// so many to its disk; with `--writes` they are real writes over gRPC.

import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { Server } from "./server.js";
import { assert, eventually } from "./trial.js";

const CARTS = 2000;
const RATE = 1000;
/** The share of its time that the main thread may be busy. */
const BUSY_MAX = 0.5;
/** The bytes of the stream that may wait for the page at the end. */
const WAITING_MAX = 1 << 20;
/** The growth of the heap that is allowed. */
const GROWTH_MAX = 1.1;
const GROWTH_BYTES = 3e6;

export async function load(trial, seconds, writes) {
  // A busy machine needs time to fill the carts and to inspect the heap.
  const longest = (1.5 * seconds + 400) * 1000;
  const sentence = `${CARTS} carts and ${RATE} changes a second leave the page calm`;
  if (trial.only && !sentence.includes(trial.only)) return;
  // A store of its own, without the carts of other tests.
  const server = await Server.start();
  try {
    await trial.test(sentence, (given) => run(given, server, seconds, writes), longest);
  } finally {
    await server.end();
  }
}

async function run({ tab, trial }, server, seconds, writes) {
  const { secret: key } = await server.key();
  const own = (program, ...given) =>
    spawn(process.execPath, [path.join(import.meta.dirname, program), ...given.map(String)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  const writer = own("writer.js", `127.0.0.1:${server.port}`, server.adminKey, CARTS, ...(writes ? [RATE] : []));
  let crowd = writer;
  try {
    let [port, filled, sent, waiting, bytes] = [server.port, false, 0, 0, 1];
    // The number of changes that the page has received.
    const taken = () => sent - Math.round(waiting / bytes);
    const read = (line) => {
      const [word, value, , more, , each] = line.split(" ");
      if (word === "filled") filled = true;
      if (word === "listens") port = Number(value);
      if (word === "sent") [sent, waiting, bytes] = [Number(value), Number(more), Number(each)];
    };
    createInterface({ input: writer.stdout }).on("line", read);
    await eventually("there are carts", () => filled, 180_000);
    if (!writes) {
      crowd = own("crowd.js", server.port, server.adminKey, RATE);
      createInterface({ input: crowd.stdout }).on("line", read);
      await eventually("the crowd is there", () => port !== server.port);
    }
    const it = await tab({ key, url: `http://127.0.0.1:${port}` });
    const chromium = await it.context.newCDPSession(it.page);
    // The processor time of the thread, without the time in which a busy machine made it wait.
    await chromium.send("Performance.enable", { timeDomain: "threadTicks" });
    const figures = async () => {
      const { metrics } = await chromium.send("Performance.getMetrics");
      return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
    };
    const heap = async () => {
      await chromium.send("HeapProfiler.collectGarbage");
      return (await figures()).JSHeapUsedSize;
    };
    await eventually("all carts are listed", async () => (await it.page.locator(".shown").innerText()).startsWith("2,000"));

    const idle = await scroll(it);
    console.log(`        scrolling, nothing changes: ${idle}`);
    crowd.stdin.write("go\n");
    await eventually("the changes come", () => sent > 2 * RATE);

    // After some rounds over all carts, the page keeps as much of each as it ever will.
    await settle(Math.max(5, seconds / 10));
    const heaps = [await heap()];
    const before = { ...(await figures()), at: performance.now(), sent, taken: taken() };
    const told = await it.page.evaluate(() => document.querySelectorAll(".row").length);
    assert(told < 60, `${told} rows are elements`);
    const steps = Math.max(4, Math.min(20, Math.round(seconds / 5)));
    for (let step = 0; step < steps; step += 1) {
      await settle(seconds / steps);
      heaps.push(await heap());
      console.log(`        heap after collection, in MB: ${(heaps.at(-1) / 1e6).toFixed(1)}`);
    }
    const after = { ...(await figures()), at: performance.now(), sent, taken: taken() };
    const time = (after.at - before.at) / 1000;
    const rate = (after.sent - before.sent) / time;
    const busy = (after.TaskDuration - before.TaskDuration) / time;
    const each = (after.TaskDuration - before.TaskDuration) / (after.taken - before.taken);
    const megabytes = heaps.map((bytes) => (bytes / 1e6).toFixed(1));
    console.log(`        ${rate.toFixed(0)} changes a second for ${time.toFixed(0)} s`);
    console.log(`        main thread ${(busy * 100).toFixed(1)} % at work`);
    console.log(`        ${(each * 1e6).toFixed(0)} µs of it for each of the ${after.taken - before.taken} changes that it took`);
    console.log(`        scrolling meanwhile: ${await scroll(it)}`);
    await it.picture("a thousand changes a second");

    if (writes) await followed(it, server);
    console.log(`        ${waiting} bytes of the stream wait for the page`);
    trial.judge(rate > 0.9 * RATE, `only ${rate.toFixed(0)} changes a second were made`);
    trial.judge(waiting < WAITING_MAX, `the page is behind: ${waiting} bytes wait`);
    trial.judge(busy < BUSY_MAX, `the main thread is ${(busy * 100).toFixed(0)} % at work`);
    const [first, last] = [Math.max(...heaps.slice(0, 2)), Math.min(...heaps.slice(-2))];
    trial.judge(last < first * GROWTH_MAX || last - first < GROWTH_BYTES, `the heap grows: ${megabytes.join(" ")} MB`);
  } finally {
    writer.kill("SIGKILL");
    crowd.kill("SIGKILL");
  }
}

/** Under load too a change is on the page soon. */
async function followed(it, server) {
  const name = "Late arrival";
  const began = Date.now();
  const search = it.page.getByRole("searchbox");
  await search.fill("late arrival");
  await server.add("late", "late", { displayName: name });
  await it.row(name).waitFor();
  console.log(`        a change is on the page after ${Date.now() - began} ms`);
  await search.fill("");
}

/** Scrolls through the list and returns the times of the frames. */
async function scroll(it) {
  const frames = await it.page.evaluate(
    () =>
      new Promise((resolve) => {
        const list = document.querySelector(".list");
        const frames = [];
        const began = performance.now();
        let last = began;
        const step = (now) => {
          frames.push(now - last);
          last = now;
          list.scrollTop += 180;
          if (frames.length < 120 && now - began < 5000) requestAnimationFrame(step);
          else {
            list.scrollTop = 0;
            resolve(frames.slice(1));
          }
        };
        requestAnimationFrame(step);
      }),
  );
  frames.sort((a, b) => a - b);
  const at = (share) => Math.round(frames[Math.floor(share * (frames.length - 1))]);
  return `frames of ${at(0.5)} ms, 95 % within ${at(0.95)} ms, the longest ${at(1)} ms`;
}

function settle(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
