// Versioned maps: every version answers for ever as a copy of that time would.
import { expect, it } from "vitest";
import { VersionedMap } from "../../services/core/versioned-map.ts";
import { seeded } from "../simulation/random.ts";

const names = ["a", "b", "c", "d"];

it("answers in each of its versions like a Map that was copied then, over random commands", () => {
  const random = seeded(1);
  for (let round = 0; round < 10; round++) {
    const versions = [{ map: new Map<string, number>(), version: new VersionedMap<number>() }];
    for (let step = 1; step < 60; step++) {
      const { map, version } = versions.at(-1) as (typeof versions)[number];
      const name = random.pick(names);
      const next = new Map(map);
      const one = random.chance(0.6) ? step : undefined;
      if (one === undefined) next.delete(name);
      else next.set(name, one);
      versions.push({ map: next, version: version.with(name, one) });
    }
    for (const { map, version } of versions) {
      expect(version.size).toBe(map.size);
      expect(new Map(version)).toEqual(map);
      expect([...version]).toHaveLength(map.size);
      for (const name of names) {
        expect([version.get(name), version.has(name)]).toEqual([map.get(name), map.has(name)]);
      }
    }
  }
});

it("lets any number begin with the same empty one", () => {
  const empty = new VersionedMap<number>();
  const [one, other] = [empty.with("a", 1), empty.with("a", 2)];
  expect([[...empty], [...one], [...other]]).toEqual([[], [["a", 1]], [["a", 2]]]);
});

it("has one next version at most", () => {
  const version = new VersionedMap<number>().with("a", 1);
  version.with("a", 2);
  expect(() => version.with("a", 3)).toThrow("newest");
});
