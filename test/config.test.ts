// Settings: what is taken, what stops the start, and what is said about it.
import { describe, expect, test } from "vitest";
import { readConfig } from "../services/config.ts";

const oidc = { TIDINGS_OIDC_ISSUER: "https://id.example.com/realm", TIDINGS_OIDC_AUDIENCE: "tidings" };
const smtp = {
  TIDINGS_SMTP_URL: "smtps://me:hush@mail.example.com",
  TIDINGS_SMTP_FROM: "broker@example.com",
};

describe("settings", () => {
  test("where nothing is set everybody may register, and nobody else vouches for them", () => {
    expect(readConfig({}, [])).toMatchObject({ registration: "open", oidc: undefined, smtp: undefined });
  });

  test("with an issuer nobody registers here, unless that is asked for", () => {
    expect(readConfig(oidc, [])).toMatchObject({
      registration: "closed",
      oidc: {
        issuer: "https://id.example.com/realm",
        audience: "tidings",
        handleClaim: "preferred_username",
      },
    });
    const both = { ...oidc, TIDINGS_REGISTRATION: "invite", TIDINGS_OIDC_HANDLE_CLAIM: "nickname" };
    expect(readConfig(both, [])).toMatchObject({ registration: "invite", oidc: { handleClaim: "nickname" } });
  });

  test("what belongs together is set together", () => {
    for (const [name, value] of Object.entries({ ...oidc, ...smtp })) {
      expect(() => readConfig({ [name]: value }, []), name).toThrow(/go together/);
    }
    expect(readConfig(smtp, []).smtp).toEqual({
      url: smtp.TIDINGS_SMTP_URL,
      from: smtp.TIDINGS_SMTP_FROM,
    });
  });

  test.each([
    ["TIDINGS_OIDC_ISSUER", "http://id.example.com"],
    ["TIDINGS_OIDC_ISSUER", "https://id.example.com?x=1"],
    ["TIDINGS_OIDC_ISSUER", "nonsense"],
    ["TIDINGS_OIDC_AUDIENCE", "two words"],
    ["TIDINGS_SMTP_FROM", "nobody"],
    ["TIDINGS_REGISTRATION", "yes"],
  ])("%s does not take %s", (name, value) => {
    expect(() => readConfig({ ...oidc, ...smtp, [name]: value }, [])).toThrow(
      `${name} is "${value}", but must be`,
    );
  });

  test("a secret that does not fit is not repeated", () => {
    for (const url of ["http://me:hush@mail.example.com", "hush", "smtp://me:hush@mail.example.com/path"]) {
      expect(() => readConfig({ ...smtp, TIDINGS_SMTP_URL: url }, [])).toThrow(/^TIDINGS_SMTP_URL must be/);
    }
  });
});
