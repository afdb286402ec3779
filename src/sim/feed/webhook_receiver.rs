//! A webhook receiver for demonstrations and tests. It answers 200 to every POST; the requests are
//! in the log.

use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Route;

pub(crate) fn answer(call: &Call) -> Answer {
    match (call.route, call.method.as_str()) {
        (Route::HookReceive, "POST") => Answer::new(200, String::new()),
        (Route::HookReceive, _) => Answer::new(405, String::new()).with("Allow", "POST"),
        _ => Answer::new(404, String::new()),
    }
}
