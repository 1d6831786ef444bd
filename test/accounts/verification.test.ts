// What other rooms may say of an account: how it was verified.
import { afterAll, expect, test } from "vitest";
import { openAccounts } from "../../services/accounts/accounts.ts";
import { parseAddress } from "../../services/core/address.ts";
import { follow } from "../../services/store/follower.ts";
import { openHeads } from "../../services/store/heads.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { openForgingIssuer } from "../conversations/issuer.ts";
import { openMailbox } from "../conversations/mailbox.ts";

const box = await openMailbox();
const issuer = await openForgingIssuer();
const log = openMemoryLog();
const follower = follow(log);
const accounts = openAccounts({
  domain: "localhost",
  registration: "open",
  log,
  heads: openHeads(log, 1_000_000, Date.now),
  follower,
  nodes: { create: async () => undefined, remove: async () => undefined },
  now: Date.now,
  smtp: box.settings,
  oidc: issuer.settings,
  onEmail: () => undefined,
  onTrouble: () => undefined,
});
afterAll(async () => {
  accounts[Symbol.dispose]();
  await follower[Symbol.asyncDispose]();
  await box[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

test("an account is its own word, and says whether its e-mail address was shown to be its own", async () => {
  const bare = await accounts.register({ handle: "bare" });
  expect(await accounts.verification(parseAddress(bare.address))).toEqual({ by: "local-account" });
  const email = "alice@example.com";
  const alice = await accounts.register({ handle: "alice", email });
  const address = parseAddress(alice.address);
  expect(await accounts.verification(address)).toEqual({ by: "local-account", email: "unconfirmed" });
  await accounts.confirm(await accounts.principalOf(alice.token), await box.code(email));
  expect(await accounts.verification(address)).toEqual({ by: "local-account", email: "confirmed" });
});

test("an account of an issuer is the issuer's word", async () => {
  const { address } = await accounts.principalOf(await issuer.sign({ preferred_username: "ida" }));
  expect(address.local).toBe("ida");
  expect(await accounts.verification(address)).toEqual({ by: "oidc" });
});

test("of nobody, of somebody elsewhere and of whoever has left there is nothing to say", async () => {
  const carol = await accounts.register({ handle: "carol" });
  await accounts.remove(await accounts.principalOf(carol.token));
  for (const address of ["nobody@localhost", "alice@elsewhere.example", carol.address]) {
    await expect(accounts.verification(parseAddress(address))).rejects.toMatchObject({ code: "not-found" });
  }
});
