// The OpenAPI document against the program: valid for an independent linter, every route in it, every refusal declared.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { refusals } from "../../services/core/refusals.ts";
import { aWorld, type Data } from "../conversations/world.ts";
import { temporaryFolder } from "../store/embedded.ts";

const served = vi.hoisted((): string[] => []);
vi.mock("fastify", async (original) => {
  const actual = await original<typeof import("fastify")>();
  const Fastify = (options: Parameters<typeof actual.default>[0]) => {
    const app = actual.default(options);
    app.addHook("onRoute", ({ method, url }) => {
      for (const one of [method].flat()) served.push(`${one} ${url.replace(/:(\w+)/g, "{$1}")}`);
    });
    return app;
  };
  return { ...actual, default: Fastify };
});

const world = aWorld("memory");
let document: Data;
beforeAll(async () => {
  const answer = await world.stranger.asks("GET", "/openapi.json");
  expect(answer.status).toBe(200);
  document = answer.body;
});

function operations(): { name: string; operation: Data }[] {
  return Object.entries(document.paths as Record<string, Data>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation: operation as Data,
    })),
  );
}

/** The codes that the descriptions of these answers name. */
function codesIn(description: string): string[] {
  return [...description.matchAll(/`([a-z]+(?:-[a-z]+)*)`:/g)].map(([, code]) => code as string);
}

function declared(operation: Data, status: number): string[] {
  return codesIn(operation.responses[status]?.description ?? "");
}

