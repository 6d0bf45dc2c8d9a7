//! That no token and no secret shows in what is printed or kept.

use super::*;
use std::error::Error;
use std::fmt::{Debug, Write as _};
use tower_bearer::issuing::store::{SessionStore as _, StoreError};
use tower_bearer::issuing::{ClientCredentials, TokenForm};
use tower_bearer::revocation::{Revocation, RevocationClaims, RevocationList};

const SECRET: &str = "t0pSecretWhichNobodyMaySee";

/// Everything that was written, to be searched at the end.
#[derive(Default)]
struct Texts(String);

impl Texts {
    fn debug(&mut self, value: &dyn Debug) {
        writeln!(self.0, "{value:?}\n{value:#?}").unwrap();
    }

    fn error(&mut self, error: &dyn Error) {
        self.debug(&error);
        let mut next = Some(error);
        while let Some(error) = next {
            writeln!(self.0, "{error}").unwrap();
            next = error.source();
        }
    }
}

/// The whole, and each part of it that would help.
fn parts(tokens: &TokenResponse) -> Vec<String> {
    let refresh = refresh_token(tokens);
    let access: Vec<&str> = tokens.access_token().split('.').collect();
    vec![
        refresh[..20].to_owned(),
        refresh[22..44].to_owned(),
        refresh[44..].to_owned(),
        access[1].to_owned(),
        access[2].to_owned(),
    ]
}

#[tokio::test]
async fn secrets_are_absent_from_output_and_store() {
    // (J03: no secrets in texts, J04: error texts)
    for grace in [Duration::ZERO, 10 * SECOND] {
        let mut texts = Texts::default();
        let mut secrets = vec![SECRET.to_owned(), base64url(SECRET)];
        let world = World::with(|builder| builder.reuse_grace(grace)).await;
        let builder = TokenIssuer::builder(ISSUER, world.issuer.keys().clone());
        texts.debug(&builder.audience(AUDIENCE));
        let grant = Grant::new("alice", "web")
            .scope("read")
            .label(SECRET)
            .claim("note", SECRET);
        texts.debug(&grant);
        let first = world.issuer.issue(grant).await.unwrap();
        let second = world.refresh(&first).await.unwrap();
        for tokens in [&first, &second] {
            texts.debug(tokens);
            texts.debug(&tokens.to_response().headers());
            secrets.extend(parts(tokens));
        }
        texts.debug(&world.issuer);
        texts.debug(&world.issuer.keys());
        texts.debug(&world.issuer.keys().current());
        texts.debug(&world.issuer.keys().current().to_pkcs8_pem().unwrap());
        let pem = world.issuer.keys().current().to_pkcs8_pem().unwrap();
        secrets.extend(pem.as_str().lines().skip(1).take(2).map(str::to_owned));
        texts.debug(&world.issuer.jwk_set_endpoint());
        texts.debug(&world.issuer.revocations());
        texts.debug(&world.issuer.validator().unwrap());
        let endpoint = world.issuer.revocation_endpoint();
        texts.debug(&endpoint);
        texts.debug(&endpoint.with_client_authentication(|_| async { Ok::<_, StoreError>(true) }));
        texts.debug(&world.store);

        let form = format!("client_id=web&client_secret={SECRET}&token={SECRET}");
        let form = TokenForm::parse(form.as_bytes()).unwrap();
        texts.debug(&form);
        let headers = http::HeaderMap::new();
        texts.debug(&ClientCredentials::read(&headers, &form).unwrap());
        for bad in [
            format!("token={SECRET}&token={SECRET}"),
            format!("{SECRET}=%ff"),
        ] {
            texts.error(&TokenForm::parse(bad.as_bytes()).unwrap_err());
        }
        let of = SessionsOf::Subject("alice");
        let sessions = world.issuer.sessions(of, None, 10).await.unwrap();
        texts.debug(&sessions);
        let record = world.store.find(session(&first)).await.unwrap().unwrap();
        texts.debug(&record);
        // What is kept has digests in it, and with them what the session says; of tokens nothing.
        let kept = String::from_utf8_lossy(&record.to_bytes()).into_owned();
        for part in parts(&first).iter().chain(&parts(&second)) {
            assert!(!kept.contains(part), "{kept}");
        }

        let until = now() + HOUR;
        for revocation in [
            Revocation::token(Some(SECRET), SECRET, until),
            Revocation::session(Some(SECRET), SECRET, until),
            Revocation::subject(Some(SECRET), SECRET, now(), until),
            Revocation::client(Some(SECRET), SECRET, now(), until),
            Revocation::issuer(Some(SECRET), now(), until),
            Revocation::versions_below(Some(SECRET), SECRET, 1, until),
        ] {
            texts.debug(&revocation);
            let list = RevocationList::with_limit(0);
            texts.error(&list.revoke(&revocation).unwrap_err());
            texts.debug(&list);
        }
        texts.debug(
            &RevocationClaims::new()
                .with_issuer(SECRET)
                .with_token_id(SECRET),
        );
        for kept in [
            format!(r#"{{"k":"{SECRET}","i":null,"n":"","b":0,"u":0}}"#),
            format!(r#"{{"k":"token","i":null,"n":"","b":"{SECRET}","u":0}}"#),
            format!(r#"{{"{SECRET}":1}}"#),
        ] {
            texts.error(&Revocation::from_text(kept.as_bytes()).unwrap_err());
        }

        // Every error that a client can bring about.
        let token = refresh_token(&second);
        let refresh = async |text: &str, client: &str, scope: Option<&str>| {
            world.issuer.refresh(text, client, scope).await.unwrap_err()
        };
        texts.error(&refresh(SECRET, "web", None).await);
        texts.error(&refresh(token, SECRET, None).await);
        texts.error(&refresh(token, "web", Some(SECRET)).await);
        texts.error(&world.issuer.revoke(token, SECRET).await.unwrap_err());
        let access = second.access_token();
        texts.error(&world.issuer.revoke(access, SECRET).await.unwrap_err());
        for op in [Op::Find, Op::Replace, Op::Add] {
            for when in [When::Before, When::After] {
                let tokens = world.issue().await;
                secrets.extend(parts(&tokens));
                world.store.fail(op, when);
                if op == Op::Add {
                    let text = refresh_token(&tokens);
                    texts.error(&world.issuer.revoke(text, "web").await.unwrap_err());
                } else {
                    texts.error(&world.refresh(&tokens).await.unwrap_err());
                }
                world.store.recover();
            }
        }
        let third = world.refresh(&second).await.unwrap();
        secrets.extend(parts(&third));
        let fourth = world.refresh(&third).await.unwrap();
        secrets.extend(parts(&fourth));
        texts.error(&refresh(token, "web", None).await);
        texts.error(&refresh(token, "web", None).await);
        let grant = Grant::new("alice", "web").scope(format!("{SECRET}  x"));
        texts.error(&world.issuer.issue(grant).await.unwrap_err());
        let answer = world.present(&fourth).await;
        assert_eq!(answer.status(), 401);
        texts.debug(&answer.response);
        texts.0.push_str(&answer.body);

        // It is not empty.
        assert!(texts.0.contains("TokenResponse") && texts.0.contains("was used a second time"));
        for secret in secrets {
            assert!(secret.len() >= 16);
            assert!(!texts.0.contains(&secret), "{secret} in {}", texts.0);
        }
    }
}
