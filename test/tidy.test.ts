// What a reviewer would say twice, said here once: openings, lengths, names, and what must not be in any file.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

const files = read("");
const code = files.filter(({ path }) => /\.(ts|tsx|mjs)$/.test(path));
const typed = code.filter(({ path }) => /\.tsx?$/.test(path));
const services = typed.filter(({ path }) => path.startsWith("services/"));
const shipped = typed.filter(({ path }) => /^(services|schemas|agents|client|console|bench)\//.test(path));
const tests = typed.filter(({ path }) => path.startsWith("test/"));
// Written in pieces here, so that this file does not hold what it looks for.
const registryHost =
  /\b(?:registry|deb|security|ftp\d*|mirrors?|archive|snapshot)\.(?!example)[a-z0-9-]+\.(?:org|com|net|io|dev)\b/;
const machinePath = /(?<![\w.:/-])\/(?:work|root)\//;
const skipped = /\b(?:it|test|describe)(?:\.\w+)*\.(?:only|skip|todo)\b/;
const openTask = new RegExp(`\\b(?:TO${"DO"}|FIX${"ME"})\\b`);

it("finds the house", () => {
  expect(services.length).toBeGreaterThan(30);
  expect(files.map(({ path }) => path)).toContain("package-lock.json");
});

const rules: [rule: string, among: readonly Source[], breaks: (source: Source) => boolean][] = [
  ["opens with its purpose in one to five lines", shipped, ({ lines }) => !hasPurpose(lines)],
  [
    "says what comes in, what goes out and what it never does",
    services,
    ({ lines }) => !saysInOutNever(lines),
  ],
  ["opens with a comment", code, ({ lines }) => opening(lines).length === 0],
  ["has at most 300 lines", services, ({ lines }) => lines.length > 300],
  [
    "has no open task without an issue's number",
    code,
    ({ lines }) => lines.some((line) => openTask.test(line) && !/#\d+/.test(line)),
  ],
  [
    // Where a machine cannot run a test: `skipIf`, or a skip behind `if (why)` with the reason in its title.
    "runs all of its tests, or says on what condition it does not",
    tests,
    ({ lines }) => lines.some((line) => skipped.test(line) && !/^\s*if \(.*\.skip\b/.test(line)),
  ],
  [
    "waits for the thing itself, not for time to pass",
    tests,
    ({ text }) => /\b(?:as|const|let|function)\s+sleep\b|\bsleep\(/.test(text),
  ],
  [
    "has a name in kebab-case",
    code,
    ({ path }) => !/^\.?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)+$/.test(basename(path)),
  ],
  [
    "has named exports only",
    services,
    ({ text }) => /^export (?:default\b|\{[^}]*\bas default\b)/m.test(text),
  ],
  [
    "names no package registry's host",
    files,
    ({ text }) => registryHost.test(text) || namesConfiguredRegistry(text),
  ],
  ["names no path of the machine it was written on", files, ({ text }) => machinePath.test(text)],
];

for (const [rule, among, breaks] of rules) {
  it(`every file ${rule}`, () => {
    expect(among.filter(breaks).map(({ path, lines }) => `${path} (${lines.length} lines)`)).toEqual([]);
  });
}

it("the lockfile names no server", () => {
  const lock = files.find(({ path }) => path === "package-lock.json");
  expect(lock?.text.includes('"resolved"')).toBe(false);
});

/** The comment lines that a file begins with, up to an empty one. */
function opening(lines: readonly string[]): string[] {
  const from = lines[0]?.startsWith("#!") ? lines.slice(1) : lines;
  const end = from.findIndex((line) => !/^\/\/ \S/.test(line));
  return from.slice(0, end === -1 ? from.length : end);
}

function hasPurpose(lines: readonly string[]): boolean {
  const { length } = opening(lines);
  return length >= 1 && length <= 5;
}

function saysInOutNever(lines: readonly string[]): boolean {
  const said = opening(lines).join("\n");
  return ["In:", "Out:", "Never:"].every((word) => said.includes(word));
}

/** The registry this machine uses, which npm tells its scripts; it may have a name that no pattern knows. */
function namesConfiguredRegistry(text: string): boolean {
  const registry = process.env.npm_config_registry;
  return registry !== undefined && text.includes(new URL(registry).host);
}

/** Every text file of the checkout but those that .gitignore leaves out. */
function read(folder: string): Source[] {
  const ignored = ignoredNames();
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.name === ".git" || ignored(path)) return [];
    if (entry.isDirectory()) return read(path);
    if (!entry.isFile()) return [];
    const text = readFileSync(join(root, path), "utf8");
    return text.includes("\0") ? [] : [{ path, text, lines: text.replace(/\n$/, "").split("\n") }];
  });
}

/** Understands what our .gitignore uses: a name anywhere, `/name` at the top, `*.ending`. */
function ignoredNames(): (path: string) => boolean {
  const file = join(root, ".gitignore");
  const patterns = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
  return (path) =>
    patterns.some((pattern) => {
      const name = pattern.replace(/\/$/, "");
      if (name.startsWith("/")) return path === name.slice(1);
      return name.startsWith("*") ? path.endsWith(name.slice(1)) : basename(path) === name;
    });
}
