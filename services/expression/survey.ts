// What a filter's expression looks at and how much work it can be, found by reading it once.
// In: a parsed expression. Out: its survey, or why it cannot be a filter; calls that build lists, and prop("name"), are put in
// our own words.
// Never: evaluates anything.

import type { parse } from "@bufbuild/cel";
import { parsePropertyName } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";
import { language, patternOf } from "./language.ts";

export type Expression = ReturnType<typeof parse>["expr"];
type Kind<Case> = Extract<Expression["exprKind"], { case: Case }>["value"];

/** Which words an expression may use. */
export interface Dialect {
  readonly variables: readonly string[];
  /** Those among them whose value may be true or false. */
  readonly mayBeBoolean: readonly string[];
  /** Whether `prop("name")` is a property of the node that is looked at. */
  readonly hasProperties: boolean;
}

/** What `prop("name")` reads from: a map by name, under a word that nobody can write. */
export const PROPERTIES = "@properties";

export interface Survey {
  /** The variables that it uses. */
  readonly names: Set<string>;
  /** The names of the properties that it asks for by `prop("name")`. */
  readonly properties: Set<string>;
  /** A pattern looks at every character of a value, and not only at its parts. */
  readsText: boolean;
  /** A pattern comes from a value, so nothing is known about it. */
  readsUnknownPattern: boolean;
  /** The steps of one pass over the expression. */
  weight: number;
  /** Those among them that may look at all there is: a comparison of two lists, a search. */
  searches: number;
  /** How deep macros that loop lie in each other. */
  loops: number;
  /** Each `+` can double a list. */
  sums: number;
}

/** What is wrong with an expression, and with which part of it: an `id` of the parser's. */
export class UnfitExpression extends Error {
  override readonly name = "UnfitExpression";
  readonly id: bigint;

  constructor(id: bigint, detail: string) {
    super(detail);
    this.id = id;
  }
}

const DEPTH_MAX = 100;
const LOOPS_MAX = 4;
/** A time zone's calendar takes as long as some fifty steps. */
const CALENDAR_WEIGHT = 50;
/** What a pattern's instruction takes at one character, compared with what a search takes at one value. */
const PATTERN_WEIGHT = 4;
const macros = ["has", "all", "exists", "exists_one", "filter", "map"];
const ACCUMULATOR = "@result";
/** Calls that take the same time whatever they are given, and calls that do so where one side is a constant. */
const light = ["!_", "-_", "_+_", "_-_", "_*_", "_/_", "_%_", "type"];
const lightByConstant = ["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"];
const types = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
const qualifiedTypes = ["google.protobuf.Timestamp", "google.protobuf.Duration"];
/** What is no function to the library. */
const operators = ["_[_]", "_?_:_", "_&&_", "_||_", "@not_strictly_false"];

