// Verifies and signs licence keys with jose, as an application in JavaScript would.
//
// verify JWKS KEYFILE PRODUCT   prints the claims of a genuine key in force; fails for any other key
// sign JWKS KEYFILE             makes a key pair, signs the claims on standard input, writes jwks.json and key
const fs = require('node:fs');
const jose = require('jose');

async function verify(jwks, keyfile, product) {
  const keys = jose.createLocalJWKSet(JSON.parse(fs.readFileSync(jwks, 'utf8')));
  const token = fs.readFileSync(keyfile, 'utf8').trim();
  const options = { audience: product, typ: 'license+jwt', algorithms: ['EdDSA'] };
  const { payload } = await jose.jwtVerify(token, keys, options);
  console.log(JSON.stringify(payload));
}

async function sign(jwks, keyfile) {
  const { publicKey, privateKey } = await jose.generateKeyPair('EdDSA', { crv: 'Ed25519' });
  const jwk = await jose.exportJWK(publicKey);
  const kid = await jose.calculateJwkThumbprint(jwk);
  fs.writeFileSync(jwks, JSON.stringify({ keys: [{ ...jwk, kid }] }));
  const claims = JSON.parse(fs.readFileSync(0, 'utf8'));
  const header = { alg: 'EdDSA', typ: 'license+jwt', kid };
  fs.writeFileSync(keyfile, await new jose.SignJWT(claims).setProtectedHeader(header).sign(privateKey));
}

({ verify, sign })[process.argv[2]](...process.argv.slice(3)).catch((error) => {
  console.error(String(error));
  process.exit(1);
});
