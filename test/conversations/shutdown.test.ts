// The orderly end: SIGTERM ends streams, finishes what is under way, and loses nothing that was acknowledged.

import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import { openWorld, Refused } from "./world.ts";

/** Ten seconds are promised; a drain that only ends by force takes all of them. */
const exitMsMax = 9_000;

describe("the real program, told to stop", () => {
  test("ends with streams open and writes under way, and every acknowledged write is there afterwards", async () => {
    await using world = await openWorld("process");
    const { program } = world;
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { stream } = await bob.watches(alice);
    const acked = new Map<string, number>();
    let stopping = false;
    let refused = 0;
    const pens = Array.from({ length: 20 }, async (_, pen) => {
      for (let value = 1; ; value++) {
        try {
          await alice.sets(`pen-${pen}`, value);
          acked.set(`pen-${pen}`, value);
        } catch (error) {
          // Once it stops, connections are refused or closed; a refusal that is an answer would be a 503.
          if (!stopping) throw error;
          if (error instanceof Refused) expect(error.status).toBe(503);
          refused++;
          return;
        }
      }
    });
    await until("every pen to have written", () => acked.size === 20);
    stopping = true;
    const began = performance.now();
    const code = await program.stop();
    expect(code).toBe(0);
    expect(performance.now() - began).toBeLessThan(exitMsMax);
    await stream.ended;
    await Promise.all(pens);
    expect(refused).toBe(20);

    await program.start();
    const { properties } = await bob.reads(alice);
    for (const [name, value] of acked) {
      expect(properties[name].value).toBeGreaterThanOrEqual(value);
      // At most the one write whose answer was lost.
      expect(properties[name].value).toBeLessThanOrEqual(value + 1);
    }
  });

  test("answers a request whose body was still on its way", async () => {
    await using world = await openWorld("process");
    const { program } = world;
    const alice = await world.registers("alice");
    const { port } = new URL(world.url);
    const body = JSON.stringify({ value: { city: "Oslo" } });
    const socket = connect(Number(port), "127.0.0.1");
    await once(socket, "connect");
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    const closed = once(socket, "close");
    const path = `/v1/nodes/${encodeURIComponent(alice.address)}/properties/travel`;
    socket.write(
      `PUT ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
    );
    await until("the broker to wait for the body", () => answer.includes("100 Continue"));
    const exit = program.stop();
    await until("the broker to drain", () => program.printed.includes("draining"));
    socket.write(body);
    await closed;
    expect(await exit).toBe(0);
    expect(answer).toContain("HTTP/1.1 201");
    await program.start();
    expect(await alice.sees(alice, "travel")).toEqual({ city: "Oslo" });
  });

  test("does not wait for connections on which nothing was ever asked", async () => {
    await using world = await openWorld("process");
    const socket = connect(Number(new URL(world.url).port), "127.0.0.1");
    await once(socket, "connect");
    // The same broker has answered somebody who came later, so that it knows this connection.
    await world.registers("alice");
    const began = performance.now();
    expect(await world.program.stop()).toBe(0);
    expect(performance.now() - began).toBeLessThan(5_000);
    socket.destroy();
  });
});
