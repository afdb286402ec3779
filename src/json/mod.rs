//! JSON as text: documents, positions, splitting, the canonical form, and the search for secrets.
//!
//! Records stay text from the response to the result, so digits, escapes, member order and repeated
//! members are preserved. Imports no other module of this crate, and knows no service and no
//! protocol.

pub mod canonical;
pub mod document;
pub mod whitespace;

pub(crate) mod scan;
pub(crate) mod search;
pub(crate) mod splitter;
pub(crate) mod tape;
pub(crate) mod window;

mod error;
mod escapes;
mod extent;
mod rewrite;

pub use document::Document;
pub use error::{MAX_DEPTH, ParseError};
pub use search::{REDACTED, Stopped};
