// The directory's file: whatever somebody left in it, what is opened can be used; and only what belongs to the log's history is kept.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeAddress } from "../../services/core/address.ts";
import { openDatabase } from "../../services/directory/database.ts";
import { openProjection, type Standing } from "../../services/directory/projection.ts";
import { mayResume } from "../../services/directory/resume.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import { type Folder, temporaryFolder } from "../store/embedded.ts";

const day = 24 * 3600 * 1000;

describe("the directory's file", () => {
  let folder: Folder;
  let file: string;
  beforeEach(async () => {
    folder = await temporaryFolder();
    file = join(folder.path, "directory.sqlite");
  });
  afterEach(async () => await folder[Symbol.asyncDispose]());

  const standing: Standing = { epoch: "one", position: 7, term: "first 3", savedMs: 5 };

  function write(): void {
    using projection = openProjection(openDatabase(file).database);
    const changes = Array.from({ length: 200 }, (_, index) => ({
      is: "node" as const,
      address: `n${index}@localhost`,
      isThere: true,
    }));
    expect(projection.apply(changes, standing)).toEqual([]);
  }

  /** Where what is opened says that it stands. */
  function reopened(): Standing {
    const opened = openDatabase(file);
    expect(opened.file).toBe(file);
    using projection = openProjection(opened.database);
    const before = projection.standing;
    projection.apply([{ is: "node", address: "alice@localhost", isThere: true }], standing);
    return before;
  }

  it("is opened where it was left", () => {
    write();
    expect(reopened()).toEqual(standing);
  });

  const harms: readonly (readonly [string, () => void])[] = [
    ["is gone", () => rmSync(file)],
    ["is empty", () => writeFileSync(file, "")],
    ["is rubbish", () => writeFileSync(file, "rubbish ".repeat(10_000))],
    ["was cut short", () => writeFileSync(file, readFileSync(file).subarray(0, 9_000))],
    [
      "is damaged in the middle",
      () => {
        const bytes = readFileSync(file);
        writeFileSync(file, bytes.fill(0xa5, 4096, bytes.length - 100));
      },
    ],
    ["is of another version", () => change("UPDATE state SET version = 0")],
    ["lacks a table", () => change("DROP TABLE scalar; DROP TABLE state")],
  ];
  for (const [what, harm] of harms) {
    it(`is begun anew where it ${what}`, () => {
      write();
      harm();
      expect(reopened().position).toBe(0);
      expect(reopened()).toEqual(standing);
    });
  }

  it("is left alone where another broker has it", () => {
    const first = openDatabase(file);
    using projection = openProjection(first.database);
    projection.apply([], standing);
    const second = openDatabase(file);
    expect(second.file).toBe(":memory:");
    second.database.close();
    expect(existsSync(file)).toBe(true);
    projection.apply([], { ...standing, position: 8 });
    expect(projection.standing.position).toBe(8);
  });

  function change(sql: string): void {
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
  }
});

describe("a projection that was kept", () => {
  const log = openMemoryLog({ epoch: "one" });
  const at = (name: string): string => subjectOf(makeAddress("", "localhost"), "term", name);
  const deps = { log, domain: "localhost", now: () => 10 * day };
  const good = { epoch: "one", position: 3, term: "second 2", savedMs: 9 * day };

  it("goes on only in the history that it saw", async () => {
    for (const name of ["first", "second"])
      await log.append([{ subject: at(name), body: "{}", expected: 0 }]);
    await log.append([{ subject: "t.x", body: "{}", expected: 0 }]);
    await log.append([{ subject: at("third"), body: "{}", expected: 0 }]);
    expect(await mayResume(good, deps)).toBe(true);
    expect(await mayResume({ ...good, position: 4, term: "third 4" }, deps)).toBe(true);
    const others: readonly Partial<Standing>[] = [
      { epoch: "two" },
      { position: 0, term: "" },
      { position: 5, term: "third 4" },
      { savedMs: 3 * day },
      { term: "" },
      { term: "second 3" },
      { term: "first 1" },
      { position: 4 },
      { term: "other 2" },
    ];
    for (const other of others) {
      expect(await mayResume({ ...good, ...other }, deps), JSON.stringify(other)).toBe(false);
    }
  });
});
