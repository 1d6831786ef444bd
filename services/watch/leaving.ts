// Leaving: the end of everything that an account watched.
// In: an account that ends. Out: the ends of its subscriptions, and word of each to whom it watched. Never: a watcher that stays listed although nobody is there.
import type { Address } from "../core/address.ts";
import { inParts } from "../core/parts.ts";
import { Conflict } from "../store/log.ts";
import type { Subscriptions } from "./subscriptions.ts";

const endedAtOnce = 50;

export async function endAll(
  { of, end }: Pick<Subscriptions, "of" | "end">,
  account: Address,
): Promise<void> {
  for (;;) {
    const { held } = await of(account);
    if (held.length === 0) return;
    for (const some of inParts(held, endedAtOnce)) {
      await Promise.all(
        some.map((one) =>
          end(one, "deleted").catch((error: Error) => {
            // It was changed or ended meanwhile: the next look shows it.
            if (!(error instanceof Conflict)) throw error;
          }),
        ),
      );
    }
  }
}
