// Stalls: how long single turns of the event loop took, since whoever holds it up holds up everybody.
// In: the clock and the CPU time of this thread. Out: a histogram. Never: time counted that the machine gave to other programs.
import { Histogram, type Registry } from "prom-client";

/** How often is looked; what a turn took is known to this much. */
const everyMs = 10;
/** Shorter turns are nobody's trouble. */
const leastMs = 20;

export function watchStalls(metrics: Registry): Disposable {
  const stalls = new Histogram({
    name: "tidings_event_loop_stall_seconds",
    help: "Turns of the event loop that took longer than 20 ms of this thread's own CPU time.",
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 5],
    registers: [metrics],
  });
  let last = ownMs();
  const timer = setInterval(() => {
    const now = ownMs();
    // Up to one interval of other turns may be in it.
    const tookMs = now - last - everyMs;
    last = now;
    if (tookMs > leastMs) stalls.observe(tookMs / 1000);
  }, everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** CPU time of this thread alone: garbage collection on it counts, workers do not. */
function ownMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
