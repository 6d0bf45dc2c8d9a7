
# 401: JSON of the application, with the id of the request
curl -i BASE/reports
# 303: a browser is redirected to the login
curl -i -H "Accept: text/html,*/*;q=0.8" BASE/reports
# 200: which is public
curl -i BASE/login
# 401: a login does not repair an invalid token, so the browser receives the error
curl -i -H "Accept: text/html" -H "Authorization: Bearer unknown-token" BASE/reports
# 403: bob lacks a scope; the challenge names it
curl -i -H "Authorization: Bearer $BOB" BASE/reports
# 200: alice is a member of the project
curl -i -H "Authorization: Bearer $ALICE" BASE/projects/apollo
# 404: bob is not
curl -i -H "Authorization: Bearer $BOB" BASE/projects/apollo
# 404: the same response for a project that does not exist
curl -i -H "Authorization: Bearer $BOB" BASE/projects/zeus
# 404: and for any other page that does not exist
curl -i -H "Authorization: Bearer $BOB" BASE/nothing
