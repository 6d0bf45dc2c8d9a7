
# 200: public
curl -i BASE/health
# 401: no credential
curl -i BASE/me
# 401: an unknown token, so error="invalid_token"
curl -i -H "Authorization: Bearer unknown-token" BASE/me
# 200: alice
curl -i -H "Authorization: Bearer $ALICE" BASE/me
# 200: bob may read
curl -i -H "Authorization: Bearer $BOB" BASE/notes
# 403: but not write; the challenge names the required scopes
curl -i -H "Authorization: Bearer $BOB" -d "milk" BASE/notes
# 201: alice wrote 4 bytes
curl -i -H "Authorization: Bearer $ALICE" -d "milk" BASE/notes
# 200: the same over HTTP/2
curl -i --http2-prior-knowledge -H "Authorization: Bearer $ALICE" BASE/notes
# 400: an ambiguous path
curl -i --path-as-is -H "Authorization: Bearer $ALICE" BASE/health/../notes
