//! What a store is for.

use std::fs;

use http::Method;

use crate::client::Client;
use crate::service::{ADMIN, ALICE, Service, folder};

#[tokio::test]
async fn sessions_users_and_revocations_survive_a_kill() {
    let folder = folder("restart");
    let path = folder.join("store");
    let key = include_str!("../../../../tests/keys/p256.pem");
    let lasting = [("STORE", path.to_str().unwrap()), ("SIGNING_KEY", key)];
    let passwords = [("ALICE_PASSWORD", ALICE), ("ADMIN_PASSWORD", ADMIN)];
    let service = Service::with(&[&lasting[..], &passwords].concat());
    let client = Client::new(service.address);
    let kept = client.log_in("alice", ALICE).await;
    let logged_out = client.log_in("alice", ALICE).await;
    let spent = client.log_in("alice", ALICE).await;
    let renewed = client.try_refresh(&spent.refresh).await.tokens();
    let reused = client.log_in("alice", ALICE).await;
    let thiefs = client.try_refresh(&reused.refresh).await.tokens();
    let answer = client.try_refresh(&reused.refresh).await;
    answer.is_error(400, "invalid_grant");
    let path = "/auth/logout";
    let answer = client.call(Method::POST, path, &logged_out.access).await;
    assert_eq!(answer.status, 204);
    service.kill();

    // Other passwords in the environment: the users are there already, with theirs.
    let other = [("ALICE_PASSWORD", "other"), ("ADMIN_PASSWORD", "other")];
    let service = Service::with(&[&lasting[..], &other].concat());
    assert!(service.printed[0].contains("password of the last time"));
    let client = Client::new(service.address);
    for good in [&kept.access, &spent.access, &renewed.access] {
        assert_eq!(client.get("/me", good).await.status, 200);
    }
    for revoked in [&logged_out, &reused, &thiefs] {
        assert_eq!(client.get("/me", &revoked.access).await.status, 401);
        let answer = client.try_refresh(&revoked.refresh).await;
        answer.is_error(400, "invalid_grant");
    }
    let sessions = client.get("/auth/sessions", &kept.access).await.json();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let again = client.try_refresh(&kept.refresh).await.tokens();
    assert_eq!(client.get("/me", &again.access).await.status, 200);
    // That it was spent is known as well, and what is newer ends with it.
    let answer = client.try_refresh(&spent.refresh).await;
    answer.is_error(400, "invalid_grant");
    assert_eq!(client.get("/me", &renewed.access).await.status, 401);

    client
        .try_password("alice", "other")
        .await
        .is_error(400, "invalid_grant");
    client.log_in("alice", ALICE).await;
    service.kill();
    #[cfg(unix)]
    for entry in fs::read_dir(&folder).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{entry:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}
