curl -i BASE/me   # 401, a token is needed
curl -i BASE/me -H "Authorization: Bearer $ALICE"   # 200
curl -i BASE/orders/7 -H "Authorization: Bearer $ALICE"   # 200
curl -i BASE/orders/7 -H "Authorization: Bearer $BOB"   # 403 insufficient_scope
curl -i BASE/me -H "Authorization: Bearer $CAROL"   # 401, for another audience
curl -i BASE/me -H "Authorization: Bearer nonsense"   # 401, unknown to the authorization server
curl -i -d token=$ALICE SERVER/revoke   # 200, revoked
curl -i BASE/me -H "Authorization: Bearer $ALICE"   # 401, revoked

