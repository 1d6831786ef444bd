// The nats-server that a killed broker left behind on the same store.
// In: the path of its configuration, which only our server has as its last argument. Out: nothing runs with it.
// Never: trust in a pid file, since a recycled pid would be somebody else's process.

import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { StartError } from "../core/start-error.ts";
import { run } from "./child.ts";

/** What our servers are started with; the last two words identify them. */
export function serverArguments(configPath: string): string[] {
  return ["--config", configPath];
}

/** Ends every process that was started with this configuration: SIGTERM, then SIGKILL after `graceMs`. */
export async function endOrphans(
  configPath: string,
  log: (line: string) => void,
  graceMs = 3000,
): Promise<number> {
  const orphans = await serversOf(configPath);
  for (const pid of orphans) {
    log(`ending the nats-server (pid ${pid}) that an earlier broker left behind`);
    await endProcess(pid, configPath, graceMs);
  }
  return orphans.length;
}

async function endProcess(pid: number, configPath: string, graceMs: number): Promise<void> {
  signal(pid, "SIGTERM");
  const patience = Date.now() + graceMs;
  while ((await serversOf(configPath)).includes(pid)) {
    if (Date.now() > patience) signal(pid, "SIGKILL");
    if (Date.now() > patience + 10_000)
      throw new StartError(
        `the nats-server that an earlier broker left behind does not end; end process ${pid}`,
      );
    await delay(10);
  }
}

/**
 * The pids of running servers with this configuration. All command lines are read (some milliseconds),
 * because a broker can be killed after the spawn and before it could write a pid anywhere.
 */
export async function serversOf(configPath: string): Promise<number[]> {
  const words = serverArguments(configPath);
  if (process.platform === "linux") return fromProc(`\0${words.join("\0")}\0`);
  // Windows needs none of this: libuv puts a child into a job that ends with its parent.
  if (process.platform === "win32") return [];
  return fromPs(` ${words.join(" ")}`);
}

function fromProc(ending: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && commandLine(name).endsWith(ending))
    .map(Number);
}

/** Empty for kernel threads and for zombies: neither holds a store. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // It ended between the listing and the reading.
    return "";
  }
}

async function fromPs(ending: string): Promise<number[]> {
  const { stdout } = await run("ps", ["-axww", "-o", "pid=,command="], { timeoutMs: 10_000 });
  return stdout
    .split("\n")
    .filter((line) => line.trimEnd().endsWith(ending))
    .map((line) => Number.parseInt(line, 10));
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    // It has ended by itself, which is what we wanted.
  }
}
