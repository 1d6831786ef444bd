// The import table bites: each forbidden import below is seen, and each allowed one is let through.
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Who imports what (`type`: its types alone; `late`: by import()), and the rule it breaks; "-" if it may. */
const table = [
  ["services/core/a.ts", "services/core/b.ts", "-"],
  ["services/core/type-of-store.ts", "type services/store/log.ts", "core-is-pure"],
  ["services/core/node.ts", "node:crypto", "core-is-pure"],
  ["services/core/package.ts", "type ajv", "core-is-pure"],
  ["services/core/config.ts", "type services/config.ts", "core-is-pure"],
  ["services/store/a.ts", "services/core/b.ts", "-"],
  ["services/store/node.ts", "node:sqlite", "-"],
  ["services/store/property.ts", "type services/property/properties.ts", "store-knows-core"],
  ["services/property/port.ts", "services/store/subjects.ts", "-"],
  ["services/property/adapter.ts", "type services/store/jetstream.ts", "services-know-core-and-port"],
  ["services/property/http.ts", "services/http/a.ts", "services-know-core-and-port"],
  ["services/watch/public.ts", "services/property/properties.ts", "-"],
  ["services/watch/private.ts", "type services/property/port.ts", "services-know-core-and-port"],
  ["services/http/a.ts", "services/watch/watching.ts", "-"],
  ["services/http/schema.ts", "schemas/wire.ts", "-"],
  ["services/http/errors.ts", "services/store/log.ts", "-"],
  ["services/http/store.ts", "services/store/subjects.ts", "faces-know-services"],
  ["services/http/private.ts", "type services/watch/public.ts", "faces-know-services"],
  ["services/push/http.ts", "type services/http/a.ts", "faces-know-services"],
  ["services/push/settings-type.ts", "type services/config.ts", "-"],
  ["services/push/settings.ts", "services/config.ts", "beside-as-type"],
  ["services/push/agent.ts", "agents/agent.ts", "host-alone-knows-agents"],
  ["services/agents/host.ts", "agents/agent.ts", "-"],
  ["services/cli/verbs/start.ts", "services/main.ts", "-"],
  ["services/cli/rest.ts", "agents/outside/rest.ts", "-"],
  ["services/cli/run.ts", "agents/outside/run.ts", "verbs-start-at-once"],
  ["services/cli/run-type.ts", "type agents/outside/run.ts", "-"],
  ["services/cli/run-late.ts", "late agents/outside/run.ts", "-"],
  ["services/cli/agent.ts", "agents/agent.ts", "command-runs-agents-outside"],
  ["agents/away.ts", "agents/outside/run.ts", "agents-stay-portable"],
  ["services/cli/other.ts", "services/main.ts", "nobody-knows-wiring"],
  ["services/push/main.ts", "type services/main.ts", "nobody-knows-wiring"],
  ["services/push/dev.ts", "type fast-check", "no-undeclared-package"],
  ["services/push/nowhere.ts", "services/push/gone.ts", "no-unresolvable"],
  ["services/push/test.ts", "type test/a.ts", "no-test-in-product"],
  ["services/other/a.ts", "services/core/b.ts", "table-is-complete"],
  ["services/core/chicken.ts", "type services/core/egg.ts", "no-cycle"],
  ["services/core/egg.ts", "services/core/chicken.ts", "no-cycle"],
  ["services/main.ts", "services/store/jetstream.ts", "-"],
  ["services/broker.ts", "services/property/port.ts", "-"],
  ["services/config.ts", "services/store/log.ts", "beside-knows-core"],
  ["agents/greeter.ts", "type services/core/b.ts", "outside-stays-outside"],
  ["client/client.ts", "services/core/b.ts", "outside-stays-outside"],
  ["console/app.ts", "services/core/b.ts", "outside-stays-outside"],
  ["schemas/wire.ts", "services/core/b.ts", "outside-stays-outside"],
  ["test/a.ts", "services/store/jetstream.ts", "-"],
] as const;

let house: string;
const broken = new Map<string, Set<string>>();

beforeAll(async () => {
  house = mkdtempSync(join(tmpdir(), "tidings-table-"));
  for (const file of ["package.json", "tsconfig.json", ".dependency-cruiser.mjs"]) {
    copyFileSync(join(root, file), join(house, file));
  }
  symlinkSync(join(root, "node_modules"), join(house, "node_modules"));
  for (const [, imported] of table) {
    const path = imported.replace(/^\w+ /, "");
    if (path.endsWith(".ts") && !path.endsWith("/gone.ts")) write(path, "export const it = 1;\n");
  }
  for (const [file, imported] of table) write(file, statement(file, imported));
  for (const { from, rule, cycle = [] } of await violations()) {
    for (const file of [from, ...cycle.map(({ name }) => name)]) {
      broken.set(file, (broken.get(file) ?? new Set()).add(rule.name));
    }
  }
});

afterAll(() => rmSync(house, { recursive: true, force: true }));

for (const [file, imported, rule] of table) {
  it(`${file} ${rule === "-" ? "may import" : "must not import"} ${imported}`, () => {
    const rules = [...(broken.get(file) ?? [])];
    if (rule === "-") expect(rules).toEqual([]);
    else expect(rules).toContain(rule);
  });
}

function statement(file: string, imported: string): string {
  const name = imported.replace(/^\w+ /, "");
  const up = "../".repeat(file.split("/").length - 1);
  const from = name.endsWith(".ts") ? `${up}${name}` : name;
  if (imported.startsWith("late ")) return `export const that = import("${from}");\n`;
  return `import ${imported.startsWith("type ") ? "type " : ""}* as that from "${from}";\nexport type That = typeof that;\n`;
}

function write(path: string, text: string): void {
  const file = join(house, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
  readonly cycle?: readonly { readonly name: string }[];
}

function violations(): Promise<Violation[]> {
  const folders = ["services", "schemas", "agents", "client", "console", "test"];
  const args = [join(root, "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs")];
  args.push("--config", ".dependency-cruiser.mjs", "--output-type", "json", ...folders);
  return new Promise((resolve, reject) => {
    // It exits with the number of violations: what it printed says whether it worked.
    execFile(process.execPath, args, { cwd: house, maxBuffer: 64 * 1024 * 1024 }, (error, stdout) => {
      if (stdout === "") reject(error);
      else resolve(JSON.parse(stdout).summary.violations);
    });
  });
}
