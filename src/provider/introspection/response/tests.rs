use std::time::SystemTime;

use http::HeaderValue;

use super::*;

const JSON: &str = "application/json";

fn checks() -> Checks {
    Checks {
        issuer: Some("https://issuer.example/".into()),
        audiences: vec!["https://api.example".into()],
        expiry_required: false,
        ..Checks::default()
    }
}

pub(in super::super) fn any_token() -> AccessToken {
    AccessToken::from_checked(RawClaims::default(), &checks().layout).unwrap()
}

fn response(status: u16, content_type: &[&'static str], body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for line in content_type {
        let headers = response.headers_mut();
        headers.append(CONTENT_TYPE, HeaderValue::from_static(line));
    }
    response
}

/// The verdict in a word or two.
fn verdict(response: &Response<Bytes>, checks: &Checks) -> String {
    match read(response, checks) {
        Ok(Answer::Active(_)) => "active".to_owned(),
        Ok(Answer::Inactive) => "inactive".to_owned(),
        Ok(Answer::Unsupported) => "unsupported".to_owned(),
        Ok(Answer::Refused(error)) => error.to_string(),
        Err(Trouble::Content(problem)) => format!("trouble: {problem}"),
        Err(Trouble::Credentials { .. }) => "credentials".to_owned(),
        Err(Trouble::Status { status, .. }) => format!("status {status}"),
    }
}

