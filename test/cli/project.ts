// A bot author's folder: files of an agent, with the package where npm would put it.
// In: files. Out: a folder. Never: an installation; agent new has a test of its own for that.
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../store/embedded.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Project extends AsyncDisposable {
  readonly path: string;
  write(file: string, text: string): void;
}

export async function openProject(files: Readonly<Record<string, string>>): Promise<Project> {
  const folder = await temporaryFolder();
  mkdirSync(join(folder.path, "node_modules"));
  symlinkSync(root, join(folder.path, "node_modules", "tidings"));
  const write: Project["write"] = (file, text) => {
    mkdirSync(dirname(join(folder.path, file)), { recursive: true });
    writeFileSync(join(folder.path, file), text);
  };
  write("package.json", '{"type":"module"}');
  for (const [file, text] of Object.entries(files)) write(file, text);
  return Object.assign(folder, { write });
}
