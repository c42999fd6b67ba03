// Writes the compressed form of each built file beside it, in dist or in the folder of the argument. The
// server sends it to browsers that accept gzip.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const folder = process.argv[2] ?? path.join(import.meta.dirname, "dist");
for (const name of readdirSync(folder).filter((name) => !name.endsWith(".gz"))) {
  const file = path.join(folder, name);
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
}