describe("/openapi.json", () => {
  test("is valid OpenAPI 3.1 for a linter that knows nothing of us", async () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    await using folder = await temporaryFolder();
    const file = join(folder.path, "openapi.json");
    await writeFile(file, JSON.stringify(document));
    const redocly = fileURLToPath(new URL("../../node_modules/@redocly/cli/bin/cli.js", import.meta.url));
    const env = {
      ...process.env,
      REDOCLY_TELEMETRY: "off",
      REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
      CI: "true",
    };
    const lint = promisify(execFile)(
      process.execPath,
      [redocly, "lint", file, "--extends=spec", "--format=json"],
      { env, cwd: folder.path, maxBuffer: 16 * 1024 * 1024 },
    );
    const { stdout } = await lint.catch((error: { stdout: string }) => error);
    const { problems, totals } = JSON.parse(stdout) as Data;
    expect(problems).toEqual([]);
    expect(totals).toMatchObject({ errors: 0, warnings: 0 });
  });

  test("lists every route that is served, and no other", () => {
    const listed = operations().map(({ name }) => name);
    const expected = served.filter((route) => !route.startsWith("HEAD "));
    expect(expected.length).toBeGreaterThan(20);
    expect(listed.toSorted()).toEqual([...new Set(expected)].toSorted());
  });

  test("names each operation once, and says what it answers when all is well", () => {
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { name, operation } of operations()) {
      const good = Object.keys(operation.responses).filter((status) => /^(2|101)/.test(status));
      expect(`${name}: ${good.length > 0 && Boolean(operation.summary)}`).toBe(`${name}: true`);
    }
  });

  test("knows the refusals of the registry, each under its status, and no other", () => {
    const found = new Map<string, Set<string>>();
    for (const { operation } of operations()) {
      for (const [status, { description, content }] of Object.entries(
        operation.responses as Record<string, Data>,
      )) {
        const codes = codesIn(description);
        if (Number(status) >= 400) {
          expect(codes).not.toEqual([]);
          expect(Object.keys(content)).toEqual(["application/problem+json"]);
        }
        for (const code of codes) found.set(code, (found.get(code) ?? new Set()).add(status));
      }
    }
    // What is answered where there is no operation.
    for (const [, status = "", code = ""] of document.info.description.matchAll(/(\d{3}) `([a-z-]+)`/g)) {
      found.set(code, (found.get(code) ?? new Set()).add(status));
    }
    const told = [...found].map(([code, statuses]) => `${code} ${[...statuses]}`).toSorted();
    const registered = Object.entries(refusals).map(([code, { status }]) => `${code} ${status}`);
    expect(told).toEqual(registered.toSorted());
  });

  test("tells the shapes of what is answered", async () => {
    const alice = await world.registers("alice", { password: "correct horse battery" });
    const address = encodeURIComponent(alice.address);
    const travel = `/v1/nodes/${address}/properties/travel`;
    const lease = { seconds: 60, id: "trip", default: null };
    const conversation: [method: string, path: string, operationId: string, body?: unknown][] = [
      ["GET", "/livez", "live"],
      ["GET", "/readyz", "ready"],
      ["GET", "/v1/me", "me"],
      ["POST", "/v1/accounts", "register", {}],
      ["POST", "/v1/tokens", "issueToken", { name: "phone", expiresIn: 60 }],
      ["GET", "/v1/tokens", "listTokens"],
      ["PUT", travel, "setProperty", { value: { city: "Oslo" }, lease }],
      ["GET", travel, "readProperty"],
      ["POST", "/v1/leases/trip/renew", "renewLease", { seconds: 90 }],
      ["PATCH", `/v1/nodes/${address}`, "patchNode", { set: { count: { value: 1 } }, remove: ["travel"] }],
      ["PUT", `/v1/nodes/${address}%2Fbike`, "createNode", { kind: "thing" }],
      ["GET", `/v1/nodes/${address}?depth=infinity`, "readNode"],
      ["GET", `/v1/nodes/${address}?names=true&depth=1`, "readNode"],
      ["PUT", `/v1/nodes/${address}/types/room`, "setOwnType", { schema: { type: "object" } }],
      ["GET", `/v1/nodes/${address}/types/room`, "readOwnType"],
      ["PUT", "/v1/me/roster", "replaceRoster", { contacts: [{ address: alice.address }] }],
      ["POST", "/v1/me/roster", "mergeRoster", { contacts: [{ address: "bob@example.com", name: "Bob" }] }],
      ["GET", "/v1/me/roster", "readRoster"],
      ["GET", "/v1/me/roster?bare=true", "readRoster"],
      ["GET", "/v1/types", "listTypes"],
      ["GET", "/v1/types/travel", "readType"],
      ["GET", travel, "readProperty"],
      ["PUT", travel, "setProperty", { value: 7 }],
      ["PATCH", `/v1/nodes/${address}`, "patchNode", { set: [] }],
    ];
    const ajv = new Ajv2020({ strict: false });
    addFormats.default(ajv);
    const statuses: number[] = [];
    for (const [method, path, operationId, body] of conversation) {
      const answer = await alice.asks(method, path, body === undefined ? {} : { body });
      statuses.push(answer.status);
      const { operation } = operations().find((one) => one.operation.operationId === operationId) ?? {};
      const content = operation?.responses[answer.status].content as Record<string, Data>;
      const type = answer.headers.get("content-type")?.split(";")[0] as string;
      const told = { operationId, type, shape: Object.keys(content)[0] };
      expect(told).toEqual({ operationId, type, shape: type });
      const fits = ajv.validate(content[type]?.schema, answer.body);
      expect({ operationId, body: fits || answer.body, errors: ajv.errors }).toMatchObject({ errors: null });
    }
    expect(new Set(statuses)).toEqual(new Set([200, 201, 400, 404, 422]));
  });

  test("declares every answer that the table of bad requests expects", () => {
    const file = new URL("../vectors/bad-input.json", import.meta.url);
    const { requests } = JSON.parse(readFileSync(file, "utf8")) as { requests: Data[] };
    let checked = 0;
    const missing: string[] = [];
    for (const { name, method, path, expect: wanted } of requests) {
      const segments = (path as string).split("?")[0]?.split("/") ?? [];
      const operation = operations().find(({ name: route }) => {
        const [verb, template = ""] = route.split(" ");
        const wants = template.split("/");
        return (
          verb === method &&
          wants.length === segments.length &&
          wants.every((want, index) => want.startsWith("{") || want === segments[index])
        );
      });
      if (operation === undefined) {
        expect(["not-found", "method-not-allowed"]).toContain(wanted.code);
        continue;
      }
      checked++;
      if (!declared(operation.operation, wanted.status).includes(wanted.code)) {
        missing.push(`${operation.name} ${wanted.status} ${wanted.code} (${name})`);
      }
    }
    expect(missing).toEqual([]);
    expect(checked).toBeGreaterThan(120);
  });
});
