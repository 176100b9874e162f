// Reads an AsyncAPI document with the official parser; prints what it says of it, and fails where that is an error or a
// warning.
const fs = require("fs");
const { Parser, DiagnosticSeverity } = require("@asyncapi/parser");

async function main(path) {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(path, "utf8"), { source: path });
  for (const { code, message, path: place, severity } of diagnostics) {
    console.error(`${DiagnosticSeverity[severity]} ${code} at ${place.join("/")}: ${message}`);
  }
  const isBad = ({ severity }) => severity <= DiagnosticSeverity.Warning;
  if (!document || diagnostics.some(isBad)) process.exit(1);
  console.log(`${document.channels().all().length} channels, ${document.operations().all().length} operations, ` +
    `${document.messages().all().length} messages, ${document.schemas().all().length} schemas`);
}

main(process.argv[2]);
