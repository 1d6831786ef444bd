// P16 on a full disk: writes are refused in time, reads and streams go on, and service returns by itself, with all that was acknowledged.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask } from "../../bench/lean-http.ts";
import { type Program, startProgram } from "../conversations/program.ts";
import { isFull } from "../conversations/world.ts";
import { until } from "../store/embedded.ts";
import { type SmallDisk, smallDisk } from "../store/small-disk.ts";
import { between, type Load, slowestMs, startLoad } from "./load.ts";
import { type Readers, readNodes, unheard, type Watcher, watch } from "./observers.ts";
import { faults, groups, type Owner, portOf, singles } from "./targets.ts";

const sizeMiB = 192;
/** The promise is 2 s; half a second is for the client's own machine. */
const answerMsMax = 2_500;
const returnMsMax = 15_000;
const acksBetween = isFull ? 2_500 : 400;
const refusalsAtLeast = isFull ? 2_000 : 300;
const fillings = isFull ? 4 : 1;
/** In each value, so that a disk without any room is noticed at once. */
const padding = 2_000;

const disk = smallDisk(sizeMiB);
if (typeof disk === "string") test.skip(`a full disk: not here, since ${disk}`, () => undefined);
else describe("on a disk that fills up while clients write", () => onRealDisk(disk));

function onRealDisk(disk: SmallDisk): void {
  const stack = new AsyncDisposableStack();
  let program: Program;
  let owner: Owner;
  let load: Load;
  let readers: Readers;
  /** A group that the end of the disk caught halfway cannot be read until the store has room to complete it. */
  let groupReaders: Readers;
  let watcher: Watcher;

  beforeAll(async () => {
    stack.defer(() => disk.unmount());
    program = stack.use(await startProgram(disk.path, { TIDINGS_RATE_LIMIT: "off" }));
    const wish = { method: "POST", path: "/v1/accounts", body: { handle: "writer" } };
    owner = await ask(portOf(program), wish);
    const targets = [...(await singles(program, owner, 28, 40)), ...(await groups(program, owner, 4, 20))];
    watcher = watch(program, owner, targets);
    stack.defer(async () => await watcher.stop());
    readers = readNodes(program, owner, targets.slice(0, 6));
    stack.defer(async () => await readers.stop());
    groupReaders = readNodes(program, owner, targets.slice(-4));
    stack.defer(async () => await groupReaders.stop());
    load = startLoad(program, owner, targets, padding);
    stack.defer(async () => await load.stop());
  });

  afterAll(async () => await stack[Symbol.asyncDispose]());

  /** Fills the disk, waits for refusals, frees it, and waits until everybody is served again. */
  async function fill(take: () => Promise<void>): Promise<string> {
    await load.more(acksBetween);
    const filledMs = performance.now();
    await take();
    const refused = (): number =>
      between(load.answers, filledMs, Infinity).filter(({ status }) => status === 507).length;
    await until("refusals", () => refused() >= refusalsAtLeast);
    const freedMs = performance.now();
    await disk.freeAll();
    await load.everyone();
    const backMs = performance.now();

    const whileFull = between(load.answers, filledMs, backMs);
    expect(slowestMs(whileFull)).toBeLessThan(answerMsMax);
    expect(backMs - freedMs).toBeLessThan(returnMsMax);
    const reads = between(readers.answers, filledMs, freedMs);
    expect(reads.length).toBeGreaterThan(20);
    expect(reads.filter(({ status }) => status !== 200)).toEqual([]);
    expect(slowestMs(reads)).toBeLessThan(answerMsMax);
    expect(slowestMs(between(groupReaders.answers, filledMs, freedMs))).toBeLessThan(answerMsMax);
    const count = (status: number): number => whileFull.filter((answer) => answer.status === status).length;
    return `${count(507)} of 507 and ${count(503)} of 503, the slowest after ${Math.round(slowestMs(whileFull))} ms; ${reads.length} reads; all served again ${Math.round(backMs - freedMs)} ms after it was freed`;
  }

  test("short of the reserve: writes are refused with 507, reads go on, and service returns", async () => {
    for (let filling = 0; filling < fillings; filling++)
      console.info(`reserve: ${await fill(async () => await disk.leave(40))}`);
  });

  test("suddenly without room, so that the store itself cannot write: refused in time, and service returns", async () => {
    for (let filling = 0; filling < fillings; filling++)
      console.info(`no room: ${await fill(async () => await disk.leaveSuddenly(256 * 1024))}`);
    expect(program.printed).toMatch(/restarting nats-server: disk freed/);
  });

  test("what was acknowledged is there, what was refused is not, also after kill -9", async () => {
    await load.more(acksBetween);
    await load.stop();
    await readers.stop();
    await groupReaders.stop();
    expect(load.surprises).toEqual([]);
    expect(readers.wrong).toEqual([]);
    expect(groupReaders.wrong).toEqual([]);
    expect(await faults(program, owner, load.targets)).toEqual([]);

    const { targets } = load;
    const allHeard = async (): Promise<boolean> =>
      (await unheard(program, owner, targets, watcher.heard)).length === 0;
    await until("the watcher", allHeard);
    expect(watcher.wrong).toEqual([]);
    // One stream went on through all of it.
    expect(watcher.streams).toBe(1);

    await program.kill();
    await program.start();
    expect(await faults(program, owner, targets)).toEqual([]);
    console.info(`${load.acked} acknowledged, ${watcher.events} events over one stream`);
  });
}
