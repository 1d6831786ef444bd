// The greeting: where the broker is, and three commands that show what it does.
// In: its URL, domain and data folder. Out: text for the terminal. Never: a token; the commands keep theirs in the data folder.
import { join } from "node:path";

export interface GreetingOptions {
  readonly url: string;
  readonly domain: string;
  readonly dataDir: string;
}

export function greeting({ url, domain, dataDir }: GreetingOptions): string {
  const [register, watch, publish] = tryCommands({ url, domain, dataDir });
  return `
Tidings is ready at ${url}

Try it, each line in a terminal of its own:

1. Register two people
${register}

2. Let Bob watch Alice
${watch}

3. Let Alice say that she is there for 10 seconds
${publish}

Bob hears it at once, and hears it end. The tokens lie in ${dataDir}, so that 2 and 3 work
after a restart as well. Ctrl-C stops the broker; everything is kept.
`;
}

/** Commands for a POSIX shell with curl and sed. Registering again is refused, and leaves the first tokens as they are. */
function tryCommands({ url, domain, dataDir }: GreetingOptions): [string, string, string] {
  const file = (who: string): string => quote(join(dataDir, `${who}.json`));
  const token = (who: string): string =>
    `"Authorization: Bearer $(sed -E 's/.*"token":"([^"]+)".*/\\1/' ${file(who)})"`;
  const json = `-H 'Content-Type: application/json'`;
  const register = (who: string): string =>
    `-fsS ${json} -d '{"handle":"${who}"}' -o ${file(who)} ${url}/v1/accounts`;
  const value = `'{"value":{"status":"online"},"lease":{"seconds":10,"default":{"status":"offline"}}}'`;
  return [
    `curl ${register("alice")} --next ${register("bob")}`,
    `curl -sSN -H ${token("bob")} '${url}/v1/events?watch=alice@${domain}:presence'`,
    `curl -sS -X PUT -H ${token("alice")} ${json} -d ${value} ${url}/v1/nodes/alice@${domain}/properties/presence`,
  ];
}

function quote(path: string): string {
  return /^[A-Za-z0-9/._-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
