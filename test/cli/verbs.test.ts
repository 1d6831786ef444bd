// The verbs of the command, typed against a broker: what they print, and what they say when something is wrong.
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import { aWorld, type Person } from "../conversations/world.ts";
import { openCommand, types } from "./command.ts";

const world = aWorld("memory");

function as(person: Person): { env: Record<string, string> } {
  return { env: { TIDINGS_URL: world.url, TIDINGS_TOKEN: person.token as string } };
}

describe("a person at a terminal", () => {
  it("registers, and the shell takes the token", async () => {
    const { stdout, stderr, code } = await types(["register", "ada"], { env: { TIDINGS_URL: world.url } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "ada@localhost is registered.\n" });
    const [, token = ""] = /^export TIDINGS_TOKEN=(\S+)\n$/.exec(stdout) ?? [];
    expect((await world.knows("ada@localhost", token).asks("GET", "/v1/me")).body.address).toBe(
      "ada@localhost",
    );
  });

  it("sets and gets, in words and in JSON", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const lease = ["--lease", "600", "--default", '{"status":"offline"}'];
    const put = await types(["set", "presence", '{"status":"online"}', ...lease], as(alice));
    expect(put.stdout).toMatch(/presence is set until \d{4}-.* \(revision \d+\)\.\n$/);
    expect((await types(["get", alice.address, "presence"], as(bob))).stdout).toBe('{"status":"online"}\n');
    expect((await types(["get", alice.address], as(bob))).stdout).toBe('presence  {"status":"online"}\n');
    const whole = JSON.parse((await types(["get", alice.address, "presence", "--json"], as(bob))).stdout);
    expect(whole).toMatchObject({
      by: alice.address,
      lease: { seconds: 600, default: { status: "offline" } },
    });
    const late = await types(["set", "presence", "{}", "--if-match", "1"], as(alice));
    expect(late).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^tidings: .*\(revision-mismatch\)\n$/),
    });
  });

  it("watches, and goes on where a break was", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    await alice.sets("travel", { city: "Oslo" });
    await using watching = openCommand(["watch", `${alice.address}:travel`], as(bob));
    await watching.prints("live: what follows happens now");
    await alice.sets("travel", { city: "Rome" });
    await watching.prints(/travel {2}\{"city":"Rome"\} {2}\(set, revision \d+\)/);
    await using again = openCommand(["watch", alice.address, "--json", "--count", "1"], as(bob));
    const { stdout, code } = await again.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout.split("\n")[0] as string)).toMatchObject({
      type: "dev.tidings.property.changed",
      data: { value: { city: "Rome" } },
      cursor: expect.any(String),
    });
    watching.child.kill("SIGINT");
    expect((await watching.ended).code).toBe(0);
  });

  it("writes to somebody", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const sent = await types(["send", alice.address, "See you?"], as(bob));
    expect(sent.stdout).toContain(`Stored for ${alice.address}`);
    const { body } = await alice.asks("GET", "/v1/messages");
    expect(body.messages).toMatchObject([{ from: bob.address, content: "See you?" }]);
  });
});

describe("what is typed wrong, or cannot be", () => {
  const here = { env: { TIDINGS_URL: "http://127.0.0.1:65534", TIDINGS_TOKEN: "a-token" } };
  it.each([
    [
      ["set", "presence", "online"],
      2,
      /^tidings: The value is not JSON: online\. Put single quotes around it/,
    ],
    [["set", "presence", "{}", "--default", "1"], 2, /^tidings: --default is what a leased value becomes/],
    [["set", "presence", "{}", "--lease", "long"], 2, /^tidings: --lease takes a number/],
    [["get"], 2, /^tidings: missing required argument 'address'/],
    [["gett", "x"], 2, /^tidings: unknown command 'gett'.*Did you mean get\?/],
    [["get", "x", "--url", "broker"], 2, /^tidings: --url takes a URL such as/],
    [["get", "x", "--token", "a b"], 1, /^tidings: The token is not one/],
    [
      ["get", "a@localhost"],
      3,
      /^tidings: No broker answers at http:\/\/127\.0\.0\.1:65534 \(\w+\)\. Is it running/,
    ],
    [["agent", "list"], 3, /^tidings: No broker answers/],
    [["agent", "lst"], 2, /^tidings: unknown command 'lst'.*Did you mean list\?/],
    [["start", "--prot", "0"], 1, /^tidings: Unknown option '--prot'.*Flags are --host/],
  ])("tidings %j ends with %i and one line", async (typed, code, line) => {
    const ended = await types(typed, here);
    expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code, stdout: "" });
    expect(ended.stderr).toMatch(line);
    expect(ended.stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("is told as the broker refuses it, with what to do", async () => {
    const alice = await world.registers("alice");
    const nobody = await types(["set", "presence", "{}"], { env: { TIDINGS_URL: world.url } });
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringMatching(/--token or TIDINGS_TOKEN/) });
    const wrong = await types(["set", "presence", '{"status":5}'], as(alice));
    expect(wrong.stderr).toMatch(/\/status .*\(value-invalid\)\n$/);
    const json = await types(["get", "nobody@localhost", "--json"], as(alice));
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: "not-found" } });
  });

  it("has help for each verb", async () => {
    const { stdout, code } = await types(["--help"]);
    expect(code).toBe(0);
    for (const verb of ["start", "register", "set", "get", "watch", "send", "agent"])
      expect(stdout).toContain(`  ${verb}`);
    expect(stdout.split("\n").filter((line) => line.length > 110)).toEqual([]);
    expect((await types(["agent", "--help"])).stdout).toContain("dead-letters");
    expect((await types(["agent", "run", "--help"])).stdout).toContain("--config");
  });
});

