curl -i BASE/me   # 401, a token is needed
curl -i BASE/me -H "Authorization: Bearer $(curl -s -d orders:write ISSUER/token)"   # 200
curl -i BASE/orders/7 -H "Authorization: Bearer $(curl -s -d orders:read ISSUER/token)"   # 200
curl -i BASE/orders/7 -H "Authorization: Bearer $(curl -s -d orders:write ISSUER/token)"   # 403 insufficient_scope
curl -i BASE/me -H "Authorization: Bearer e30.e30.e30"   # 401 invalid_token

