// One short-lived child process, with a time limit.
// In: a program and its arguments. Out: what it printed. Never: a shell, or a wait without an end.

import { execFile } from "node:child_process";

export type RunOptions = { timeoutMs: number; cwd?: string; env?: NodeJS.ProcessEnv };

/** @throws Error whose message is one line: the program, and the last thing it said. */
export function run(program: string, args: string[], options: RunOptions): Promise<{ stdout: string }> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      {
        timeout: options.timeoutMs,
        killSignal: "SIGKILL",
        maxBuffer: 16 * 1024 * 1024,
        windowsHide: true,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.env === undefined ? {} : { env: options.env }),
      },
      (error, stdout, stderr) => {
        if (!error) return resolve({ stdout });
        const said = error.killed
          ? `no answer within ${options.timeoutMs} ms`
          : stderr.trim().split("\n").at(-1);
        reject(new Error(`${program}: ${said || error.message.split("\n")[0]}`));
      },
    );
  });
}
