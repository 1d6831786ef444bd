// Starts test/store/broker-process.ts as a child.
// In: a data folder. Out: what the child said when it was ready, and ways to end it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("broker-process.ts", import.meta.url));

export async function childBroker(dataDir: string, what: "lock" | "serve") {
  const child = spawn(process.execPath, [script, dataDir, what], { stdio: ["pipe", "pipe", "pipe"] });
  const exited = once(child, "close");
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  const [line] = await Promise.race([
    once(createInterface(child.stdout), "line"),
    exited.then(([code]) => Promise.reject(new Error(`the child ended with code ${code}: ${complaint}`))),
  ]);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
  };
  return {
    pid: child.pid as number,
    said: JSON.parse(line as string) as { url: string; token: string; pid: number },
    /** Ends as a program does that calls process.exit, without any disposal of the server. */
    async exits() {
      child.stdin.end();
      await exited;
    },
    killed: () => end("SIGKILL"),
    [Symbol.asyncDispose]: () => end("SIGKILL"),
  };
}
