// From nothing to a bot: the folder that `tidings agent new` writes, its test, and a bot that reacts while it is written.
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { aWorld } from "../conversations/world.ts";
import { type Folder, temporaryFolder } from "../store/embedded.ts";
import { openCommand, types } from "./command.ts";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

describe("tidings agent new", () => {
  let folder: Folder;
  let path: string;
  beforeAll(async () => {
    folder = await temporaryFolder();
    path = join(folder.path, "greeter");
    const { code, stdout, stderr } = await types(["agent", "new", "greeter"], { cwd: folder.path });
    expect(stderr).toMatch(/^Installing its packages[^\n]*\nInstalled in [\d.]+ s\.\n$/);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("  cd greeter\n") });
  }, 120_000);
  afterAll(async () => await folder[Symbol.asyncDispose]());

  it("writes a project whose test passes, and whose types fit", async () => {
    // As it is typed: npm finds the Node of the project by itself.
    const { stdout } = await exec("npm", ["test"], { cwd: path, env: plain() });
    expect(stdout).toMatch(/pass 3\n(?:.*\n)*.*fail 0\n/);
    await exec(join(root, "node_modules/.bin/tsc"), ["-p", path]);
  }, 60_000);

  it("leaves the package that it was made with as it was", () => {
    expect(readdirSync(join(path, "node_modules"))).toContain("tidings");
    expect(existsSync(join(root, "node_modules", "vitest"))).toBe(true);
    expect(JSON.parse(readFileSync(join(path, "package.json"), "utf8")).dependencies.tidings).toMatch(
      /^file:\.\./,
    );
  });

  it("changes nothing that is there, and takes no name that is none", async () => {
    const again = await types(["agent", "new", "greeter"], { cwd: folder.path });
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/greeter is there already/) });
    for (const name of ["../x", "-x"]) {
      const refused = await types(["agent", "new", "--no-install", "--", name], { cwd: folder.path });
      expect(refused).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^tidings: A name has lower-case/),
      });
    }
    expect(readdirSync(folder.path)).toEqual(["greeter"]);
  });

  describe("and tidings agent dev in it", () => {
    const world = aWorld("memory");

    it("plays with accounts of its own, reacts within 200 ms, and follows each save", async () => {
      const env = { TIDINGS_URL: world.url };
      await using dev = openCommand(["agent", "dev", "./greeter.ts"], { cwd: path, env });
      await dev.prints("listening");
      expect(dev.stderr).toMatch(/No token was given: greeter-\w+@localhost was registered/);
      const { address, token, bot } = friendOf(path);
      const friend = world.knows(address, token);
      await friend.listens();

      const [typed = ""] = /TIDINGS_URL=.*/.exec(dev.stdout) ?? [];
      expect(typed).toContain(`npx tidings set presence '{"status":"online"}'`);
      await exec("bash", ["-c", typed], { cwd: path, env: plain() });
      await dev.prints("Hello, good to see you!");
      await dev.prints("property.changed");
      expect((await friend.hearsThrough("message.received")).at(-1)?.event.data).toMatchObject({
        from: bot,
        content: "Hello, good to see you!",
      });

      const file = join(path, "greeter.ts");
      const text = readFileSync(file, "utf8");
      writeFileSync(file, `${text}\nthis is no program`);
      await dev.prints(/greeter\.ts cannot be loaded: .*The version before goes on\./);
      writeFileSync(file, text.replace("was greeted today", "is known").replace('"1.0.0"', '"1.1.0"'));
      await dev.prints("greeter 1.1.0 goes on with it");
      await friend.sets("presence", { status: "online", note: "again" });
      // What it knew before the save it knows still.
      await dev.prints("is known");

      writeFileSync(
        file,
        text.replaceAll("today", "now").replace("toISOString().slice(0, 10)", "toISOString()"),
      );
      await dev.prints("greeter 1.0.0 goes on with it");
      await friend.sets("presence", { status: "online", note: "to be greeted" });
      await friend.hearsThrough("message.received");
      const times: number[] = [];
      for (let round = 0; round < 5; round++) {
        const startedMs = performance.now();
        await friend.sets("presence", { status: "online", round });
        await friend.hearsThrough("message.received");
        times.push(performance.now() - startedMs);
      }
      expect(times.sort((a, b) => a - b)[2]).toBeLessThan(200);
      dev.child.kill("SIGINT");
      expect((await dev.ended).code).toBe(0);

      // The next time it is the same account, which knows how far it was.
      await using again = openCommand(["agent", "dev", "./greeter.ts"], { cwd: path, env });
      await again.prints(`${bot} is used again`);
      await again.prints("listening");
      expect(again.stdout).not.toContain("done in");
    }, 60_000);
  });
});

/** Whom the command made for it to play with. */
function friendOf(path: string): { address: string; token: string; bot: string } {
  const folder = join(path, ".tidings", "dev");
  const [bot, address] = ["bot", "friend"].map(
    (who) => JSON.parse(readFileSync(join(folder, `${who}.json`), "utf8")).address,
  );
  return { address, token: readFileSync(join(folder, "friend.token"), "utf8").trim(), bot };
}

/** A terminal that npm has not prepared. */
function plain(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE|VITEST|TIDINGS_)/i.test(name));
  const PATH = (process.env.PATH ?? "")
    .split(":")
    .filter((folder) => !folder.includes("node_modules"))
    .join(":");
  return { ...Object.fromEntries(entries), PATH };
}
