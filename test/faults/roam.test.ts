// P3 to P6, one cursor on every transport: a watcher roams between SSE, poll and WebSocket, is cut off at random moments,
// also inside a snapshot, and resumes with the last cursor that it had; then the same between two brokers that are killed.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, ask, type Line, openLine, register, requestBytes } from "../../bench/lean-http.ts";
import { propertyPath } from "../conversations/person.ts";
import { type Program, startProgram } from "../conversations/program.ts";
import { isFull } from "../conversations/world.ts";
import { type Random, seeded, seedsOfRun } from "../simulation/random.ts";
import { startIn, temporaryFolder, until } from "../store/embedded.ts";
import { Ledger } from "./ledger.ts";
import { type Found, type Owner, portOf, read } from "./targets.ts";
import { transports } from "./transports.ts";

const changes = isFull ? 2_000 : 150;
/** Then the watcher must know everything: what it lost is not covered up by what comes later. */
const changesARound = isFull ? 50 : 25;
const killsMin = isFull ? 6 : 2;
const names = Array.from({ length: 20 }, (_, n) => `p${n}`);
const pens = 4;
/** Between two changes of one pen, at most. */
const pauseMsMax = 20;
/** A visit ends after so long, or so many events, at most. */
const visitMsMax = 60;
const visitEventsMax = 40;
/** Changes that the watcher stays away for, at most. */
const awayMax = 20;

interface Account extends Owner {
  readonly token: string;
}

describe.each([1, 2])("on %d broker(s)", (count) => {
  const stack = new AsyncDisposableStack();
  const brokers: Program[] = [];
  let cutInside = 0;

  beforeAll(async () => {
    const env: Record<string, string> = { TIDINGS_RATE_LIMIT: "off" };
    if (count > 1) {
      const server = stack.use(await startIn(stack.use(await temporaryFolder()).path));
      env.TIDINGS_NATS_URL = server.url.replace("://", `://${server.token}@`);
    }
    while (brokers.length < count) {
      const folder = stack.use(await temporaryFolder());
      brokers.push(stack.use(await startProgram(folder.path, env)));
    }
  });
  afterAll(async () => await stack[Symbol.asyncDispose]());

  const runs = seedsOfRun(1, 20).flatMap((seed) => [
    { seed, watches: "by subscription" },
    { seed, watches: "by ?watch=" },
  ]);
  test.each(runs)("seed $seed, $watches: nothing is lost, nothing steps back", async ({ seed, watches }) => {
    const random = seeded(seed);
    const port = portOf(brokers[0] as Program);
    const id = `${seed}-${watches.length}-${count}`;
    const alice: Account = await register(port, `alice-${id}`);
    const bob: Account = await register(port, `bob-${id}`);
    if (watches === "by subscription") {
      const body = { target: alice.address };
      await ask(port, { method: "POST", path: "/v1/subscriptions", token: bob.token, body });
    }
    const watch = watches === "by subscription" ? undefined : alice.address;
    const writer = openWriter(brokers, alice, random.fork());
    const watcher = roam(brokers, bob, watch, writer, random.fork());
    const { ledger } = watcher;
    const lost: string[] = [];
    while (lost.length === 0 && (writer.made < changes || (count > 1 && watcher.kills < killsMin))) {
      await writer.makes(changesARound);
      const held = await until("a broker", () => read(random.pick(brokers), alice, alice.address));
      for (const [name, possible] of writer.possible) {
        expect(possible, `what is there of ${name}`).toContain(held[name]?.value.n);
      }
      await until("the watcher", () => missed(held, ledger).length === 0).catch(() => undefined);
      lost.push(...missed(held, ledger));
    }
    await watcher.stop();
    console.info(
      `seed ${seed}, ${count} broker(s), ${watches}: ${writer.made} changes, ${writer.unanswered} unanswered, ` +
        `${ledger.told} told, ${ledger.again} of them again, over ${watcher.visits} visits, ` +
        `${ledger.cutInside} cut inside a snapshot, ${watcher.kills} kills`,
    );
    expect(lost).toEqual([]);
    expect(writer.surprises).toEqual([]);
    expect(ledger.wrong).toEqual([]);
    expect(ledger.resets, "a cursor of a moment ago can be honoured").toBe(0);
    expect(ledger.undeclared(writer.revisions)).toEqual([]);
    cutInside += ledger.cutInside;
  });

  test("some of the cuts were inside a snapshot", () => expect(cutInside).toBeGreaterThan(0));
});

/** What the watcher was last told of a property, where something else is there. */
function missed(held: Readonly<Record<string, Found>>, { last }: Ledger): string[] {
  return names
    .map((name) => ({ name, there: held[name], told: last.get(name) }))
    .filter(({ there, told }) => there?.value.n !== told?.n || (there && there.revision !== told?.revision))
    .map((one) => JSON.stringify(one));
}

