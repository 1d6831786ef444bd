// tidings watch: what happens, as it happens.
// In: a target as `?watch=` takes it. Out: one line an event, until Ctrl-C. Never: a hole; after a break it goes on where it was.
import { type CloudEvent, openStream } from "../../../agents/outside/sse.ts";
import { UsageError } from "../failure.ts";
import type { Verb } from "../verb.ts";

const prefix = "dev.tidings.";
/** What a person does not look for; --json shows all. */
const quiet = new Set(["stream.bookmark"]);

export const watch: Verb = {
  typed: "watch <target>",
  summary: "print every change: the present first, then what happens",
  more: `The target is an address, address:name,name, or roster:name for all your contacts.
With --json each line is a CloudEvent and its cursor.`,
  flags: {
    "--after <cursor>": "go on after this one",
    "--count <n>": "end after so many changes",
  },
  async run({ args: [target = ""], flags, rest, print, tell, isJson, signal }) {
    let left = countOf(flags.count);
    const onState = (state: string, why = ""): void => {
      if (state === "broken") tell(`tidings: the stream broke off (${why}); trying again…`);
    };
    const stop = new AbortController();
    const ending = AbortSignal.any([signal, stop.signal]);
    const stream = openStream(rest, { watch: [target], after: flags.after, signal: ending, onState });
    for await (const { cursor, event } of stream) {
      const kind = event.type.slice(prefix.length);
      if (isJson) print(JSON.stringify({ ...event, cursor }));
      else if (!quiet.has(kind)) print(lineOf(kind, event));
      if (!kind.startsWith("stream.") && --left === 0) stop.abort();
    }
  },
};

function lineOf(kind: string, { time, subject, data, source }: CloudEvent): string {
  const at = time.slice(11, 19);
  if (kind === "stream.live") return `${at}  live: what follows happens now`;
  const node = decodeURIComponent(source.replace(/^\/nodes\//, ""));
  if (kind === "property.changed") {
    return `${at}  ${node}  ${subject}  ${JSON.stringify(data.value)}  (${data.reason}, revision ${data.revision})`;
  }
  if (kind === "property.removed") return `${at}  ${node}  ${subject}  gone  (${data.reason})`;
  return `${at}  ${node}  ${kind}  ${JSON.stringify(data)}`;
}

function countOf(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError("--count takes a whole number from 1.");
  return Number(text);
}
