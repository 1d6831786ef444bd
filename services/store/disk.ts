// The disk under the store: when to stop accepting writes, and what must happen before they are accepted again.
// In: free space, and the server's word that it cannot write. Out: onFull and onFree, and the restart between them.
// Never: a return to service with a server that has stopped storing.

import { statfs } from "node:fs/promises";
import type { NatsServer } from "./server.ts";

export type DiskOptions = {
  dataDir: string;
  server: Pick<NatsServer, "restart" | "writeFailed">;
  /** Below this the disk counts as full. The reserve is for the server's own files, and for tombstones. */
  minFreeBytes?: number;
  intervalMs?: number;
  /** From here to onFree the caller refuses writes (507). */
  onFull(freeBytes: number): void;
  onFree(freeBytes: number): void;
  /** Whether the caller saw a publish without an answer since the last onFree. */
  publishFailed?: () => boolean;
  log?: (line: string) => void;
};
export type DiskWatch = Disposable & {
  readonly full: boolean;
  /** Looks now; calls at once share one look. */
  check(): Promise<void>;
};

/** A quota or a broken disk is invisible in the free space: then a restart helps nothing, and must not be frequent. */
const restartEveryMs = 10_000;
/** So little that a write may have failed unseen, the server's word of it in its log among them. */
const scrapedBytes = 1024 * 1024;

/**
 * Measured with 2.15.1 and `sync_interval: always`: at the first failed write the stream goes into a state that it
 * never leaves. Publishes stay without an answer after space is freed; reads go on; a restart of 60 ms heals it, and
 * nothing that was acknowledged is lost. An atomic batch that was caught halfway is visible in part until the restart
 * completes it, so its sender must read what became of it.
 */
export function watchDisk(options: DiskOptions): DiskWatch {
  const { dataDir, server, minFreeBytes = 64 * 1024 * 1024, intervalMs = 1000 } = options;
  const { onFull, onFree, publishFailed = () => false, log = () => undefined } = options;
  let full = false;
  let disposed = false;
  let scraped = false;
  let restartedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    const freeBytes = await freeSpace(dataDir);
    if (disposed) return;
    scraped ||= freeBytes < scrapedBytes;
    if (!full && (freeBytes < minFreeBytes || server.writeFailed())) {
      full = true;
      log(`the disk of ${dataDir} is full (${inMiB(freeBytes)} free): writes are refused`);
      onFull(freeBytes);
    } else if (full && freeBytes >= minFreeBytes * 1.25) {
      // The quarter more keeps a disk at the edge from switching at every look.
      await recover(freeBytes);
    }
  }

  async function recover(freeBytes: number): Promise<void> {
    if (scraped || publishFailed() || server.writeFailed()) {
      if (performance.now() - restartedAtMs < restartEveryMs) return;
      await server.restart("disk freed");
      restartedAtMs = performance.now();
      scraped = false;
    }
    if (disposed) return;
    full = false;
    log(`the disk of ${dataDir} has space again (${inMiB(freeBytes)} free): writes are accepted`);
    onFree(freeBytes);
  }

  function check(): Promise<void> {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  const tick = () => {
    check().catch((error: Error) => log(`the disk of ${dataDir} cannot be watched: ${error.message}`));
  };
  tick();
  const timer = setInterval(tick, intervalMs);
  timer.unref();

  return {
    get full() {
      return full;
    },
    check,
    [Symbol.dispose]() {
      disposed = true;
      clearInterval(timer);
    },
  };
}

/** What this user may still write. A disk out of inodes holds no new file, whatever its bytes. */
async function freeSpace(dataDir: string): Promise<number> {
  const disk = await statfs(dataDir);
  // Some file systems have no fixed inodes and say 0 of 0.
  if (disk.files > 0 && disk.ffree < 64) return 0;
  return disk.bavail * disk.bsize;
}

function inMiB(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
