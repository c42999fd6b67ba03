// Writes the compressed form of each built file beside it: the server sends it to who takes it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const folder = new URL("dist/", import.meta.url);
for (const name of readdirSync(folder).filter((name) => !name.endsWith(".gz"))) {
  const file = new URL(name, folder);
  writeFileSync(new URL(`${name}.gz`, folder), gzipSync(readFileSync(file), { level: 9 }));
}
