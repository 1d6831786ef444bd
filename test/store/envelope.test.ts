// The envelope: whatever the body, it comes out as it went in.
import fc from "fast-check";
import { expect, it } from "vitest";
import { seal, unseal } from "../../services/store/envelope.ts";

it("gives back the body and its place", () => {
  const body = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string().map((text) => `\u0001${text}`),
  );
  const place = fc
    .tuple(fc.nat(999), fc.nat(999))
    .map(([index, more]) => ({ index, size: index + 1 + more }));
  fc.assert(
    fc.property(body, place, (text, at) => {
      expect(unseal(seal(text, at))).toEqual({ body: text, place: at });
    }),
  );
});

it("leaves a fact that stands alone as it is", () => {
  expect(seal('{"a":1}', { index: 0, size: 1 })).toBe('{"a":1}');
});
