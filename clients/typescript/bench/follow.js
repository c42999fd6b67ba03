// Measures whether a watch keeps up with changes: their rate and their delay.
//
//   (cd ../go && go run ./conformance/flood -rate 5000) &
//   CLIENTELA_SERVER=127.0.0.1:23456 CLIENTELA_API_KEY=any node bench/follow.js [CHANGES]

import { connect } from "clientela";

const wanted = Number(process.argv[2] ?? 50_000);
const late = [];
let began;
for await (const event of connect({ address: process.env.CLIENTELA_SERVER }).watchCarts()) {
  if (event.type !== "change") continue;
  const { commitTime } = event.change;
  const now = Date.now();
  began ??= now;
  late.push(now - Number(commitTime.seconds) * 1e3 - commitTime.nanos / 1e6);
  if (late.length === wanted) break;
}
const seconds = (Date.now() - began) / 1e3;
const last = late.at(-1).toFixed(1);
late.sort((a, b) => a - b);
const at = (share) => late[Math.floor(share * (wanted - 1))].toFixed(1);
console.log(
  `${wanted} changes in ${seconds.toFixed(1)} s: ${Math.round(wanted / seconds)}/s; ` +
    `late: half ${at(0.5)} ms, 99 of 100 ${at(0.99)} ms, the last ${last} ms`,
);
process.exit();
