// A broker in a process of its own, for the tests that kill it.
// In: its data folder, and what to do, as arguments. Out: one line of JSON when it is ready. Never: an end by itself.

import { lockData } from "../../services/store/data-lock.ts";
import { findNatsServer } from "../../services/store/nats-binary.ts";
import { startNatsServer } from "../../services/store/server.ts";

const [dataDir = "", what = "serve"] = process.argv.slice(2);
const lock = lockData(dataDir);
if (what === "lock") {
  console.log(JSON.stringify({ locked: true }));
} else {
  const binary = (await findNatsServer()).path;
  const { url, token, pid } = await startNatsServer({ dataDir, binary, log: () => undefined });
  console.log(JSON.stringify({ url, token, pid }));
}
// Until it is killed, or its parent closes the pipe. The lock stays in use, so that nothing collects it.
process.stdin.resume().on("end", () => {
  lock[Symbol.dispose]();
  process.exit(0);
});
