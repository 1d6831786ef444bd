// Running: a real broker process, and its nats-server, for benchmarks and fault campaigns.
// In: a data folder and settings. Out: its URL, its process ids, what they used, and ways to end it.
// Never: a signal to a process that was not started here.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { endOrphans, serversOf } from "../services/store/orphan.ts";

const command = fileURLToPath(new URL("../services/cli/tidings.mjs", import.meta.url));
/** As `npm start` does. */
const asStarted = ["--max-semi-space-size=32"];
const startPatienceMs = 60_000;
const stopPatienceMs = 15_000;

export interface RunningBroker extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  /** From the start of the process to its ready line. */
  readonly readyMs: number;
  /** What it wrote to stderr so far. */
  said(): string;
  /** The embedded nats-server, or undefined while it is down. */
  storePid(): Promise<number | undefined>;
  /** Sends a signal and waits for the broker's end; its nats-server outlives SIGKILL. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface BrokerSettings {
  readonly dataDir: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Options for node, such as --cpu-prof. */
  readonly nodeOptions?: readonly string[];
}

/** Resolves at the ready line. @throws Error with what the broker said, if it ends instead */
export async function startBroker(settings: BrokerSettings): Promise<RunningBroker> {
  const { dataDir, env = {}, nodeOptions = [] } = settings;
  const began = performance.now();
  const child = spawn(process.execPath, [...asStarted, ...nodeOptions, command, "start"], {
    env: {
      ...inherited(),
      TIDINGS_PORT: "0",
      TIDINGS_DATA: dataDir,
      TIDINGS_RATE_LIMIT: "off",
      TIDINGS_LOG_LEVEL: "warn",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-100_000);
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const url = await readyLine(child, ended, () => said);
  const readyMs = performance.now() - began;
  child.stdout.resume();
  const storePid = async (): Promise<number | undefined> => (await serversOf(configOf(dataDir)))[0];

  async function end(signal: NodeJS.Signals): Promise<void> {
    child.kill(signal);
    const forced = setTimeout(() => child.kill("SIGKILL"), stopPatienceMs);
    await ended;
    clearTimeout(forced);
  }

  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid as number,
    dataDir,
    readyMs,
    said: () => said,
    storePid,
    end,
    async [Symbol.asyncDispose]() {
      await end("SIGTERM");
      if (env.TIDINGS_NATS_URL === undefined) await endStore(dataDir);
    },
  };
}

/** Ends the nats-server that a killed broker left behind. */
export async function endStore(dataDir: string): Promise<void> {
  await endOrphans(configOf(dataDir), () => undefined);
}

/** CPU seconds that a process has used so far; 0 once it is gone. Linux only: elsewhere 0. */
export function cpuSeconds(pid: number | undefined): number {
  const fields = procFile(pid, "stat").split(") ").at(-1)?.split(" ") ?? [];
  // proc(5): utime and stime are fields 14 and 15, in ticks of 10 ms; the split took two fields away.
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
}

/** Resident memory in MiB. */
export function rssMiB(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(procFile(pid, "status"))?.[1] ?? 0) / 1024;
}

/** How long to wait for other programs to be quiet, and what counts as quiet, in cores. */
const quietPatienceMs = 20_000;
const quietCores = 0.2;

/**
 * Starts to watch what other programs take; `own` and this process are not counted.
 * @returns a function that says how many cores they took since, 0 where there is no /proc
 */
export function othersBusy(own: readonly (number | undefined)[]): () => number {
  const pids = [process.pid, ...own];
  const ofOwn = (): number => pids.reduce<number>((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = { all: busySeconds(), own: ofOwn(), atMs: performance.now() };
  return () => {
    const seconds = (performance.now() - before.atMs) / 1000;
    return Math.max(0, (busySeconds() - before.all - (ofOwn() - before.own)) / seconds);
  };
}

/** Waits for a while until other programs are quiet; a figure taken beside a busy neighbour says little. */
export async function untilQuiet(own: readonly (number | undefined)[] = []): Promise<void> {
  const deadlineMs = performance.now() + quietPatienceMs;
  for (;;) {
    const others = othersBusy(own);
    await delay(500);
    if (others() < quietCores || performance.now() > deadlineMs) return;
  }
}

/** CPU seconds that all programs together have used since the system started. */
function busySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = procStat();
  return (user + nice + system + irq + softirq) / 100;
}

function procStat(): number[] {
  const [line = ""] = fileText("/proc/stat").split("\n");
  return line.split(/ +/).slice(1).map(Number);
}

function procFile(pid: number | undefined, name: string): string {
  return fileText(`/proc/${pid}/${name}`);
}

function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Gone, or a system without /proc.
    return "";
  }
}

function configOf(dataDir: string): string {
  return join(realpathSync(dataDir), "nats", "nats.conf");
}

/** What a broker needs of our environment: where programs and caches are, and none of our own settings. */
function inherited(): NodeJS.ProcessEnv {
  const names = Object.keys(process.env).filter(
    (name) => name === "TIDINGS_NATS_SERVER" || !/^(TIDINGS_|NODE_|npm_|VITEST)/.test(name),
  );
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

async function readyLine(child: ChildProcess, ended: Promise<void>, said: () => string): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ready = new Promise<string>((resolve) => {
    lines.on("line", (line) => {
      const url = /^Tidings is ready at (\S+)$/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  const patience = new AbortController();
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the broker is not ready within ${startPatienceMs / 1000} s: ${said()}`));
    }, startPatienceMs);
    patience.signal.addEventListener("abort", () => clearTimeout(timer));
  });
  const dead = ended.then(() => Promise.reject(new Error(`the broker ended: ${said()}`)));
  try {
    return await Promise.race([ready, dead, late]);
  } finally {
    patience.abort();
    lines.close();
  }
}
