// The ground: installs the packages that are missing, and makes sure of a Node that can run the rest.
// In: package-lock.json and node_modules. Out: one line on stderr if it installs. Never: an import from node_modules, or work when nothing is missing.
// Plain JavaScript, since an older Node may have to run it. npm runs it before each script.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const nodeMajorMin = 24;
const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const ownNode = join(modules, ".bin", "node");
const script = process.env.npm_lifecycle_event ?? "";
/** What starts the broker or its command can do without the tools that check them. */
const needsTools = script !== "prestart" && script !== "pretidings";

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
  } catch {
    return undefined;
  }
}

/** npm writes node_modules/.package-lock.json last, so an installation that was cut short counts as none. */
function isMissingSomething() {
  const wanted = packagesOf(join(root, "package-lock.json"));
  const installed = packagesOf(join(modules, ".package-lock.json"));
  if (wanted === undefined || installed === undefined) return true;
  const canOwnNode = process.platform === "linux" && process.arch === "x64";
  if (nodeMajor() < nodeMajorMin && canOwnNode && !existsSync(ownNode)) return true;
  return Object.entries(wanted).some(([path, { version, link, optional, dev, devOptional }]) => {
    if (path === "" || link) return false;
    const there = installed[path];
    if (there !== undefined) return there.version !== version;
    return !optional && (needsTools || !(dev || devOptional));
  });
}

function install() {
  const fresh = !existsSync(modules);
  const hasTools = Object.values(packagesOf(join(modules, ".package-lock.json")) ?? {}).some(
    ({ dev }) => dev,
  );
  const tools = needsTools || hasTools ? ["--include=dev"] : ["--omit=dev"];
  const flags = ["--no-audit", "--no-fund", "--loglevel=error", ...tools];
  // Into an existing node_modules npm installs what differs; `npm ci` would take it from under a running broker.
  const tries = fresh ? [["ci"], ["install", "--no-save"]] : [["install", "--no-save"], ["ci"]];
  let said = "";
  for (const command of tries) {
    const done = npm([...command, ...flags]);
    if (done.status === 0) return;
    said += `${done.error?.message ?? ""}${done.stdout ?? ""}${done.stderr ?? ""}`;
  }
  process.stderr.write(said);
  fail("npm could not install the packages that package-lock.json names: see above, then try again.");
}

function npm(args) {
  const options = {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 1024 * 1024,
  };
  const cli = process.env.npm_execpath;
  if (cli?.endsWith(".js")) return spawnSync(process.execPath, [cli, ...args], options);
  return spawnSync("npm", args, { ...options, shell: process.platform === "win32" });
}

function nodeMajor(version = process.version) {
  return Number(/^v(\d+)/.exec(version)?.[1] ?? 0);
}

/** A node that came as a package but cannot run here (another C library) is removed, or it would hide the machine's own. */
function ownNodeRuns() {
  if (!existsSync(ownNode)) return false;
  const { status, stdout } = spawnSync(ownNode, ["--version"], { encoding: "utf8" });
  if (status === 0) return nodeMajor(stdout) >= nodeMajorMin;
  rmSync(ownNode, { force: true });
  return false;
}

function fail(line) {
  console.error(`tidings: ${line}`);
  // The closing line that a reader of `npm test` looks for, since the tests will not run.
  if (script.startsWith("pretest")) console.log("0 passed, 1 failed");
  process.exit(1);
}

let installed = false;
if (isMissingSomething()) {
  console.error("tidings: installing what is missing (once, about half a minute)…");
  install();
  installed = true;
}
if ((installed || nodeMajor() < nodeMajorMin) && !ownNodeRuns() && nodeMajor() < nodeMajorMin) {
  fail(
    `needs Node ${nodeMajorMin} or later and this is ${process.version}: install it from nodejs.org, then try again.`,
  );
}
