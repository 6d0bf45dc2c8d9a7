//! Something to protect: tasks, each for its owner alone.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tower_bearer::Authenticated;
use tower_bearer::jwt::AccessToken;
use utoipa::ToSchema;

use crate::App;

/// So many a user may have, since nothing takes them away.
const MAX_TASKS: usize = 100;

#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<Task>>>);

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Task {
    id: usize,
    #[serde(skip)]
    owner: String,
    text: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct NewTask {
    text: String,
}

/// All of them are in one list, and everybody sees their own.
#[utoipa::path(get, path = "/tasks", responses((status = 200, description = "one's own", body = [Task])))]
pub(crate) async fn list(
    State(app): State<App>,
    user: Authenticated<AccessToken>,
) -> Json<Vec<Task>> {
    let tasks = app.tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
    let is_own = |task: &&Task| Some(&*task.owner) == user.subject();
    Json(tasks.iter().filter(is_own).cloned().collect())
}

/// One of somebody else is as good as none.
#[utoipa::path(get, path = "/tasks/{id}", params(("id" = usize, Path)), responses((status = 200, description = "the task", body = Task), (status = 404, description = "none of yours")))]
pub(crate) async fn show(
    State(app): State<App>,
    user: Authenticated<AccessToken>,
    Path(id): Path<usize>,
) -> Result<Json<Task>, StatusCode> {
    let tasks = app.tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
    let is_own = |task: &&Task| Some(&*task.owner) == user.subject();
    let task = tasks.get(id).filter(is_own).cloned();
    task.map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[utoipa::path(post, path = "/tasks", request_body = NewTask, responses((status = 201, description = "added", body = Task), (status = 409, description = "too many already")))]
pub(crate) async fn add(
    State(app): State<App>,
    user: Authenticated<AccessToken>,
    Json(task): Json<NewTask>,
) -> Result<(StatusCode, Json<Task>), StatusCode> {
    let mut tasks = app.tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
    let is_own = |task: &&Task| Some(&*task.owner) == user.subject();
    if tasks.iter().filter(is_own).count() >= MAX_TASKS {
        return Err(StatusCode::CONFLICT);
    }
    let task = Task {
        id: tasks.len(),
        owner: user.subject().unwrap_or_default().to_owned(),
        text: task.text,
    };
    tasks.push(task.clone());
    Ok((StatusCode::CREATED, Json(task)))
}
