"""Verifies and signs licence keys with PyJWT, as an application in Python would.

verify JWKS KEYFILE PRODUCT   prints the claims of a genuine key in force; fails for any other key
sign JWKS KEYFILE             makes a key pair, signs the claims on standard input, writes jwks.json and key
"""

import base64
import hashlib
import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def verify(jwks, keyfile, product):
    with open(jwks) as file:
        keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(json.load(file)).keys}
    with open(keyfile) as file:
        token = file.read().strip()
    header = jwt.get_unverified_header(token)
    if header["typ"] != "license+jwt":
        raise SystemExit("typ is " + header["typ"])
    claims = jwt.decode(token, keys[header["kid"]].key, algorithms=["EdDSA"], audience=product)
    print(json.dumps(claims))


def sign(jwks, keyfile):
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": base64url(raw)}
    kid = base64url(hashlib.sha256(json.dumps(jwk, separators=(",", ":")).encode()).digest())
    with open(jwks, "w") as file:
        json.dump({"keys": [{**jwk, "kid": kid}]}, file)
    headers = {"typ": "license+jwt", "kid": kid}
    with open(keyfile, "w") as file:
        file.write(jwt.encode(json.load(sys.stdin), key, algorithm="EdDSA", headers=headers))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


{"verify": verify, "sign": sign}[sys.argv[1]](*sys.argv[2:])
