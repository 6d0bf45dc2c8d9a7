// Tokens made by jose. Stdin: one object of JSON with `keys` (a folder), `secret` (hexadecimal) and
// `claims`. Stdout: lines of JSON.
//
// For each algorithm: `token` has `kid` and `typ` in its header, `plain` is what the library makes of
// itself, and `jwk` and `pem` are the public key as the library writes it. Lines with `refused` are
// tokens that no API must accept, and why.

import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

import {
  CompactEncrypt, EncryptJWT, SignJWT, UnsecuredJWT, exportJWK, exportSPKI, importPKCS8, importSPKI,
} from 'jose';

const { keys, secret, claims } = JSON.parse(await text(process.stdin));
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const read = (name) => readFileSync(`${keys}/${name}.pem`, 'utf8');

const files = {
  RS256: 'rsa', RS384: 'rsa', RS512: 'rsa', PS256: 'rsa', PS384: 'rsa', PS512: 'rsa',
  ES256: 'p256', ES384: 'p384', ES512: 'p521', EdDSA: 'ed25519', Ed25519: 'ed25519',
};

async function pair(alg) {
  if (alg.startsWith('HS')) {
    return { privateKey: createSecretKey(secret, 'hex') };
  }
  return {
    privateKey: await importPKCS8(read(files[alg]), alg),
    publicKey: await importSPKI(read(`${files[alg]}.pub`), alg, { extractable: true }),
  };
}

for (const alg of ['HS256', 'HS384', 'HS512', ...Object.keys(files)]) {
  const { privateKey, publicKey } = await pair(alg);
  const kid = `jose-${alg}`;
  const sign = (header) => new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
  print({
    alg,
    kid,
    token: await sign({ alg, kid, typ: 'at+jwt' }),
    plain: await sign({ alg }),
    jwk: publicKey && { ...await exportJWK(publicKey), alg, kid },
    pem: publicKey && await exportSPKI(publicKey),
  });
}

const { privateKey, publicKey } = await pair('RS256');
const encryption = await importSPKI(read('rsa.pub'), 'RSA-OAEP-256');
const header = { alg: 'RS256', kid: 'jose-RS256' };
const other = await importPKCS8(read('rsa-other'), 'RS256', { extractable: true });
const { n, e, kty } = await exportJWK(other);
const signed = await new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
const refuse = (refused, token) => print({ refused, token });

refuse('unsecured', new UnsecuredJWT(claims).encode());
refuse('of another key', await new SignJWT(claims).setProtectedHeader(header).sign(other));
refuse('of the key in its header', await new SignJWT(claims)
  .setProtectedHeader({ ...header, jwk: { kty, n, e } }).sign(other));
refuse('with a critical extension', await new SignJWT(claims)
  .setProtectedHeader({ ...header, crit: ['urn:example:ext'], 'urn:example:ext': true })
  .sign(privateKey, { crit: { 'urn:example:ext': true } }));
refuse('signed with the public key as a secret', await new SignJWT(claims)
  .setProtectedHeader({ ...header, alg: 'HS256' }).sign(Buffer.from(await exportSPKI(publicKey))));
refuse('encrypted', await new EncryptJWT(claims)
  .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }).encrypt(encryption));
refuse('signed and then encrypted', await new CompactEncrypt(Buffer.from(signed))
  .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT' }).encrypt(encryption));
refuse('a token in a token', await new SignJWT(claims)
  .setProtectedHeader({ ...header, cty: 'JWT' }).sign(privateKey));
