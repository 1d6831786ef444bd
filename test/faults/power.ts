// A power cut, in effigy: what a disk holds at one moment, without what the file system above it had not yet written.
// In: a disk on a loop device. Out: another disk with the same content, its journal replayed. Never: a copy torn by a write.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { until } from "../store/embedded.ts";
import type { SmallDisk } from "../store/small-disk.ts";

export type CutDisk = Disposable & { readonly path: string };

/** Who writes to the disk must be stopped. The kernel may still write what was dirty: then the copy is taken again. */
export async function cutPower({ image }: SmallDisk): Promise<CutDisk> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-cut-"));
  const copy = join(folder, "image");
  const path = join(folder, "mount");
  await until("a moment without a write to the disk", () => {
    const before = writesTo(image);
    if (before === undefined) return false;
    sh("cp", "--sparse=always", image, copy);
    return writesTo(image) === before;
  });
  mkdirSync(path);
  sh("mount", "-o", "loop", copy, path);
  return {
    path,
    [Symbol.dispose]() {
      sh("umount", path);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Makes everything durable that was written so far. */
export function syncDisk({ path }: SmallDisk): void {
  sh("sync", "-f", path);
}

/** Sectors that the loop device under this image has written; undefined while some are on their way. */
function writesTo(image: string): number | undefined {
  const device = sh("losetup", "-j", image, "-n", "-O", "NAME").trim();
  const block = `/sys/block/${basename(device)}`;
  const inFlight = readFileSync(`${block}/inflight`, "utf8").trim().split(/\s+/).map(Number);
  if (inFlight.some((count) => count > 0)) return undefined;
  // The seventh number of `stat` (Documentation/ABI/stable/sysfs-block).
  return Number(readFileSync(`${block}/stat`, "utf8").trim().split(/\s+/)[6]);
}

function sh(program: string, ...args: string[]): string {
  return execFileSync(program, args, { timeout: 30_000, stdio: "pipe", encoding: "utf8" });
}
