// Secrets: no token and no password in any line that the program prints or any file that it writes.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Mailbox, openMailbox } from "./mailbox.ts";
import { aWorld, isFull } from "./world.ts";

describe("secrets of the real program", () => {
  // The lowest level, so that whatever could be printed is.
  let box: Mailbox;
  beforeAll(async () => {
    box = await openMailbox();
  });
  afterAll(async () => await box[Symbol.asyncDispose]());
  const env = {
    TIDINGS_LOG_LEVEL: "trace",
    TIDINGS_ADMIN_TOKEN: "",
    TIDINGS_SMTP_FROM: "broker@example.com",
    get TIDINGS_SMTP_URL() {
      return box.settings.url;
    },
  };
  const world = aWorld("process", { env });

  test("are in no line and no file, and the data folder is for its owner alone", async () => {
    const { program, stranger } = world;
    const adminFile = join(program.dataDir, "admin-token");
    const admin = (await readFile(adminFile, "utf8")).trim();
    const password = "a passphrase that is nowhere else";
    const alice = await world.registers("alice", { password, email: "alice@example.com" });
    const secrets: string[] = [alice.token as string, password, admin];
    const code = await box.code("alice@example.com");
    secrets.push(code, code.replace("-", ""), new URL(box.settings.url).password);
    expect((await alice.asks("POST", "/v1/me/email/confirm", { body: { code } })).status).toBe(204);
    for (let count = 0; count < (isFull ? 50 : 5); count++) {
      const issued = await alice.asks("POST", "/v1/tokens", { body: { name: `token ${count}` } });
      secrets.push(issued.body.token);
      await alice.with(issued.body.token).sets("travel", { city: "Oslo" });
    }
    const signIn = { address: alice.address, password };
    secrets.push((await stranger.asks("POST", "/v1/tokens", { body: signIn })).body.token);
    // Requests that fail must not tell either.
    const wrong = "another passphrase that is nowhere else";
    await stranger.asks("POST", "/v1/tokens", { body: { ...signIn, password: wrong } });
    await stranger.asks("POST", "/v1/tokens", { body: { ...signIn, surprise: 1 } });
    await stranger.asks("POST", "/v1/accounts", { body: { handle: "!", password: wrong } });
    await alice.asks("GET", "/v1/nowhere");
    const operator = world.knows("", admin);
    const invitation = (await operator.asks("POST", "/v1/invitations", { body: {} })).body.invitation;
    secrets.push(invitation);
    expect((await operator.asks("PUT", "/v1/types/mood", { body: { schema: {} } })).status).toBe(201);
    await alice.watches(alice);
    secrets.push(wrong);
    await program.stop();
    await program.start();
    await alice.asks("GET", "/v1/me");
    await program.stop();

    const needles = secrets.flatMap((secret) => {
      // The part of a token that proves, by itself and as the log would encode it.
      const proof = secret.split(".").at(-1) as string;
      return [secret, proof, Buffer.from(secret).toString("base64").replace(/=+$/, "")];
    });
    const found: string[] = [];
    const look = (where: string, bytes: Buffer): void => {
      for (const needle of needles)
        if (bytes.includes(needle)) found.push(`${where}: ${needle.slice(0, 4)}…`);
    };
    look("what was printed", Buffer.from(program.printed));
    expect(program.printed).toContain("Tidings is ready at");
    const files = await readdir(program.dataDir, { recursive: true, withFileTypes: true });
    const modes: string[] = [];
    let bytes = 0;
    for (const entry of files) {
      const path = join(entry.parentPath, entry.name);
      const { mode } = await stat(path);
      const wanted = entry.isDirectory() ? 0o700 : 0o600;
      // What lies under a folder that nobody else may enter is out of reach as well.
      if ((mode & 0o777) !== wanted && entry.parentPath === program.dataDir)
        modes.push(`${entry.name} ${(mode & 0o777).toString(8)}`);
      if (!entry.isFile() || path === adminFile) continue;
      const content = await readFile(path);
      bytes += content.length;
      look(path, content);
    }
    expect(found).toEqual([]);
    expect(modes).toEqual([]);
    expect(((await stat(program.dataDir)).mode & 0o777).toString(8)).toBe("700");
    // The search would find: the store holds the name of the property in clear.
    expect(bytes).toBeGreaterThan(1_000);
    const store = await Promise.all(
      files
        .filter((entry) => entry.isFile())
        .map(async (entry) => await readFile(join(entry.parentPath, entry.name))),
    );
    expect(store.some((content) => content.includes("property.travel"))).toBe(true);
  });
});
