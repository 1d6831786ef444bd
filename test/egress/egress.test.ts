// Egress: where it does not go, however the way there is written; and that nobody at the other end makes it read, wait or wander.

import type { LookupAddress } from "node:dns";
import { getEventListeners } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, test } from "vitest";
import { type Egress, type EgressAnswer, NoAnswer, openEgress } from "../../services/egress/egress.ts";
import { checkedLookup } from "../../services/egress/resolving.ts";
import { until } from "../store/embedded.ts";
import privateHosts from "../vectors/private-hosts.json" with { type: "json" };

const refused: readonly (readonly [what: string, url: string])[] = [
  ...privateHosts.map(({ what, url }) => [what, url] as const),
  ["credentials", "https://user:secret@example.com/"],
  ["a user name", "https://user@example.com/"],
  ["another scheme", "ftp://example.com/"],
  ["a file", "file:///etc/passwd"],
  ["a script", "javascript:alert(1)"],
  ["no scheme", "example.com/hook"],
  ["no host", "https:///"],
  ["a number too large", "http://256.1.1.1/"],
  ["too long", `https://example.com/${"x".repeat(2_048)}`],
  ["nothing", ""],
];

const taken: readonly string[] = [
  "https://example.com/hook?a=b",
  "http://example.com:8080/",
  "https://8.8.8.8/",
  "https://172.32.0.1/",
  "https://[2606:4700::1111]/",
  "https://[64:ff9b::808:808]/",
  "https://[::ffff:8.8.8.8]/",
  "https://[2002:808:808::1]/",
  "https://localhost.example.com/",
];

let cleaning = new AsyncDisposableStack();
afterEach(async () => await cleaning.disposeAsync());

function egressOver(
  resolve?: (host: string) => Promise<readonly LookupAddress[]>,
  allowPrivate = false,
): Egress {
  cleaning = new AsyncDisposableStack();
  return cleaning.use(openEgress({ allowPrivate, resolve }));
}

async function serve(answer: RequestListener): Promise<{ url: string; port: number; asked: string[] }> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? "");
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleaning.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, asked };
}

const wish = { method: "POST", body: "{}", timeoutMs: 5_000, bytesMax: 1_024 };

async function whyNot(asking: Promise<unknown>): Promise<string> {
  const error = await asking.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(NoAnswer);
  return (error as NoAnswer).why;
}

describe("a URL as it is written", () => {
  test.each(refused)("is refused: %s", async (_, url) => {
    const egress = egressOver(() => Promise.reject(new Error("nobody is asked")));
    expect(egress.objection(url)).toBeTypeOf("string");
    expect(await whyNot(egress.request({ ...wish, url }))).toBe("not-allowed");
  });

  test.each(taken)("is taken: %s", (url) => {
    expect(egressOver().objection(url)).toBeUndefined();
  });

  test("may lead anywhere where the operator says so, but by HTTP and without credentials", () => {
    const egress = egressOver(undefined, true);
    expect(egress.objection("http://127.0.0.1:9000/")).toBeUndefined();
    expect(egress.objection("http://user@127.0.0.1:9000/")).toBeTypeOf("string");
    expect(egress.objection("file:///etc/passwd")).toBeTypeOf("string");
  });
});

describe("a name", () => {
  const toLoopback = { address: "127.0.0.1", family: 4 };
  const toPublic = { address: "8.8.8.8", family: 4 };

  test.each([
    ["loopback", [toLoopback]],
    ["a mapped address", [{ address: "::ffff:127.0.0.1", family: 6 }]],
    ["a zone", [{ address: "fe80::1%eth0", family: 6 }]],
    ["a public address and a private one", [toPublic, { address: "192.168.0.1", family: 4 }]],
  ])("that leads to %s is not connected to", async (_, addresses) => {
    const egress = egressOver(async () => addresses);
    const { port, asked } = await serve((_request, response) => response.end("hello"));
    expect(await whyNot(egress.request({ ...wish, url: `http://hook.example:${port}/` }))).toBe(
      "not-allowed",
    );
    expect(asked).toEqual([]);
  });

  test("that means another address the second time is looked at the second time", async () => {
    const answers = [[toPublic], [toLoopback], [toPublic]];
    const lookup = checkedLookup(async () => answers.shift() ?? [toLoopback], false);
    const ask = (): Promise<unknown> =>
      new Promise((resolve) => {
        lookup("rebinds.example", { all: true }, (error, found) => resolve(error ? error.name : found));
      });
    const told = [await ask(), await ask(), await ask(), await ask()];
    expect(told).toEqual([[toPublic], "NotAllowed", [toPublic], "NotAllowed"]);
  });

  test("is asked for once a connection, and the connection goes where it was found", async () => {
    const names: string[] = [];
    const egress = egressOver(async (host) => {
      names.push(host);
      return [toLoopback];
    }, true);
    const { port, asked } = await serve((request, response) => response.end(request.headers.host));
    const url = `http://hook.example:${port}/there?x=1`;
    const { body, isWhole } = await egress.request({ ...wish, url });
    expect([body.toString(), isWhole]).toEqual([`hook.example:${port}`, true]);
    expect([names, asked]).toEqual([["hook.example"], ["/there?x=1"]]);
  });
});

