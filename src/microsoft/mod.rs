//! Microsoft's services: alerts and audit searches ([`graph`]), audit searches ([`exchange`]), and
//! subscriptions and content of the activity feed ([`feed`]).
//!
//! Has addresses, queries, bodies and error codes. `ops` decides which requests are sent; `net`
//! retries them and `identity` signs in.

pub mod cloud;
pub mod connection;
pub mod content_type;
pub mod coverage;
pub mod exchange;
pub mod feed;
pub mod graph;
pub mod record_type;
pub mod search;
pub mod window;

pub use cloud::Cloud;
pub use connection::Connection;
pub use content_type::ContentType;
pub use window::TimeWindow;
