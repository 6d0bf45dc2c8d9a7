//! Many at once.

use super::*;
use std::sync::Arc;

const TASKS: usize = 100;

/// All of them present the same token.
async fn present_at_once(
    world: &Arc<World>,
    tokens: &TokenResponse,
) -> Vec<Result<TokenResponse, IssuingError>> {
    let barrier = Arc::new(tokio::sync::Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (world, barrier) = (Arc::clone(world), Arc::clone(&barrier));
            let tokens = tokens.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                world.refresh(&tokens).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_refreshes_have_one_winner_and_end_session() {
    for yields in [false, true] {
        for _ in 0..5 {
            let world = Arc::new(World::new().await);
            if yields {
                world.store.yields();
            }
            let first = world.issue().await;
            let answers = present_at_once(&world, &first).await;
            let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!(won.len(), 1);
            let mut reused = 0;
            for answer in lost {
                match reason(answer) {
                    InvalidGrant::Reused { .. } => reused += 1,
                    InvalidGrant::Unknown | InvalidGrant::Revoked => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(reused > 0);
            assert_eq!(world.store.sessions(), 0);
            let won = won.into_iter().next().unwrap().unwrap();
            assert_eq!(world.status(&won).await, 401);
            assert_eq!(world.status(&first).await, 401);
            assert_eq!(reason(world.refresh(&won).await), InvalidGrant::Unknown);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_refreshes_within_grace_period_get_equal_tokens() {
    for yields in [false, true] {
        for _ in 0..5 {
            let world = World::with(|builder| builder.reuse_grace(10 * SECOND)).await;
            let world = Arc::new(world);
            if yields {
                world.store.yields();
            }
            let first = world.issue().await;
            let answers = present_at_once(&world, &first).await;
            let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
            for answer in &answers {
                assert_eq!(answer.refresh_token(), answers[0].refresh_token());
                assert_eq!(world.status(answer).await, 200);
            }
            assert!(world.refresh(&answers[0]).await.is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refresh_during_logout_leaves_no_usable_token() {
    for _ in 0..10 {
        let world = Arc::new(World::new().await);
        world.store.yields();
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let world = Arc::clone(&world);
            let mut tokens = world.issue().await;
            tasks.push(tokio::spawn(async move {
                let mut all = vec![tokens.clone()];
                while let Ok(next) = world.refresh(&tokens).await {
                    all.push(next.clone());
                    tokens = next;
                }
                all
            }));
        }
        tokio::task::yield_now().await;
        let ended = world.issuer.end_sessions(SessionsOf::Subject("alice"));
        ended.await.unwrap();
        for task in tasks {
            for tokens in task.await.unwrap() {
                assert_eq!(world.status(&tokens).await, 401);
                assert!(world.refresh(&tokens).await.is_err());
            }
        }
        assert_eq!(world.store.sessions(), 0);
    }
}
