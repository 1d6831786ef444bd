// Where the nats-server comes from.
// In: folders with real and pretended executables. Out: which one is taken, and the line that stops the start.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StartError } from "../../services/core/start-error.ts";
import { type FetchWay, findNatsServer, isNewEnough } from "../../services/store/nats-binary.ts";
import { checksumFor, fetchRelease } from "../../services/store/nats-fetch.ts";
import { type Folder, temporaryFolder } from "./embedded.ts";

let folder: Folder;
let cacheDir: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  cacheDir = join(folder.path, "cache");
});
afterEach(() => folder[Symbol.asyncDispose]());

/** A script that says the version, in place of the real executable. */
async function pretend(place: string, version: string): Promise<string> {
  const path = join(folder.path, place);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

const brings =
  (version: string): FetchWay =>
  async (target) => {
    await writeFile(target, `#!/bin/sh\necho "nats-server: v${version}"\n`, { mode: 0o755 });
  };
const cannot: FetchWay = () => Promise.reject(new Error("there is no network"));
const mustNotFetch: FetchWay = () => Promise.reject(new Error("fetched in vain"));

async function refusal(finding: Promise<unknown>): Promise<string> {
  const error = await finding.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartError);
  const { message } = error as StartError;
  expect(message).not.toContain("\n");
  return message;
}

describe("the one that TIDINGS_NATS_SERVER names", () => {
  test("is taken before any other", async () => {
    const path = await pretend("mine/nats", "2.13.4");
    await pretend("bin/nats-server", "2.15.0");
    const env = { TIDINGS_NATS_SERVER: path, PATH: join(folder.path, "bin") };
    expect(await findNatsServer({ cacheDir, env, ways: [mustNotFetch] })).toEqual({
      path,
      version: "2.13.4",
    });
  });

  test("stops the start if it is old, and the line names its version", async () => {
    const path = await pretend("old/nats-server", "2.9.10");
    const line = await refusal(
      findNatsServer({ cacheDir, env: { TIDINGS_NATS_SERVER: path }, ways: [mustNotFetch] }),
    );
    expect(line).toContain("2.9.10");
    expect(line).toContain("2.12.0 or newer");
  });

  test("stops the start if it is no nats-server", async () => {
    const env = { TIDINGS_NATS_SERVER: "/nowhere/nats-server" };
    expect(await refusal(findNatsServer({ cacheDir, env, ways: [mustNotFetch] }))).toContain(
      "/nowhere/nats-server",
    );
  });
});

describe("without that", () => {
  test("the one on PATH is taken", async () => {
    const path = await pretend("bin/nats-server", "2.12.0");
    const env = { PATH: join(folder.path, "bin") };
    expect(await findNatsServer({ cacheDir, env, ways: [mustNotFetch] })).toEqual({
      path,
      version: "2.12.0",
    });
  });

  test("an old one on PATH is passed over for the cached one, and a line says so", async () => {
    const old = await pretend("bin/nats-server", "2.9.10");
    const path = await pretend("cache/nats-server", "2.15.1");
    const lines: string[] = [];
    const env = { PATH: join(folder.path, "bin") };
    const found = await findNatsServer({
      cacheDir,
      env,
      log: (line) => lines.push(line),
      ways: [mustNotFetch],
    });
    expect(found).toEqual({ path, version: "2.15.1" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`${old} is 2.9.10`);
  });

  test("an old cached one is replaced by a fetched one", async () => {
    const path = await pretend("cache/nats-server", "2.11.0");
    const found = await findNatsServer({ cacheDir, env: { PATH: "" }, ways: [cannot, brings("2.15.1")] });
    expect(found).toEqual({ path, version: "2.15.1" });
  });

  test("if every way leads to an old one, the line names each version", async () => {
    await pretend("bin/nats-server", "2.9.10");
    const env = { PATH: join(folder.path, "bin") };
    const line = await refusal(findNatsServer({ cacheDir, env, ways: [brings("2.10.0")] }));
    expect(line).toContain("is 2.9.10");
    expect(line).toContain("is 2.10.0");
    expect(line).toContain("TIDINGS_NATS_SERVER");
  });

  test("if nothing can be fetched, the line says why and how to install", async () => {
    const line = await refusal(findNatsServer({ cacheDir, env: { PATH: "" }, ways: [cannot] }));
    expect(line).toContain("there is no network");
    expect(line).toContain("Install");
  });

  test("it is fetched once into an empty cache, and leaves nothing else there", async () => {
    const lines: string[] = [];
    const first = await findNatsServer({ cacheDir, env: { PATH: "" }, log: (line) => lines.push(line) });
    expect(isNewEnough(first.version)).toBe(true);
    expect(lines[0]).toBe("fetching nats-server …");
    expect(await readdir(cacheDir)).toEqual(["nats-server"]);
    expect(await findNatsServer({ cacheDir, env: { PATH: "" }, ways: [mustNotFetch] })).toEqual(first);
  }, 300_000);
});

describe.skipIf(process.platform === "win32")("the project's release archive", () => {
  /** A release page of our own, whose archive holds a script; `corrupt` publishes another file's checksum. */
  async function releasePage(corrupt: "corrupt" | "sound") {
    const machine = process.arch === "x64" ? "amd64" : "arm64";
    const name = `nats-server-v2.15.1-${process.platform}-${machine}`;
    await pretend(`${name}/nats-server`, "2.15.1");
    execFileSync("tar", ["-czf", `${name}.tar.gz`, name], { cwd: folder.path });
    const archive = await readFile(join(folder.path, `${name}.tar.gz`));
    const hex = createHash("sha256")
      .update(corrupt === "corrupt" ? "another" : archive)
      .digest("hex");
    const server = createServer((request, response) => {
      if (request.url === "/v2.15.1/SHA256SUMS") response.end(`00ff  other.zip\n${hex}  ${name}.tar.gz\n`);
      else if (request.url === `/v2.15.1/${name}.tar.gz`) response.end(archive);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { url, [Symbol.dispose]: () => void server.close() };
  }

  test("is unpacked if its checksum is the published one; two starts at once do no harm", async () => {
    using page = await releasePage("sound");
    const way: FetchWay = (target, log) => fetchRelease(target, log, page.url);
    const find = () => findNatsServer({ cacheDir, env: { PATH: "" }, ways: [way] });
    const found = await Promise.all([find(), find()]);
    expect(found.map(({ version }) => version)).toEqual(["2.15.1", "2.15.1"]);
    expect(await readdir(cacheDir)).toEqual(["nats-server"]);
  });

  test("is refused if its checksum is another", async () => {
    using page = await releasePage("corrupt");
    const way: FetchWay = (target, log) => fetchRelease(target, log, page.url);
    const line = await refusal(findNatsServer({ cacheDir, env: { PATH: "" }, ways: [way] }));
    expect(line).toContain("published SHA-256");
    expect(await readdir(cacheDir)).toEqual([]);
  });

  test("is found in a checksum list of either form", () => {
    expect(checksumFor("AB12  a.zip\ncd34 *b.zip\n", "a.zip")).toBe("ab12");
    expect(checksumFor("AB12  a.zip\ncd34 *b.zip\n", "b.zip")).toBe("cd34");
    expect(checksumFor("AB12  a.zip\n", "c.zip")).toBeUndefined();
  });
});

test("versions are compared by number", () => {
  expect(["2.12.0", "2.15.1", "2.100.0", "3.0.0"].filter(isNewEnough)).toHaveLength(4);
  expect(["2.9.25", "2.11.99", "1.20.0"].filter(isNewEnough)).toEqual([]);
});
