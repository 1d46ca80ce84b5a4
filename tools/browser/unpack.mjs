// Chromium comes compressed: unpack.mjs FROM TO writes FROM/*.br, decompressed, to TO.
import { createReadStream, createWriteStream, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const [from, to] = process.argv.slice(2);
for (const name of readdirSync(from).filter((each) => each.endsWith(".br"))) {
  const target = createWriteStream(join(to, basename(name, ".br")), { mode: 0o755 });
  await pipeline(createReadStream(join(from, name)), createBrotliDecompress(), target);
}
