// Writes the compressed form of each built file beside it, in dist or in the folder that is named: the
// server sends it to who takes it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const folder = process.argv[2] ?? path.join(import.meta.dirname, "dist");
for (const name of readdirSync(folder).filter((name) => !name.endsWith(".gz"))) {
  const file = path.join(folder, name);
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
}
