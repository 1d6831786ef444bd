// The checks that read the code without running it: types, style, imports, dead code.
// In: the checkout. Out: what each check found, and how many passed and failed. Never: a change to a file.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { closingLine, type Tally } from "./tally.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const tools = join(root, "node_modules", ".bin");
const stepTimeoutMs = 60_000;
const atOnce = 2;

const folders = ["services", "schemas", "agents", "client", "console", "bench", "test"];

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

const steps: readonly Step[] = [
  { name: "types", command: ["tsc", "--noEmit"] },
  { name: "style", command: ["biome", "check", "--error-on-warnings"] },
  {
    name: "imports",
    command: [
      "depcruise",
      "--config",
      ".dependency-cruiser.mjs",
      ...folders.filter((f) => existsSync(join(root, f))),
    ],
  },
  { name: "dead code", command: ["knip", "--no-progress"] },
];

/** Runs every check, two at a time, and prints each one's findings when it is done. */
export async function check(): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const waiting = steps.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const step of waiting) {
        const startedMs = performance.now();
        const { ok, said } = await run(step.command);
        tally[ok ? "passed" : "failed"] += 1;
        const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
        if (!ok) console.log(said.trimEnd());
        console.log(`check: ${step.name} ${ok ? "passed" : "FAILED"} (${step.command[0]}, ${seconds} s)`);
      }
    }),
  );
  return tally;
}

function run([program = "", ...args]: readonly string[]): Promise<{ ok: boolean; said: string }> {
  return new Promise((resolve) => {
    const child = spawn(join(tools, program), args, {
      cwd: root,
      env: { ...process.env, PATH: `${tools}${delimiter}${process.env.PATH}` },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: stepTimeoutMs,
      killSignal: "SIGKILL",
      shell: process.platform === "win32",
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    }
    child.once("error", (error) => resolve({ ok: false, said: error.message }));
    child.once("close", (code, signal) => {
      if (signal !== null) said += `ended by ${signal}; the limit is ${stepTimeoutMs / 1000} s`;
      resolve({ ok: code === 0, said });
    });
  });
}

if (import.meta.main) {
  const tally = await check();
  console.log(closingLine(tally));
  process.exitCode = tally.failed > 0 ? 1 : 0;
}
