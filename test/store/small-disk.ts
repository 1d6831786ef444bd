// A small disk for tests, in a file: an ext4 image on a loop device.
// In: its size. Out: where it is mounted, with a ballast to take space away, or the reason why it cannot be had.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MiB = 1024 * 1024;

export type SmallDisk = {
  path: string;
  /** The file that holds the disk. */
  image: string;
  /** Leaves this many MiB free. */
  leave(freeMiB: number): Promise<void>;
  /** Takes all but this much in no time, without writing a byte. */
  leaveSuddenly(freeBytes: number): Promise<void>;
  freeAll(): Promise<void>;
  unmount(): void;
};

/** Needs root on Linux, and a kernel that lets this process mount. */
export function smallDisk(sizeMiB = 96): SmallDisk | string {
  if (process.platform !== "linux") return "loop devices are Linux's";
  if (process.getuid?.() !== 0) return "mounting needs root";
  const folder = mkdtempSync(join(tmpdir(), "tidings-disk-"));
  const image = join(folder, "image");
  const path = join(folder, "mount");
  const ballast = join(path, "ballast");
  try {
    sh(
      `mkdir ${path} && truncate -s ${sizeMiB}M ${image} && mkfs.ext4 -q -m 0 ${image} && mount -o loop ${image} ${path}`,
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    return `no loop device can be mounted here (${(error as Error).message.trim().split("\n").at(-1)})`;
  }
  return {
    path,
    image,
    async leave(freeMiB) {
      await rm(ballast, { force: true });
      const { bavail, bsize } = await statfs(path);
      const bytes = Buffer.alloc(bavail * bsize - freeMiB * MiB, 1);
      try {
        await writeFile(ballast, bytes, { flush: true });
      } catch (error) {
        // The file's own metadata takes space too: to fill the disk is to write until this.
        if (freeMiB > 0 || (error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    },
    async leaveSuddenly(freeBytes) {
      for (let triesLeft = 20; ; triesLeft--) {
        await rm(ballast, { force: true });
        const { bavail, bsize } = await statfs(path);
        try {
          sh(`fallocate -l ${bavail * bsize - freeBytes} ${ballast}`);
          return;
        } catch (error) {
          // Whoever writes at the same time may have taken the room that was free a moment ago.
          if (triesLeft === 0) throw error;
        }
      }
    },
    freeAll: () => rm(ballast, { force: true }),
    unmount() {
      sh(`umount ${path}`);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function sh(command: string): void {
  execFileSync("sh", ["-c", command], { timeout: 30_000, stdio: "pipe" });
}
