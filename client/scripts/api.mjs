// Prints API.md: what each entry of the package exports, with the comments of its types. `npm run build` comes before.

import { pathToFileURL } from "node:url";

import ts from "typescript";

const ENTRIES = [
  ["roomcast", "index", "Joining a room, and what one does there."],
  ["roomcast/host", "host", "For players who may be the host."],
  ["roomcast/find", "find", "Rooms to play in."],
  ["roomcast/ticks", "align", "For rooms with ticks."],
  ["roomcast/carriers", "carriers", "For players whom no WebSocket reaches."],
  ["roomcast/schema", "schema", "Values of a game as bytes."],
];

/** A declaration as it stands in the types, without what is internal. */
function declared(declaration) {
  const file = declaration.getSourceFile();
  // Of a variable, the statement says that it is one.
  const whole = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
  const hidden = (whole.members ?? []).filter((member) => {
    const name = member.name && ts.isPrivateIdentifier(member.name);
    return name || /@internal/.test(file.text.slice(member.pos, member.getStart(file)));
  });
  let text = "";
  let at = whole.getStart(file);
  for (const { pos, end } of hidden) {
    text += file.text.slice(at, pos);
    at = end;
  }
  text += file.text.slice(at, whole.end);
  return text.replace(/^export (declare )?/, "").replace(/^    /gm, "  ");
}

/** What the comment of a declaration says. */
const said = (symbol, checker) => ts.displayPartsToString(symbol.getDocumentationComment(checker));

/** All of the page. */
export function api(folder) {
  const files = ENTRIES.map(([, file]) => `${folder}/${file}.d.ts`);
  const program = ts.createProgram(files, { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"], types: [] });
  const checker = program.getTypeChecker();
  const told = new Set();
  const parts = ["# API", "Made from the types by `npm run api`; what an entry has is told once. [README.md](README.md) says how it goes together."];
  for (const [i, [entry, , about]] of ENTRIES.entries()) {
    parts.push(`## ${entry}`, about);
    const module = checker.getSymbolAtLocation(program.getSourceFile(files[i]));
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (told.has(symbol)) continue;
      told.add(symbol);
      parts.push(`### ${exported.name}`);
      const comment = said(symbol, checker);
      if (comment) parts.push(comment);
      parts.push(`\`\`\`ts\n${symbol.declarations.map(declared).join("\n")}\n\`\`\``);
    }
  }
  return `${parts.join("\n\n")}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.stdout.write(api("dist"));
