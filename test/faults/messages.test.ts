// Messages under kill -9 of the broker, of its nats-server and of both: each one that was accepted is told by one id,
// unless it has expired; a retry makes no second one; and what was acknowledged is not told again.
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serversOf } from "../../services/store/orphan.ts";
import { messagesPath } from "../conversations/post.ts";
import { isFull, openWorld, type Person, type ProcessWorld, type Program } from "../conversations/world.ts";
import { type Random, seeded, seedsOfRun } from "../simulation/random.ts";
import { until } from "../store/embedded.ts";
import { transports } from "./transports.ts";

const total = isFull ? 10_000 : 200;
const kills = isFull ? 12 : 1;
const pens = isFull ? 32 : 8;
const recipientsMany = isFull ? 8 : 3;
const victims = ["both", "store", "broker"] as const;
/** Of so many one is gone soon. */
const everyShort = 25;
const shortSeconds = 1.5;
/** What was on its way when it expired may come so much later. */
const slackMs = 1_000;
const visitMsMax = 150;
const pauseMs = 20;
const patienceMs = isFull ? 120_000 : 20_000;

interface Sent {
  readonly n: number;
  readonly to: Person;
  readonly expiresMs: number;
  id: string | undefined;
}

const stack = new AsyncDisposableStack();
const sent: Sent[] = [];
const surprises: string[] = [];
let unanswered = 0;
let world: ProcessWorld;
let readers: Reader[] = [];

beforeAll(async () => {
  const [seed = 1] = seedsOfRun(1, 1);
  const random = seeded(seed);
  console.info(`seed ${seed}`);
  world = stack.use(await openWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } }));
  const senders = await Promise.all(Array.from({ length: pens }, (_, n) => world.registers(`pen${n}`)));
  const recipients: Person[] = [];
  while (recipients.length < recipientsMany) recipients.push(await world.registers("reader"));
  readers = recipients.map((who) => new Reader(world.program, who, random.fork()));
  for (const reader of readers) stack.defer(async () => await reader.stop());

  const writing = Promise.all(senders.map((who, pen) => write(who, pen, recipients, random.fork())));
  for (let strikes = 0; strikes < kills; strikes++) {
    const wanted = (total * (strikes + 1)) / (kills + 1);
    while (sent.filter(({ id }) => id !== undefined).length < wanted) await delay(pauseMs);
    await strike(world.program, victims[strikes % victims.length] as (typeof victims)[number]);
  }
  await writing;
  const deadline = performance.now() + patienceMs;
  while (lost().length > 0 && performance.now() < deadline) await delay(pauseMs);
  await Promise.all(readers.map((reader) => reader.stop()));
});

afterAll(async () => await stack[Symbol.asyncDispose]());

async function write(who: Person, pen: number, recipients: readonly Person[], random: Random): Promise<void> {
  for (let n = pen; n < total; n += pens) {
    const isShort = n % everyShort === 0;
    const to = random.pick(recipients);
    // Whichever try was the one that counts, it was not later than the last.
    const one: Sent = { n, to, expiresMs: isShort ? Number.POSITIVE_INFINITY : 0, id: undefined };
    sent.push(one);
    const body = { contentType: "text/plain", content: `${n}`, ...(isShort && { expiresIn: shortSeconds }) };
    while (one.id === undefined) {
      try {
        const answer = await who.asks("POST", messagesPath(to), {
          body,
          headers: { "idempotency-key": `m-${n}` },
        });
        if (answer.status === 202) one.id = answer.body.id;
        else if (answer.status !== 503) surprises.push(`${n}: ${answer.status} ${answer.text}`);
      } catch {
        unanswered++;
      }
      if (one.id === undefined) await delay(pauseMs);
    }
    await delay(random.int(pauseMs));
  }
}

async function strike(program: Program, victim: (typeof victims)[number]): Promise<void> {
  const config = join(realpathSync(program.dataDir), "nats", "nats.conf");
  if (victim !== "broker") {
    const store = await until("the nats-server", async () => (await serversOf(config))[0]);
    process.kill(store, "SIGKILL");
  }
  if (victim === "store") return;
  await program.kill();
  await program.start();
}

