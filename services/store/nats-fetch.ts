// The two ways to fetch a nats-server: Debian's package, and the project's release archive.
// In: the path where it shall lie. Out: an executable there, put in place by one rename.
// Never: a touch of the system's own package lists, an unverified file, leftovers.

import { createHash } from "node:crypto";
import { accessSync, chmodSync, constants, existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { run } from "./child.ts";

/** Debian's next release; its stable one has 2.9, which is too old. */
const debianSuite = "forky";
const debianKeyrings = [
  "/usr/share/keyrings/debian-archive-keyring.gpg",
  "/usr/share/keyrings/debian-archive-keyring.pgp",
];
const releaseVersion = "2.15.1";
const releasePage = "https://github.com/nats-io/nats-server/releases/download";

const scratchPrefix = ".fetching-";

type Log = (line: string) => void;

/**
 * Debian's package of the next release, by the machine's own mirror, in folders of its own.
 * apt checks the signature against the Debian keys that are already here.
 */
export async function fetchFromDebian(target: string, log: Log): Promise<void> {
  if (process.platform !== "linux" || !isProgram("apt-get")) throw new Error("this is no Debian system");
  const keyring = debianKeyrings.find((path) => existsSync(path));
  if (!keyring) throw new Error("the Debian archive keyring is not installed");
  const mirror = await debianMirror();
  if (!mirror) throw new Error("apt is not configured with a Debian mirror");

  await inScratch(target, async (scratch) => {
    await mkdir(join(scratch, "lists", "partial"), { recursive: true });
    await mkdir(join(scratch, "cache", "archives", "partial"), { recursive: true });
    const sources = join(scratch, "sources.list");
    await writeFile(sources, `deb [signed-by=${keyring}] ${mirror} ${debianSuite} main\n`);
    const settings = [
      `Dir::Etc::sourcelist=${sources}`,
      "Dir::Etc::sourceparts=/dev/null",
      "Dir::Etc::preferences=/dev/null",
      "Dir::Etc::preferencesparts=/dev/null",
      `Dir::State::lists=${join(scratch, "lists")}`,
      `Dir::Cache=${join(scratch, "cache")}`,
      `APT::Default-Release=${debianSuite}`,
      // The sandbox user could not write into a private cache folder.
      "APT::Sandbox::User=",
      "Acquire::Languages=none",
      "Acquire::Retries=2",
      "Acquire::http::Timeout=20",
    ].flatMap((setting) => ["-o", setting]);
    const env = { ...process.env, LC_ALL: "C" };
    log(`reading the package list of Debian ${debianSuite} …`);
    await run("apt-get", [...settings, "-qq", "update"], { timeoutMs: 180_000, cwd: scratch, env });
    await run("apt-get", [...settings, "-qq", "download", "nats-server"], {
      timeoutMs: 180_000,
      cwd: scratch,
      env,
    });
    const archive = (await readdir(scratch)).find((name) => name.endsWith(".deb"));
    if (!archive) throw new Error(`Debian ${debianSuite} has no nats-server for this machine`);
    await run("dpkg-deb", ["-x", archive, "unpacked"], { timeoutMs: 60_000, cwd: scratch, env });
    return join(scratch, "unpacked", "usr", "sbin", "nats-server");
  });
}

/** The mirror that this machine uses already, so that a proxy, a local mirror or an air gap is respected. */
async function debianMirror(): Promise<string | undefined> {
  const { stdout } = await run("apt-get", ["indextargets", "--format", "$(REPO_URI) $(LABEL)"], {
    timeoutMs: 20_000,
  });
  for (const line of stdout.split("\n")) {
    const [uri, ...label] = line.trim().split(" ");
    if (uri && label.join(" ") === "Debian") return uri;
  }
  // A fresh container has no lists yet, and then only the places that an update would ask are known.
  const planned = await run("apt-get", ["update", "--print-uris"], { timeoutMs: 20_000 });
  return /^'(\S+\/debian\/)dists\//m.exec(planned.stdout)?.[1];
}

/** The project's own release, checked against the SHA-256 list that is published beside it. */
export async function fetchRelease(target: string, log: Log, releases = releasePage): Promise<void> {
  const system = { linux: "linux", darwin: "darwin", win32: "windows" }[process.platform as string];
  const machine = { x64: "amd64", arm64: "arm64" }[process.arch as string];
  if (!system || !machine) throw new Error(`there is no release for ${process.platform} ${process.arch}`);
  const folder = `nats-server-v${releaseVersion}-${system}-${machine}`;
  const archiveName = `${folder}${system === "windows" ? ".zip" : ".tar.gz"}`;
  const page = `${releases}/v${releaseVersion}`;

  await inScratch(target, async (scratch) => {
    log(`fetching the release archive ${archiveName} …`);
    const sums = (await download(`${page}/SHA256SUMS`, 30_000)).toString("utf8");
    const archive = await download(`${page}/${archiveName}`, 300_000);
    const expected = checksumFor(sums, archiveName);
    if (!expected) throw new Error(`the release's checksum list does not name ${archiveName}`);
    const actual = createHash("sha256").update(archive).digest("hex");
    if (actual !== expected) throw new Error(`${archiveName} does not have its published SHA-256`);
    await writeFile(join(scratch, archiveName), archive);
    // Windows' own tar is bsdtar, which reads zip too.
    await run("tar", ["-xf", archiveName], { timeoutMs: 60_000, cwd: scratch });
    return join(scratch, folder, basename(target));
  });
}

/** A line is `<hex>  <name>`, or `<hex> *<name>` in binary mode. */
export function checksumFor(sums: string, name: string): string | undefined {
  for (const line of sums.split("\n")) {
    const [hex, file] = line.trim().split(/\s+\*?/);
    if (file === name && hex) return hex.toLowerCase();
  }
  return undefined;
}

async function download(url: string, timeoutMs: number): Promise<Buffer> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
    throw new Error(`${url} cannot be fetched (${cause ?? (error as Error).message})`);
  }
}

/** Works beside the target, so that the last step is a rename; two starts at once each rename a whole file. */
async function inScratch(target: string, unpack: (scratch: string) => Promise<string>): Promise<void> {
  await removeAbandoned(dirname(target));
  const scratch = await mkdtemp(join(dirname(target), scratchPrefix));
  try {
    const unpacked = await unpack(scratch);
    // Reading it proves that it is there before the old one is replaced.
    if ((await readFile(unpacked)).length === 0) throw new Error("the archive holds an empty nats-server");
    chmodSync(unpacked, 0o755);
    await rename(unpacked, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** What a start that was killed left behind; a younger folder may belong to a start that is running. */
async function removeAbandoned(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    const path = join(cacheDir, name);
    if (!name.startsWith(scratchPrefix)) continue;
    const changed = await stat(path).catch(() => undefined);
    // Undefined: its owner has just removed it.
    if (changed && Date.now() - changed.mtimeMs > 3_600_000) await rm(path, { recursive: true, force: true });
  }
}

function isProgram(name: string): boolean {
  for (const folder of (process.env.PATH ?? "").split(":")) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      // Not in this folder: the next one may have it.
    }
  }
  return false;
}
