// Where: a CEL expression over the properties of a node, and what an index can say about it.
// In: text that a user wrote; then nodes. Out: yes, no or too slow, and conditions that every match fulfils. Never: a condition that a match need not fulfil.
import { type CelInput, type CelValue, celMap } from "@bufbuild/cel";
import type { Json } from "../core/json.ts";
import {
  adapt,
  type Compiled,
  compile,
  compileInTime,
  type Dialect,
  type Expression,
  instant,
  PROPERTIES,
} from "../expression/expression.ts";

/** A scalar at a place in a property lies between two others, both included. */
export interface Condition {
  readonly name: string;
  readonly path: readonly string[];
  readonly is: "==" | ">=" | "<=";
  readonly value: string | number | boolean;
}

export interface Where {
  readonly text: string;
  /** The properties that it asks for. */
  readonly names: ReadonlySet<string>;
  /** Properties that every match has. */
  readonly needed: ReadonlySet<string>;
  readonly conditions: readonly Condition[];
  /** "no" also where a property or a field is missing. */
  test(address: string, properties: ReadonlyMap<string, Json>, nowMs: number): "yes" | "no" | "too-slow";
}

const ofNodes: Dialect = { variables: ["node", "now"], mayBeBoolean: [], hasProperties: true };
const conditionsMax = 8;

/** @throws Refusal `bad-filter` that says where and what to do. */
export function compileWhere(text: string): Where {
  return whereOf(text, compileInTime(text, ofNodes));
}

/** One that was compiled in time before, in another thread. */
export function knownWhere(text: string): Where {
  return whereOf(text, compile(text, ofNodes));
}

function whereOf(text: string, { found, expression, test }: Compiled): Where {
  const needed = new Set<string>();
  const conditions: Condition[] = [];
  for (const part of conjuncts(expression)) {
    const sure = surelyRead(part);
    for (const name of sure) needed.add(name);
    const condition = conditionOf(part);
    if (condition && conditions.length < conditionsMax) conditions.push(condition);
  }
  return {
    text,
    names: found.properties,
    needed,
    conditions,
    test(address, properties, nowMs) {
      const members = new Map<string, CelValue>();
      const looked = [];
      for (const name of found.properties) {
        const value = properties.get(name);
        if (value === undefined) continue;
        const adapted = adapt(value);
        looked.push(adapted);
        members.set(name, adapted.cel);
      }
      const scope: Record<string, CelInput> = {
        node: address,
        now: instant(nowMs),
        [PROPERTIES]: celMap(members),
      };
      return test(scope, looked);
    },
  };
}

/** The parts that must all be true. */
function conjuncts(part: Expression): readonly Expression[] {
  const { exprKind } = part;
  if (exprKind.case !== "callExpr" || exprKind.value.function !== "_&&_") return [part];
  return exprKind.value.args.flatMap(conjuncts);
}

/** Properties without which a part is an error: it is not evaluated around them, as `||`, `? :` and macros may. */
function surelyRead(part: Expression): readonly string[] {
  const { exprKind } = part;
  const place = placeOf(part);
  if (place) return [place.name];
  switch (exprKind.case) {
    case "selectExpr":
      return exprKind.value.operand ? surelyRead(exprKind.value.operand) : [];
    case "callExpr": {
      if (["_||_", "_&&_", "_?_:_"].includes(exprKind.value.function)) return [];
      const { target, args } = exprKind.value;
      return [...(target ? [target] : []), ...args].flatMap(surelyRead);
    }
    default:
      return [];
  }
}

const mirrored: Readonly<Record<string, string>> = { "==": "==", ">=": "<=", "<=": ">=" };
const comparisons: Readonly<Record<string, Condition["is"]>> = {
  "_==_": "==",
  // What is left out here of `>` and `<` is left to the expression itself.
  "_>_": ">=",
  "_>=_": ">=",
  "_<_": "<=",
  "_<=_": "<=",
};

function conditionOf({ exprKind }: Expression): Condition | undefined {
  if (exprKind.case !== "callExpr") return undefined;
  const is = comparisons[exprKind.value.function];
  const [left, right] = exprKind.value.args;
  if (is === undefined || left === undefined || right === undefined) return undefined;
  const straight = { place: placeOf(left), value: scalarOf(right), is };
  const turned = { place: placeOf(right), value: scalarOf(left), is: mirrored[is] as Condition["is"] };
  const { place, value, is: how } = straight.place ? straight : turned;
  return place && value !== undefined ? { ...place, is: how, value } : undefined;
}

/** `prop("name").path.to`, also with `["to"]`. */
function placeOf({ exprKind }: Expression): Pick<Condition, "name" | "path"> | undefined {
  if (exprKind.case === "selectExpr" && exprKind.value.operand && !exprKind.value.testOnly) {
    const above = placeOf(exprKind.value.operand);
    return above && { name: above.name, path: [...above.path, exprKind.value.field] };
  }
  if (exprKind.case !== "callExpr" || exprKind.value.function !== "_[_]") return undefined;
  const [from, key] = exprKind.value.args;
  const field = key && scalarOf(key);
  if (from === undefined || typeof field !== "string") return undefined;
  if (from.exprKind.case === "identExpr" && from.exprKind.value.name === PROPERTIES) {
    return { name: field, path: [] };
  }
  const above = placeOf(from);
  return above && { name: above.name, path: [...above.path, field] };
}

function scalarOf({ exprKind }: Expression): string | number | boolean | undefined {
  if (exprKind.case === "callExpr" && exprKind.value.function === "-_") {
    const [of] = exprKind.value.args;
    const number = of && scalarOf(of);
    return typeof number === "number" ? -number : undefined;
  }
  if (exprKind.case !== "constExpr") return undefined;
  const { constantKind } = exprKind.value;
  switch (constantKind.case) {
    case "stringValue":
    case "boolValue":
    case "doubleValue":
      return constantKind.value;
    case "int64Value":
    case "uint64Value":
      return Number(constantKind.value);
    default:
      return undefined;
  }
}
