// The mailer, against a real SMTP server on this machine.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { testAgent } from "../../agents/agent.ts";
import { mailServerOf } from "../../agents/mail-server.ts";
import mailer from "../../agents/shipped/mailer.ts";
import { openMailbox } from "../conversations/mailbox.ts";
import privateHosts from "../vectors/private-hosts.json" with { type: "json" };

const to = "ann@example.org";

it("sends messages, notices and changes as letters, each once", async () => {
  await using mailbox = await openMailbox();
  const config = { smtp: mailbox.settings.url, from: "tidings@example.org", to, follow: ["bob@localhost"] };
  const test = testAgent(mailer, { config });
  await test.emit({ type: "message.received", message: { from: "bob@localhost", content: "Coffee?" } });
  await test.redeliver();
  await test.emit({ type: "watcher.fetched", watcher: "bob@localhost", properties: ["travel"] });
  const travel = {
    type: "property.changed",
    node: "bob@localhost",
    name: "travel",
    value: { city: "Oslo" },
  } as const;
  await test.emit({ ...travel, reason: "snapshot" });
  await test.emit(travel);
  await test.emit({ type: "property.removed", node: "bob@localhost", name: "travel" });
  const letters = mailbox.letters(to);
  expect(letters.map((text) => /^Subject: (.*)\r$/m.exec(text)?.[1])).toEqual([
    "Message from bob@localhost",
    "bob@localhost has read owner@localhost",
    "bob@localhost: travel",
    "bob@localhost: travel",
  ]);
  expect(letters[0]).toContain("Coffee?");
  expect(letters[0]).toMatch(/^Auto-Submitted: auto-generated\r$/m);
  expect(letters[2]).toContain('"city": "Oslo"');
});

it("puts nothing into the head of a letter that others wrote", async () => {
  await using mailbox = await openMailbox();
  const config = { smtp: mailbox.settings.url, from: "tidings@example.org", to };
  const test = testAgent(mailer, { config });
  await test.emit({
    type: "message.received",
    message: { from: "bob@localhost\r\nBcc: eve@example.org", content: "x" },
  });
  expect(mailbox.letters("eve@example.org")).toEqual([]);
  expect(mailbox.letters(to)[0]).not.toMatch(/^Bcc:/m);
});

it("fails where the server refuses, and sends it when the event is told again", async () => {
  await using mailbox = await openMailbox();
  const config = { smtp: mailbox.settings.url, from: "tidings@example.org", to };
  const test = testAgent(mailer, { config });
  mailbox.refuses(1, 451);
  await expect(test.emit({ type: "message.received", message: { content: "Late" } })).rejects.toThrow(
    /not taken: EENVELOPE 451|not taken: \w+ 451/,
  );
  await test.redeliver();
  expect(mailbox.letters(to)).toHaveLength(1);
  expect(JSON.stringify(test.effects)).not.toContain("Late");
});

it.each([
  "smtp://x/?sendmail=true&path=/bin/sh&args=-c&args=touch%20/tmp/x",
  "smtp://localhost:25/path",
  "smtp://localhost:25#hash",
  "smtp://localhost?proxy=http://127.0.0.1:1",
])("takes nothing but a server from %s", async (smtp) => {
  const config = { smtp, from: "tidings@example.org", to };
  expect(() => testAgent(mailer, { config })).toThrow(/config|smtp/);
  await expect(mailServerOf(smtp)).rejects.toThrow(/nothing after the port/);
});

describe("where its host has ruled that out", () => {
  beforeEach(() => void vi.stubEnv("TIDINGS_PUBLIC_ONLY", "1"));
  afterEach(() => void vi.unstubAllEnvs());
  // Written as numbers, or a name of this machine: no name server is asked.
  const hosts = privateHosts
    .map(({ what, url }) => [what, url.split("/")[2] as string] as const)
    .filter(([, host]) => /^(\[.*\]|[\d.]+|localhost)(:\d+)?$/.test(host));

  it.each(hosts)("it does not reach %s", async (_, host) => {
    await expect(mailServerOf(`smtp://${host}`)).rejects.toThrow(/not public|no URL|ENOTFOUND/);
  });

  it("it reaches what is public, by number", async () => {
    expect(await mailServerOf("smtp://me:a%40b@192.0.43.8")).toMatchObject({
      host: "192.0.43.8",
      port: 587,
      auth: { user: "me", pass: "a@b" },
    });
  });
});
