// A certified OpenID provider (panva's oidc-provider) on the loopback: configuration and no more.
//
// One line of JSON on standard input says with what to start: certificate, clients, accounts. Each
// line after it replaces the accounts. The provider ends when standard input does, so that it never
// outlives the tests. One line on standard output says where it listens.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

// Standard output carries the conversation with the tests; what the provider remarks goes elsewhere.
console.info = console.error;
console.log = console.error;

function key(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg };
}

async function start({ certificate, privateKey, clients, accounts }) {
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(privateKey) });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `https://localhost:${server.address().port}`;
  const known = { accounts };
  const provider = new Provider(issuer, {
    clients,
    jwks: {
      keys: [
        key('RS256', 'rsa', { modulusLength: 2048 }),
        key('PS256', 'rsa', { modulusLength: 2048 }),
        key('ES256', 'ec', { namedCurve: 'P-256' }),
        key('EdDSA', 'ed25519', {}),
      ],
    },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'] },
    // The control plane reads the ID token alone: what a scope asks for must stand there.
    conformIdTokenClaims: false,
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'profile', 'email', 'groups'],
    pkce: { required: () => true },
    cookies: { keys: ['only for tests'] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, ...known.accounts[accountId] }),
    }),
  });
  // Each organization has an address of its own, and the tests make them while the provider runs: the
  // address that a client is configured with holds the place of one.
  provider.Client.prototype.redirectUriAllowed = function allowed(uri) {
    return this.redirectUris.some((one) => {
      const [before, after] = one.split('ORGANIZATION');
      return uri.startsWith(before) && uri.endsWith(after);
    });
  };
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
  return known;
}

let known;
for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  if (known) {
    known.accounts = said.accounts;
    process.stdout.write('{}\n');
  } else {
    known = await start(said);
  }
}
process.exit(0);
