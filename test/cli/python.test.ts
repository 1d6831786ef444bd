// A bot in another language, with nothing but its standard library: docs/examples/greeter.py, by stream and by webhook.
import { createHmac, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { aWorld, type Data, type Person } from "../conversations/world.ts";
import { temporaryFolder } from "../store/embedded.ts";
import { type Command, openCommand } from "./command.ts";

const script = fileURLToPath(new URL("../../docs/examples/greeter.py", import.meta.url));
const world = aWorld("memory", { settings: { webhookAllowPrivate: true } });

function python(bot: Person, cwd: string, args: readonly string[], secret = ""): Command {
  const env = {
    TIDINGS_URL: world.url,
    TIDINGS_TOKEN: bot.token as string,
    TIDINGS_WEBHOOK_SECRET: secret,
    PYTHONDONTWRITEBYTECODE: "1",
  };
  return openCommand(args, { program: ["python3", script], cwd, env });
}

async function greetings(who: Person): Promise<Data[]> {
  const { messages } = (await who.asks("GET", "/v1/messages")).body;
  return messages.map(({ from, content }: Data) => ({ from, content }));
}

describe("a bot in Python", () => {
  it("follows a stream, goes on where it was killed, and greets nobody twice for one event", async () => {
    await using folder = await temporaryFolder();
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const bot = await world.registers("python");
    await bot.asks("PUT", "/v1/me/roster", {
      body: { contacts: [{ address: alice.address }, { address: bob.address }] },
    });
    const first = python(bot, folder.path, ["stream", "roster:presence"]);
    await first.prints("listening");
    await alice.sets("presence", { status: "away" });
    await alice.sets("presence", { status: "online" });
    await first.prints(`greeted ${alice.address}`);
    first.child.kill("SIGKILL");
    await first.ended;
    await bob.sets("presence", { status: "online" });
    await using second = python(bot, folder.path, ["stream", "roster:presence"]);
    await second.prints(`greeted ${bob.address}`);
    const hello = { from: bot.address, content: "Hello from Python!" };
    expect(await greetings(alice)).toEqual([hello]);
    expect(await greetings(bob)).toEqual([hello]);
  });

  it("takes what a webhook brings, and nothing that is not signed, or was signed long ago", async () => {
    await using folder = await temporaryFolder();
    const [alice, bot] = [await world.registers("alice"), await world.registers("python")];
    const secret = `whsec_${randomBytes(32).toString("base64")}`;
    await using receiver = python(bot, folder.path, ["webhook", "0"], secret);
    await receiver.prints(/listening on \d+\n/);
    const url = `http://127.0.0.1:${/listening on (\d+)/.exec(receiver.stdout)?.[1]}/`;
    const made = await bot.subscribes({
      target: alice.address,
      properties: ["presence"],
      delivery: { webhook: { url, secret } },
    });
    expect(made.delivery.webhook.verified).toBe(true);
    await alice.sets("presence", { status: "online" });
    await receiver.prints(`greeted ${alice.address}`);
    expect(await greetings(alice)).toEqual([{ from: bot.address, content: "Hello from Python!" }]);

    const body = JSON.stringify({
      id: "forged",
      type: "dev.tidings.property.changed",
      data: { node: alice.address, name: "presence", value: { status: "online" } },
    });
    const posts = async (key: string, atMs: number, id = "m1"): Promise<number> => {
      const seconds = String(Math.floor(atMs / 1000));
      const bytes = Buffer.from(key.slice("whsec_".length), "base64");
      const signature = createHmac("sha256", bytes).update(`m1.${seconds}.${body}`).digest("base64");
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": seconds,
        "webhook-signature": `v1,bm90IHRoaXM= v1,${signature}`,
      };
      return (await fetch(url, { method: "POST", headers, body })).status;
    };
    expect(await posts(`whsec_${randomBytes(32).toString("base64")}`, Date.now())).toBe(401);
    expect(await posts(secret, Date.now() - 6 * 60_000)).toBe(401);
    expect(await posts(secret, Date.now(), "m2")).toBe(401);
    expect((await fetch(url, { method: "POST", body })).status).toBe(401);
    expect(await greetings(alice)).toHaveLength(1);
    // One of two signatures is enough, as while a secret is being changed.
    expect(await posts(secret, Date.now())).toBe(204);
    expect(await greetings(alice)).toHaveLength(2);
  });
});
