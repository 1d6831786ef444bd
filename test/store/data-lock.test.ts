// One broker a data folder.
// In: two brokers that want the same folder. Out: the second is told who holds it, until the first is gone.

import { existsSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StartError } from "../../services/core/start-error.ts";
import { lockData } from "../../services/store/data-lock.ts";
import { childBroker } from "./child-broker.ts";
import { type Folder, temporaryFolder } from "./embedded.ts";

let folder: Folder;
let data: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  data = join(folder.path, "deep", "data");
});
afterEach(() => folder[Symbol.asyncDispose]());

test("the data folder is made for its owner alone", async () => {
  using _lock = lockData(data);
  expect((await stat(data)).mode & 0o777).toBe(0o700);
});

test("a second broker is refused, and told who the first is", async () => {
  await using first = await childBroker(data, "lock");
  expect(() => lockData(data)).toThrow(StartError);
  expect(() => lockData(data)).toThrow(`another broker (pid ${first.pid}) uses ${data}`);
});

test("a broker that was killed holds nothing", async () => {
  const first = await childBroker(data, "lock");
  await first.killed();
  expect(existsSync(join(data, "lock.pid"))).toBe(true);
  using _lock = lockData(data);
});

test("the same process cannot take it twice either, and can again after it let go", () => {
  const first = lockData(data);
  expect(() => lockData(data)).toThrow(`another broker (pid ${process.pid})`);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const second = lockData(data);
  second[Symbol.dispose]();
});

test("a refused broker does not loosen the first one's hold", async () => {
  await using first = await childBroker(data, "lock");
  expect(() => lockData(data)).toThrow(StartError);
  await expect(childBroker(data, "lock")).rejects.toThrow(`another broker (pid ${first.pid})`);
  expect(() => lockData(data)).toThrow(`pid ${first.pid}`);
});

test("a folder that cannot be is refused in one line", async () => {
  await writeFile(join(folder.path, "file"), "");
  expect(() => lockData(join(folder.path, "file", "data"))).toThrow(
    /^the data folder .* cannot be created \(ENOTDIR\)/,
  );
});
