// The command as a person types it: a process of its own, with what it printed and how it ended.
// In: arguments, an environment. Out: its output and its exit code. Never: a process left behind.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { until } from "../store/embedded.ts";

const tidings = fileURLToPath(new URL("../../services/cli/tidings.mjs", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Command extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly stdout: string;
  readonly stderr: string;
  readonly ended: Promise<Ended>;
  /** Until a text was printed, on either. */
  prints(text: string | RegExp): Promise<void>;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Another Node. */
  readonly node?: string;
  /** In place of the command. */
  readonly program?: readonly [name: string, ...args: string[]];
}

export function openCommand(args: readonly string[], options: CommandOptions = {}): Command {
  const { env = {}, cwd, node = process.execPath } = options;
  const [program, ...before] = options.program ?? [node, tidings];
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TIDINGS_|NODE_)/.test(name)),
  );
  const child = spawn(program, [...before, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...own, ...env },
    ...(cwd !== undefined && { cwd }),
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return {
    child,
    ended,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    async prints(text) {
      const has = (printed: string): boolean =>
        typeof text === "string" ? printed.includes(text) : text.test(printed);
      const said = (): boolean => has(stdout) || has(stderr);
      await until(`"${text}" to be printed`, () => said() || child.exitCode !== null).catch((error) => {
        throw new Error(`${error.message}\n${stdout}\n${stderr}`);
      });
      if (!said()) throw new Error(`it ended without printing ${text}:\n${stdout}\n${stderr}`);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Types it and waits for its end. */
export async function types(args: readonly string[], options?: CommandOptions): Promise<Ended> {
  await using command = openCommand(args, options);
  return await command.ended;
}
