// A restored backup: the state of its time, and no cursor from what came after it leads into a past that never was.
import { cp, rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { temporaryFolder } from "../store/embedded.ts";
import { aWorld } from "./world.ts";

const world = aWorld("process");

test("a cursor from after the backup is reset, one from before it goes on", async () => {
  const { program } = world;
  await using folder = await temporaryFolder();
  const backup = `${folder.path}/backup`;
  const alice = await world.registers("alice");
  const bob = await world.registers("bob");
  await alice.sets("travel", { city: "Oslo" });
  await alice.sets("note", "kept");
  const { live: before } = await bob.watches(alice);

  await program.stop();
  await cp(program.dataDir, backup, { recursive: true });
  await program.start();
  await alice.sets("travel", { city: "Rome" });
  const { live: lost } = await bob.watches(alice);

  await program.stop();
  await rm(program.dataDir, { recursive: true });
  await cp(backup, program.dataDir, { recursive: true });
  await program.start();
  // The log comes to where it once was, by another way.
  for (let round = 0; round < 10; round++) await alice.sets("travel", { city: `Lima ${round}` });

  const after = await bob.watches(alice, undefined, { after: lost.cursor });
  expect(after.snapshot.map(({ event }) => event.data.value ?? event.type)).toEqual([
    "dev.tidings.stream.reset",
    "kept",
    { city: "Lima 9" },
  ]);
  const goesOn = await bob.watches(alice, undefined, { after: before.cursor });
  expect(goesOn.snapshot.map(({ event }) => event.data.value)).toEqual([{ city: "Lima 9" }]);
});