interface Writer {
  /** Changes that were acknowledged. */
  readonly made: number;
  readonly unanswered: number;
  /** The acknowledged revisions of each property. */
  readonly revisions: ReadonlyMap<string, readonly number[]>;
  /** What may be there: what was acknowledged last, and what was sent since and never answered; undefined: nothing. */
  readonly possible: ReadonlyMap<string, readonly (number | undefined)[]>;
  readonly surprises: readonly string[];
  readonly isWriting: boolean;
  /** Resolves when at least so many more are acknowledged, and none is under way. */
  makes(count: number): Promise<void>;
}

/** Sets properties to rising numbers, and removes some, through whichever broker runs. */
function openWriter(brokers: readonly Program[], { address, token }: Account, random: Random): Writer {
  const possible = new Map<string, (number | undefined)[]>(names.map((name) => [name, [undefined]]));
  const revisions = new Map<string, number[]>(names.map((name) => [name, []]));
  const surprises: string[] = [];
  let made = 0;
  let sent = 0;
  let unanswered = 0;
  let goal = 0;
  let isWriting = false;

  async function write(pen: number): Promise<void> {
    const own = names.filter((_, index) => index % pens === pen);
    let line: Line | undefined;
    while (made < goal) {
      await delay(random.int(pauseMsMax));
      const name = random.pick(own);
      const n = random.chance(0.15) ? undefined : ++sent;
      try {
        line ??= await openLine(portOf(random.pick(brokers)));
      } catch {
        // It was killed: the other one runs.
        continue;
      }
      possible.get(name)?.push(n);
      try {
        take(name, n, await line.send(requestOf(name, n)));
      } catch {
        unanswered++;
        line[Symbol.dispose]();
        line = undefined;
      }
    }
    line?.[Symbol.dispose]();
  }

  function requestOf(name: string, n: number | undefined): Buffer {
    const path = propertyPath(address, name);
    if (n === undefined) return requestBytes({ method: "DELETE", path, token });
    return requestBytes({ method: "PUT", path, token, body: { value: { n } } });
  }

  function take(name: string, n: number | undefined, { status, body }: Answer): void {
    if (![200, 201, 204].includes(status)) return void surprises.push(`${name} ${n}: ${status} ${body}`);
    made++;
    possible.set(name, [n]);
    if (n !== undefined) revisions.get(name)?.push(JSON.parse(body).revision);
  }

  return {
    revisions,
    possible,
    surprises,
    get made() {
      return made;
    },
    get unanswered() {
      return unanswered;
    },
    get isWriting() {
      return isWriting;
    },
    async makes(count) {
      goal = made + count;
      isWriting = true;
      await Promise.all(Array.from({ length: pens }, (_, pen) => write(pen)));
      isWriting = false;
    },
  };
}

interface Roamer {
  readonly ledger: Ledger;
  readonly visits: number;
  readonly kills: number;
  stop(): Promise<void>;
}

/** Changes broker and transport again and again. Of two brokers it kills the one that it listens to now and then. */
function roam(
  brokers: readonly Program[],
  { token }: Account,
  watch: string | undefined,
  writer: Writer,
  random: Random,
): Roamer {
  const ledger = new Ledger();
  let visits = 0;
  let kills = 0;
  let outage: Promise<void> | undefined;
  let stopping = false;

  async function visit(broker: Program): Promise<void> {
    const open = transports[random.pick(Object.keys(transports))] as (typeof transports)[string];
    const cutMs = random.int(visitMsMax);
    const strikes = random.chance(0.2) && brokers.length > 1 && outage === undefined;
    const events = strikes ? Infinity : random.int(visitEventsMax);
    ledger.begin();
    visits++;
    await using connection = await open({ url: broker.url, token, watch, after: ledger.cursor });
    const cut = setTimeout(() => {
      if (strikes) strike(broker);
      else void connection[Symbol.asyncDispose]();
    }, cutMs);
    try {
      for (let left = events; left > 0; left--) ledger.take(await connection.next());
    } finally {
      clearTimeout(cut);
    }
  }

  function strike(broker: Program): void {
    kills++;
    outage = broker.kill().then(async () => {
      await broker.start();
      outage = undefined;
    });
  }

  async function listen(): Promise<void> {
    for (let turn = 0; !stopping; turn++) {
      await visit(brokers[turn % brokers.length] as Program).catch(judge);
      const awayUntil = writer.made + random.int(awayMax);
      if (random.chance(0.3)) await until("changes", () => !writer.isWriting || writer.made >= awayUntil);
    }
    await outage;
  }

  /** A connection may break, or find nobody; it may not be refused with its own cursor. */
  function judge(error: Error & { status?: number }): void {
    if (error.status !== undefined && error.status !== 503)
      ledger.wrong.push(`${error.message} with ${ledger.cursor}`);
  }

  const listening = listen();
  return {
    ledger,
    get visits() {
      return visits;
    },
    get kills() {
      return kills;
    },
    async stop() {
      stopping = true;
      await listening;
    },
  };
}