describe("an endpoint", () => {
  test("that answers with a redirect is taken at its word", async () => {
    const egress = egressOver(undefined, true);
    const { url, asked } = await serve((_request, response) => {
      response.writeHead(302, { location: "/elsewhere" }).end();
    });
    const { status, headers } = await egress.request({ ...wish, url: `${url}/hook` });
    expect([status, headers.location, asked]).toEqual([302, "/elsewhere", ["/hook"]]);
  });

  test("that answers with a gigabyte is cut off", async () => {
    const egress = egressOver(undefined, true);
    const block = Buffer.alloc(64 * 1024);
    let sent = 0;
    const ended = Promise.withResolvers<void>();
    const { url } = await serve((_request, response) => {
      response.on("close", () => ended.resolve());
      const more = (): void => {
        while (sent < 1024 ** 3 && !response.destroyed) {
          sent += block.length;
          if (!response.write(block)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
    const { status, body, isWhole } = await egress.request({ ...wish, url });
    expect([status, body.length, isWhole]).toEqual([200, wish.bytesMax, false]);
    await ended.promise;
    expect(sent).toBeLessThan(64 * 1024 ** 2);
  });

  test("that has answered is held by nothing, however long whoever asked goes on", async () => {
    const egress = egressOver(undefined, true);
    const { url } = await serve((_request, response) => response.end("x"));
    const { signal } = new AbortController();
    const made: WeakRef<EgressAnswer>[] = [];
    for (let count = 0; count < 20; count++) {
      made.push(new WeakRef(await egress.request({ ...wish, url, signal })));
      expect(getEventListeners(signal, "abort")).toEqual([]);
    }
    const collect = (): void => (runInNewContext("gc") as () => void)();
    setFlagsFromString("--expose-gc");
    await until("most answers to be let go of", () => {
      collect();
      return made.filter((one) => one.deref() !== undefined).length <= 2;
    });
  });

  test("whose head is too large gives no answer", async () => {
    const egress = egressOver(undefined, true);
    const { url } = await serve((_request, response) => {
      response.setHeader("x-long", "x".repeat(32 * 1024)).end();
    });
    expect(await whyNot(egress.request({ ...wish, url }))).toBe("unreachable");
  });

  test.each<[string, RequestListener]>([
    ["never answers", () => undefined],
    ["never ends its answer", (_, response) => response.flushHeaders()],
    [
      "trickles",
      (_, response) => {
        const timer = setInterval(() => response.write("."), 20);
        response.on("close", () => clearInterval(timer));
      },
    ],
  ])("that %s is given up in time", async (_, answer) => {
    const egress = egressOver(undefined, true);
    const { url } = await serve(answer);
    const began = performance.now();
    expect(await whyNot(egress.request({ ...wish, url, timeoutMs: 200 }))).toBe("timeout");
    expect(performance.now() - began).toBeLessThan(1_500);
  });

  test("whose name server never answers is given up in time", async () => {
    const egress = egressOver(() => new Promise(() => undefined));
    expect(await whyNot(egress.request({ ...wish, url: "http://hook.example/", timeoutMs: 200 }))).toBe(
      "timeout",
    );
  });

  test("that is not there is unreachable, and whoever asked may give up", async () => {
    const egress = egressOver(undefined, true);
    expect(await whyNot(egress.request({ ...wish, url: "http://127.0.0.1:1/" }))).toBe("unreachable");
    const { url } = await serve(() => undefined);
    expect(await whyNot(egress.request({ ...wish, url, signal: AbortSignal.timeout(100) }))).toBe("aborted");
  });
});
