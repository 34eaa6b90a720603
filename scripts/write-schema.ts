import { join } from "node:path";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { writeJsonAtomic } from "../src/io/atomic.ts";
import { packageRoot } from "../src/io/package-root.ts";

// `npm run schema`: configs/schema.json for editors, from the one schema in src/config/schema.ts.
const path = join(packageRoot(), "configs", "schema.json");
await writeJsonAtomic(path, configJsonSchema());
console.log(path);
