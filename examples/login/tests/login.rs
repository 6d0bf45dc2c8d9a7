//! The example `login`, started as its users start it, and attacked as they are.

#[path = "login/client.rs"]
mod client;
#[path = "login/configuration.rs"]
mod configuration;
#[path = "login/cookies.rs"]
mod cookies;
#[path = "login/guesses.rs"]
mod guesses;
#[path = "login/others.rs"]
mod others;
#[path = "login/restart.rs"]
mod restart;
#[path = "login/script.rs"]
mod script;
#[path = "login/service.rs"]
mod service;