export function survey(expression: Expression, dialect: Dialect): Survey {
  const { variables } = dialect;
  const found: Survey = {
    names: new Set(),
    properties: new Set(),
    readsText: false,
    readsUnknownPattern: false,
    weight: 0,
    searches: 0,
    loops: 0,
    sums: 0,
  };
  visit(expression, [], 0, 0);
  if (!mayBeBoolean(expression, dialect)) {
    throw new UnfitExpression(
      expression.id,
      "A filter must be true or false; compare with ==, <, in or the like.",
    );
  }
  return found;

  function visit(part: Expression, bound: readonly string[], depth: number, loops: number): void {
    const deeper = (child: Expression | undefined) => child && visit(child, bound, depth + 1, loops);
    if (depth > DEPTH_MAX) {
      throw new UnfitExpression(part.id, `A filter nests at most ${DEPTH_MAX} levels deep.`);
    }
    found.weight++;
    const kind = part.exprKind;
    switch (kind.case) {
      case "identExpr":
        readName(part, rootName(kind.value.name), bound);
        break;
      case "constExpr":
        checkRange(part, kind.value.constantKind);
        break;
      case "selectExpr":
        if (!qualifiedTypes.includes(qualifiedName(part))) deeper(kind.value.operand);
        break;
      case "listExpr":
        kind.value.elements.forEach(deeper);
        break;
      case "structExpr":
        if (kind.value.messageName !== "") {
          throw new UnfitExpression(part.id, 'A filter makes no messages; write a map such as {"a": 1}.');
        }
        for (const { keyKind, value } of kind.value.entries) {
          if (keyKind.case === "mapKey") deeper(keyKind.value);
          deeper(value);
        }
        break;
      case "callExpr":
        if (dialect.hasProperties && kind.value.function === "prop") {
          readProperty(part, kind.value);
          break;
        }
        deeper(kind.value.target);
        kind.value.args.forEach(deeper);
        readCall(part, kind.value);
        break;
      case "comprehensionExpr": {
        const { iterRange, iterVar, accuInit, loopCondition, loopStep, result } = kind.value;
        if (loops === LOOPS_MAX) {
          throw new UnfitExpression(part.id, `Macros nest at most ${LOOPS_MAX} deep.`);
        }
        found.loops = Math.max(found.loops, loops + 1);
        deeper(iterRange);
        for (const inner of [accuInit, loopCondition, loopStep, result]) {
          if (inner) visit(inner, [...bound, iterVar, ACCUMULATOR], depth + 1, loops + 1);
        }
      }
    }
  }

  function readName(part: Expression, name: string, bound: readonly string[]): void {
    if (bound.includes(name) || types.includes(name)) return;
    if (!variables.includes(name)) {
      const known = dialect.hasProperties ? [...variables, 'prop("name")'] : variables;
      throw new UnfitExpression(part.id, `"${name}" is unknown; a filter knows ${known.join(", ")}.`);
    }
    found.names.add(name);
  }

  /** `prop("travel")` becomes `@properties["travel"]`: what is not there is an error of the evaluation, like any missing field. */
  function readProperty(part: Expression, call: Kind<"callExpr">): void {
    const [name] = call.args;
    const constant = name?.exprKind.case === "constExpr" ? name.exprKind.value.constantKind : undefined;
    if (call.target !== undefined || call.args.length !== 1 || constant?.case !== "stringValue") {
      throw new UnfitExpression(part.id, 'A property is named in quotes: prop("travel").');
    }
    try {
      found.properties.add(parsePropertyName(constant.value));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw new UnfitExpression(part.id, error.message);
    }
    const from = { ...(name as Expression) };
    from.exprKind = { case: "identExpr", value: { $typeName: "cel.expr.Expr.Ident", name: PROPERTIES } };
    call.function = "_[_]";
    call.args.unshift(from);
  }

  function readCall(part: Expression, call: Kind<"callExpr">): void {
    if (operators.includes(call.function)) return;
    const overloads = overloadsOf(call);
    if (overloads === undefined) {
      const detail = macros.includes(call.function)
        ? "macros are written so: has(value.city), value.list.all(item, item > 0)."
        : `"${call.function}" is no function; a filter knows those of CEL's standard definitions.`;
      throw new UnfitExpression(part.id, detail);
    }
    if (overloads.length === 0) {
      throw new UnfitExpression(part.id, `"${call.function}" takes other arguments.`);
    }
    const [first, second] = call.args;
    const constant = call.args.some(({ exprKind }) => exprKind.case === "constExpr");
    if (!light.includes(call.function) && !(constant && lightByConstant.includes(call.function)))
      found.searches++;
    if (call.function === "_+_") {
      const builds = first?.exprKind.case === "identExpr" && first.exprKind.value.name === ACCUMULATOR;
      if (builds && second?.exprKind.case === "listExpr") call.function = "@append";
      else if (!builds) found.sums++;
    } else if (call.function === "matches") {
      found.readsText = true;
      readPattern(part, call.target === undefined ? second : first);
    } else if (call.function.startsWith("get")) found.weight += CALENDAR_WEIGHT;
  }

  function readPattern(part: Expression, pattern: Expression | undefined): void {
    const kind = pattern?.exprKind;
    const constant = kind?.case === "constExpr" ? kind.value.constantKind : undefined;
    if (constant?.case !== "stringValue") {
      found.readsUnknownPattern = true;
      return;
    }
    try {
      found.searches += PATTERN_WEIGHT * patternOf(constant.value).programSize();
    } catch (error) {
      const reason =
        error instanceof Error ? error.message.replace(/^error parsing regexp: /, "") : String(error);
      throw new UnfitExpression(part.id, `The pattern is not one that RE2 takes here: ${reason}.`);
    }
  }
}

function overloadsOf({ function: name, target, args }: Kind<"callExpr">) {
  const group = language.funcs.find(name);
  return (
    group &&
    [...group].filter(
      (one) => (one.target === undefined) === (target === undefined) && one.arguments.length === args.length,
    )
  );
}

function checkRange(part: Expression, constant: Kind<"constExpr">["constantKind"]): void {
  const fits =
    constant.case === "int64Value"
      ? BigInt.asIntN(64, constant.value) === constant.value
      : constant.case !== "uint64Value" || BigInt.asUintN(64, constant.value) === constant.value;
  if (!fits)
    throw new UnfitExpression(part.id, "An integer has 64 bits; write a larger number with a dot: 1e20.");
}

/** `.value` means the variable itself, whatever a macro calls its own. */
function rootName(name: string): string {
  return name.replace(/^\./, "");
}

function qualifiedName(part: Expression): string {
  const kind = part.exprKind;
  if (kind.case === "identExpr") return kind.value.name;
  if (kind.case !== "selectExpr" || kind.value.operand === undefined) return "";
  return `${qualifiedName(kind.value.operand)}.${kind.value.field}`;
}

/** False only where no value whatever could make it a boolean. */
function mayBeBoolean(part: Expression | undefined, dialect: Dialect): boolean {
  const kind = part?.exprKind;
  switch (kind?.case) {
    case "constExpr":
      return kind.value.constantKind.case === "boolValue";
    case "listExpr":
    case "structExpr":
      return false;
    case "identExpr":
      return dialect.mayBeBoolean.includes(rootName(kind.value.name));
    case "comprehensionExpr":
      return mayBeBoolean(
        kind.value.result?.exprKind.case === "identExpr" ? kind.value.accuInit : kind.value.result,
        dialect,
      );
    case "callExpr":
      if (kind.value.function === "_?_:_")
        return kind.value.args.slice(1).some((one) => mayBeBoolean(one, dialect));
      if (operators.includes(kind.value.function)) return true;
      return overloadsOf(kind.value)?.some(({ result }) => ["bool", "dyn"].includes(result.name)) ?? false;
    default:
      return true;
  }
}
