
# 200: the directory knows the token
curl -i -H "Authorization: Bearer $ALICE" BASE/me
# 401: it does not know this one
curl -i -H "Authorization: Bearer unknown-token" BASE/me
# 200: alice owns task 7
curl -i -H "Authorization: Bearer $ALICE" BASE/tasks/7
# 403: bob does not
curl -i -H "Authorization: Bearer $BOB" BASE/tasks/7
# 403: and nobody owns task 9
curl -i -H "Authorization: Bearer $BOB" BASE/tasks/9

# 200: the directory stops responding
curl -i -X POST http://DIRECTORY/outage
# 503: the same valid token, with Retry-After, half a second later
curl -i -H "Authorization: Bearer $ALICE" BASE/me
# 200: a public path needs no lookup
curl -i BASE/health
# 401: nor does a request without a credential
curl -i BASE/me
# 200: the directory is back
curl -i -X DELETE http://DIRECTORY/outage
# 200: and the token is valid as before
curl -i -H "Authorization: Bearer $ALICE" BASE/me
