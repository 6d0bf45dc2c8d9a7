curl -i BASE/health   # 200, no token needed
curl -i BASE/me   # 401, a token is needed
curl -i BASE/me -H "Authorization: Bearer $ALICE"   # 200
curl -i BASE/me -H "Authorization: Bearer nonsense"   # 401 invalid_token
curl -i BASE/orders/7 -H "Authorization: Bearer $BOB"   # 200
curl -i -X POST BASE/orders -H "Authorization: Bearer $BOB"   # 403 insufficient_scope
curl -i -X POST BASE/orders -H "Authorization: Bearer $ALICE"   # 201
curl -i BASE/admin/users -H "Authorization: Bearer $ALICE"   # 403
curl -i BASE/admin/users -H "Authorization: Bearer $ADMIN"   # 200
curl -i BASE/tenants/acme/reports -H "Authorization: Bearer $ALICE"   # 200
curl -i BASE/tenants/acme/reports -H "Authorization: Bearer $BOB"   # 403
curl -i BASE/users/bob/profile -H "Authorization: Bearer $BOB"   # 200
curl -i BASE/users/bob/profile -H "Authorization: Bearer $ADMIN"   # 200
curl -i -X DELETE BASE/admin/ledger -H "Authorization: Bearer $ADMIN"   # 401, log in with mfa
curl -i --max-time 1 BASE/ws -H "Authorization: Bearer $ALICE" -H "Connection: Upgrade" -H "Upgrade: websocket" -H "Sec-WebSocket-Version: 13" -H "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="   # 101, a WebSocket that echoes
