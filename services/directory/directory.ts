// The directory: nodes found by the words and values of what they show, now and from now on. The folder's public file.
// In: the feed, what owners have decided. Out: searches, turns of standing queries. Never: a source of truth; whatever it holds can be made again from the log.
import type { Feeding } from "./feeding.ts";
import { type FeedingDeps, startFeeding } from "./feeding.ts";
import { openSearch, type Search, type SearchDeps } from "./search.ts";
import { openStandingQueries, type StandingDeps } from "./standing.ts";

export { type Match, matchOf } from "./match-facts.ts";
export { openQuery } from "./open-query.ts";
export type { Search } from "./search.ts";

export interface DirectoryDeps
  extends Omit<FeedingDeps, "file">,
    Omit<SearchDeps, "feeding">,
    Omit<StandingDeps, "feeding" | "book" | "visibilities" | "reader"> {
  readonly book: FeedingDeps["book"] & StandingDeps["book"];
  readonly visibilities: FeedingDeps["visibilities"] & StandingDeps["visibilities"];
  readonly reader: SearchDeps["reader"] & StandingDeps["reader"];
  readonly follower: FeedingDeps["follower"];
  /** Where the projection is kept; without one it lies in memory, and is begun when somebody searches. */
  readonly file: string | undefined;
}

export interface Directory extends AsyncDisposable {
  readonly search: Search;
  /** Up to here in the log everything can be found; undefined while nobody has searched. */
  readonly position: number | undefined;
  /** How often it began anew, empty. */
  readonly rebuilds: number;
}

export function openDirectory(deps: DirectoryDeps): Directory {
  const { file = ":memory:" } = deps;
  let feeding: Feeding | undefined = deps.file === undefined ? undefined : startFeeding({ ...deps, file });
  const fed = (): Feeding => (feeding ??= startFeeding({ ...deps, file }));
  const standing = openStandingQueries({ ...deps, feeding: fed });
  return {
    search: openSearch({ ...deps, feeding: fed }),
    get position() {
      return feeding?.position;
    },
    get rebuilds() {
      return feeding?.rebuilds ?? 0;
    },
    async [Symbol.asyncDispose]() {
      await standing[Symbol.asyncDispose]();
      await feeding?.[Symbol.asyncDispose]();
    },
  };
}
