//! A real provider, and tokens of other implementations: oidc-provider and jose under Node.js, PyJWT
//! under Python. Without them the tests are ignored, and say so; see `provider/README.md`.

#[path = "provider/api.rs"]
mod api;
#[path = "provider/interop.rs"]
mod interop;
#[path = "provider/introspection.rs"]
mod introspection;
#[path = "../../packages.rs"]
mod packages;
#[path = "provider/realm.rs"]
mod realm;
#[path = "provider/remote_keys.rs"]
mod remote_keys;
#[path = "../../../tests/support/tokens.rs"]
mod tokens;
#[path = "provider/tools.rs"]
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use tools::Tools;

/// Tests by the names of their functions, each with the tool that it needs.
macro_rules! trials {
    ($($tool:ident: $module:ident::$name:ident,)*) => {
        vec![$(trial(stringify!($name), $tool, $module::$name)),*]
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tools = match arguments.list {
        true => Tools::not_needed(),
        false => Tools::install(),
    };
    tools.complain();
    let Tools { node, python } = &tools;
    let trials = trials![
        node: interop::tokens_of_jose_are_accepted,
        python: interop::tokens_of_pyjwt_are_accepted,
        node: interop::tokens_that_no_api_takes_are_refused,
        node: remote_keys::discovery_finds_the_keys,
        node: remote_keys::keys_rotate_without_a_failed_request,
        node: remote_keys::keys_outlive_their_provider_for_a_time,
        node: remote_keys::a_forged_token_is_no_outage,
        node: introspection::opaque_tokens_are_asked_about,
        node: introspection::wrong_credentials_are_our_failure,
        node: introspection::kept_answers_end,
        node: introspection::an_outage_is_no_verdict,
        node: introspection::jwts_and_opaque_tokens_share_a_layer,
        node: introspection::a_token_that_is_not_introspected_is_no_outage,
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that gets the folder of its tool, on a runtime of its own.
fn trial<F>(name: &str, tool: &Result<PathBuf, String>, test: fn(PathBuf) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    match tool.clone() {
        Ok(folder) => Trial::test(name, move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(test(folder));
            Ok(())
        }),
        Err(missing) => Trial::test(name, move || Err(missing.into()))
            .with_ignored_flag(!packages::is_required("provider")),
    }
}
