#!/bin/sh
# The life of a token, by curl: login, refresh, reuse, logout. It needs what the example prints at its start:
# URL, ALICE_PASSWORD and ADMIN_PASSWORD.
set -eu
: "${URL:?}" "${ALICE_PASSWORD:?}" "${ADMIN_PASSWORD:?}"

say() { printf '%-62s ' "$1"; }
# status [curl arguments]: what the service answers, as a number.
status() { curl --silent --output /dev/null --write-out '%{http_code}\n' "$@"; }
# field NAME: its value in the JSON on standard input.
field() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/" && echo; }
# form PATH name=value..: the answer to a form.
form() {
  path=$1 && shift
  for pair; do set -- "$@" --data-urlencode "$pair" && shift; done
  curl --silent "$URL$path" "$@"
}
log_in() { form /auth/token grant_type=password client_id=cli "username=$1" "password=$2"; }
me() { status "$URL/me" --header "Authorization: Bearer $1"; }

tokens=$(log_in alice "$ALICE_PASSWORD")
access=$(echo "$tokens" | field access_token)
refresh=$(echo "$tokens" | field refresh_token)
say "login gives tokens, and /me knows who it is:";      me "$access"
say "nobody else gets in:";                              status "$URL/me"

newer=$(form /auth/refresh client_id=cli "refresh_token=$refresh")
newer_access=$(echo "$newer" | field access_token)
newer_refresh=$(echo "$newer" | field refresh_token)
say "a refresh token gives new ones:";                   me "$newer_access"
say "a used one gives none:";                            form /auth/refresh client_id=cli "refresh_token=$refresh" | field error
say "and has ended its session, access token included:"; me "$newer_access"
say "the newest refresh token too:";                     form /auth/refresh client_id=cli "refresh_token=$newer_refresh" | field error

tokens=$(log_in alice "$ALICE_PASSWORD")
access=$(echo "$tokens" | field access_token)
say "logged in again, with one's own tasks:";            status "$URL/tasks" --header "Authorization: Bearer $access"
say "logout:";                                           status -X POST "$URL/auth/logout" --header "Authorization: Bearer $access"
say "works at the next request:";                        me "$access"

tokens=$(log_in alice "$ALICE_PASSWORD")
access=$(echo "$tokens" | field access_token)
refresh=$(echo "$tokens" | field refresh_token)
say "a client gives its token back (RFC 7009):";         status "$URL/auth/revoke" --data client_id=cli --data "token=$refresh"
say "which is the end of it:";                           me "$access"

tokens=$(log_in alice "$ALICE_PASSWORD")
access=$(echo "$tokens" | field access_token)
admin=$(log_in admin "$ADMIN_PASSWORD" | field access_token)
say "alice is no admin:";                                status -X POST "$URL/admin/users/admin/logout" --header "Authorization: Bearer $access"
say "an admin logs her out:";                            status -X POST "$URL/admin/users/alice/logout" --header "Authorization: Bearer $admin"
say "everywhere:";                                       me "$access"

say "a wrong password:";                                 log_in alice wrong | field error
say "a user that there is not:";                         log_in nobody wrong | field error
say "the keys for others to verify with:";               curl --silent "$URL/.well-known/jwks.json" | field alg
