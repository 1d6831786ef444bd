// Scratch.
import { test } from "vitest";
import { openWorld } from "./world.ts";
test("stop", async () => {
  const t0 = performance.now();
  const world = await openWorld("process");
  console.log("start", performance.now() - t0);
  const alice = await world.registers("alice");
  await alice.sets("travel", { city: "Oslo" });
  const t = performance.now();
  await world.program.stop();
  console.log("stop", performance.now() - t, world.program.printed);
  const t2 = performance.now();
  await world.program.start();
  console.log("restart", performance.now() - t2);
  await alice.watches(alice, "travel");
  await world.program.kill();
  const t3 = performance.now();
  await world.program.start();
  console.log("restart after kill", performance.now() - t3);
  await alice.watches(alice, "travel");
  const t4 = performance.now();
  await world.program.stop();
  console.log("stop with stream", performance.now() - t4);
  await world[Symbol.asyncDispose]();
  for (const stage of ["memory", "jetstream"] as const) {
  const t5 = performance.now();
  const w = await openWorld(stage);
  console.log(stage, "open", performance.now() - t5);
  const a= await w.registers("alice");
  await a.watches(a, "travel");
  const t6 = performance.now();
  await w[Symbol.asyncDispose]();
  console.log("close", performance.now() - t6);
  }
});
