//! The integration plugin host a SOAR platform starts once per command.

pub mod clock;
pub mod names;
pub mod protocol;
pub mod when;
