// Meters: what a broker tells its operator in numbers, as Prometheus reads them.
// In: names, words of help, what to look at. Out: metrics on one registry. Never: a number that is kept twice; each is looked up when somebody asks.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface Meters {
  readonly registry: Registry;
  /** What goes up and down. */
  gauge(name: string, help: string, value: () => number): void;
  /** What only goes up. */
  counter(name: string, help: string, value: () => number): void;
  /** What only goes up, by the values of one label. @returns what counts one more */
  counts(name: string, help: string, label: string): (value: string) => void;
  /** @param seconds where one bucket ends and the next begins. @returns what takes in one time, in ms */
  times(name: string, help: string, seconds: readonly number[]): (ms: number) => void;
}

export function openMeters(): Meters {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    gauge(name, help, value) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    },
    counter(name, help, value) {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(value());
        },
      });
    },
    counts(name, help, label) {
      const counter = new Counter({ name, help, labelNames: [label], registers });
      return (value) => counter.inc({ [label]: value });
    },
    times(name, help, seconds) {
      const histogram = new Histogram({ name, help, buckets: [...seconds], registers });
      return (ms) => histogram.observe(ms / 1000);
    },
  };
}
