//! Microsoft's services, typed: the alerts of [`graph`], the activity feed's subscriptions and
//! content of [`feed`].
//!
//! Here live addresses, queries, bodies and error codes. What is done with them, and in which
//! order, is `ops`' part; repeating and signing in are below.

pub mod cloud;
pub mod connection;
pub mod content_type;
pub mod coverage;
pub mod feed;
pub mod graph;
pub mod record_type;
pub mod window;

pub use cloud::Cloud;
pub use connection::Connection;
pub use content_type::ContentType;
pub use window::TimeWindow;
