// Hosted agents as the broker tells of them: shapes, paths and words.
// In: answers of /v1/agents. Out: lines for a person. Never: a request.

export interface Kind {
  readonly agent: string;
  /** Absent where its module cannot be loaded. */
  readonly version?: string;
  readonly broken?: string;
  readonly description?: string;
}

export interface Instance {
  readonly id: string;
  readonly agent: string;
  readonly version: string;
  readonly node: string;
  readonly enabled: boolean;
  readonly state: "running" | "disabled" | "failed";
  readonly reason?: string;
  readonly since: string;
}

export interface HostedRun {
  readonly id: string;
  readonly event: {
    readonly id: string;
    readonly type: string;
    readonly node: string;
    readonly subject?: string;
  };
  readonly state: string;
  readonly attempts: number;
  readonly started: string;
  readonly ms: number;
  readonly error?: string;
  readonly log?: readonly string[];
}

export interface DeadLetter {
  readonly run: string;
  readonly event: HostedRun["event"];
  readonly error: string;
  readonly attempts: number;
  readonly at: string;
}

export const agentsPath = "/v1/agents";

export function instancePath(id: string): string {
  return `${agentsPath}/${encodeURIComponent(id)}`;
}

export function instanceLine({ id, agent, version, node, state, reason }: Instance): string {
  return `${id}  ${agent} ${version}  ${node}  ${state}${reason === undefined ? "" : `: ${reason}`}`;
}

export function eventWords({ type, node, subject }: HostedRun["event"]): string {
  return `${type} ${node}${subject === undefined ? "" : ` ${subject}`}`;
}
