// The nats-server executable: found on this machine, or fetched once into a cache folder.
// In: the environment, a cache folder, a line logger. Out: a path and a version that is new enough.
// Never: a change to the system, a need for root, a mirror's name written down, an old server used silently.

import { accessSync, constants, existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { StartError } from "../core/start-error.ts";
import { run } from "./child.ts";
import { fetchFromDebian, fetchRelease } from "./nats-fetch.ts";

/** Older servers silently ignore per-message TTLs and have no atomic batches. */
const oldestNatsVersion = "2.12.0";

export type FoundServer = { path: string; version: string };
export type FindOptions = {
  /** Where a fetched server is kept. Default: `$XDG_CACHE_HOME` or `~/.cache`, then `tidings/nats-server`. */
  cacheDir?: string | undefined;
  env?: NodeJS.ProcessEnv;
  log?: (line: string) => void;
  /** The ways to fetch, tried in order; a test replaces them. */
  ways?: FetchWay[];
};
/** Puts an executable at `target`, atomically, or throws an Error whose message is one line. */
export type FetchWay = (target: string, log: (line: string) => void) => Promise<void>;

function defaultCacheDir(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "tidings", "nats-server");
}

/**
 * Order: TIDINGS_NATS_SERVER, PATH, the cache, then the network.
 * @throws StartError with one line: what was found, and what to do.
 */
export async function findNatsServer(options: FindOptions = {}): Promise<FoundServer> {
  const { env = process.env, log = () => undefined, ways = [fetchFromDebian, fetchRelease] } = options;
  const explicit = env.TIDINGS_NATS_SERVER;
  if (explicit) return checkExplicit(explicit);

  const tooOld: FoundServer[] = [];
  const onPath = findOnPath(env.PATH ?? "");
  if (onPath) {
    const version = await versionOf(onPath);
    if (version && isNewEnough(version)) return { path: onPath, version };
    log(
      `${onPath} is ${version ?? "no nats-server"}; ${oldestNatsVersion} or newer is needed, so it is not used`,
    );
    if (version) tooOld.push({ path: onPath, version });
  }

  const cacheDir = options.cacheDir ?? defaultCacheDir(env);
  const cached = join(cacheDir, executableName());
  if (existsSync(cached)) {
    const version = await versionOf(cached);
    if (version && isNewEnough(version)) return { path: cached, version };
    if (version) tooOld.push({ path: cached, version });
  }
  return fetchInto(cacheDir, cached, ways, tooOld, log);
}

async function fetchInto(
  cacheDir: string,
  target: string,
  ways: FetchWay[],
  tooOld: FoundServer[],
  log: (line: string) => void,
): Promise<FoundServer> {
  const failures: string[] = [];
  try {
    await mkdir(cacheDir, { recursive: true });
  } catch (error) {
    throw new StartError(
      `nats-server cannot be kept in ${cacheDir}: ${lineOf(error)}; set TIDINGS_NATS_SERVER`,
    );
  }
  log("fetching nats-server …");
  for (const way of ways) {
    try {
      await way(target, log);
      const version = await versionOf(target);
      if (version && isNewEnough(version)) {
        log(`fetched nats-server ${version} into ${cacheDir}`);
        return { path: target, version };
      }
      if (version) tooOld.push({ path: target, version });
      failures.push(version ? `got the old ${version}` : "what was fetched does not run here");
    } catch (error) {
      failures.push(lineOf(error));
    }
  }
  const old = tooOld.map((found) => `${found.path} is ${found.version}; `).join("");
  throw new StartError(
    `no nats-server ${oldestNatsVersion} or newer: ${old}${failures.join("; ")}. ` +
      "Install a newer nats-server, or point TIDINGS_NATS_SERVER at one, or TIDINGS_NATS_URL at a running one",
  );
}

async function checkExplicit(path: string): Promise<FoundServer> {
  const version = await versionOf(path);
  if (!version)
    throw new StartError(
      `TIDINGS_NATS_SERVER=${path} is not a nats-server that runs here; correct or unset it`,
    );
  if (isNewEnough(version)) return { path, version };
  throw new StartError(
    `TIDINGS_NATS_SERVER=${path} is version ${version}; ${oldestNatsVersion} or newer is needed: install one, or unset it`,
  );
}

/** Debian installs into /usr/sbin, which a plain user's PATH often lacks. */
function findOnPath(path: string): string | undefined {
  const extra = process.platform === "win32" || path === "" ? [] : ["/usr/local/sbin", "/usr/sbin"];
  for (const folder of [...path.split(delimiter), ...extra]) {
    if (folder === "") continue;
    const candidate = join(folder, executableName());
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not in this folder: the next one may have it.
    }
  }
  return undefined;
}

/** Undefined if the file does not run, or is not a nats-server. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(path, ["--version"], { timeoutMs: 10_000 });
    return /nats-server: v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    // Missing, not executable, for another machine: all mean that this file is no server for us.
    return undefined;
  }
}

export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0, wantedPatch = 0] = oldestNatsVersion.split(".").map(Number);
  if (major !== wantedMajor) return major > wantedMajor;
  if (minor !== wantedMinor) return minor > wantedMinor;
  return patch >= wantedPatch;
}

function executableName(): string {
  return process.platform === "win32" ? "nats-server.exe" : "nats-server";
}

function lineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
