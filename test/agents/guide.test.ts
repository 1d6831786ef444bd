// The guide for authors: every snippet on its page is written to a file, checked and run, as a reader would.
import { execFile } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(root, "docs/agents.md"), "utf8");
const snippets = [...page.matchAll(/^```(\w*)\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)];
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-guide-"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/tidings"));
  symlinkSync(join(root, "node_modules/@types"), join(folder, "node_modules/@types"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", private: true }));
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  for (const [, , name = "", text = ""] of snippets) writeFileSync(join(folder, name), text);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("has a name in each snippet", () => {
  expect(snippets.length).toBe(page.match(/^```\w+$/gm)?.length);
  expect(snippets.map(([, language]) => language)).toEqual(snippets.map(() => "ts"));
});

it("has tests that pass", async () => {
  const { code, said } = await run(process.execPath, ["--test"]);
  expect({ code, said }).toMatchObject({ code: 0 });
  const tests = page.match(/^test\(/gm)?.length;
  expect(said).toMatch(new RegExp(`^[#ℹ] pass ${tests}$`, "m"));
});

it("has types that hold", async () => {
  const tsc = join(root, "node_modules/.bin/tsc");
  expect(await run(tsc, ["--noEmit", "-p", folder])).toEqual({ code: 0, said: "" });
});

it("names every permission, trigger and shipped agent", () => {
  for (const word of ["read:", "write:", "message:", "inbox", "watchers", "find", "fetch:", "smtp"]) {
    expect(page).toContain(`\`${word}`);
  }
  for (const word of ["property(", "message(", "watcher(", "match(", "started("]) {
    expect(page).toContain(`| \`${word}`);
  }
  for (const file of readdirSync(join(root, "agents/shipped"))) {
    expect(page).toContain(`\`${file.replace(/\.ts$/, "")}\``);
  }
});

function run(program: string, args: readonly string[]): Promise<{ code: unknown; said: string }> {
  // Node would take a test runner inside of a test runner for one of its own files.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(program, args, { cwd: folder, env }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, said: `${stdout}${stderr}` });
    });
  });
}
