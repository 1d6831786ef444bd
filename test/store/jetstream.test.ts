// What only the log on JetStream has to keep: brokers that share a server neither make its streams twice nor block each other.
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { type JetStreamLog, openJetStreamLog } from "../../services/store/jetstream.ts";
import { Conflict, type Fact, TooMuch } from "../../services/store/log.ts";
import { openReads } from "../../services/store/reads.ts";
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

test("the leader says the same of a subject as a direct get, and that there is none", async () => {
  await using folder = await temporaryFolder();
  await using server = await startIn(folder.path);
  const nc = await connect({ servers: server.url, token: server.token });
  const log = await openJetStreamLog(nc, { stream: "one", prefix: "t", replicas: 1 });
  const reads = openReads(nc, "one", () => 2_000);
  await log.append([
    { subject: "t.a", body: '"ä"', expected: 0 },
    { subject: "t.b", body: "", expected: 0 },
  ]);
  for (const subject of ["t.a", "t.b"]) {
    const { position, body, groupEnd } = (await log.last(subject)) as Fact;
    expect(await reads.lastByLeader(subject)).toMatchObject({ subject, position, body, groupEnd });
  }
  expect(await reads.lastByLeader("t.none")).toBeUndefined();
  await nc.close();
});

test("more than is read at once is read as a whole, and refused to whoever has no room for it", async () => {
  await using shared = await logs(1);
  const [log] = shared.all as [JetStreamLog];
  const body = JSON.stringify("x".repeat(90_000));
  const large = Array.from({ length: 150 }, (_, n) => ({ subject: `t.large.${n}`, body, expected: 0 }));
  await Promise.all(large.map((one) => log.append([one])));
  const { facts } = await log.snapshot(["t.large.*"]);
  expect(new Set(facts.map(({ subject }) => subject)).size).toBe(large.length);
  await expect(log.snapshot(["t.large.*"], 5_000_000)).rejects.toBeInstanceOf(TooMuch);
  expect(await log.last("t.large.0")).toBeDefined();
});

test("what is cut off at any place is read as a whole, whatever the sizes", async () => {
  await using shared = await logs(1);
  const [log] = shared.all as [JetStreamLog];
  const body = (length: number): string => JSON.stringify("x".repeat(length));
  const appends = (of: string, lengths: readonly number[]) =>
    Promise.all(
      lengths.map((length, n) => log.append([{ subject: `t.${of}.${n}`, body: body(length), expected: 0 }])),
    );
  // The server stops somewhere about the ninetieth.
  await appends("cut", Array(88).fill(90_000));
  for (let count = 88; count <= 98; count++) {
    expect((await log.snapshot(["t.cut.*"])).facts).toHaveLength(count);
    await log.append([{ subject: `t.cut.${count}`, body: body(90_000), expected: 0 }]);
  }
  // More than one answer may name, small ones about large ones.
  await appends("mixed", [...Array(100).fill(10), 60_000, ...Array(1_000).fill(10)]);
  const beganMs = performance.now();
  expect((await log.snapshot(["t.mixed.*"])).facts).toHaveLength(1_101);
  expect(performance.now() - beganMs).toBeLessThan(10_000);
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
