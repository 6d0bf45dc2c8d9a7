use http::HeaderName;

use super::*;
use crate::provider::url::checked_url;

const AWKWARD: &str = "a b+c&d=e:f%g/h?i\"j\\k*l-m.n_o~p\u{e4}\u{20ac}";
const ENCODED: &str = "a+b%2Bc%26d%3De%3Af%25g%2Fh%3Fi%22j%5Ck*l-m.n_o%7Ep%C3%A4%E2%82%AC";

async fn request(client: &ClientAuthentication, token: &str) -> Result<Request<Bytes>, AnyError> {
    let endpoint = checked_url("https://issuer.example/introspect?tenant=1").unwrap();
    client.request(&endpoint, token).await
}

fn header(request: &Request<Bytes>, name: HeaderName) -> Option<&str> {
    request
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn token_is_sent_only_in_the_body() {
    // (E11: introspection requests)
    let client = ClientAuthentication::basic("id", "secret");
    let request = request(&client, AWKWARD).await.unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://issuer.example/introspect?tenant=1");
    let form = "application/x-www-form-urlencoded";
    assert_eq!(header(&request, CONTENT_TYPE), Some(form));
    assert_eq!(header(&request, ACCEPT), Some("application/json"));
    assert_eq!(request.headers().len(), 3);
    let expected = format!("token={ENCODED}&token_type_hint=access_token");
    assert_eq!(request.body(), expected.as_bytes());
}

#[tokio::test]
async fn each_client_authentication_method_sends_its_own_proof() {
    // (E11: introspection requests) RFC 6749 section 2.3.1.
    let basic = ClientAuthentication::basic(AWKWARD, ":");
    let basic = request(&basic, "t").await.unwrap();
    let login = STANDARD.encode(format!("{ENCODED}:%3A"));
    let expected = format!("Basic {login}");
    assert_eq!(header(&basic, AUTHORIZATION), Some(&*expected));
    assert!(basic.headers()[AUTHORIZATION].is_sensitive());
    assert_eq!(basic.body(), &b"token=t&token_type_hint=access_token"[..]);

    let bearer = request(&ClientAuthentication::bearer("abc"), "t")
        .await
        .unwrap();
    assert_eq!(header(&bearer, AUTHORIZATION), Some("Bearer abc"));
    assert!(bearer.headers()[AUTHORIZATION].is_sensitive());

    let post = request(&ClientAuthentication::post(AWKWARD, "s"), "t")
        .await
        .unwrap();
    assert_eq!(header(&post, AUTHORIZATION), None);
    let expected =
        format!("token=t&token_type_hint=access_token&client_id={ENCODED}&client_secret=s");
    assert_eq!(post.body(), expected.as_bytes());

    let custom = ClientAuthentication::custom(|| async {
        Ok(vec![
            ("client_id", "a b".to_owned()),
            ("client_assertion", "x.y".to_owned()),
        ])
    });
    let custom = request(&custom, "t").await.unwrap();
    assert_eq!(header(&custom, AUTHORIZATION), None);
    let expected = "token=t&token_type_hint=access_token&client_id=a+b&client_assertion=x.y";
    assert_eq!(custom.body(), expected.as_bytes());
}

#[tokio::test]
async fn failed_client_authentication_sends_no_request() {
    let broken = ClientAuthentication::custom(|| async { Err("no key".into()) });
    assert_eq!(
        request(&broken, "t").await.unwrap_err().to_string(),
        "no key"
    );
    for name in ["token", "token_type_hint"] {
        let twice = move || async move { Ok(vec![(name, "other".to_owned())]) };
        let twice = ClientAuthentication::custom(twice);
        assert!(request(&twice, "t").await.is_err(), "{name}");
    }
}

#[test]
fn unusable_client_authentication_is_a_configuration_error() {
    for (client, usable) in [
        (ClientAuthentication::basic("id", "secret"), true),
        (ClientAuthentication::basic("", "secret"), false),
        (ClientAuthentication::basic("id", ""), false),
        (ClientAuthentication::post("", "secret"), false),
        (ClientAuthentication::post("id", ""), false),
        (ClientAuthentication::bearer("a.b-c"), true),
        (ClientAuthentication::bearer(""), false),
        (ClientAuthentication::bearer("a b"), false),
        (ClientAuthentication::bearer("a\r\nx: y"), false),
    ] {
        assert_eq!(client.problem().is_none(), usable, "{client:?}");
    }
}

#[tokio::test]
async fn debug_and_errors_contain_no_secret() {
    // (J03: no secrets in texts)
    let custom = || async { Ok(vec![("client_secret", "topsecret".to_owned())]) };
    for client in [
        ClientAuthentication::basic("theclient", "topsecret"),
        ClientAuthentication::post("theclient", "topsecret"),
        ClientAuthentication::bearer("topsecret"),
        ClientAuthentication::custom(custom),
    ] {
        let request = request(&client, "thetoken").await.unwrap();
        let head = request.map(|_| ());
        let text = format!("{client:?} {client:#?} {head:?}");
        let encoded = STANDARD.encode("theclient:topsecret");
        for secret in ["theclient", "topsecret", "thetoken", &encoded] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn form_buffer_has_room_for_separators() {
    // Otherwise it would grow in place, and leave a secret behind.
    let mut form = Form::default();
    for length in [0, 1, 2, 5, 100, 10_000] {
        form.add("name", &"\u{e4}".repeat(length));
        assert!(form.0.capacity() - form.0.len() >= 16, "{length}");
    }
}
