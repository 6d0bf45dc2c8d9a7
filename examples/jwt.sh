curl -i BASE/health   # 200, no token needed
curl -i BASE/me   # 401, a token is needed
curl -i BASE/me -H "Authorization: Bearer $ALICE"   # 200
curl -i BASE/orders/7 -H "Authorization: Bearer $ALICE"   # 200
curl -i BASE/orders/7 -H "Authorization: Bearer $BOB"   # 403 insufficient_scope
curl -i BASE/admin/users -H "Authorization: Bearer $BOB"   # 403
curl -i BASE/admin/users -H "Authorization: Bearer $ADMIN"   # 200
curl -i BASE/me -H "Authorization: Bearer $FORGED"   # 401, signed with another key
curl -i BASE/me -H "Authorization: Bearer $EXPIRED"   # 401, expired
curl -i BASE/me -H "Authorization: Bearer $ELSEWHERE"   # 401, for another audience
curl -i BASE/me -H "Authorization: Bearer $FOREIGN"   # 401, from another issuer
curl -i BASE/me -H "Authorization: Bearer $BOUND"   # 401, bound to a sender and sent as a plain bearer token
curl -i BASE/me -H "Authorization: Bearer $PROOF"   # 401, not an access token
curl -i BASE/me -H "Authorization: Bearer $UNSIGNED"   # 401, not signed
curl -i -X POST BASE/logout -H "Authorization: Bearer $BOB"   # 204
curl -i BASE/me -H "Authorization: Bearer $BOB"   # 401, revoked
curl -i BASE/me -H "Authorization: Bearer $ALICE"   # 200, a different token
