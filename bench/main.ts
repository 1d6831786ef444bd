// The benchmarks, one after the other: all of them, or those that the arguments name (write, expiry, fanout, start, subscribed, directory, agents).
// What they print is measured here and now: only ratios within one run count (performance depends on the machine).
import { availableParallelism } from "node:os";
import { benchAgents } from "./agents.ts";
import { benchDirectory } from "./directory.ts";
import { benchExpiry } from "./expiry.ts";
import { benchFanOut } from "./fanout.ts";
import { benchStart } from "./start.ts";
import { benchSubscribed } from "./subscribed.ts";
import { benchWrite } from "./write.ts";

const benches = new Map<string, () => Promise<boolean>>([
  ["write", benchWrite],
  ["expiry", benchExpiry],
  ["fanout", benchFanOut],
  ["start", benchStart],
  ["subscribed", benchSubscribed],
  ["directory", benchDirectory],
  ["agents", benchAgents],
]);

const named = process.argv.slice(2);
const unknown = named.find((name) => !benches.has(name));
if (unknown === undefined) {
  console.log(`Node ${process.version}, ${process.platform}, ${availableParallelism()} cores`);
  for (const [name, bench] of benches) {
    if (named.length > 0 && !named.includes(name)) continue;
    if (!(await bench())) process.exitCode = 1;
  }
} else {
  console.error(`There is no benchmark ${unknown}; there are ${[...benches.keys()].join(", ")}.`);
  process.exitCode = 2;
}
