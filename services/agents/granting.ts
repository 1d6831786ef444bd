// Granting: the permissions that an agent declares, as scopes of whoever it acts for.
// In: permissions. Out: scopes, and a refusal where the caller's own token reaches less far. Never: a scope wider than the permission.
import { type Permission, parsePermission } from "../../agents/permissions.ts";
import { type Principal, type Right, requireScope } from "../core/principal.ts";

/** What each permission takes; patterns stay as they are. */
function scopesOf(permission: Permission): readonly { readonly right: Right; readonly pattern?: string }[] {
  switch (permission.kind) {
    case "read":
      return [
        { right: "read", pattern: permission.pattern },
        { right: "watch", pattern: permission.pattern },
      ];
    case "write":
      return [{ right: "write", pattern: permission.pattern }];
    case "message":
    case "inbox":
      return [{ right: "message" }];
    default:
      return [];
  }
}

export function scopesFor(permissions: readonly string[]): readonly string[] {
  const needed = permissions.map(parsePermission).flatMap(scopesOf);
  return [...new Set(needed.map(({ right, pattern }) => (pattern ? `${right}:${pattern}` : right)))];
}

/** @throws Refusal `scope-missing` where the caller may do less itself */
export function requireGrantable(who: Principal, permissions: readonly string[]): void {
  for (const permission of permissions.map(parsePermission)) {
    for (const { right, pattern } of scopesOf(permission)) {
      // A pattern is granted by the whole right, or by a scope that is written the same.
      const isSame = pattern !== undefined && who.scopes.includes(`${right}:${pattern}`);
      if (!isSame) requireScope(who, right, pattern?.includes("*") ? undefined : pattern);
    }
    if (permission.kind === "watchers") requireScope(who, "watch");
    if (permission.kind === "find") requireScope(who, "read");
  }
}
