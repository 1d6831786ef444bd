// Narration: what an agent does in a program of its own, told as it happens.
// In: runs, effects, log lines. Out: lines for a person, or JSON lines. Never: more of a value than fits a line.
import type { OutsideOptions } from "../../agents/outside/run.ts";
import type { Given } from "./verb.ts";

type Told = Required<Pick<OutsideOptions, "onState" | "onRun" | "onEffect" | "onLog">>;

const lineMax = 300;
const colours = { dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export function narrate({ print, isJson }: Pick<Given, "print" | "isJson">, isColoured: boolean): Told {
  const paint = (colour: keyof typeof colours, text: string): string =>
    isColoured ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text;
  const say = (
    colour: keyof typeof colours,
    mark: string,
    text: string,
    json: Record<string, unknown>,
  ): void => {
    const at = new Date().toISOString();
    if (isJson) print(JSON.stringify({ at, ...json }));
    else print(`${paint("dim", at.slice(11, 23))} ${paint(colour, mark)} ${text.slice(0, lineMax)}`);
  };
  let isBroken = false;

  return {
    onState(state, why = "") {
      if (state === "broken" && isBroken) return;
      if (state === "broken")
        say("yellow", "~", `the stream broke off (${why}); trying again…`, { state, why });
      else say("dim", "~", isBroken ? "back again" : "listening", { state });
      isBroken = state === "broken";
    },
    onRun({ id, event, state, attempts, ms, error }) {
      const json = { run: id, event, state, attempts, ms, error };
      const { name, node } = event as { readonly name?: string; readonly node: string };
      const about = `${event.type} ${node}${name === undefined ? "" : ` ${name}`}`;
      const took = `${Math.round(ms)} ms`;
      if (state === "ignored") {
        if (isJson) say("dim", "", "", json);
      } else if (state === "done") say("green", "✓", `${about}: done in ${took}`, json);
      else if (state === "failed") {
        say("red", "✗", `${about}: ${error} (attempt ${attempts}; it will be tried again)`, json);
      } else if (state === "dead") {
        say("red", "✗", `${about}: ${error} (attempt ${attempts}, the last: kept as a dead letter)`, json);
      } else say("yellow", "-", `${about}: ${state}${error === undefined ? "" : `, ${error}`}`, json);
    },
    onEffect(run, call, takes, gives) {
      const words = wordsFor(
        call,
        takes as Record<string, unknown>,
        gives as Record<string, unknown> | undefined,
      );
      if (words !== undefined) say("cyan", "→", words, { run: run.id, effect: call, takes });
    },
    onLog(run, level, text, data) {
      const colour = level === "error" ? "red" : level === "warn" ? "yellow" : "dim";
      const more = data === undefined ? "" : ` ${JSON.stringify(data)}`;
      say(colour, "·", `${level === "info" ? "" : `${level}: `}${text}${more}`, {
        run: run.id,
        log: level,
        text,
        data,
      });
    },
  };
}

type Members = Readonly<Record<string, unknown>>;

/** Undefined for what changes nothing that others see. */
function wordsFor(call: string, takes: Members, gives: Members | undefined): string | undefined {
  switch (call) {
    case "set":
      return `set ${takes.node} ${takes.name} to ${JSON.stringify(takes.value)}`;
    case "remove":
      return `removed ${takes.node} ${takes.name}`;
    case "send":
      return `sent to ${takes.to}: ${JSON.stringify(takes.content)}`;
    case "fetch":
      return `${takes.method ?? "GET"} ${takes.url} answered ${gives?.status}`;
    case "setTimer":
      return `timer ${takes.name} at ${new Date(takes.dueMs as number).toISOString()}`;
    case "cancelTimer":
      return `timer ${takes.name} cancelled`;
    case "recallStep":
      return gives === undefined ? undefined : `step ${takes.name} was done before, and is not done again`;
    default:
      return undefined;
  }
}
