// An OpenID provider for tests/provider.rs: oidc-provider on a free port of 127.0.0.1, under a path.
//
// Prints one line of JSON when it listens, `{"issuer": ".."}`, and one as the answer to each line of
// JSON on stdin, `{"command": ".."}`; see `commands` below. Ends when stdin ends. The first argument is
// the port, by default a free one.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

// oidc-provider asks for Node.js 22 and says so on stderr; this is all that it lacks on 20.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
const { warn } = console;
console.warn = () => {};
const { default: Provider, errors } = await import('oidc-provider');
console.warn = warn;
console.info = warn; // stdout is for JSON

const PATH = '/realms/shop';
const LIFETIME = 12 * 60 * 60;
const USER_GRANT = 'urn:tower-bearer:user';

const clients = [
  { client_id: 'shop', client_secret: 'secret-of-shop', grant_types: ['client_credentials', USER_GRANT] },
  // These two may introspect. What is in their names and secrets has to be escaped on the way
  // (RFC 6749 section 2.3.1).
  {
    client_id: 'api one', client_secret: 's+c%72:e t/&=?~"\\', grant_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
  },
  {
    client_id: 'api&two', client_secret: 's+c%72:e t/&=?~"\\', grant_types: [],
    token_endpoint_auth_method: 'client_secret_post',
  },
].map((client) => ({ redirect_uris: [], response_types: [], ...client }));

// Keys: one of each kind per generation. All generations are published, one of them signs.

const kinds = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519'],
};

function generation(number) {
  return Object.entries(kinds).map(([alg, kind]) => ({
    ...generateKeyPairSync(...kind).privateKey.export({ format: 'jwk' }),
    kid: `${alg}-${number}`,
    use: 'sig',
  }));
}

let generations = [{ number: 1, keys: generation(1) }];
let signing = 1;

// Resources: <name of an algorithm> gets JWTs, `opaque` and `other-opaque` do not.

function resourceServer(resource) {
  const name = /^https:\/\/([A-Za-z0-9-]+)\.example$/.exec(resource)?.[1];
  const common = { scope: 'orders:read orders:write', accessTokenTTL: LIFETIME, audience: resource };
  if (name === 'opaque' || name === 'other-opaque') {
    return { ...common, accessTokenFormat: 'opaque' };
  }
  const alg = Object.keys(kinds).find((alg) => alg.toLowerCase() === name);
  if (!alg) {
    throw new errors.InvalidTarget();
  }
  return {
    ...common, accessTokenFormat: 'jwt', jwt: { sign: { alg, kid: `${alg}-${signing}` } },
  };
}

// What was issued. Shared by all providers, of which there is a new one when the keys change:
// oidc-provider reads them once.

const stored = new Map();

class Memory {
  constructor(model) {
    this.key = (id) => `${model}:${id}`;
  }

  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }

  async find(id) {
    return stored.get(this.key(id));
  }

  async findByUid() {}

  async findByUserCode() {}

  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.key(id));
  }

  async revokeByGrantId() {}
}

function newProvider(issuer) {
  const provider = new Provider(issuer, {
    adapter: Memory,
    clients,
    jwks: { keys: generations.flatMap(({ keys }) => keys) },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: {
        enabled: true,
        allowedPolicy: (_, client) => client.clientId.startsWith('api'),
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => resourceServer(resource),
      },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => client.clientId === token.clientId },
    },
    ttl: { AccessToken: LIFETIME, ClientCredentials: LIFETIME },
  });
  // A token for a user, as after a login.
  provider.registerGrantType(USER_GRANT, async (ctx) => {
    const { client, params } = ctx.oidc;
    const token = new provider.AccessToken({
      accountId: params.username,
      client,
      scope: params.scope,
      resourceServer: new provider.ResourceServer(params.resource, resourceServer(params.resource)),
    });
    ctx.body = { access_token: await token.save(), expires_in: LIFETIME, token_type: token.tokenType };
  }, ['username', 'scope', 'resource']);
  provider.on('server_error', (_, error) => warn(error));
  return provider.callback();
}

let handle;
let requests = {};

const server = createServer((req, res) => {
  if (!req.url.startsWith(PATH)) {
    res.writeHead(404).end();
    return;
  }
  req.originalUrl = req.url;
  req.url = req.url.slice(PATH.length);
  const { pathname } = new URL(req.url, 'http://localhost');
  requests[pathname] = (requests[pathname] ?? 0) + 1;
  handle(req, res);
});

await new Promise((resolve) => { server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', resolve); });
const issuer = `http://127.0.0.1:${server.address().port}${PATH}`;
handle = newProvider(issuer);

const commands = {
  /** A new key of each kind next to the old ones. They do not sign yet. */
  publish() {
    const number = generations.at(-1).number + 1;
    generations.push({ number, keys: generation(number) });
    handle = newProvider(issuer);
    return {};
  },
  /** The newest keys sign. */
  sign() {
    signing = generations.at(-1).number;
    return {};
  },
  /** All keys but the newest are taken away. */
  remove() {
    generations = generations.slice(-1);
    handle = newProvider(issuer);
    return {};
  },
  /** How many requests came, by path; counted anew from here on. */
  requests() {
    const answer = requests;
    requests = {};
    return answer;
  },
};

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
print({ issuer });
for await (const line of createInterface({ input: process.stdin })) {
  print(commands[JSON.parse(line).command]());
}
process.exit();
