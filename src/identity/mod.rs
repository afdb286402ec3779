//! Sign-in: tokens for each credential, their cache, and the store that keeps them between runs.
//!
//! To add a sign-in method, change in this order:
//!
//! 1. [`Credential`], and its re-export here and in `microsoft::connection`.
//! 2. The request in `sign_in`; the responses in `token_endpoint` if they differ.
//! 3. `manifest::Slot` for new parameters, then `host::connect`, which selects the method.
//! 4. `host::policy` and `front::cli::settings` for operator settings.
//! 5. The manifests, the simulator's `login`, and cases in `tests/cases`.
//!
//! Calls the login service and a machine's identity endpoint only. Reads and writes no files: the
//! [`TokenStore`] does. Does not verify tokens: the services do.

mod account;
pub mod auth_code;
pub mod cache;
pub mod certificate;
pub mod claims;
mod credential;
mod device_code;
mod digest;
mod key_file;
mod managed_identity;
pub mod mismatch;
#[cfg(feature = "pfx")]
mod pfx;
mod sign_in;
pub mod store;
pub mod token_endpoint;

pub use account::{Account, Resource};
pub use cache::TokenCache;
pub use certificate::Certificate;
pub use credential::{
    AuthorizationCode, ClientCredential, Credential, IdentityEndpoint, ManagedIdentity,
};
pub use device_code::PUBLIC_CLIENT;
pub use digest::sha256;
pub use sign_in::{SignIn, SignInContext};
pub use store::TokenStore;
