// Groups: nodes that gather others. The folder's public file.
// In: wishes, the feed. Out: who belongs where. Never: a decision about what members may see; policies name groups for that.
export { type Members, type MemberTurn, openMembers } from "./members.ts";
export { type Groups, openGroups } from "./membership.ts";
