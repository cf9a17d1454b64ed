// Holds the document of the sockets against the AsyncAPI specification: `node check.mjs asyncapi.json`.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const errors = diagnostics.filter(({ severity }) => severity === 0);
for (const { code, path, message } of errors) console.error(`${path.join(".")}: ${message} (${code})`);
if (!document || errors.length > 0) process.exit(1);
const counted = `${document.channels().length} channels, ${document.components().messages().length} messages`;
console.log(`the document is valid AsyncAPI ${document.version()}, ${counted}`);
