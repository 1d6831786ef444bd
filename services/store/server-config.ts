// The embedded server's configuration file and its folder.
// In: the data folder, port, token. Out: a file that only its owner can read. Never: a monitoring port, or a public address.

import { chmodSync, mkdirSync, realpathSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StartError } from "../core/start-error.ts";
import { createDataFolder } from "./data-lock.ts";

export type ServerFiles = { folder: string; config: string; log: string; errors: string };
export type ServerSettings = {
  name: string;
  port: number;
  token: string;
  /** "2m" is the server's own default and loses acked writes at a power failure: only the proof of that uses it. */
  syncInterval: "always" | "2m";
};

/** One real path, however the folder was named, since the path identifies the server's process. */
export function serverFiles(dataDir: string): ServerFiles {
  createDataFolder(dataDir);
  const folder = join(realpathSync(dataDir), "nats");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new StartError(
      `the store's folder ${folder} cannot be used (${code}); it must belong to this user`,
    );
  }
  return {
    folder,
    config: join(folder, "nats.conf"),
    log: join(folder, "nats.log"),
    errors: join(folder, "nats.stderr"),
  };
}

export function writeServerConfig(files: ServerFiles, settings: ServerSettings): void {
  // A new file, for the mode of an existing one would stay as it is.
  rmSync(files.config, { force: true });
  writeFileSync(files.config, serverConfig(files, settings), { mode: 0o600, flag: "wx" });
}

function serverConfig(files: ServerFiles, { name, port, token, syncInterval }: ServerSettings): string {
  const disk = statfsSync(files.folder);
  return `# Written by Tidings at every start; changes are lost.
server_name: ${JSON.stringify(name)}
host: "127.0.0.1"
port: ${port}
authorization { token: ${JSON.stringify(token)}, timeout: 10 }
max_payload: 1MB
log_file: ${JSON.stringify(files.log)}
logfile_size_limit: 4MB
logfile_max_num: 3
jetstream {
  store_dir: ${JSON.stringify(files.folder)}
  sync_interval: ${syncInterval}
  # The whole disk: the server's default, three quarters of what is free at its start, would refuse
  # every write after a restart on a nearly full disk. The disk watch keeps the reserve instead.
  max_file_store: ${disk.blocks * disk.bsize}
  max_memory_store: 256MB
}
`;
}
