// A disk that fills up and is freed again.
// In: a small disk of its own, a real server on it, writers that do not stop. Out: who is told, what is kept.

import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { type DiskOptions, watchDisk } from "../../services/store/disk.ts";
import { type Client, clientOf, startIn, until } from "./embedded.ts";
import { type SmallDisk, smallDisk } from "./small-disk.ts";

const MiB = 1024 * 1024;

/** A watch that looks only when it is asked to, and what it said and did. */
function watch(options: Pick<DiskOptions, "dataDir" | "server"> & Partial<DiskOptions>) {
  const said: string[] = [];
  const disk = watchDisk({
    intervalMs: 1_000_000,
    minFreeBytes: 4 * MiB,
    onFull: () => said.push("full"),
    onFree: () => said.push("free"),
    ...options,
  });
  return { said, check: disk.check, disk, [Symbol.dispose]: () => disk[Symbol.dispose]() };
}

describe("with a pretended server", () => {
  const pretended = () => {
    const server = {
      restarts: [] as string[],
      broken: false,
      writeFailed: () => server.broken,
      restart: async (reason: string) => {
        server.restarts.push(reason);
        server.broken = false;
      },
    };
    return server;
  };

  test("a disk with space is no news", async () => {
    using watching = watch({ dataDir: tmpdir(), server: pretended(), minFreeBytes: 1 });
    await watching.check();
    expect(watching.said).toEqual([]);
  });

  test("too little space is told once", async () => {
    using watching = watch({ dataDir: tmpdir(), server: pretended(), minFreeBytes: 2 ** 60 });
    await watching.check();
    await watching.check();
    expect(watching.said).toEqual(["full"]);
    expect(watching.disk.full).toBe(true);
  });

  test("a server that cannot write is restarted although there is space", async () => {
    const server = pretended();
    using watching = watch({ dataDir: tmpdir(), server, minFreeBytes: 1 });
    await watching.check();
    server.broken = true;
    await watching.check();
    expect(watching.said).toEqual(["full"]);
    await watching.check();
    expect(watching.said).toEqual(["full", "free"]);
    expect(server.restarts).toHaveLength(1);
  });

  test("a server that a restart does not heal is not restarted at every look", async () => {
    const server = pretended();
    using watching = watch({ dataDir: tmpdir(), server, minFreeBytes: 1 });
    for (let look = 0; look < 20; look += 1) {
      server.broken = true;
      await watching.check();
    }
    expect(server.restarts).toHaveLength(1);
    expect(watching.disk.full).toBe(true);
  });

  test("a folder that vanished is a line in the log, not the end of the broker", async () => {
    const lines: string[] = [];
    const dataDir = join(tmpdir(), "tidings-nowhere");
    using _watching = watch({ dataDir, server: pretended(), log: (line) => lines.push(line) });
    await until("the line", () => lines.some((line) => line.includes("cannot be watched")));
  });
});

const disk = smallDisk();
if (typeof disk === "string") test.skip(`on a real disk: not here, since ${disk}`, () => undefined);
else describe("on a real disk", () => onRealDisk(disk));

function onRealDisk(disk: SmallDisk): void {
  const data = join(disk.path, "data");
  afterAll(() => disk.unmount());
  beforeEach(async () => {
    await rm(data, { recursive: true, force: true });
    await disk.freeAll();
  });

  test("a broker that stops at the reserve needs no restart", async () => {
    await using server = await startIn(data);
    using watching = watch({ dataDir: data, server });
    await watching.check();
    await disk.leave(3);
    await watching.check();
    expect(watching.said).toEqual(["full"]);

    await disk.leave(4.5);
    await watching.check();
    expect(watching.said).toEqual(["full"]);

    await disk.leave(8);
    await watching.check();
    expect(watching.said).toEqual(["full", "free"]);
    expect(server.restarts).toBe(0);
  });

  test("the caller's word that a publish failed is enough for a restart", async () => {
    await using server = await startIn(data);
    await disk.leave(3);
    using watching = watch({ dataDir: data, server, publishFailed: () => true });
    await watching.check();
    await disk.freeAll();
    await watching.check();
    expect(watching.said).toEqual(["full", "free"]);
    expect(server.restarts).toBe(1);
  });

  test("writers that run into the end of the disk lose nothing that was acknowledged", async () => {
    await using server = await startIn(data);
    await using client = await clientOf(server);
    await client.jsm.streams.add({
      name: "S",
      subjects: ["t.>"],
      max_msgs_per_subject: 1,
      allow_direct: true,
    });
    using watching = watch({ dataDir: data, server, minFreeBytes: MiB });
    await watching.check();
    await disk.leave(12);

    const acked = new Map<string, number>();
    const writers = Array.from({ length: 8 }, (_, writer) => writeUntilFailure(client, `t.${writer}`, acked));
    await Promise.all(writers);
    expect(server.writeFailed()).toBe(true);
    await watching.check();
    expect(watching.said).toEqual(["full"]);
    // Reading goes on: only writes are refused.
    expect((await client.jsm.streams.info("S")).state.messages).toBeGreaterThanOrEqual(acked.size);

    await disk.freeAll();
    // This is why a restart is needed: space alone does not help the server.
    await expect(jetstream(client.nc, { timeout: 300 }).publish("t.still", "x")).rejects.toThrow();
    await watching.check();
    expect(watching.said).toEqual(["full", "free"]);
    expect(server.restarts).toBe(1);
    expect(server.writeFailed()).toBe(false);

    await until("a write", () => jetstream(client.nc, { timeout: 500 }).publish("t.again", "x"));
    for (const [subject, seq] of acked) {
      const kept = await client.jsm.direct.getMessage("S", { last_by_subj: subject });
      expect(kept?.seq).toBe(seq);
    }
    expect(acked.size).toBeGreaterThan(100);
  });

  test("a broker that starts on a full disk says so, and serves once there is space", async () => {
    await (await startIn(data))[Symbol.asyncDispose]();
    await disk.leave(0);
    {
      await using server = await startIn(data);
      using watching = watch({ dataDir: data, server });
      await watching.check();
      expect(watching.said).toEqual(["full"]);
      await disk.freeAll();
      await watching.check();
      expect(watching.said).toEqual(["full", "free"]);
    }
    await using server = await startIn(data);
    await using client = await clientOf(server);
    expect(await client.jsm.streams.list().next()).toEqual([]);
  });
}

const body = Buffer.alloc(8192, 7);

/** One write after another, until one has no answer. */
async function writeUntilFailure({ nc }: Client, prefix: string, acked: Map<string, number>): Promise<void> {
  const js = jetstream(nc, { timeout: 1000 });
  for (let count = 0; ; count += 1) {
    const subject = `${prefix}.${count}`;
    try {
      acked.set(subject, (await js.publish(subject, body)).seq);
    } catch {
      // The disk is full, and the server has nothing to say about it: what this writer waits for.
      return;
    }
  }
}
