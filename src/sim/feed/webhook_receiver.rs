//! A receiver of webhook calls, so that demonstrations and tests need no second server.
//!
//! It takes what is posted and says 200; what came is in the log. It deliberately checks nothing.

use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Route;

/// Answers a call.
pub(crate) fn answer(call: &Call) -> Answer {
    match (call.route, call.method.as_str()) {
        (Route::HookReceive, "POST") => Answer::new(200, String::new()),
        (Route::HookReceive, _) => Answer::new(405, String::new()).with("Allow", "POST"),
        _ => Answer::new(404, String::new()),
    }
}
