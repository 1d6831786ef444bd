// P1 when the power fails: what was acknowledged is on the disk itself, and without the sync of each write it is not.
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ask } from "../../bench/lean-http.ts";
import { serversOf } from "../../services/store/orphan.ts";
import { type Program, startProgram } from "../conversations/program.ts";
import { isFull } from "../conversations/world.ts";
import { type SmallDisk, smallDisk } from "../store/small-disk.ts";
import { startLoad } from "./load.ts";
import { cutPower, syncDisk } from "./power.ts";
import { faults, groups, type Owner, portOf, singles } from "./targets.ts";

const acksAtLeast = isFull ? 20_000 : 1_500;
/** Soon enough after the first write: what is not synced now is written out some seconds later. */
const acksUnsynced = 1_500;
/** A machine with other work to do is slow, not wrong. */
const patienceMs = isFull ? 600_000 : 90_000;
const acksAtOnce = 500;
/** More than one client comes to write, so that none is written again later. */
const propertiesEach = isFull ? 150 : 32;
const groupsEach = isFull ? 90 : 20;
/** In each value, so that the store has to begin new files. */
const padding = 2_000;
const sizeMiB = 1024;

const disk = smallDisk(sizeMiB);
if (typeof disk === "string") test.skip(`a power cut: not here, since ${disk}`, () => undefined);
else describe("after a power cut", () => onRealDisk(disk));

function onRealDisk(disk: SmallDisk): void {
  afterAll(() => disk.unmount());

  test(
    "every acknowledged write is there, or a later one of the same property",
    async () => {
      const { acked, properties, wrong } = await campaign(disk, "synced", acksAtLeast, {});
      expect(wrong).toEqual([]);
      console.info(`${acked} acknowledged before the cut, ${properties} properties read after it, 0 lost`);
    },
    patienceMs,
  );

  test("with a server that syncs every two minutes writes are lost, so that this campaign can fail", async () => {
    const { acked, properties, wrong } = await campaign(disk, "unsynced", acksUnsynced, {
      TIDINGS_TEST_UNSAFE_SYNC: "2m",
    });
    expect(wrong.length).toBeGreaterThan(0);
    console.info(
      `${acked} acknowledged before the cut, ${wrong.length} of ${properties} properties lost or unreadable`,
    );
  });
}

interface Outcome {
  readonly acked: number;
  readonly properties: number;
  readonly wrong: readonly string[];
}

/** Writes, cuts the power while writing, and reads what another broker finds on the disk. */
async function campaign(
  disk: SmallDisk,
  name: string,
  acks: number,
  sync: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const env = { TIDINGS_RATE_LIMIT: "off", ...sync };
  const folder = join(disk.path, name);
  mkdirSync(folder);
  await using program = await startProgram(folder, env);
  const owner: Owner = await ask(portOf(program), {
    method: "POST",
    path: "/v1/accounts",
    body: { handle: "writer" },
  });
  const targets = [
    ...(await singles(program, owner, 48, propertiesEach)),
    ...(await groups(program, owner, 16, groupsEach)),
  ];
  // What is at stake are the writes alone, not whose they are.
  syncDisk(disk);

  const load = startLoad(program, owner, targets, padding);
  while (load.acked < acks) await load.more(acksAtOnce);
  const store = await serverOf(program);
  // In this order: the broker may still pass on what the server had acknowledged.
  process.kill(store, "SIGSTOP");
  process.kill(program.pid, "SIGSTOP");
  using cut = await cutPower(disk);
  await load.during(async () => {
    process.kill(store, "SIGKILL");
    await program.kill();
  });
  await load.stop();
  expect(load.surprises).toEqual([]);

  await using after = await startProgram(join(cut.path, name), env);
  const wrong = await faults(after, owner, targets);
  const written = targets.flatMap(({ turns }) => turns.flat()).filter(({ acked }) => acked > 0);
  return { acked: load.acked, properties: written.length, wrong };
}

async function serverOf({ dataDir }: Program): Promise<number> {
  const [pid] = await serversOf(join(realpathSync(dataDir), "nats", "nats.conf"));
  if (pid === undefined) throw new Error("there is no nats-server");
  return pid;
}
