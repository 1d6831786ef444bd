// Random worlds: a search finds exactly what whoever asks would find by reading every node, in pages, and in an order of addresses alone.
import { expect, it } from "vitest";
import { seeded, seedsOfRun } from "../simulation/random.ts";
import { mustFind, seenBy } from "./oracle.ts";
import { randomWorld } from "./random-world.ts";
import { openSmallWorld, type SmallWorld } from "./small-world.ts";

const full = process.env.TIDINGS_TEST_FULL === "1";
const worlds = full ? 2_000 : 60;
/** Several in one log: they must not show in each other's answers, and a thread need not start for each. */
const together = 25;

const [first = 1] = seedsOfRun(1, 1);

it(`finds in ${worlds} random worlds what reading every node would`, { timeout: 600_000 }, async () => {
  console.info(`TIDINGS_TEST_SEED=${first}`);
  const tally = { answers: 0, found: 0, pages: 0, told: 0 };
  for (let begin = 0; begin < worlds; begin += together) {
    await using world = await openSmallWorld();
    for (let index = begin; index < begin + together; index++) {
      await visit(world, first + index, `w${index}`, tally);
    }
  }
  console.info(JSON.stringify(tally));
  expect(tally.found).toBeGreaterThan(worlds);
  expect(tally.pages).toBeGreaterThan(tally.answers);
});

async function visit(
  world: SmallWorld,
  seed: number,
  mark: string,
  tally: { answers: number; found: number; pages: number; told: number },
): Promise<void> {
  const random = seeded(seed);
  const here = randomWorld(random, world, mark);
  for (let season = 0; season < 2; season++) {
    await here.live(season === 0 ? 25 : 8);
    // What an ended lease leaves behind is found once the log has it.
    await here.settle();
    for (let asker = 0; asker < 2; asker++) {
      const look = here.anybody();
      const questions = [here.question(), here.question(), here.question()];
      const limit = random.int(4) + 1;
      const answers = [];
      for (const { q, where } of questions) {
        world.told.length = 0;
        const wish = { ...(q !== undefined && { q }), ...(where !== undefined && { where }), limit };
        const pages = await world.finds(look, wish);
        answers.push({ pages, told: [...world.told] });
      }
      const seen = await seenBy(world, look, here.addresses);
      for (const [index, question] of questions.entries()) {
        const { pages, told } = answers[index] as (typeof answers)[number];
        const { caller, disclosed } = look;
        const what = `seed ${seed}, season ${season}: ${caller?.address.text} ${caller?.scopes} ${[...disclosed.keys()]} ${question.q} ${question.where}`;
        const found = pages.flatMap(({ nodes }) => nodes);
        const wanted = mustFind(world.log.epoch, seen, question);
        const values = found.map(({ address, properties }) => [
          address,
          Object.fromEntries(Object.entries(properties).map(([name, { value }]) => [name, value])),
        ]);
        expect(values, what).toEqual(wanted);
        // The oracle reads through the same reader: what it must never show is asked here.
        for (const { properties } of found) {
          for (const { lease } of Object.values(properties)) {
            if (lease) expect(Date.parse(lease.until), what).toBeGreaterThan(world.now());
          }
        }
        expect(pages.map(({ nodes }) => nodes.length).slice(0, -1), what).toEqual(
          Array.from({ length: pages.length - 1 }, () => limit),
        );
        // A page that promised another is never followed by an empty one.
        if (pages.length > 1) expect(pages.at(-1)?.nodes.length, what).toBeGreaterThan(0);
        const shown = wanted.filter(([, properties]) => Object.keys(properties).length > 0);
        expect(told.length, what).toBe(shown.length);
        tally.answers++;
        tally.found += found.length;
        tally.pages += pages.length;
        tally.told += told.length;
      }
    }
  }
}
