// The mailer, against a real SMTP server on this machine.
import { expect, it } from "vitest";
import { testAgent } from "../../agents/agent.ts";
import mailer from "../../agents/shipped/mailer.ts";
import { openMailbox } from "../conversations/mailbox.ts";

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
    /not now/,
  );
  await test.redeliver();
  expect(mailbox.letters(to)).toHaveLength(1);
  expect(JSON.stringify(test.effects)).not.toContain("Late");
});
