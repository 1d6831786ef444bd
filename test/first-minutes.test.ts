// The first minutes of a stranger: what the start prints and what the README says, typed into a shell as they stand.
import { execFileSync, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openWorld } from "./conversations/world.ts";
import { temporaryFolder, until } from "./store/embedded.ts";

interface Typed extends AsyncDisposable {
  /** What it has printed so far. */
  readonly printed: string;
  /** What it printed in all. @throws when it fails */
  readonly end: Promise<string>;
}

function type(line: string, cwd?: string, env?: NodeJS.ProcessEnv): Typed {
  const shell = spawn("bash", ["-e", "-c", line], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...(cwd !== undefined && { cwd }),
    ...(env !== undefined && { env }),
  });
  let printed = "";
  let complaint = "";
  shell.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  shell.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const end = new Promise<string>((resolve, reject) => {
    shell.on("close", (code) =>
      code === 0 ? resolve(printed) : reject(new Error(`${line}\n${printed}${complaint}`)),
    );
  });
  end.catch(() => undefined);
  return {
    get printed() {
      return printed;
    },
    end,
    async [Symbol.asyncDispose]() {
      if (shell.exitCode === null && shell.pid !== undefined) process.kill(-shell.pid, "SIGTERM");
      await end.catch(() => undefined);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("the three commands that the start prints", () => {
  it("register two people, let one watch the other, and survive a kill of everything", async () => {
    await using world = await openWorld("process");
    const commands = (): string[] =>
      world.program.printed.split("\n").filter((line) => line.startsWith("curl"));
    const [register = "", watch = "", publish = ""] = commands();
    expect(commands()).toHaveLength(3);

    await type(register).end;
    await using bob = type(watch);
    await until("Bob to be live", () => bob.printed.includes("stream.live"));
    const answer = JSON.parse(await type(publish).end);
    await until("Bob to hear it", () => bob.printed.includes(`"revision":${answer.revision}`));
    await until("Bob to hear it end", () => bob.printed.includes('"reason":"expired"'));
    expect(bob.printed).toContain('"value":{"status":"offline"}');

    await world.program.kill();
    await world.program.start();
    const [, watchAgain = "", publishAgain = ""] = commands().slice(3);
    await using bobAgain = type(watchAgain);
    await until("Bob to see it as it was", () => bobAgain.printed.includes('"status":"offline"'));
    const again = JSON.parse(await type(publishAgain).end);
    expect(again.revision).toBeGreaterThan(answer.revision);
    await until("Bob to hear it again", () => bobAgain.printed.includes(`"revision":${again.revision}`));
  }, 60_000);
});

describe("the README", () => {
  it("says nothing in its first five minutes that does not work as typed", async () => {
    await using world = await openWorld("process");
    const blocks = await typedUnder("The first five minutes");
    const [steps = "", watch = "", subscribe = "", write = "", decide = ""] = blocks;
    expect(blocks).toHaveLength(5);
    const here = (text: string): string => text.replaceAll("http://127.0.0.1:4280", world.url);

    const printed = await type(`${here(steps)}\necho; echo "CAROL=$CAROL"; echo "DAVE=$DAVE"`).end;
    expect(printed).toContain('"city":"Berlin"');
    expect(printed).toContain('"properties":[{"node":"carol@localhost","name":"presence"}]');
    const carol = /CAROL=(\S+)/.exec(printed)?.[1];
    const dave = /DAVE=(\S+)/.exec(printed)?.[1];
    await using watching = type(`URL=${world.url}; DAVE=${dave}\n${watch}`);
    await until("Dave to be live", () => watching.printed.includes("stream.live"));
    expect(watching.printed).toContain('"status":"offline"');

    const known = `CAROL=${carol}; URL=${world.url}; DAVE=${dave}; JSON='Content-Type: application/json'`;
    const subscribed = await type(`${known}\n${subscribe}`).end;
    expect(subscribed).toContain('"state":"active"');
    expect(subscribed).toContain('"reason":"snapshot"');

    const written = await type(`${known}\n${write}`).end;
    expect(written).toContain('"from":"dave@localhost"');
    expect(written).toContain('"content":"See you in Berlin?"');

    const decided = await type(`${known}\n${decide}`).end;
    expect(decided).toContain('"watcher":"dave@localhost","state":"active"');
    expect(decided).toContain('"who":"dave@localhost","mode":"polite"');
    expect(decided).toContain('"code":"not-found"');
    expect(decided).toContain('"decision":"allow"');
    await until("Dave to be shown absence", () => watching.printed.includes("property.removed"));
  }, 60_000);

  it("shows a receiver of webhooks that works as typed", async () => {
    await using world = await openWorld("process", { env: { TIDINGS_WEBHOOK_ALLOW_PRIVATE: "true" } });
    await using folder = await temporaryFolder();
    const readme = await readFile(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8");
    const section = readme.slice(readme.indexOf("## Webhooks"), readme.indexOf("## Settings"));
    const [receive = "", subscribe = ""] = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(
      ([, block = ""]) => block,
    );
    const port = await freePort();
    const here = (text: string): string => text.replaceAll("8090", String(port));
    await using receiver = type(`cd ${folder.path}\n${here(receive)}`);
    const secret = await until("a secret", () => /^SECRET='(\S+)'$/m.exec(receiver.printed)?.[1]);

    const carol = await world.registers("carol", { handle: "carol" });
    const dave = await world.registers("dave");
    const known = `SECRET='${secret}'; URL=${world.url}; DAVE=${dave.token}; JSON='Content-Type: application/json'`;
    const subscribed = await type(`${known}\n${here(subscribe)}`).end;
    expect(subscribed).toContain('"verified":false,"state":"active"');
    await carol.sets("travel", { city: "Berlin" });
    await until("the receiver to hear it", () =>
      receiver.printed.includes('dev.tidings.property.changed {"city":"Berlin"}'),
    );
  }, 60_000);
});

describe("from nothing to a bot", () => {
  it("is the way that the README says, command by command", async () => {
    await using world = await openWorld("process");
    await using home = await temporaryFolder();
    const [begin = "", dev = "", run = "", verbs = "", python = "", ...others] =
      await typedUnder("From nothing to a bot");
    expect(others).toEqual([]);
    const here = terminal(home.path, world.url);

    const begun = await type(begin, root, here).end;
    expect(begun).toMatch(/pass 3\n(?:.*\n)*.*fail 0\n/);
    const project = join(home.path, "bots", "greeter");
    const file = join(project, "greeter.ts");
    const text = await readFile(file, "utf8");
    expect(await readFile(join(root, "README.md"), "utf8")).toContain(`\`\`\`ts\n${text}\`\`\`\n`);

    {
      await using developing = type(dev, project, here);
      await until("the bot to listen", () => developing.printed.includes("listening"));
      const [cause = ""] = /TIDINGS_URL=.*/.exec(developing.printed) ?? [];
      await type(cause, project, here).end;
      await until("the bot to greet", () => developing.printed.includes("Hello, good to see you!"));
      await writeFile(file, text.replace("good to see you!", "again!").replaceAll("today", "before"));
      await until("the new one", () => developing.printed.includes("was saved"));
      await type(cause, project, here).end;
      await until("what it knew to be known", () => developing.printed.includes("was greeted before"));
    }

    await using running = type(run, project, here);
    await until("it to run for good", () => running.printed.includes("listening"));
    expect(running.printed).toContain("greeter 1.0.0 runs for greeter@localhost");

    const path = `export PATH="$PWD/bin:$PATH"\n`;
    const known = `eval "$(tidings register ada)"; greeter=ada\n`;
    const typed = verbs.replaceAll("greeter@localhost", "ada@localhost");
    const said = await type(`${path}${known}${typed}`, root, here).end;
    expect(said).toContain('{"status":"online"}\nStored for ada@localhost');
    expect(said).toMatch(/presence {2}\{"status":"online"\} {2}\(snapshot, revision \d+\)/);

    const script = `${path}eval "$(tidings register eve)"\n${python.replace("docs/", `${root}/docs/`)}`;
    await using other = type(script.replace(path, `PATH="${root}/bin:$PATH"\n`), home.path, here);
    await until("the bot in Python to listen", () => other.printed.includes("listening"));
  }, 120_000);
});

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** The blocks of commands under a heading of the README. */
async function typedUnder(heading: string): Promise<string[]> {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const from = readme.indexOf(`## ${heading}\n`);
  const section = readme.slice(from, readme.indexOf("\n## ", from));
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
}

/** A new terminal of somebody whose home is this, on a machine where npm has installed before. */
function terminal(home: string, url: string): NodeJS.ProcessEnv {
  const cache = execFileSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).trim();
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE|VITEST|TIDINGS_)/i.test(name));
  const folders = (process.env.PATH ?? "").split(":").filter((folder) => !folder.includes("node_modules"));
  const settings = { HOME: home, PATH: folders.join(":"), TIDINGS_URL: url, npm_config_cache: cache };
  return { ...Object.fromEntries(own), ...settings };
}
