"""Tokens made by PyJWT. Input and output are those of tokens.mjs."""

import json
import sys
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

FILES = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], "rsa"),
    "ES256": "p256",
    "ES384": "p384",
    "ES512": "p521",
    "EdDSA": "ed25519",
}

given = json.load(sys.stdin)
claims = given["claims"]


def pair(alg):
    if alg.startswith("HS"):
        return bytes.fromhex(given["secret"]), None
    pem = (Path(given["keys"]) / f"{FILES[alg]}.pem").read_bytes()
    private = load_pem_private_key(pem, password=None)
    return private, private.public_key()


def line(alg):
    private, public = pair(alg)
    kid = f"pyjwt-{alg}"
    jwk = pem = None
    if public:
        algorithm = jwt.get_algorithm_by_name(alg)
        jwk = {**algorithm.to_jwk(public, as_dict=True), "alg": alg, "kid": kid}
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    headers = {"kid": kid, "typ": "at+jwt"}
    return {
        "alg": alg,
        "kid": kid,
        "token": jwt.encode(claims, private, algorithm=alg, headers=headers),
        "plain": jwt.encode(claims, private, algorithm=alg),
        "jwk": jwk,
        "pem": pem,
    }


for name in ["HS256", "HS384", "HS512", *FILES]:
    print(json.dumps(line(name)))
