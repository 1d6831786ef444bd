// Bad requests, as test/vectors/bad-input.json lists them: each is refused in the promised words, and nothing comes of it.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refusals } from "../../services/core/refusals.ts";
import { aWorld, type Data, type Person } from "../conversations/world.ts";

interface BadRequest {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly body?: string;
  readonly bodyBase64?: string;
  readonly bodyParts?: readonly (readonly [text: string, times: number])[];
  readonly expect: { readonly status: number; readonly code: string; readonly allow?: string };
}

const file = new URL("../vectors/bad-input.json", import.meta.url);
const { requests } = JSON.parse(readFileSync(file, "utf8")) as { requests: BadRequest[] };

const world = aWorld("process");
let alice: Person;
let bob: Person;
let epoch: string;
let pid: number;
beforeAll(async () => {
  alice = await world.registers("alice");
  bob = await world.registers("bob");
  await alice.patches({ set: { travel: { value: { city: "Oslo" } }, "profile.name": { value: "Alice" } } });
  await bob.sets("travel", { city: "Rome" });
  const { live } = await alice.watches(alice);
  epoch = live.cursor.split("-")[0] as string;
  await alice.leaves();
  pid = world.program.pid;
});
afterAll(() => {
  expect(world.program.pid).toBe(pid);
  expect(world.program.isRunning).toBe(true);
});

/** Everything that a bad request could have changed. */
async function everything(): Promise<string> {
  const parts = await Promise.all([
    alice.reads(alice, "?depth=infinity"),
    bob.reads(bob, "?depth=infinity"),
    alice.asks("GET", "/v1/tokens").then(({ text }) => text),
    alice.asks("GET", "/v1/types").then(({ text }) => text),
    alice
      .asks("GET", `/v1/nodes/${encodeURIComponent(alice.address)}/types/thing`)
      .then(({ status }) => status),
  ]);
  return JSON.stringify(parts);
}

function filled(text: string): string {
  const token = alice.token as string;
  const proof = token.slice(token.indexOf("."));
  const blanks: Record<string, string> = {
    me: encodeURIComponent(alice.address),
    other: encodeURIComponent(bob.address),
    "other:handle": bob.address.split("@")[0] as string,
    token,
    "token:cut": token.slice(0, -1),
    "token:changed": token.slice(0, -1) + (token.endsWith("A") ? "B" : "A"),
    "token:other": Buffer.from(bob.address.split("@")[0] as string).toString("base64url") + proof,
    operator: world.adminToken,
    epoch,
  };
  return text.replace(/\{([a-z:]+)\}/g, (whole, name: string) => blanks[name] ?? whole);
}

function bodyOf({ body, bodyBase64, bodyParts }: BadRequest): Buffer | undefined {
  if (bodyBase64 !== undefined) return Buffer.from(bodyBase64, "base64");
  if (bodyParts) return Buffer.from(bodyParts.map(([text, times]) => text.repeat(times)).join(""));
  return body === undefined ? undefined : Buffer.from(body.includes("{other:handle}") ? filled(body) : body);
}

interface Raw {
  readonly status: number;
  readonly headers: Data;
  readonly text: string;
}

/** Sends the path as it stands, which fetch would tidy up. */
async function send(row: BadRequest): Promise<Raw> {
  const body = bodyOf(row);
  const headers: Record<string, string> = { authorization: "Bearer {token}" };
  if (body)
    Object.assign(headers, { "content-type": "application/json", "content-length": String(body.length) });
  for (const [name, value] of Object.entries(row.headers ?? {})) {
    if (value === null) delete headers[name];
    else headers[name] = value;
  }
  for (const [name, value] of Object.entries(headers)) {
    // Node sends header values as Latin-1; what is not ASCII goes as UTF-8.
    headers[name] = Buffer.from(filled(value)).toString("latin1");
  }
  const { hostname, port } = new URL(world.url);
  const asked = request({
    hostname,
    port,
    method: row.method,
    path: filled(row.path),
    headers,
    agent: false,
  });
  // A body that is refused by its length may not be read to its end.
  asked.on("error", () => undefined);
  asked.end(body);
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const part of answer.setEncoding("utf8")) {
    text += part;
    // A stream that should have been refused would go on for ever.
    if (answer.headers["content-type"]?.startsWith("text/event-stream")) break;
  }
  return { status: answer.statusCode, headers: answer.headers, text };
}

