// CEL as triggers use it: a condition over an event, or over the properties of a node.
// In: text that the author wrote; then events. Out: yes or no. Never: an error once it is compiled: what cannot be said is a no.
import {
  type CelInput,
  CelScalar,
  type CelValue,
  celEnv,
  celFunc,
  celList,
  celMap,
  celMethod,
  isCelUint,
  parse,
  plan,
} from "@bufbuild/cel";
import { RE2JS } from "re2js";
import { AgentError, shown } from "./agent-error.ts";
import type { Json } from "./port.ts";

type Expression = ReturnType<typeof parse>["expr"];

const { BOOL, DOUBLE, DYN, INT, STRING, UINT } = CelScalar;
const textMax = 2048;
const typeNames = [
  "bool",
  "int",
  "uint",
  "double",
  "string",
  "bytes",
  "list",
  "map",
  "null_type",
  "type",
  "google",
];
/** What the parser makes of operators and macros that no function stands behind. */
const operators = ["_[_]", "_?_:_", "_&&_", "_||_", "@not_strictly_false"];

/** JSON knows doubles only, and people write `value.n * 2`: where one side is a double, the other becomes one. */
function mixed(name: string, operate: (left: number, right: number) => number) {
  const pairs = [INT, UINT].flatMap((type) => [[DOUBLE, type] as const, [type, DOUBLE] as const]);
  const number = (value: unknown) => Number(isCelUint(value) ? value.value : value);
  return pairs.map(([left, right]) =>
    celFunc(name, [left, right], DOUBLE, (a: unknown, b: unknown) => operate(number(a), number(b))),
  );
}

/** The node that a query looks at now: CEL evaluates in one go, so there is one at a time. */
let looked: { readonly [name: string]: Json } = {};

/** Patterns meet what others wrote: none may backtrack. Those beyond the bound are compiled anew each time. */
const patterns = new Map<string, RE2JS>();
const patternsMax = 32;

function matches(text: string, pattern: string): boolean {
  const known = patterns.get(pattern) ?? RE2JS.compile(pattern);
  if (patterns.size < patternsMax) patterns.set(pattern, known);
  return known.test(text);
}

const funcs = [
  ...mixed("_+_", (left, right) => left + right),
  ...mixed("_-_", (left, right) => left - right),
  ...mixed("_*_", (left, right) => left * right),
  ...mixed("_/_", (left, right) => left / right),
  celFunc("matches", [STRING, STRING], BOOL, matches),
  celMethod("matches", STRING, [STRING], BOOL, function (pattern) {
    return matches(this, pattern);
  }),
];
const ofEvents = celEnv({ funcs });
const ofNodes = celEnv({
  funcs: [
    ...funcs,
    celFunc("prop", [STRING], DYN, (name: string) => {
      if (!Object.hasOwn(looked, name)) throw new Error(`no property ${name}`);
      return celOf(looked[name] ?? null);
    }),
  ],
});

export interface EventScope {
  readonly node: string;
  readonly name: string | null;
  readonly value: Json;
  readonly event: Json;
  readonly config: Json;
  readonly nowMs: number;
}

/** @throws AgentError that says what is wrong with it */
export function compileWhere(text: string): (scope: EventScope) => boolean {
  const { evaluate, used } = compiled(text, ofEvents, ["node", "name", "value", "event", "config", "now"]);
  const cel = (word: string, json: Json) => (used.has(word) ? celOf(json) : null);
  return ({ node, name, value, event, config, nowMs }) =>
    evaluate({
      node,
      name,
      value: cel("value", value),
      event: cel("event", event),
      config: cel("config", config),
      now: instant(nowMs),
    });
}

/** A condition as the directory takes it: `prop("travel").city == "Oslo"`. @throws AgentError */
export function compileQuery(
  text: string,
): (node: string, properties: { readonly [name: string]: Json }, nowMs: number) => boolean {
  const { evaluate } = compiled(text, ofNodes, ["node", "now"]);
  return (node, properties, nowMs) => {
    looked = properties;
    return evaluate({ node, now: instant(nowMs) });
  };
}

function compiled(text: string, env: typeof ofEvents, variables: readonly string[]) {
  if (text.length > textMax) throw new AgentError(`a condition has at most ${textMax} characters`);
  let evaluate: ReturnType<typeof plan>;
  const used = new Set<string>();
  try {
    // The end of the line is the end of a comment.
    const parsed = parse(`${text}\n`);
    check(parsed.expr, [...variables, ...typeNames], { variables, env, used });
    evaluate = plan(env, parsed);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^<input>:/, "") : String(error);
    throw new AgentError(`the condition "${shown(text)}" is no CEL that fits here: ${why}`);
  }
  return {
    used,
    evaluate(scope: Record<string, CelInput>): boolean {
      try {
        return evaluate(scope) === true;
      } catch {
        return false;
      }
    },
  };
}

/** Unknown words and functions would make a condition that is never true, and nobody would know why. */
function check(
  part: Expression,
  bound: readonly string[],
  known: { readonly variables: readonly string[]; readonly env: typeof ofEvents; readonly used: Set<string> },
): void {
  const { variables, env, used } = known;
  const inner = (child: Expression | undefined, names = bound) => child && check(child, names, known);
  const kind = part.exprKind;
  switch (kind.case) {
    case "identExpr":
      used.add(kind.value.name.replace(/^\./, ""));
      if (bound.includes(kind.value.name.replace(/^\./, ""))) return;
      throw new Error(`"${kind.value.name}" is unknown; there are ${variables.join(", ")}`);
    case "selectExpr":
      inner(kind.value.operand);
      return;
    case "listExpr":
      for (const element of kind.value.elements) inner(element);
      return;
    case "structExpr":
      for (const { keyKind, value } of kind.value.entries) {
        if (keyKind.case === "mapKey") inner(keyKind.value);
        inner(value);
      }
      return;
    case "callExpr": {
      const { function: name, target, args } = kind.value;
      if (!operators.includes(name) && env.funcs.find(name) === undefined) {
        throw new Error(`"${name}" is no function of CEL's standard definitions`);
      }
      inner(target);
      for (const arg of args) inner(arg);
      return;
    }
    case "comprehensionExpr": {
      const { iterRange, iterVar, accuVar, accuInit, loopCondition, loopStep, result } = kind.value;
      inner(iterRange);
      const names = [...bound, iterVar, accuVar];
      for (const child of [accuInit, loopCondition, loopStep, result]) inner(child, names);
    }
  }
}

function celOf(json: Json): CelValue {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return celList(json.map(celOf));
  return celMap(new Map(Object.entries(json).map(([key, member]) => [key, celOf(member)])));
}

/** The message is plain, so that protobuf itself need not be known here. */
function instant(ms: number): CelInput {
  const nanos = Math.floor((((ms % 1000) + 1000) % 1000) * 1e6);
  const message = { $typeName: "google.protobuf.Timestamp", seconds: BigInt(Math.floor(ms / 1000)), nanos };
  return message as CelInput;
}
