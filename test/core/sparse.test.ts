// Sparse collections: they answer as Map and Set do, whatever is done to them.
import { describe, expect, it } from "vitest";
import { SparseMap, SparseSet } from "../../services/core/sparse.ts";
import { seeded } from "../simulation/random.ts";

describe("a sparse map", () => {
  it("answers like a Map over random commands", () => {
    const random = seeded(1);
    const [map, sparse] = [new Map<number, number>(), new SparseMap<number, number>()];
    for (let step = 0; step < 5_000; step++) {
      const key = random.int(4);
      if (random.chance(0.4)) {
        map.set(key, step);
        sparse.set(key, step);
      } else if (random.chance(0.95)) expect(sparse.delete(key)).toBe(map.delete(key));
      else {
        map.clear();
        sparse.clear();
      }
      expect(sparse.get(key)).toBe(map.get(key));
      expect(sparse.has(key)).toBe(map.has(key));
      expect([...sparse]).toEqual([...map]);
      expect([[...sparse.keys()], [...sparse.values()], sparse.size]).toEqual([
        [...map.keys()],
        [...map.values()],
        map.size,
      ]);
    }
  });

  it("may be emptied while it is gone through", () => {
    const sparse = new SparseMap<number, number>();
    for (const one of [1, 2, 3]) sparse.set(one, one);
    const seen: number[] = [];
    for (const [key] of sparse) {
      seen.push(key);
      sparse.delete(key);
    }
    expect(seen).toEqual([1, 2, 3]);
    expect(sparse.size).toBe(0);
  });
});

describe("a sparse set", () => {
  it("holds each once", () => {
    const set = new SparseSet<string>();
    set.add("a").add("b").add("a");
    expect([...set]).toEqual(["a", "b"]);
    expect([set.delete("a"), set.delete("a"), set.has("b"), set.size]).toEqual([true, false, true, 1]);
    set.clear();
    expect([...set]).toEqual([]);
  });
});
