//! The integration plugin host a SOAR platform starts once per command.

pub mod clock;
pub mod host;
pub mod identity;
pub mod manifest;
pub mod mapping;
pub mod microsoft;
pub mod names;
pub mod net;
pub mod ops;
pub mod output;
pub mod protocol;
#[cfg(feature = "sim")]
pub mod sim;
pub mod when;
