
# 200: alice has the scope
curl -i -H "Authorization: Bearer $ALICE" BASE/reports
# 403: bob does not
curl -i -H "Authorization: Bearer $BOB" BASE/reports
# 401: a method that a client invented
curl -i -X MADEUP BASE/reports
# 200: the counters, with the invented method as "other"
curl -i BASE/metrics
