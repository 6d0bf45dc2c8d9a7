//! Hearing from an OpenID provider who has logged out: [OpenID Connect Back-Channel Logout
//! 1.0](https://openid.net/specs/openid-connect-backchannel-1_0.html).

mod endpoint;
mod logout_token;
mod replays;
mod validator;

pub use endpoint::BackChannelLogout;
pub use logout_token::LogoutToken;
pub use validator::{LogoutTokenValidator, LogoutTokenValidatorBuilder};
