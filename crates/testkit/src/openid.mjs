// A real OpenID provider (npm `oidc-provider`) with its own login pages, for the tests.
//
// Arguments: port, where it sends browsers back to, a JSON file of people: login -> {email, groups}. The
// file is read anew for each sign-in, so that groups change while it runs.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, back, people] = process.argv.slice(2);
// The package is where the tool that runs the test installed it.
const from = createRequire(process.env.TOLLGATE_OIDC_PROVIDER + "/package.json");
const { Provider } = await import(pathToFileURL(from.resolve("oidc-provider")).href);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "tollgate",
      client_secret: "s3cret of the client",
      redirect_uris: [back],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  scopes: ["openid", "email", "profile", "groups"],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["of the tests"] },
  async findAccount(_context, login) {
    const known = JSON.parse(readFileSync(people, "utf8"))[login];
    if (!known) return undefined;
    return {
      accountId: login,
      claims: async () => ({
        sub: login,
        email: known.email,
        email_verified: true,
        name: login,
        groups: known.groups,
      }),
    };
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
