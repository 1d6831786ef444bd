// What only the log on JetStream has to keep: its streams are made once, however many brokers start at a time.
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { openJetStreamLog } from "../../services/store/jetstream.ts";
import { startIn, temporaryFolder } from "./embedded.ts";

test("brokers that start at once on an empty server share one log", async () => {
  await using folder = await temporaryFolder();
  await using server = await startIn(folder.path);
  const connections = await Promise.all(
    Array.from({ length: 8 }, () => connect({ servers: server.url, token: server.token })),
  );
  try {
    const logs = await Promise.all(
      connections.map((nc) => openJetStreamLog(nc, { stream: "one", prefix: "t", replicas: 1 })),
    );
    expect(new Set(logs.map((log) => log.epoch)).size).toBe(1);
  } finally {
    await Promise.all(connections.map((nc) => nc.close()));
  }
});
