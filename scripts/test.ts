// Runs every check and every test. `--full` gives the long ones their time; other arguments go to vitest as they are.
// In: the checkout. Out: each one's findings, then `N passed, N failed` as the last line whatever happens.
// Never: an exit code of 0 when something failed, or a process that outlives the run.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { check } from "./check.ts";
import { endLeftovers } from "./leftovers.ts";
import { add, closingLine, type Tally } from "./tally.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);
const full = args.includes("--full") || process.env.TIDINGS_TEST_FULL === "1";
const runTimeoutMs = (full ? 80 : 20) * 60_000;
const leftoverPatienceMs = 5_000;

const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
let child: ChildProcess | undefined;
let stopped = false;
let finished = false;

process.once("exit", () => {
  if (!finished) tally.failed += 1;
  process.exitCode = tally.failed > 0 ? 1 : 0;
  console.log(closingLine(tally));
});
// Ctrl-C reaches vitest too, which cancels and reports; a signal meant for us alone is handed on.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stopped = true;
    failed(`ended by ${signal}`);
    if (signal !== "SIGINT") child?.kill(signal);
  });
}

/** Everything the tests write and start names this folder, so that nothing of it stays. */
const temporary = realpathSync(mkdtempSync(join(tmpdir(), "tidings-test-")));
try {
  console.log(`Node ${process.version}${full ? ", full" : ""}`);
  add(tally, await check());
  if (!stopped) await runVitest();
  for (const { pid, command } of await endLeftovers(temporary, leftoverPatienceMs)) {
    failed(`a test left a process running, killed now: ${pid} ${command}`);
  }
} finally {
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
}
finished = true;

async function runVitest(): Promise<void> {
  const counts = join(temporary, "tally.json");
  const reporters = ["--reporter=default", `--reporter=${join(root, "scripts", "tally-reporter.ts")}`];
  const filters = args.filter((arg) => arg !== "--full");
  child = spawn(
    process.execPath,
    [join(root, "node_modules", "vitest", "vitest.mjs"), "run", ...reporters, ...filters],
    {
      cwd: root,
      env: {
        ...process.env,
        TMPDIR: temporary,
        TIDINGS_TEST_TALLY: counts,
        // A process for each file: what the packages compile to is the same in all of them.
        NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "tests"),
        ...(full ? { TIDINGS_TEST_FULL: "1" } : {}),
      },
      stdio: ["ignore", "inherit", "inherit"],
      timeout: runTimeoutMs,
      killSignal: "SIGKILL",
    },
  );
  const vitest = child;
  const ended = await new Promise<string>((resolve) => {
    vitest.once("error", (error) => resolve(error.message));
    vitest.once("exit", (code, signal) =>
      resolve(signal === null ? `exit code ${code}` : `signal ${signal}`),
    );
  });
  const counted: Tally | undefined = existsSync(counts)
    ? JSON.parse(readFileSync(counts, "utf8"))
    : undefined;
  if (counted !== undefined) add(tally, counted);
  // A run that says it failed though no test did: it ran none, or broke down.
  if (counted === undefined || (ended !== "exit code 0" && counted.failed === 0))
    failed(`vitest ended with ${ended}`);
  else if (counted.passed === 0 && counted.failed === 0) failed("no test ran");
}

function failed(reason: string): void {
  tally.failed += 1;
  console.log(`test: ${reason}`);
}
