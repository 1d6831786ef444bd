// Groups: who belongs, who lets whom in, what members may see, and a watch that follows them as they come and go.
import { describe, expect, test } from "vitest";
import { openSocket } from "./socket.ts";
import { aWorld, type Data, type Heard, nodePath, type Person, stages } from "./world.ts";

const names = (heard: readonly Heard[]): string[] =>
  heard.map(({ event }) =>
    `${event.type.replace("dev.tidings.", "")} ${event.data.name ?? event.data.member ?? ""}`.trim(),
  );
const membersPath = (group: string): string => `${nodePath(group)}/members`;
const memberPath = (group: string, member: Person | string): string =>
  `${membersPath(group)}/${encodeURIComponent(typeof member === "string" ? member : member.address)}`;

describe.each(stages)("groups on the %s log", (stage) => {
  const world = aWorld(stage);

  async function people<Names extends string>(...all: Names[]): Promise<Record<Names, Person>> {
    const registered = await Promise.all(all.map(async (name) => [name, await world.registers(name)]));
    return Object.fromEntries(registered);
  }

  async function aGroup(owner: Person, joining?: string): Promise<string> {
    const group = `${owner.address}/chess`;
    const body = { kind: "group", ...(joining && { joining }) };
    expect((await owner.asks("PUT", nodePath(group), { body })).status).toBe(201);
    return group;
  }

  const lets = async (owner: Person, group: string, member: Person | string): Promise<Data> =>
    (await owner.asks("PUT", memberPath(group, member))).body;

  const listed = async (who: Person, group: string): Promise<string[]> => {
    const { status, body } = await who.asks("GET", membersPath(group));
    expect(status).toBe(200);
    return body.members.map(({ member, state }: Data) => `${member.split("@")[0]} ${state}`);
  };
  const local = (who: Person): string => who.address.split("@")[0] as string;

  describe("who belongs", () => {
    test("the owner puts in whom it likes, and out", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice);
      const put = await alice.asks("PUT", memberPath(group, bob));
      expect(put).toMatchObject({ status: 201, body: { member: bob.address, state: "member" } });
      expect((await alice.asks("PUT", memberPath(group, bob))).status).toBe(200);
      await lets(alice, group, carol);
      expect(await listed(alice, group)).toEqual([`${local(bob)} member`, `${local(carol)} member`]);
      expect((await alice.asks("DELETE", memberPath(group, bob))).status).toBe(204);
      expect((await alice.asks("DELETE", memberPath(group, bob))).status).toBe(204);
      expect(await listed(carol, group)).toEqual([`${local(carol)} member`]);
    });

    test("by invitation nobody puts in itself, but everybody may leave", async () => {
      const { alice, bob } = await people("alice", "bob");
      const group = await aGroup(alice);
      expect((await bob.asks("PUT", memberPath(group, bob))).body.code).toBe("forbidden");
      await lets(alice, group, bob);
      expect((await bob.asks("PUT", memberPath(group, bob))).status).toBe(200);
      expect((await bob.asks("PUT", memberPath(group, alice))).body.code).toBe("forbidden");
      expect((await bob.asks("DELETE", memberPath(group, alice))).body.code).toBe("forbidden");
      expect((await bob.asks("GET", "/v1/me/groups")).body.groups).toMatchObject([
        { group, state: "member" },
      ]);
      expect((await bob.asks("DELETE", memberPath(group, bob))).status).toBe(204);
      expect(await listed(alice, group)).toEqual([]);
      expect((await bob.asks("GET", "/v1/me/groups")).body.groups).toEqual([]);
    });

    test("an open group takes everybody", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice, "open");
      expect((await bob.asks("PUT", memberPath(group, carol))).body.code).toBe("forbidden");
      expect(await bob.asks("PUT", memberPath(group, bob))).toMatchObject({
        status: 201,
        body: { state: "member" },
      });
      expect((await alice.asks("GET", membersPath(group))).body.joining).toBe("open");
    });

    test("whoever the owner has blocked hears of its groups no more, by its own list neither", async () => {
      const { alice, bob } = await people("alice", "bob");
      const group = await aGroup(alice);
      await lets(alice, group, bob);
      const mine = async (): Promise<Data[]> => (await bob.asks("GET", "/v1/me/groups")).body.groups;
      await alice.blocks(bob);
      expect(await mine()).toEqual([]);
      await alice.unblocks(bob);
      expect(await mine()).toMatchObject([{ group, state: "member" }]);
    });

    test("by approval one asks, the owner hears of it and lets it in", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice, "approval");
      await alice.listens();
      expect((await bob.asks("PUT", memberPath(group, bob))).body.state).toBe("pending");
      const { event } = await alice.hears("member.pending");
      expect(event.data).toEqual({ group, member: bob.address });
      expect(await listed(alice, group)).toEqual([`${local(bob)} pending`]);
      expect(await listed(bob, group)).toEqual([`${local(bob)} pending`]);
      expect(await listed(carol, group)).toEqual([]);
      expect((await lets(alice, group, bob)).state).toBe("member");
      expect((await bob.asks("PUT", memberPath(group, bob))).body.state).toBe("member");
      expect(await listed(carol, group)).toEqual([`${local(bob)} member`]);
    });

    test("whoever may not know of the group cannot tell it from none", async () => {
      const { alice, bob, carol, dan } = await people("alice", "bob", "carol", "dan");
      const group = await aGroup(alice, "open");
      await lets(alice, group, carol);
      await alice.grants();
      await alice.blocks(dan, "hard");
      for (const [method, path] of [
        ["GET", membersPath],
        ["PUT", (one: string) => memberPath(one, bob)],
        ["DELETE", (one: string) => memberPath(one, carol)],
      ] as const) {
        const hidden = await bob.asks(method, path(group));
        const nothing = await bob.asks(method, path(`${alice.address}/other`));
        expect(hidden).toMatchObject({ status: 404, body: { code: "not-found" } });
        expect(hidden.body).toEqual(nothing.body);
        expect((await dan.asks(method, path(group).replace(bob.address, dan.address))).body.code).toBe(
          "blocked",
        );
      }
      expect(await listed(carol, group)).toEqual([`${local(carol)} member`]);
    });

    test("what is no group has no members", async () => {
      const { alice, bob } = await people("alice", "bob");
      await alice.creates(`${alice.address}/bike`);
      for (const node of [`${alice.address}/bike`, alice.address, `${alice.address}/none`]) {
        expect((await alice.asks("PUT", memberPath(node, bob))).status).toBe(404);
      }
      const put = { body: { kind: "thing", joining: "open" } };
      expect((await alice.asks("PUT", nodePath(`${alice.address}/car`), put)).body.code).toBe("bad-request");
      const group = await aGroup(alice);
      for (const bad of ["bob", "*@localhost", "a b@localhost"]) {
        expect((await alice.asks("PUT", memberPath(group, bad))).body.code).toBe("bad-address");
      }
    });

    test("an account that ends leaves its groups, and a group that ends has no members", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice);
      await lets(alice, group, bob);
      await lets(alice, group, carol);
      expect((await bob.asks("DELETE", "/v1/me")).status).toBe(204);
      expect(await listed(alice, group)).toEqual([`${local(carol)} member`]);
      expect((await alice.asks("DELETE", nodePath(group))).status).toBe(204);
      expect((await carol.asks("GET", "/v1/me/groups")).body.groups).toEqual([]);
      await aGroup(alice);
      expect(await listed(alice, group)).toEqual([]);
    });
  });

  describe("in policies and blocks", () => {
    test("a rule for a group holds for its members, as they come and go, on open streams as well", async () => {
      const { alice, bob } = await people("alice", "bob");
      const group = await aGroup(alice);
      await alice.sets("travel", { city: "Oslo" });
      await alice.grants({ who: [group], properties: ["travel"], allow: ["read", "watch"] });
      expect((await bob.watches(alice)).snapshot).toEqual([]);
      expect(await bob.sees(alice, "travel")).toBeUndefined();
      await lets(alice, group, bob);
      expect(await bob.sees(alice, "travel")).toEqual({ city: "Oslo" });
      await bob.hears("member.joined", { group });
      await bob.hears("property.changed", { name: "travel" });
      await alice.asks("DELETE", memberPath(group, bob));
      await bob.hears("property.removed", { name: "travel" });
      await bob.hears("member.left", { group });
      expect(await bob.sees(alice, "travel")).toBeUndefined();
    });

    test("a block of a group holds for its members alone", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice);
      await alice.sets("travel", { city: "Oslo" });
      await lets(alice, group, bob);
      await bob.subscribes({ target: alice.address, properties: ["travel"] });
      const watchers = async (): Promise<Data[]> =>
        (await alice.asks("GET", `${nodePath(alice.address)}/watchers`)).body.watchers;
      expect(await watchers()).toMatchObject([{ watcher: bob.address, state: "active" }]);
      await alice.blocks(group);
      expect(await watchers()).toMatchObject([{ watcher: bob.address, state: "blocked" }]);
      expect(await bob.sees(alice, "travel")).toBeUndefined();
      expect(await carol.sees(alice, "travel")).toEqual({ city: "Oslo" });
      await alice.asks("DELETE", memberPath(group, bob));
      expect(await bob.sees(alice, "travel")).toEqual({ city: "Oslo" });
    });
  });

  describe("a watch of depth 1", () => {
    const watching = async (who: Person, group: string): Promise<Data> =>
      (await who.asks("POST", "/v1/subscriptions", { body: { target: group, depth: "1" } })).body;

    test("shows the members, and follows them as they come and go", async () => {
      const { alice, bob, carol, dan } = await people("alice", "bob", "carol", "dan");
      const group = await aGroup(alice);
      await lets(alice, group, bob);
      await bob.sets("travel", { city: "Oslo" });
      await carol.sets("travel", { city: "Rome" });
      expect((await watching(dan, group)).state).toBe("active");
      const { snapshot } = await dan.listens();
      expect(snapshot.map(({ event }) => event.data.node)).toEqual([bob.address]);
      await lets(alice, group, carol);
      expect((await dan.hears("member.joined")).event.data).toEqual({ group, member: carol.address });
      await dan.hears("property.changed", { name: "travel", node: carol.address });
      await carol.sets("travel", { city: "Bern" });
      await dan.hears("property.changed", { value: { city: "Bern" } });
      await alice.asks("DELETE", memberPath(group, carol));
      await dan.hears("property.removed", { node: carol.address, name: "travel" });
      expect((await dan.hears("member.left")).event.data).toEqual({ group, member: carol.address });
      await carol.sets("travel", { city: "Nice" });
      await bob.sets("travel", { city: "Bonn" });
      await dan.hears("property.changed", { value: { city: "Bonn" } });
    });

    test("shows of each member what that member grants, and of a blocked one nothing", async () => {
      const { alice, bob, carol, dan } = await people("alice", "bob", "carol", "dan");
      const group = await aGroup(alice);
      for (const one of [bob, carol]) {
        await lets(alice, group, one);
        await one.patches({ set: { spot: { value: 1 }, plan: { value: 2 } } });
      }
      await bob.grants({ who: [dan.address], properties: ["plan"], allow: ["watch"] });
      await watching(dan, group);
      const { snapshot } = await dan.listens();
      expect(names(snapshot).sort()).toEqual([
        "property.changed plan",
        "property.changed plan",
        "property.changed spot",
      ]);
      await carol.blocks(dan);
      await dan.hears("property.removed", { node: carol.address });
      await dan.hears("property.removed", { node: carol.address });
      await carol.sets("spot", 3);
      await bob.sets("plan", 4);
      await dan.hears("property.changed", { value: 4 });
    });

    test("goes on when one of the members blocks its reader hard", async () => {
      const { alice, bob, carol, dave } = await people("alice", "bob", "carol", "dave");
      const group = await aGroup(alice, "open");
      for (const member of [bob, carol]) {
        await member.asks("PUT", memberPath(group, member));
        await member.sets("travel", { city: "Oslo" });
      }
      const { id } = await dave.subscribes({ target: group, depth: "1", properties: ["travel"] });
      await dave.listens();
      await bob.blocks(dave, "hard");
      await dave.hears("property.removed", { node: bob.address });
      await carol.sets("travel", { city: "Rome" });
      await dave.hears("property.changed", { node: carol.address, value: { city: "Rome" } });
      expect((await dave.asks("GET", `/v1/subscriptions/${id}`)).status).toBe(200);
    });

    test("its owner and its members are told who watches the group, and nobody else is", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice);
      await lets(alice, group, bob);
      await watching(carol, group);
      const path = `${nodePath(group)}/watchers`;
      const told = [{ watcher: carol.address, state: "active", properties: ["*"] }];
      expect((await alice.asks("GET", path)).body.watchers).toMatchObject(told);
      expect((await bob.asks("GET", path)).body.watchers).toMatchObject(told);
      expect((await carol.asks("GET", path)).body.code).toBe("forbidden");
      // One notice for the group, none for each of its members.
      expect((await bob.asks("GET", `${nodePath(bob.address)}/watchers`)).body.watchers).toEqual([]);
    });

    test("by a frame it says when all of it is there, once", async () => {
      const { alice, bob, carol, dan } = await people("alice", "bob", "carol", "dan");
      const group = await aGroup(alice);
      for (const one of [bob, carol]) {
        await lets(alice, group, one);
        await one.sets("spot", 1);
      }
      await using socket = await openSocket(world.url, { token: dan.token });
      await socket.hears("stream.live");
      const { subscription } = await socket.does("watch", { target: group, depth: "1" });
      const heard = await socket.hearsThrough("stream.live");
      expect(heard.map(({ event }) => event.type.replace("dev.tidings.", ""))).toEqual([
        "property.changed",
        "property.changed",
        "stream.live",
      ]);
      expect(heard.at(-1)?.event.data).toEqual({ subscription });
      await socket.does("unwatch", { subscription });
      await bob.sets("spot", 2);
      await socket.does("watch", { target: bob.address });
      await socket.hears("property.changed", { value: 2 });
    });

    test("on return it is told who came and went, and what is there now", async () => {
      const { alice, bob, carol, dan } = await people("alice", "bob", "carol", "dan");
      const group = await aGroup(alice);
      await lets(alice, group, bob);
      for (const one of [bob, carol]) await one.sets("spot", local(one));
      await watching(dan, group);
      const { cursor } = (await dan.listens()).live;
      await dan.leaves();
      await alice.asks("DELETE", memberPath(group, bob));
      await lets(alice, group, carol);
      const heard = (await dan.listens({ after: cursor })).snapshot;
      expect(names(heard).filter((name) => !name.startsWith("watcher"))).toEqual(
        expect.arrayContaining([
          "stream.reset",
          `member.left ${bob.address}`,
          `member.joined ${carol.address}`,
          "property.changed spot",
        ]),
      );
      expect(heard.filter(({ event }) => event.data.node === bob.address)).toEqual([]);
    });

    test("on return an owner hears who came and went, and a member that it was put out", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice, "approval");
      await lets(alice, group, bob);
      await watching(bob, group);
      const after = new Map<Person, string>();
      for (const one of [alice, bob]) {
        after.set(one, (await one.listens()).live.cursor);
        await one.leaves();
      }
      await carol.asks("PUT", memberPath(group, carol));
      await alice.asks("DELETE", memberPath(group, bob));
      const missed = async (one: Person): Promise<string[]> =>
        names((await one.listens({ after: after.get(one) as string })).snapshot).filter((name) =>
          name.startsWith("member"),
        );
      expect(await missed(alice)).toEqual([`member.pending ${carol.address}`, `member.left ${bob.address}`]);
      expect(await missed(bob)).toEqual([`member.left ${bob.address}`]);
    });

    test("whoever is let in sees the others, and whoever is put out no more", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice);
      await alice.grants({ who: ["anyone"], properties: ["motto"], allow: ["read", "watch"] });
      await lets(alice, group, bob);
      await bob.sets("spot", 1);
      await watching(carol, group);
      expect((await carol.listens()).snapshot).toEqual([]);
      await lets(alice, group, carol);
      await carol.hears("member.joined", { member: carol.address });
      await carol.hears("property.changed", { node: bob.address, value: 1 });
      await alice.asks("DELETE", memberPath(group, carol));
      await carol.hears("property.removed", { node: bob.address });
      await carol.hears("member.left", { member: carol.address });
      await bob.sets("spot", 2);
      await carol.hearsNothing();
    });

    test("without sight of the members it shows the group alone", async () => {
      const { alice, bob, carol } = await people("alice", "bob", "carol");
      const group = await aGroup(alice);
      await lets(alice, group, bob);
      await bob.sets("spot", 1);
      await alice.sets("motto", "check", { at: group });
      await alice.grants({ who: ["anyone"], properties: ["motto"], allow: ["read", "watch"] });
      await watching(carol, group);
      const { snapshot } = await carol.listens();
      expect(names(snapshot)).toEqual(["property.changed motto"]);
      await alice.grants({ who: ["anyone"], properties: ["motto", "members"], allow: ["read", "watch"] });
      await carol.hears("property.changed", { node: bob.address });
      await alice.grants({ who: ["anyone"], properties: ["motto"], allow: ["read", "watch"] });
      await carol.hears("property.removed", { node: bob.address });
    });
  });
});