describe("agents that the broker runs", () => {
  it("are listed, added, looked at, switched, replayed and removed", async () => {
    await using host = await playedHost();
    const env = { TIDINGS_URL: host.url, TIDINGS_TOKEN: "t" };
    const said = async (...typed: string[]): Promise<string> => {
      const { stdout, stderr } = await types(["agent", ...typed], { env });
      return stdout + stderr;
    };
    expect(await said("list")).toContain("  away 1.0.0  answers while you are away");
    expect(await said("add", "away", "--config", '{"note":"back soon"}')).toContain("a1  away 1.0.0");
    expect(host.asked.at(-1)).toEqual(["POST /v1/agents", { agent: "away", config: { note: "back soon" } }]);
    expect(await said("disable", "a1")).toContain("disabled");
    expect(await said("enable", "a1")).toContain("failed: out of memory");
    expect(await said("runs", "a1")).toContain("r1  2026-11-23T09:00:00.000Z  dead in 12 ms, attempt 4");
    expect(await said("dead-letters", "a1")).toContain("Again: tidings agent replay a1 <run>");
    expect(await said("replay", "a1", "r/1")).toContain("runs again");
    expect(host.asked.at(-1)).toEqual(["POST /v1/agents/a1/runs/r%2F1/replay", undefined]);
    expect(await said("remove", "a1")).toContain("a1 is removed.");
    expect(JSON.parse(await said("list", "--json"))).toMatchObject({ running: [{ id: "a1" }] });
  });
});

const older = olderNode();
const onOlder = `an older Node starts the command on the Node of npm's package`;
if (older === undefined) it.skip(`${onOlder}: there is none on the path`, () => undefined);
else {
  it(onOlder, async () => {
    const alice = await world.registers("alice");
    await alice.sets("for-sale", { item: "bike" });
    const got = await types(["get", alice.address, "for-sale"], { ...as(alice), node: older });
    expect(got).toEqual({ code: 0, stdout: '{"item":"bike"}\n', stderr: "" });
    await using watching = openCommand(["watch", alice.address], { ...as(alice), node: older });
    await watching.prints("live");
    watching.child.kill("SIGINT");
    expect((await watching.ended).code).toBe(0);
    expect((await types(["get"], { node: older })).code).toBe(2);
  });
}

/** A Node on the path that is too old for the command. */
function olderNode(): string | undefined {
  const folders = (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => !folder.includes("node_modules"));
  return folders
    .map((folder) => join(folder, "node"))
    .find((node) => {
      const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
      return Number(/^v(\d+)/.exec(stdout ?? "")?.[1] ?? 24) < 24;
    });
}

/** Answers as /v1/agents promises to. */
async function playedHost(): Promise<AsyncDisposable & { url: string; asked: [string, unknown][] }> {
  const instance = { id: "a1", agent: "away", version: "1.0.0", node: "alice@localhost/away" };
  const since = "2026-11-23T09:00:00.000Z";
  const event = { id: "e1", type: "message.received", node: "alice@localhost" };
  const answers: Record<string, [number, unknown?]> = {
    "GET /v1/agents": [
      200,
      {
        agents: [
          { agent: "away", version: "1.0.0", description: "answers while you are away", permissions: [] },
        ],
        running: [{ ...instance, enabled: true, state: "running", since }],
      },
    ],
    "POST /v1/agents": [201, { ...instance, enabled: true, state: "starting", since }],
    "PATCH /v1/agents/a1 false": [200, { ...instance, enabled: false, state: "disabled", since }],
    "PATCH /v1/agents/a1 true": [
      200,
      { ...instance, enabled: true, state: "failed", reason: "out of memory", since },
    ],
    "GET /v1/agents/a1/runs": [
      200,
      {
        runs: [
          { id: "r1", event, state: "dead", attempts: 4, started: since, ms: 12, error: "boom", log: ["hm"] },
        ],
      },
    ],
    "GET /v1/agents/a1/dead-letters": [
      200,
      { deadLetters: [{ run: "r1", event, error: "boom", attempts: 4, at: since }] },
    ],
    "POST /v1/agents/a1/runs/r%2F1/replay": [202, { run: "r/1" }],
    "DELETE /v1/agents/a1": [204],
  };
  const asked: [string, unknown][] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    const body = text === "" ? undefined : JSON.parse(text);
    const what = `${request.method} ${request.url}`;
    asked.push([what, body]);
    const [status, answer] = answers[request.method === "PATCH" ? `${what} ${body.enabled}` : what] ?? [404];
    response.writeHead(status, { "content-type": "application/json" });
    response.end(answer === undefined ? "" : JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
