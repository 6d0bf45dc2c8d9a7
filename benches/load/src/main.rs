//! The servers of the load test. `run.sh` starts them; by hand it is
//! `tower-bearer-load axum|tonic bare|protected [WORKERS]`.
//!
//! Both sides of a stack are the same program with the same routes. `protected` has the layer in front and
//! prints a token that it lets in; `bare` has nothing in front.

mod auth;
mod grpc;
mod rest;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use auth::Issued;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

const USAGE: &str = "usage: tower-bearer-load axum|tonic bare|protected [WORKERS]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (stack, side, workers) = match arguments[..] {
        [stack, side] => (stack, side, "1"),
        [stack, side, workers] => (stack, side, workers),
        _ => return Err(USAGE.into()),
    };
    let issued = match side {
        "bare" => None,
        "protected" => Some(Issued::new()?),
        _ => return Err(USAGE.into()),
    };
    let workers = match workers.parse() {
        Ok(workers) if workers > 0 => workers,
        _ => return Err(format!("WORKERS: expected a number from 1, got {workers:?}").into()),
    };
    runtime(workers)?.block_on(serve(stack, issued))
}

/// One worker is the thread that the program starts with, as in a service that is pinned to one core.
fn runtime(workers: usize) -> std::io::Result<Runtime> {
    match workers {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build(),
    }
}

async fn serve(stack: &str, issued: Option<Issued>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    if let Some(issued) = &issued {
        println!("token={}", issued.token);
    }
    // The last line: whoever has read it has read all, and may connect.
    println!("address={}", listener.local_addr()?);
    let validator = issued.map(|issued| issued.validator);
    match stack {
        "axum" => rest::serve(listener, validator).await,
        "tonic" => grpc::serve(listener, validator).await,
        _ => Err(USAGE.into()),
    }
}
