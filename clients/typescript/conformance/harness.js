// The protocol with the harness: lines on standard output, and `done` on standard input after an order.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const address = process.env.CLIENTELA_SERVER;
export const key = process.env.CLIENTELA_API_KEY;
export const story = JSON.parse(readFileSync(process.env.CLIENTELA_STORY, "utf8"));

export const say = (line) => void process.stdout.write(`${line}\n`);

export async function ask(what) {
  say(`do ${what}`);
  const { value } = await lines.next();
  if (value !== "done") throw new Error(`the harness said ${value}`);
}
