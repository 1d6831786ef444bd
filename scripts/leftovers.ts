// Leftovers: processes that outlived the tests that started them.
// In: the run's own temporary folder, which is in their environment, arguments or working folder. Out: none left running.
// Never: a process that does not name that folder. Linux only: elsewhere it finds nothing.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

interface Leftover {
  readonly pid: number;
  readonly command: string;
}

/** Gives what is left `patienceMs` to end by itself, then kills it. Returns what had to be killed. */
export async function endLeftovers(folder: string, patienceMs: number): Promise<Leftover[]> {
  const deadlineMs = performance.now() + patienceMs;
  let left = leftovers(folder);
  while (left.length > 0 && performance.now() < deadlineMs) {
    await delay(100);
    left = leftovers(folder);
  }
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // Gone since we looked: what we wanted.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  return left;
}

function leftovers(folder: string): Leftover[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => ({
      pid: Number(name),
      command: read(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim(),
    }))
    .filter(
      // A process that has ended but was not waited for has no arguments any more.
      ({ pid, command }) =>
        command !== "" &&
        (command.includes(folder) ||
          read(`/proc/${pid}/environ`).includes(folder) ||
          workingFolder(pid).includes(folder)),
    );
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // Ended meanwhile, or somebody else's: not ours to end.
    return "";
  }
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}
