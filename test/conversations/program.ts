// The real program as a child: started, stopped, killed, and started again on the same data.
// In: a data folder, settings. Out: its URL, its exit code, everything it printed. Never: a process left behind.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serversOf } from "../../services/store/orphan.ts";
import { until } from "../store/embedded.ts";

export interface Program extends AsyncDisposable {
  readonly url: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Everything that all runs printed. */
  readonly printed: string;
  readonly isRunning: boolean;
  /** @throws when it ends instead of getting ready */
  start(): Promise<void>;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL: nothing of its own can run any more. */
  kill(): Promise<void>;
}

const script = fileURLToPath(new URL("../../services/cli/tidings.mjs", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const ready = /^Tidings is ready at (\S+)$/m;

export async function startProgram(folder: string, env: Readonly<Record<string, string>>): Promise<Program> {
  const dataDir = join(folder, "data");
  let child: ChildProcess | undefined;
  let exit: Promise<number | null> = Promise.resolve(null);
  let url = "";
  let printed = "";

  async function start(): Promise<void> {
    let said = "";
    let ended = false;
    const own = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_")),
    );
    const started = spawn(process.execPath, [script, "start"], {
      cwd: root,
      env: { ...own, TIDINGS_PORT: "0", TIDINGS_DATA: dataDir, TIDINGS_TEST_EAGER_AGENTS: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        printed += text;
      });
    }
    child = started;
    exit = new Promise((resolve, reject) => {
      started.once("error", reject);
      started.once("close", (code) => {
        ended = true;
        resolve(code);
      });
    });
    await until("the program to be ready", () => ended || ready.test(said));
    if (ended) throw new Error(`the program ended: ${said}`);
    url = ready.exec(said)?.[1] as string;
  }

  function isRunning(): boolean {
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    if (isRunning()) child?.kill(signal);
    return await exit;
  }

  /** What a killed broker leaves behind, the next one ends; without a next one, the test does. */
  async function endOrphans(): Promise<void> {
    for (const pid of await serversOf(join(dataDir, "nats", "nats.conf"))) process.kill(pid, "SIGKILL");
  }

  const program: Program = {
    dataDir,
    get url() {
      return url;
    },
    get pid() {
      return child?.pid as number;
    },
    get printed() {
      return printed;
    },
    get isRunning() {
      return isRunning();
    },
    start,
    stop: async () => await end("SIGTERM"),
    kill: async () => void (await end("SIGKILL")),
    async [Symbol.asyncDispose]() {
      await end("SIGTERM");
      await endOrphans();
    },
  };
  try {
    await start();
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  return program;
}
