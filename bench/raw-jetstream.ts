// Raw JetStream: what the broker stands on, without the broker, to hold it against.
// In: a folder. Out: a nats-server with one stream, on the broker's own settings. Never: another fsync than the broker's.
import { type JetStreamManager, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { findNatsServer } from "../services/store/nats-binary.ts";
import { type NatsServer, startNatsServer } from "../services/store/server.ts";

export interface RawJetStream {
  readonly server: NatsServer;
  readonly nc: NatsConnection;
  readonly manager: JetStreamManager;
}

/** The stream is `raw` and takes `raw.>`. */
export async function startRawJetStream(dataDir: string, stack: AsyncDisposableStack): Promise<RawJetStream> {
  const server = stack.use(
    await startNatsServer({ dataDir, binary: (await findNatsServer()).path, log: () => undefined }),
  );
  const nc = await connect({ servers: server.url, token: server.token });
  stack.defer(async () => await nc.close());
  const manager = await jetstreamManager(nc);
  await manager.streams.add({
    name: "raw",
    subjects: ["raw.>"],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    max_msgs_per_subject: 1,
    allow_direct: true,
    allow_msg_ttl: true,
    allow_atomic: true,
    duplicate_window: 100_000_000,
  });
  return { server, nc, manager };
}