describe("bad requests", () => {
  test("there are many, each with a name of its own", () => {
    expect(requests.length).toBeGreaterThanOrEqual(120);
    expect(new Set(requests.map(({ name }) => name)).size).toBe(requests.length);
  });

  test.each(requests)("$name", async (row) => {
    const before = await everything();
    const { status, headers, text } = await send(row);
    const { code, allow } = row.expect;
    expect(`${status} ${headers["content-type"]}`).toBe(
      `${row.expect.status} application/problem+json; charset=utf-8`,
    );
    const problem = JSON.parse(text) as Data;
    expect(problem).toMatchObject({
      type: `/problems/${code}`,
      title: refusals[code as keyof typeof refusals].title,
      status,
      code,
      detail: expect.any(String),
    });
    expect(
      Object.keys(problem).filter(
        (key) => !["type", "title", "status", "code", "detail", "errors"].includes(key),
      ),
    ).toEqual([]);
    for (const error of problem.errors ?? []) {
      expect(error).toEqual({ pointer: expect.stringMatching(/^(\/.*)?$/s), detail: expect.any(String) });
    }
    // Whatever was sent comes back neither at length nor raw.
    expect(text.length).toBeLessThan(2_000);
    expect(headers.allow).toBe(allow);
    expect(headers["www-authenticate"] !== undefined).toBe(status === 401);
    expect(headers["tidings-request-id"]).toBeTruthy();
    expect(await everything()).toBe(before);
  });

  test("what is just within the limits is taken", async () => {
    const largest = "x".repeat(64 * 1024 - 2);
    await alice.sets("limit", largest);
    expect(await alice.sees(alice, "limit")).toBe(largest);
    const deepest = JSON.parse(`${"[".repeat(31)}${"]".repeat(31)}`) as unknown;
    await alice.sets("limit", deepest);
    expect(await alice.sees(alice, "limit")).toEqual(deepest);
    for (const seconds of [1, 1.001, 2_592_000]) await alice.sets("limit", 1, { lease: { seconds } });
    for (const value of [
      { constructor: 1 },
      { prototype: {} },
      { toString: null },
      "\u0000",
      "\ud83d\ude00",
      1e308,
      -0.5,
      { "": { "": [] } },
    ]) {
      await alice.sets("limit", value);
      expect(await alice.sees(alice, "limit")).toEqual(value);
    }
    const name = `a${"-".repeat(126)}`;
    await alice.sets(name, 1);
    await alice.removes(name);
    await alice.removes("limit");
    let child = alice.address;
    for (let level = 0; level < 8; level++) await alice.creates((child = `${child}/${"~".repeat(64)}`));
    await alice.sets(`${"n".repeat(127)}`, 1, { at: child });
    await expect(alice.creates(`${child}/x`)).rejects.toMatchObject({ code: "bad-address" });
    await alice.asks("DELETE", `/v1/nodes/${encodeURIComponent(`${alice.address}/${"~".repeat(64)}`)}`);
  });
});

describe("what is not HTTP", () => {
  /** Says something on a socket of its own. @returns all that was answered until the broker closed it */
  async function say(text: string | Buffer): Promise<string> {
    const socket = await dial();
    let answer = "";
    socket.setEncoding("latin1").on("data", (part: string) => {
      answer += part;
    });
    const closed = once(socket, "close");
    socket.write(text);
    await closed;
    return answer;
  }

  async function dial(): Promise<Socket> {
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    // The broker may reset what it does not want to hear to the end.
    socket.on("error", () => socket.destroy());
    await once(socket, "connect");
    return socket;
  }

  test.each([
    ["garbage", Buffer.from([0, 1, 2, 3, 255, 254, 13, 10, 13, 10]), 400],
    ["TLS", Buffer.from("16030100c8010000c40303", "hex"), 400],
    ["a request line alone", "HELLO\r\n\r\n", 400],
    ["a method that nobody knows", "BREW /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["a header without a colon", "GET /v1/me HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400],
    [
      "two lengths",
      "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      400,
    ],
    [
      "a length and chunks",
      "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["a negative length", "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400],
    ["no host", "GET /livez HTTP/1.1\r\n\r\n", 400],
    ["40 KiB of headers", `GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(40_000)}\r\n\r\n`, 431],
    ["a path of 40 KiB", `GET /${"x".repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ])("%s is answered and cut off", async (_, text, status) => {
    const answer = await say(text);
    expect(answer.split(" ")[1]).toBe(String(status));
    if (answer.includes("problem+json")) {
      const problem = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as Data;
      expect(problem).toMatchObject({ status, code: "bad-request" });
    }
    expect((await alice.asks("GET", "/livez")).status).toBe(200);
  });

  test("headers that take longer than 8 s are cut off, and others are served meanwhile", async () => {
    const socket = await dial();
    let answer = "";
    socket.on("data", (part: Buffer) => {
      answer += part.toString("latin1");
    });
    const closed = once(socket, "close");
    const began = performance.now();
    socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n");
    const drip = setInterval(() => socket.write("X-Drip: 1\r\n"), 500);
    let served = 0;
    const serving = (async () => {
      while (!socket.closed) {
        await alice.sees(alice, "travel");
        served++;
      }
    })();
    await closed;
    clearInterval(drip);
    await serving;
    expect(performance.now() - began).toBeGreaterThan(7_500);
    expect(performance.now() - began).toBeLessThan(12_000);
    expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
    expect(served).toBeGreaterThan(100);
  });
});
