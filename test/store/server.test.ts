// The embedded nats-server as its broker sees it.
// In: starts, crashes, kills. Out: the same address and token, and one process on the store, whatever happens.

import { execFileSync } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StartError } from "../../services/core/start-error.ts";
import { serversOf } from "../../services/store/orphan.ts";
import { startNatsServer } from "../../services/store/server.ts";
import { childBroker } from "./child-broker.ts";
import { clientOf, type Folder, isRunning, startIn, temporaryFolder, until } from "./embedded.ts";

let folder: Folder;
let data: string;
let config: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  data = join(folder.path, "data");
  config = join(data, "nats", "nats.conf");
});
afterEach(() => folder[Symbol.asyncDispose]());

test("it serves JetStream on the loopback, to those who know the token", async () => {
  await using server = await startIn(data);
  await using client = await clientOf(server);
  await client.jsm.streams.add({ name: "S", subjects: ["t.>"] });
  expect((await jetstream(client.nc).publish("t.a", "hello")).seq).toBe(1);
  expect(server.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
  await expect(connect({ servers: server.url, token: "guessed", maxReconnectAttempts: 0 })).rejects.toThrow();
  await expect(connect({ servers: server.url, maxReconnectAttempts: 0 })).rejects.toThrow();
});

test("its files are for the owner alone, and every write is synced", async () => {
  await using server = await startIn(data);
  expect((await stat(config)).mode & 0o777).toBe(0o600);
  expect((await stat(join(data, "nats"))).mode & 0o777).toBe(0o700);
  const text = await readFile(config, "utf8");
  expect(text).toContain("sync_interval: always");
  expect(text).not.toMatch(/^\s*https?(_port)?\s*:|monitor_port/m);
  expect(server.pid).toBeGreaterThan(0);
});

test("what was stored is there after the next start", async () => {
  {
    await using server = await startIn(data);
    await using client = await clientOf(server);
    await client.jsm.streams.add({ name: "S", subjects: ["t.>"] });
    await jetstream(client.nc).publish("t.a", "kept");
  }
  await using server = await startIn(data);
  await using client = await clientOf(server);
  expect((await client.jsm.streams.getMessage("S", { seq: 1 }))?.string()).toBe("kept");
});

test("when it crashes it comes back with the same address, token and data", async () => {
  await using server = await startIn(data);
  await using client = await clientOf(server);
  await client.jsm.streams.add({ name: "S", subjects: ["t.>"] });
  await jetstream(client.nc).publish("t.a", "acked");
  const { url, token, pid } = server;
  process.kill(pid as number, "SIGKILL");
  await until("the restart", () => server.restarts === 1);
  expect(server).toMatchObject({ url, token });
  expect(server.pid).not.toBe(pid);
  expect(server.states).toEqual(["up", "down", "up"]);
  const kept = await until("the message", () => client.jsm.streams.getMessage("S", { seq: 1 }));
  expect(kept.string()).toBe("acked");
});

test("it keeps coming back when it crashes again and again", async () => {
  await using server = await startIn(data);
  for (let times = 1; times <= 3; times += 1) {
    process.kill(server.pid as number, "SIGKILL");
    await until(`restart ${times}`, () => server.restarts === times);
  }
  await using client = await clientOf(server);
  expect(await client.jsm.streams.list().next()).toEqual([]);
});

test("a restart is asked for by many and happens once", async () => {
  await using server = await startIn(data);
  const before = server.pid as number;
  await Promise.all([
    server.restart("disk freed"),
    server.restart("disk freed"),
    server.restart("disk freed"),
  ]);
  expect(server.restarts).toBe(1);
  expect(server.lines).toContain("restarting nats-server: disk freed");
  expect(isRunning(before)).toBe(false);
  await using client = await clientOf(server);
  expect(client.nc.isClosed()).toBe(false);
});

test("disposed of, it ends for good, also twice and also while it is down", async () => {
  const server = await startIn(data);
  const pid = server.pid as number;
  process.kill(pid, "SIGKILL");
  await until("the crash to be noticed", () => server.states.includes("down"));
  await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
  await server[Symbol.asyncDispose]();
  expect(await serversOf(config)).toEqual([]);
  expect(server.pid).toBeUndefined();
  expect(server.states.at(-1)).toBe("closed");
  await expect(server.restart("too late")).rejects.toThrow("closed");
});

test("a broker that exits takes its server along", async () => {
  const broker = await childBroker(data, "serve");
  await broker.exits();
  await until("the server to end", async () => (await serversOf(config)).length === 0);
});

test("the server of a broker that was killed is ended before the next one starts", async () => {
  const broker = await childBroker(data, "serve");
  {
    await using client = await clientOf(broker.said);
    await client.jsm.streams.add({ name: "S", subjects: ["t.>"] });
    await jetstream(client.nc).publish("t.a", "acked");
  }
  await broker.killed();
  expect(await serversOf(config)).toEqual([broker.said.pid]);

  await using server = await startIn(data);
  expect(server.lines[0]).toContain(`pid ${broker.said.pid}`);
  expect(await serversOf(config)).toEqual([server.pid]);
  await using client = await clientOf(server);
  expect((await client.jsm.streams.getMessage("S", { seq: 1 }))?.string()).toBe("acked");
});

test("an orphan that does not listen to SIGTERM is killed", async () => {
  const broker = await childBroker(data, "serve");
  await broker.killed();
  process.kill(broker.said.pid, "SIGSTOP");
  await using server = await startIn(data);
  expect(await serversOf(config)).toEqual([server.pid]);
});

test("the server of another data folder is left alone", async () => {
  await using other = await startIn(join(folder.path, "other", data));
  await using server = await startIn(data);
  expect(server.lines).toEqual([]);
  expect(isRunning(other.pid as number)).toBe(true);
});

test("a server that cannot start says why in one line", async () => {
  const binary = join(folder.path, "nats-server");
  const start = () => startNatsServer({ dataDir: data, binary, log: () => undefined });
  await expect(start()).rejects.toThrow(/^nats-server does not start: .* cannot be run \(ENOENT\)$/);
  await writeFile(binary, "#!/bin/sh\necho 'nats-server: the moon is full' >&2\nexit 3\n", { mode: 0o755 });
  await expect(start()).rejects.toThrow(StartError);
  await expect(start()).rejects.toThrow(
    "nats-server does not start: it ended by code 3: nats-server: the moon is full",
  );
});

test("a store that exists is served at once", async () => {
  await (await startIn(data))[Symbol.asyncDispose]();
  const began = performance.now();
  await using server = await startIn(data);
  const tookMs = performance.now() - began;
  expect(server.pid).toBeDefined();
  // Some 20 ms on an idle machine; the rest is for a busy one.
  expect(tookMs).toBeLessThan(2000);
});

test("Ctrl-C at the terminal reaches the broker alone", async () => {
  await using server = await startIn(data);
  const group = execFileSync("ps", ["-o", "pgid=", "-p", String(server.pid)], { encoding: "utf8" }).trim();
  expect(group).toBe(String(server.pid));
});
