// Both logs under the one contract.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll } from "vitest";
import { openJetStreamLog } from "../../services/store/jetstream.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { findNatsServer } from "../../services/store/nats-binary.ts";
import { type NatsServer, startNatsServer } from "../../services/store/server.ts";
import { logContract } from "./log-contract.ts";

logContract("memory", async () => ({ log: openMemoryLog(), [Symbol.asyncDispose]: async () => undefined }));

let dataDir: string;
let server: NatsServer;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tidings-log-"));
  const { path } = await findNatsServer({ log: () => undefined });
  server = await startNatsServer({ dataDir, binary: path, log: () => undefined });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

let logs = 0;
logContract("JetStream", async () => {
  const nc = await connect({ servers: server.url, token: server.token });
  const stream = `log${++logs}`;
  const log = await openJetStreamLog(nc, { stream, prefix: "t", replicas: 1 });
  return {
    log,
    [Symbol.asyncDispose]: async () => {
      const { jetstreamManager } = await import("@nats-io/jetstream");
      await (await jetstreamManager(nc)).streams.delete(stream);
      await nc.close();
    },
  };
});
