// tidings agent: its verbs, in the order in which a bot author meets them.
// In: nothing. Out: the list. Never: a verb that is not in a file of its own.
import type { Verb } from "../verb.ts";
import { add } from "./agent-add.ts";
import { deadLetters } from "./agent-dead-letters.ts";
import { dev } from "./agent-dev.ts";
import { disable, enable } from "./agent-enable.ts";
import { list } from "./agent-list.ts";
import { create } from "./agent-new.ts";
import { remove } from "./agent-remove.ts";
import { replay } from "./agent-replay.ts";
import { run } from "./agent-run.ts";
import { runs } from "./agent-runs.ts";

export const agentVerbs: readonly Verb[] = [
  create,
  dev,
  run,
  list,
  add,
  remove,
  enable,
  disable,
  runs,
  deadLetters,
  replay,
];
