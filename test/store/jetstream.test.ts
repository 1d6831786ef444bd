// What only the log on JetStream has to keep: brokers that share a server neither make its streams twice nor block each other.
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { type JetStreamLog, openJetStreamLog } from "../../services/store/jetstream.ts";
import { Conflict } from "../../services/store/log.ts";
import { startIn, temporaryFolder } from "./embedded.ts";

const subjects = Array.from({ length: 500 }, (_, index) => `t.s${index}`);

test("brokers that start at once on an empty server share one log", async () => {
  await using shared = await logs(8);
  expect(new Set(shared.all.map((log) => log.epoch)).size).toBe(1);
});

test("brokers that all write the same at once are answered: one of them has written it, the others were too late", async () => {
  await using shared = await logs(3);
  for (let round = 0, expected = subjects.map(() => 0); round < 3; round++) {
    const outcomes = await Promise.all(
      shared.all.map((log, writer) =>
        Promise.all(
          subjects.map((subject, index) =>
            log
              .append([{ subject, body: `"${writer}"`, expected: expected[index] as number }])
              .catch((error: Error) => error),
          ),
        ),
      ),
    );
    expected = subjects.map((subject, index) => {
      const answers = outcomes.map((one) => one[index]);
      const [position, ...others] = answers.filter((answer) => typeof answer === "number");
      expect({ subject, position, others }).toEqual({ subject, position: expect.any(Number), others: [] });
      for (const answer of answers) if (answer !== position) expect(answer).toBeInstanceOf(Conflict);
      return position as number;
    });
  }
});

/** Logs on one server, each with a connection of its own. */
async function logs(count: number): Promise<AsyncDisposable & { all: JetStreamLog[] }> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const server = stack.use(await startIn(folder.path));
  const connections = await Promise.all(
    Array.from({ length: count }, () => connect({ servers: server.url, token: server.token })),
  );
  stack.defer(async () => void (await Promise.all(connections.map((nc) => nc.close()))));
  const all = await Promise.all(
    connections.map((nc) => openJetStreamLog(nc, { stream: "one", prefix: "t", replicas: 1 })),
  );
  const held = stack.move();
  return { all, [Symbol.asyncDispose]: async () => await held.disposeAsync() };
}
