// Too many: the part of the registry that says of what there may be only so much.
// In: nothing. Out: a table for refusals.ts. Never: what holds to a bound; that is where the things are counted.

export const tooMany = {
  "too-many-subscriptions": {
    status: 422,
    title: "You hold too many subscriptions",
    remedy:
      "An account holds at most 10,000 subscriptions. End some, or watch several nodes of one account by one with depth `infinity`.",
  },
  "too-many-contacts": {
    status: 422,
    title: "The roster has too many contacts",
    remedy: "A roster lists at most 2,000 contacts. List a whole domain as `@example.com`, or fewer people.",
  },
  "too-many-blocks": {
    status: 422,
    title: "You hold too many blocks",
    remedy: "An account holds at most 10,000 blocks. Lift some, or block a whole `@domain`.",
  },
  "too-many-answers": {
    status: 422,
    title: "You have answered too many watchers",
    remedy:
      "An account answers at most 10,000 watchers one by one, each as often as it likes. Let rules of the policy speak of the others: of groups, or of a whole `@domain`.",
  },
  "too-many-properties": {
    status: 422,
    title: "The node is full",
    remedy: "A node holds at most 500 properties. Delete some, or create a child node.",
  },
  "too-many-views": {
    status: 422,
    title: "The property has too many views",
    remedy:
      "A property holds at most 32 views and 256 KiB over all of them. Let old devices' leases end, or delete their views.",
  },
  "too-many-agents": {
    status: 422,
    title: "The account runs as many agents as it may",
    remedy: "An account runs 20 agents at most. DELETE one that is not needed.",
  },
  "too-many-members": {
    status: 422,
    title: "The group has as many members as it may",
    remedy: "A group has 20,000 members at most. Make another group, and put some of them there.",
  },
} as const;
