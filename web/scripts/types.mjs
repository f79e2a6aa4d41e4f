/**
 * Makes the types of control-api's bodies, `src/api/schema.d.ts`, from `openapi.json`. The latter is a copy of what `control-api openapi` prints
 * (`make web-types` renews it; a test of `control` fails when it is stale). The types are made anew before every build, check and test, so
 * they are not kept in the repository.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const source = JSON.parse(await readFile(at("../openapi.json"), "utf8"));
const text = `// Made by scripts/types.mjs from openapi.json.\n${astToString(await openapiTS(source))}`;
const path = at("../src/api/schema.d.ts");
if (text !== (await readFile(path, "utf8").catch(() => ""))) await writeFile(path, text);
