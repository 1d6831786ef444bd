// What a query string asks to watch: each thing once, however often it is named.
import { expect, test } from "vitest";
import type { Reader } from "../../services/http/look.ts";
import { readWatchQuery } from "../../services/http/watch-query.ts";

const nobody = {} as Reader;

async function targetsOf(...watch: string[]) {
  const { targets } = await readWatchQuery({ query: { watch } }, nobody);
  return targets.map(({ node, properties }) => [node.text, ...properties].join(" "));
}

test("what is asked for a thousand times is watched once", async () => {
  expect(await targetsOf(...new Array(1_000).fill("alice@example.com"))).toEqual(["alice@example.com"]);
  expect(await targetsOf("alice@example.com:a,b", "acct:alice@example.com:b,a,b")).toHaveLength(1);
});

test("other names of the same node are another watch, and so are those of another node", async () => {
  const watch = ["alice@example.com", "alice@example.com:travel", "bob@example.com:travel"];
  expect(await targetsOf(...watch)).toHaveLength(3);
});
