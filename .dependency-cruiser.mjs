// The import table of the house (ARCHITECTURE.md) as rules; test/import-table.test.ts proves that they bite.
// Type-only imports count like any other. To let a folder be seen by more of the house, edit the lists at the top.

/** The log as its users see it: the port, and what works on any log. Nothing here knows JetStream. */
const storePort = [
  "services/store/log.ts",
  "services/store/decoded.ts",
  "services/store/heads.ts",
  "services/store/follower.ts",
  "services/store/subjects.ts",
];
/** What a face may know of the log: its errors. */
const storeForFaces = ["services/store/log.ts"];

/** The one public file of each service. */
const publicFiles = [
  "services/expression/expression.ts",
  "services/egress/egress.ts",
  "services/groups/groups.ts",
  "services/policy/policies.ts",
  "services/forward/forwarding.ts",
  "services/property/properties.ts",
  "services/watch/watching.ts",
  "services/directory/directory.ts",
  "services/messages/messages.ts",
  "services/accounts/accounts.ts",
  "services/work/work.ts",
  "services/agents/agents.ts",
];

const services = [
  "expression",
  "egress",
  "groups",
  "policy",
  "forward",
  "property",
  "watch",
  "directory",
  "messages",
  "accounts",
  "work",
  "agents",
];
const faces = ["http", "push", "federation", "rvp", "mcp", "cli"];
/** The rooms that know all others. */
const wiring = ["services/main.ts", "services/broker.ts", "services/broker-options.ts"];
/** The one file that starts what is wired: `tidings start`. */
const starters = ["services/cli/verbs/start.ts"];
/** Single files beside them, which know core/ only; others may import their types, and wiring hands in the rest. */
const beside = [
  "services/config.ts",
  "services/clock.ts",
  "services/greeting.ts",
  "services/meters.ts",
  "services/broker-meters.ts",
];
/** What lives outside services/ and is shipped with it. */
const outside = ["agents", "client", "console"];

const oneOf = (names) => `(${names.join("|")})`;
const files = (names) => names.map((name) => `^${name.replaceAll(".", "\\.")}$`);
/** Our own code, as opposed to packages and Node's modules. */
const ours = `^${oneOf(["services", "schemas", "agents", "client", "console", "bench", "test", "scripts"])}/`;

const rule = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

export default {
  forbidden: [
    rule(
      "core-is-pure",
      "core/ imports nothing but core/: no packages, no Node modules, no other folder",
      { path: "^services/core/" },
      { pathNot: "^services/core/" },
    ),
    rule(
      "store-knows-core",
      "store/ imports core/ and packages",
      { path: "^services/store/" },
      { path: ours, pathNot: ["^services/(core|store)/", ...files(beside)] },
    ),
    rule(
      "services-know-core-and-port",
      "a service imports core/, the store's port and other services' public files",
      { path: `^services/${oneOf(services)}/` },
      {
        path: ours,
        pathNot: [
          "^services/core/",
          "^services/$1/",
          ...files([...storePort, ...publicFiles, ...beside]),
          // Judged by a rule of its own: host-alone-knows-agents.
          "^agents/",
        ],
      },
    ),
    rule(
      "faces-know-services",
      "a face imports core/, services' public files, the schemas and the log's errors; never another face",
      { path: `^services/${oneOf(faces)}/` },
      {
        path: ours,
        pathNot: [
          "^services/core/",
          "^services/$1/",
          "^schemas/",
          ...files([...storeForFaces, ...publicFiles, ...beside]),
          // Judged by rules of their own: host-alone-knows-agents, nobody-knows-wiring.
          "^agents/",
          ...files(wiring),
        ],
      },
    ),
    rule(
      "host-alone-knows-agents",
      "only services/agents/ imports agents/; the command runs them outside",
      { path: "^services/", pathNot: ["^services/(agents|cli)/", ...files(wiring)] },
      { path: "^agents/" },
    ),
    rule(
      "command-runs-agents-outside",
      "the command imports what runs agents outside (agents/outside/), no agent and not their API",
      { path: "^services/cli/" },
      { path: "^agents/", pathNot: "^agents/outside/" },
    ),
    rule(
      "verbs-start-at-once",
      "the command reads what runs agents (a third of a second) with import() where a verb needs it",
      { path: "^services/cli/" },
      { path: "^agents/outside/(run|load)\\.ts$", dependencyTypesNot: ["dynamic-import", "type-only"] },
    ),
    rule(
      "agents-stay-portable",
      "what an agent is made of knows no way to run it: agents/outside/ is for the command alone",
      { path: "^agents/", pathNot: "^agents/outside/" },
      { path: "^agents/outside/" },
    ),
    rule(
      "beside-knows-core",
      "config.ts, clock.ts and their like import core/ only",
      { path: files(beside) },
      { path: ours, pathNot: ["^services/core/", ...files(beside)] },
    ),
    rule(
      "beside-as-type",
      "settings and the clock are handed in: others import their types only",
      { path: "^services/", pathNot: files([...wiring, ...beside]) },
      { path: files(beside), dependencyTypesNot: ["type-only"] },
    ),
    rule(
      "nobody-knows-wiring",
      "main.ts is the top; only the command and tests start it",
      { path: ours, pathNot: ["^(test|bench)/", ...files([...wiring, ...starters])] },
      { path: files(wiring) },
    ),
    rule(
      "table-is-complete",
      "a new folder or file under services/ gets its place in this table first",
      {
        path: "^services/",
        pathNot: [
          `^services/${oneOf(["core", "store", ...services, ...faces])}/`,
          ...files([...wiring, ...beside]),
        ],
      },
      {},
    ),
    rule(
      "outside-stays-outside",
      "agents/, client/, console/ and schemas/ never see services/",
      { path: `^${oneOf([...outside, "schemas"])}/` },
      { path: "^services/" },
    ),
    rule(
      "no-test-in-product",
      "what ships never imports tests, benchmarks or scripts",
      { path: `^${oneOf(["services", "schemas", ...outside])}/` },
      { path: "^(test|bench|scripts)/" },
    ),
    rule("no-cycle", "two files that need each other are one subject, or a third", {}, { circular: true }),
    rule("no-unresolvable", "an import that leads nowhere", {}, { couldNotResolve: true }),
    rule(
      "no-undeclared-package",
      "what ships imports packages that package.json lists as dependencies",
      { path: `^${oneOf(["services", "schemas", ...outside])}/` },
      { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Counts `import type`. Needs the `typescript` package to be 6: TypeScript 7 has no API to parse with.
    tsPreCompilationDeps: true,
    parser: "tsc",
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