#[test]
fn only_status_200_is_a_response() {
    // (E13: rejected client credentials, D09: `active`)
    let active = r#"{"active":true,"aud":"https://api.example"}"#;
    for (status, body, expected) in [
        (200, active, "active"),
        (201, active, "status 201"),
        (203, active, "status 203"),
        (204, "", "status 204"),
        (206, active, "status 206"),
        (301, active, "status 301"),
        (304, active, "status 304"),
        (307, active, "status 307"),
        (400, active, "status 400"),
        (400, "", "status 400"),
        (400, r#"{"error":"invalid_request"}"#, "status 400"),
        (400, r#"{"error":"invalid_client"}"#, "credentials"),
        (400, r#"{"error":"unauthorized_client"}"#, "credentials"),
        (400, r#"{"error":["invalid_client"]}"#, "status 400"),
        (400, r#"{"error":"unsupported_token_type"}"#, "unsupported"),
        (500, r#"{"error":"unsupported_token_type"}"#, "status 500"),
        (401, active, "credentials"),
        (401, r#"{"error":"invalid_token"}"#, "credentials"),
        (401, r#"{"active":false}"#, "credentials"),
        (403, active, "credentials"),
        (404, r#"{"active":false}"#, "status 404"),
        (410, "", "status 410"),
        (429, r#"{"active":false}"#, "status 429"),
        (500, r#"{"active":false}"#, "status 500"),
        (502, "", "status 502"),
        (503, active, "status 503"),
    ] {
        let response = response(status, &[JSON], body);
        assert_eq!(verdict(&response, &checks()), expected, "{status} {body}");
    }
}

#[test]
fn only_json_is_a_response() {
    // (D09: `active`)
    for (lines, read) in [
        (&["application/json"][..], true),
        (&["Application/JSON"], true),
        (&["application/json;charset=UTF-8"], true),
        (&["application/json ; charset=utf-8"], true),
        (&[], false),
        (&[""], false),
        (&["text/html"], false),
        (&["text/plain; application/json"], false),
        (&["application/jsonp"], false),
        (&["application/json, text/html"], false),
        (&["application/json", "application/json"], false),
        (&["application/problem+json"], false),
        (&["application/jwt"], false),
        (&["application/token-introspection+jwt"], false),
    ] {
        for (body, expected) in [
            (r#"{"active":false}"#, "inactive"),
            (r#"{"active":true,"aud":"https://api.example"}"#, "active"),
        ] {
            let found = verdict(&response(200, lines, body), &checks());
            match read {
                true => assert_eq!(found, expected, "{lines:?}"),
                false => assert!(found.starts_with("trouble"), "{lines:?}: {found}"),
            }
        }
    }
    let signed = response(200, &["application/token-introspection+jwt"], "");
    assert!(verdict(&signed, &checks()).contains("RFC 9701"));
}

#[test]
fn active_must_be_the_boolean_true() {
    // (D01: wrong types, D06: duplicate members, D09: `active`, D15: depth limits)
    let deep = format!(
        r#"{{"active":true,"a":{}1{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    for (body, expected) in [
        // The token is bad, whatever else is said.
        (r#"{"active":false}"#, Some("inactive")),
        (r#" {"active" : false} "#, Some("inactive")),
        (r#"{"active":false,"exp":null,"aud":{}}"#, Some("inactive")),
        (
            r#"{"active":false,"aud":"https://api.example"}"#,
            Some("inactive"),
        ),
        // Nothing can be told.
        ("", None),
        (" ", None),
        ("null", None),
        ("true", None),
        ("[]", None),
        ("{}", None),
        (r#"[{"active":true}]"#, None),
        (r#"{"active":"true","aud":"https://api.example"}"#, None),
        (r#"{"active":"false"}"#, None),
        (r#"{"active":1,"aud":"https://api.example"}"#, None),
        (r#"{"active":0}"#, None),
        (r#"{"active":null}"#, None),
        (r#"{"active":[true]}"#, None),
        (r#"{"active":{}}"#, None),
        (r#"{"Active":true,"aud":"https://api.example"}"#, None),
        (
            r#"{"data":{"active":true},"aud":"https://api.example"}"#,
            None,
        ),
        (r#"{"aud":"https://api.example","sub":"a"}"#, None),
        (
            r#"{"active":true,"active":true,"aud":"https://api.example"}"#,
            None,
        ),
        (
            r#"{"active":false,"active":true,"aud":"https://api.example"}"#,
            None,
        ),
        (
            r#"{"active":true,"\u0061ctive":false,"aud":"https://api.example"}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","aud":"b"}"#,
            None,
        ),
        (r#"{"active":true,"aud":"https://api.example"}x"#, None),
        (r#"{"active":true,"aud":"https://api.example""#, None),
        (
            "\u{feff}{\"active\":true,\"aud\":\"https://api.example\"}",
            None,
        ),
        ("<html>{\"active\":true}</html>", None),
        ("eyJhbGciOiJSUzI1NiJ9.eyJhY3RpdmUiOnRydWV9.c2ln", None),
        (&deep, None),
        // A registered member of the wrong type is not an absent one.
        (r#"{"active":true,"aud":{}}"#, None),
        (
            r#"{"active":true,"aud":"https://api.example","exp":"1800000000"}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","exp":-1}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","exp":1e400}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","nbf":[]}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","iss":["https://issuer.example/"]}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","sub":1}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","scope":1}"#,
            None,
        ),
        (
            r#"{"active":true,"aud":"https://api.example","token_type":1}"#,
            None,
        ),
        (r#"{"active":null,"aud":"https://api.example"}"#, None),
        // What many servers write for "nothing".
        (
            r#"{"active":true,"aud":"https://api.example","token_type":null,"sub":null,"exp":null,"nbf":null,"iss":null,"scope":null,"client_id":null,"groups":null}"#,
            Some("active"),
        ),
        (
            r#"{"active":true,"aud":"https://api.example","cnf":null}"#,
            Some("bound to a sender (`cnf`), so not usable as a plain bearer token"),
        ),
        (
            r#"{"active":true,"aud":null}"#,
            Some("claim `aud` is missing"),
        ),
    ] {
        let found = verdict(&response(200, &[JSON], body), &checks());
        match expected {
            Some(expected) => assert_eq!(found, expected, "{body}"),
            None => assert!(found.starts_with("trouble"), "{body}: {found}"),
        }
    }
    let found = verdict(
        &response(200, &[JSON], r#"{"active":true,"exp":"1"}"#),
        &checks(),
    );
    assert_eq!(
        found,
        "trouble: claim `exp` has the wrong type or an impossible value"
    );
    assert!(document(b"{\"active\":true,\"sub\":\"\xff\"}", &checks()).is_err());
}

#[test]
fn active_token_must_match_audience_issuer_and_type() {
    // (E12: checks of the response, D02: exact issuer, D04: required audience, D07: access tokens only,
    // D08: absent claims, H02: unreadable `cnf`)
    const OURS: &str = r#""aud":"https://api.example""#;
    let other_kind = |name| format!("not an access token: `{name}` names another kind of token");
    let bound = "bound to a sender";
    for (members, expected) in [
        (OURS.to_owned(), "active".to_owned()),
        (
            r#""aud":["b","https://api.example"]"#.into(),
            "active".into(),
        ),
        (
            r#""aud":"https://api.example/""#.into(),
            "`aud` does not name".into(),
        ),
        (r#""aud":[]"#.into(), "`aud` does not name".into()),
        (r#""sub":"a""#.into(), "claim `aud` is missing".into()),
        (
            r#""client_id":"https://api.example""#.into(),
            "claim `aud` is missing".into(),
        ),
        (
            format!(r#"{OURS},"iss":"https://issuer.example/""#),
            "active".into(),
        ),
        (
            format!(r#"{OURS},"iss":"https://issuer.example""#),
            "`iss` is not".into(),
        ),
        (format!(r#"{OURS},"iss":"""#), "`iss` is not".into()),
        (format!(r#"{OURS},"sub":"""#), "claim `sub`".into()),
        (format!(r#"{OURS},"cnf":{{"jkt":"x"}}"#), bound.into()),
        (format!(r#"{OURS},"cnf":{{}}"#), bound.into()),
        (format!(r#"{OURS},"cnf":null"#), bound.into()),
        (format!(r#"{OURS},"token_type":"Bearer""#), "active".into()),
        (format!(r#"{OURS},"token_type":"bearer""#), "active".into()),
        (
            format!(r#"{OURS},"token_type":"access_token""#),
            "active".into(),
        ),
        (format!(r#"{OURS},"token_type":"DPoP""#), bound.into()),
        (format!(r#"{OURS},"token_type":"dpop""#), bound.into()),
        (
            format!(r#"{OURS},"token_type":"mtls""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_type":"N_A""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_type":"""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_type":"Bearer ""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_type":"refresh_token""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_type":"Refresh""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_type":"id_token""#),
            other_kind("token_type"),
        ),
        (
            format!(r#"{OURS},"token_use":"access_token""#),
            "active".into(),
        ),
        (format!(r#"{OURS},"token_use":"access""#), "active".into()),
        (
            format!(r#"{OURS},"token_use":"refresh_token""#),
            other_kind("token_use"),
        ),
        (
            format!(r#"{OURS},"token_type":"Bearer","token_use":"refresh_token""#),
            other_kind("token_use"),
        ),
        (
            format!(r#"{OURS},"token_use":"id""#),
            other_kind("token_use"),
        ),
        (
            format!(r#"{OURS},"typ":"Bearer","nonce":"n""#),
            "active".into(),
        ),
        (
            format!(r#"{OURS},"typ":"Refresh""#),
            "not an access token".into(),
        ),
        (
            format!(r#"{OURS},"typ":"refresh_token""#),
            "not an access token".into(),
        ),
        (
            format!(r#"{OURS},"typ":"Offline""#),
            "not an access token".into(),
        ),
        (
            format!(r#"{OURS},"typ":"ID""#),
            "not an access token".into(),
        ),
        (
            format!(r#"{OURS},"nonce":"n""#),
            "not an access token".into(),
        ),
        (
            format!(r#"{OURS},"at_hash":"h""#),
            "not an access token".into(),
        ),
        (
            format!(r#"{OURS},"events":{{}}"#),
            "not an access token".into(),
        ),
        (format!(r#"{OURS},"roles":7"#), "claim `roles`".into()),
        (
            format!(r#"{OURS},"username":null,"ext":{{"a":[1]}}"#),
            "active".into(),
        ),
        // Time is looked at with each request.
        (format!(r#"{OURS},"exp":0"#), "active".into()),
    ] {
        let body = format!(r#"{{"active":true,{members}}}"#);
        let found = verdict(&response(200, &[JSON], &body), &checks());
        assert!(found.starts_with(&expected), "{body}: {found}");
    }
}

#[test]
fn unknown_members_are_ignored_and_null_means_absent() {
    // (M12: unused claims, M13: `null` is absence)
    let answer = |members: &str, change: fn(&mut Checks)| {
        let mut checks = checks();
        change(&mut checks);
        let body = format!(r#"{{"active":true,"aud":"https://api.example",{members}}}"#);
        read(&response(200, &[JSON], &body), &checks)
    };
    for shape in [
        "1",
        "true",
        "{}",
        "[1]",
        r#"[{"method":"password"}]"#,
        "null",
    ] {
        for name in [
            "jti",
            "client_id",
            "acr",
            "amr",
            "azp",
            "username",
            "groups",
            "entitlements",
            "sid",
        ] {
            let found = answer(&format!(r#""{name}":{shape}"#), |_| {});
            let Ok(Answer::Active(token)) = found else {
                panic!("{name} {shape}: {found:?}");
            };
            assert!(
                token.token_id().is_none() && token.client_id().is_none() && token.acr().is_none()
            );
            assert_eq!(token.amr().count() + token.groups().count(), 0);
            assert_eq!(
                token.claim(name).is_none(),
                shape == "null",
                "{name} {shape}"
            );
        }
    }
    let Ok(Answer::Active(token)) = answer(r#""auth_time":"1700000002""#, |_| {}) else {
        panic!("the token is active");
    };
    assert_eq!(token.auth_time(), None);
    // What decides is read as strictly as before.
    for member in [
        r#""exp":"1""#,
        r#""nbf":[]"#,
        r#""iat":{}"#,
        r#""sub":1"#,
        r#""iss":1"#,
        r#""scope":1"#,
    ] {
        let found = answer(member, |_| {});
        assert!(
            matches!(found, Err(Trouble::Content(_))),
            "{member}: {found:?}"
        );
    }
    let found = |members: &str, change: fn(&mut Checks)| match answer(members, change) {
        Ok(Answer::Refused(error)) => error.to_string(),
        other => format!("{other:?}"),
    };
    assert!(found(r#""roles":{}"#, |_| {}).contains("claim `roles`"));
    let tenant =
        |checks: &mut Checks| checks.layout = crate::jwt::ClaimsLayout::new().with_tenant_at("org");
    assert!(found(r#""org":7"#, tenant).contains("claim `org`"));
    let require = |checks: &mut Checks| checks.required = vec!["client_id".into()];
    assert!(found(r#""client_id":7"#, require).contains("claim `client_id` has the wrong type"));
    assert!(found(r#""client_id":null"#, require).contains("claim `client_id` is missing"));
    assert!(found(r#""cnf":null"#, |_| {}).contains("bound to a sender"));
    for nothing in [
        "nonce",
        "at_hash",
        "token_type",
        "token_use",
        "typ",
        "events",
        "htm",
        "iss",
        "exp",
    ] {
        let found = answer(&format!(r#""{nothing}":null"#), |_| {});
        assert!(
            matches!(found, Ok(Answer::Active(_))),
            "{nothing}: {found:?}"
        );
    }
    // D06: `null` or not.
    for twice in [
        r#""sub":null,"sub":"a""#,
        r#""x":1,"x":null"#,
        r#""acr":{},"acr":"a""#,
    ] {
        let found = answer(twice, |_| {});
        assert!(
            matches!(found, Err(Trouble::Content(_))),
            "{twice}: {found:?}"
        );
    }
    // M14: authentik copies `nonce` into its answers, without `azp` and `uid`.
    let authentik = r#""nonce":"n","acr":"a","scope":"openid","client_id":"shop""#;
    assert!(found(authentik, |_| {}).contains("with_access_token_values"));
    let layout = |checks: &mut Checks| {
        checks.layout =
            crate::jwt::ClaimsLayout::authentik().with_access_token_claims(["client_id"]);
    };
    assert!(matches!(answer(authentik, layout), Ok(Answer::Active(_))));
}

#[test]
fn settings_change_the_accepted_responses() {
    // (E12: checks of the response)
    let found = |members: &str, change: fn(&mut Checks)| {
        let mut checks = checks();
        change(&mut checks);
        let body = format!(r#"{{"active":true,"aud":"https://api.example",{members}}}"#);
        verdict(&response(200, &[JSON], &body), &checks)
    };
    let ignore = |checks: &mut Checks| checks.ignore_confirmation = true;
    assert_eq!(found(r#""cnf":{}"#, ignore), "active");
    assert_eq!(found(r#""token_type":"DPoP""#, ignore), "active");
    assert_eq!(found(r#""token_type":"DPoP","cnf":{}"#, ignore), "active");
    assert!(found(r#""token_type":"mtls""#, ignore).contains("another kind"));
    let accept = |checks: &mut Checks| checks.accept_id_tokens = true;
    assert_eq!(found(r#""nonce":"n","at_hash":"h""#, accept), "active");
    for refresh in [r#""typ":"Refresh""#, r#""token_use":"refresh_token""#] {
        let found = found(refresh, accept);
        assert!(found.starts_with("not an access token"), "{found}");
    }
    let require = |checks: &mut Checks| {
        checks.required = vec!["iss".into(), "username".into(), "scope".into()];
    };
    let full = r#""iss":"https://issuer.example/","username":"a","scope":"b""#;
    assert_eq!(found(full, require), "active");
    for (members, missing) in [
        (r#""username":"a","scope":"b""#, "iss"),
        (
            r#""iss":"https://issuer.example/","username":null,"scope":"b""#,
            "username",
        ),
        (
            r#""iss":"https://issuer.example/","username":"","scope":"b""#,
            "username",
        ),
        (r#""iss":"https://issuer.example/","username":"a""#, "scope"),
    ] {
        assert_eq!(
            found(members, require),
            format!("claim `{missing}` is missing")
        );
    }
    let subject = |checks: &mut Checks| checks.subject = Some("a".into());
    assert_eq!(found(r#""sub":"a""#, subject), "active");
    assert!(found(r#""sub":"b""#, subject).starts_with("`sub` is not"));
    assert!(found(r#""username":"a""#, subject).starts_with("`sub` is not"));
    let any = |checks: &mut Checks| {
        checks.issuer = None;
        checks.audiences.clear();
    };
    assert_eq!(found(r#""iss":"https://other.example/""#, any), "active");
}

#[test]
fn principal_has_the_claims_of_the_response() {
    // (D10: whole scopes, D11: `scope` and `scp`)
    let body = r#"{
        "active": true, "aud": ["https://api.example", "b"], "iss": "https://issuer.example/",
        "sub": "alice", "client_id": "shop", "username": "Alice", "scope": "read write:all",
        "exp": 1800000000, "iat": 1700000000, "nbf": 1700000001, "jti": "1", "acr": "gold",
        "auth_time": 1700000002, "amr": ["pwd"], "roles": ["admin"], "token_type": "Bearer"
    }"#;
    let Ok(Answer::Active(token)) = read(&response(200, &[JSON], body), &checks()) else {
        panic!("the token is active");
    };
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(token.subject(), Some("alice"));
    assert_eq!(token.client_id(), Some("shop"));
    assert_eq!(token.issuer(), Some("https://issuer.example/"));
    assert_eq!(
        token.audience().collect::<Vec<_>>(),
        ["https://api.example", "b"]
    );
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["read", "write:all"]);
    assert_eq!(token.roles().collect::<Vec<_>>(), ["admin"]);
    assert_eq!(token.token_id(), Some("1"));
    assert_eq!(token.acr(), Some("gold"));
    assert_eq!(token.amr().collect::<Vec<_>>(), ["pwd"]);
    assert_eq!(token.expires_at(), at(1_800_000_000));
    assert_eq!(token.issued_at(), at(1_700_000_000));
    assert_eq!(token.not_before(), at(1_700_000_001));
    assert_eq!(token.auth_time(), at(1_700_000_002));
    let others: Vec<_> = token.other_claims().keys().map(String::as_str).collect();
    assert_eq!(
        others,
        ["roles", "token_type", "username"],
        "without `active`"
    );
}

#[test]
fn retry_after_is_clamped() {
    for (line, expected) in [
        (Some("7"), Some(7)),
        (Some(" 7 "), Some(7)),
        (Some("0"), Some(1)),
        (Some("300"), Some(300)),
        (Some("301"), Some(300)),
        (Some("99999999999999999999999"), Some(300)),
        (Some("-1"), None),
        (Some("+7"), None),
        (Some("1.5"), None),
        (Some("soon"), None),
        (Some(""), None),
        (Some("Fri, 31 Dec 2027 23:59:59 GMT"), None),
        (None, None),
    ] {
        let mut response = response(429, &[JSON], "");
        if let Some(line) = line {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(line));
        }
        let trouble = Trouble::Status {
            status: 429,
            retry_after: expected.map(Duration::from_secs),
        };
        assert_eq!(read(&response, &checks()).unwrap_err(), trouble, "{line:?}");
    }
}
