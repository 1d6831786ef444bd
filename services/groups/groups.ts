// Groups: nodes that gather accounts. The folder's public file.
// In: the feed. Out: who belongs where. Never: a decision about what members may see; policies name groups for that.
export { type Members, type MemberTurn, openMembers } from "./members.ts";
