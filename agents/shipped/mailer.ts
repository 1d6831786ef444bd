// Mailer: sends what happens as e-mail.
// In: messages to its owner, notices, changes of what it is told to follow. Out: one letter each, by SMTP (RFC 5321). Never: a
// word of a letter in a log, or of the server's either. It reaches the mail server by itself: `smtp` tells the owner so.
import { createTransport } from "nodemailer";
import { type AgentEvent, defineAgent, message, property, Type, watcher } from "../agent.ts";
import { mailServerOf } from "../mail-server.ts";

const address = Type.String({ maxLength: 254, pattern: "^[^\\s@<>]+@[^\\s@<>]+$" });
const timeouts = {
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  socketTimeout: 20_000,
  dnsTimeout: 10_000,
};
const textMax = 100_000;

export default defineAgent({
  name: "mailer",
  version: "1.0.0",
  description: "Sends you e-mail: your messages, who wants to know of you, and what changes elsewhere.",
  config: Type.Object({
    smtp: Type.String({
      pattern: "^smtps?://[^/?#]+/?$",
      maxLength: 1024,
      description: "smtp://user:password@host:port, or smtps://",
    }),
    from: address,
    to: address,
    follow: Type.Array(Type.String(), { default: [], maxItems: 100, description: "Addresses." }),
  }),
  permissions: ["inbox", "watchers", "read:*", "smtp"],
  on: [message(), watcher(), property("*", { of: "config.follow" })],
  timeLimit: 60_000,
  async handle(event, ctx) {
    const letter = letterOf(event);
    if (letter === undefined) return;
    const { smtp, from, to } = ctx.config;
    // The same letter has the same name, so that mailboxes know it again where it went out and nobody heard that it did.
    const messageId = `<${encodeURIComponent(event.id)}@${from.split("@")[1]}>`;
    await ctx.step("mail", async () => {
      const server = await mailServerOf(smtp);
      const transport = createTransport({
        ...timeouts,
        ...server,
        disableFileAccess: true,
        disableUrlAccess: true,
      });
      ctx.signal.addEventListener("abort", () => transport.close());
      try {
        await transport.sendMail({
          from,
          to,
          messageId,
          ...letter,
          headers: { "auto-submitted": "auto-generated" },
        });
      } catch (error) {
        // Whatever answered there is quoted to nobody: it may be no mail server.
        const { code = "", responseCode = "" } = error as { code?: string; responseCode?: number };
        throw new Error(`the letter was not taken: ${code} ${responseCode}`.trim());
      } finally {
        transport.close();
      }
    });
  },
});

function letterOf(event: AgentEvent): { readonly subject: string; readonly text: string } | undefined {
  switch (event.type) {
    case "message.received": {
      const { from, contentType, content } = event.message;
      const text = content ?? `(${contentType}: read it with a program that knows it)`;
      return { subject: `Message from ${from}`, text: text.slice(0, textMax) };
    }
    case "property.changed":
      if (event.reason === "snapshot") return undefined;
      return {
        subject: `${event.node}: ${event.name}`,
        text: JSON.stringify(event.value, undefined, 2).slice(0, textMax),
      };
    case "property.removed":
      return { subject: `${event.node}: ${event.name}`, text: `It is gone (${event.reason}).` };
    case "watcher.started":
    case "watcher.fetched":
    case "watcher.pending": {
      const does = { started: "watches", fetched: "has read", pending: "asks to watch" };
      const how = does[event.type.slice("watcher.".length) as keyof typeof does];
      return {
        subject: `${event.watcher} ${how} ${event.node}`,
        text: `${event.properties.join(", ")} (${event.via})`,
      };
    }
    default:
      return undefined;
  }
}