/** Changes its transport again and again, comes back with its cursor or without, and acknowledges some of what it has. */
class Reader {
  readonly who: Person;
  /** How often each was heard, by id. */
  readonly heard = new Map<string, number>();
  /** The ids under which each came, by what it says. */
  readonly ids = new Map<number, Set<string>>();
  readonly wrong: string[] = [];
  acknowledged = 0;
  visits = 0;
  readonly #program: Program;
  readonly #random: Random;
  readonly #gone = new Set<string>();
  #cursor: string | undefined;
  #isStopping = false;
  readonly #reading: Promise<void>;

  constructor(program: Program, who: Person, random: Random) {
    this.#program = program;
    this.who = who;
    this.#random = random;
    this.#reading = this.#read();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#reading;
  }

  async #read(): Promise<void> {
    while (!this.#isStopping) {
      await this.#visit().catch((error: Error & { status?: number }) => {
        if (error.status !== undefined && error.status !== 503) this.wrong.push(error.message);
      });
      if (this.#random.chance(0.5)) await this.#acknowledge();
      await delay(this.#random.int(pauseMs));
    }
  }

  async #visit(): Promise<void> {
    this.visits++;
    if (this.#random.chance(0.2)) this.#cursor = undefined;
    const gone = new Set(this.#gone);
    const open = transports[this.#random.pick(Object.keys(transports))] as (typeof transports)[string];
    const { url } = this.#program;
    const token = this.who.token ?? "";
    await using connection = await open({ url, token, watch: undefined, after: this.#cursor });
    const cut = setTimeout(() => void connection[Symbol.asyncDispose](), this.#random.int(visitMsMax));
    try {
      for (;;) {
        const { event, cursor } = await connection.next();
        if (event?.type === "dev.tidings.message.received") this.#hear(event.id, event.data, gone);
        this.#cursor = cursor ?? this.#cursor;
      }
    } finally {
      clearTimeout(cut);
    }
  }

  #hear(id: string, data: { content?: string; expires?: string }, gone: ReadonlySet<string>): void {
    this.heard.set(id, (this.heard.get(id) ?? 0) + 1);
    const n = Number(data.content);
    this.ids.set(n, (this.ids.get(n) ?? new Set()).add(id));
    if (gone.has(id)) this.wrong.push(`${n} came after it was acknowledged`);
    const lateMs = Date.now() - Date.parse(data.expires ?? "");
    if (!(lateMs < slackMs)) this.wrong.push(`${n} came ${lateMs} ms after it had expired`);
  }

  async #acknowledge(): Promise<void> {
    const open = [...this.heard.keys()].filter((id) => !this.#gone.has(id));
    for (const id of open.slice(0, this.#random.int(10))) {
      const answer = await this.who.asks("DELETE", `/v1/messages/${id}`).catch(() => undefined);
      if (answer?.status === 204) {
        this.#gone.add(id);
        this.acknowledged++;
      } else if (answer && answer.status !== 503) this.wrong.push(`${id}: ${answer.status} ${answer.text}`);
    }
  }
}

function readerOf({ to }: Sent): Reader {
  return readers.find(({ who }) => who === to) as Reader;
}

/** Accepted, for long enough, and not told. */
function lost(): number[] {
  return sent
    .filter((one) => one.expiresMs === 0 && (one.id === undefined || !readerOf(one).heard.has(one.id)))
    .map(({ n }) => n);
}

test("each message that was accepted is told, unless it expired first", () => {
  expect(surprises).toEqual([]);
  expect(sent).toHaveLength(total);
  expect(lost()).toEqual([]);
  const told = readers.reduce((sum, { heard }) => sum + heard.size, 0);
  const times = readers.reduce((sum, { heard }) => sum + [...heard.values()].reduce((a, b) => a + b, 0), 0);
  const visits = readers.reduce((sum, one) => sum + one.visits, 0);
  const acknowledged = readers.reduce((sum, one) => sum + one.acknowledged, 0);
  console.info(
    `${total} messages, ${kills} kills, ${unanswered} tries without an answer; ${told} told ${times} times over ${visits} visits, ${acknowledged} acknowledged`,
  );
});

test("each is one message, however often its sender had to try, and nobody else's", () => {
  for (const reader of readers) {
    const own = new Map(sent.filter(({ to }) => to === reader.who).map(({ n, id }) => [n, id]));
    for (const [n, ids] of reader.ids) expect([n, ...ids]).toEqual([n, own.get(n)]);
  }
});

test("none comes after it was acknowledged or has expired", () => {
  for (const { wrong } of readers) expect(wrong).toEqual([]);
  expect(readers.reduce((sum, one) => sum + one.acknowledged, 0)).toBeGreaterThan(0);
});
