// Explain: why somebody is told of a property, or is not, for its owner and the operator.
// In: a node, a property, a watcher, perhaps a revision. Out: each thing that stands between them, and whether it lets the event through. Never: a word of it to the watcher.
import { type Address, isWithin, rootOf } from "../core/address.ts";
import { matchNames } from "../core/name-pattern.ts";
import type { Ground, Verdict } from "../core/policy.ts";
import { visible } from "../core/property.ts";
import type { Soon } from "../core/soon.ts";
import type { Access } from "../property/properties.ts";
import { stateOf } from "../store/decoded.ts";
import type { Fact, Log } from "../store/log.ts";
import { subjectOf } from "../store/subjects.ts";
import type { Share } from "./shares.ts";
import type { Subscription } from "./subscription-facts.ts";
import type { Subscriptions } from "./subscriptions.ts";

export interface Question {
  readonly node: Address;
  readonly name: string;
  readonly watcher: Address;
  /** The change that was asked about; the present one if absent. */
  readonly revision: number | undefined;
}

export interface Step {
  readonly step: "property" | "block" | "policy" | "subscription" | "filter" | "conflation" | "transport";
  readonly passes: boolean;
  readonly detail: string;
}

export interface Explanation {
  readonly node: string;
  readonly property: string;
  readonly watcher: string;
  readonly revision?: number;
  /** Whether the watcher is told of a change that is made now. */
  readonly isTold: boolean;
  readonly steps: readonly Step[];
}

/** A stream of the watcher, as far as this broker has it. */
export interface OpenStream {
  readonly via: string;
  /** Characters that wait for its reader. */
  readonly waiting: number;
  readonly isLive: boolean;
  readonly watches: (node: Address, name: string) => boolean;
}

export interface ExplainDeps {
  readonly log: Log;
  readonly settle: (fact: Fact) => Soon<Fact | undefined>;
  readonly access: Pick<Access, "judge">;
  readonly subscriptions: Pick<Subscriptions, "of">;
  readonly streamsOf: (watcher: Address) => readonly OpenStream[];
  readonly share: (reader: string) => Share;
}

export type Explain = (question: Question) => Promise<Explanation>;

export function openExplain({ log, settle, access, subscriptions, streamsOf, share }: ExplainDeps): Explain {
  return async ({ node, name, watcher, revision }) => {
    const found = await log.last(subjectOf(node, "property", name));
    const fact = found && (await settle(found));
    const state = fact && stateOf(fact);
    const value = visible(state)?.value;
    const { held } = await subscriptions.of(rootOf(watcher));
    const selecting = held.filter((one) => selects(one, node, name));
    const disclosed = new Map(selecting.flatMap((one) => [...(one.disclosed ?? [])]));
    const caller = { address: rootOf(watcher), kind: "person", scopes: ["watch"], tokenId: "" } as const;
    const verdict = access.judge({ caller, via: "", disclosed }, node, name, "watch");
    const streams = streamsOf(rootOf(watcher));
    const carrying = streams.filter((one) => one.watches(node, name));
    const steps: Step[] = [
      value === undefined
        ? { step: "property", passes: false, detail: "The property is not there now." }
        : { step: "property", passes: true, detail: `It stands at revision ${state?.revision}.` },
      policyStep(verdict),
      selecting.length + carrying.length === 0
        ? {
            step: "subscription",
            passes: false,
            detail: "Nothing that the watcher keeps or has open selects it.",
          }
        : {
            step: "subscription",
            passes: true,
            detail: `${selecting.length} kept, ${carrying.length} streams open here select it.`,
          },
    ];
    for (const { id, filter } of selecting) {
      if (filter === undefined) continue;
      // It is not the watcher that asks.
      const asking = share(rootOf(node).text);
      const answer = asking.ask(filter, { node: node.text, name, value: value ?? null, previous: null });
      const detail = `Subscription ${id}: \`${filter.text}\` says ${answer} to the present value, without one before it.`;
      steps.push({ step: "filter", passes: answer === "yes", detail });
    }
    if (revision !== undefined && state && revision < state.revision) {
      const detail = `Revision ${state.revision} took the place of ${revision}: whoever had not been told of it by then is told of the later one, with \`skipped\`.`;
      steps.push({ step: "conflation", passes: false, detail });
    }
    steps.push(...carrying.map(transportStep));
    if (carrying.length === 0) {
      const detail =
        "No stream of the watcher that selects it is open on this broker: it is told when it comes back.";
      steps.push({ step: "transport", passes: false, detail });
    }
    const filters = steps.filter(({ step }) => step === "filter");
    const isFiltered = filters.length > 0 && filters.length === selecting.length && carrying.length === 0;
    const isTold =
      verdict.is === "granted" &&
      selecting.length + carrying.length > 0 &&
      !(isFiltered && filters.every(({ passes }) => !passes));
    return {
      node: node.text,
      property: name,
      watcher: rootOf(watcher).text,
      ...(state && { revision: state.revision }),
      isTold,
      steps,
    };
  };
}

function selects({ whom, depth, properties }: Subscription, node: Address, name: string): boolean {
  if (!("address" in whom) || rootOf(whom.address).text !== rootOf(node).text) return false;
  return isWithin(node.path, whom.address.path, depth) && matchNames(properties)(name);
}

function policyStep({ is, ground, ...rest }: Verdict): Step {
  const step = "block" in ground ? "block" : "policy";
  const passes = is === "granted";
  const missing = "missing" in rest ? ` The watcher has yet to disclose ${rest.missing.join(", ")}.` : "";
  const waits = is === "pending" ? " It waits for the owner's answer." : "";
  return {
    step,
    passes,
    detail: `${passes ? "Granted" : "Not granted"} ${because(ground)}.${missing}${waits}`,
  };
}

function because(ground: Ground): string {
  if ("owner" in ground) return "to the owner itself";
  if ("block" in ground) return `by the block of ${ground.block}`;
  if ("answer" in ground) return `by the owner's answer, ${ground.answer}`;
  if ("rule" in ground) return `by rule ${ground.rule} of the policy`;
  if ("visibility" in ground) return `by the type's default, ${ground.visibility}`;
  return "by any rule of the policy";
}

function transportStep({ via, waiting, isLive }: OpenStream): Step {
  const state = isLive ? "is live" : "is still taking its snapshot";
  return {
    step: "transport",
    passes: isLive && waiting === 0,
    detail: `A stream by ${via} ${state}; ${waiting} characters wait for its reader.`,
  };
}
