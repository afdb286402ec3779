//! The `error` block of a result.
//!
//! Its texts are decided where a failure is made.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::join::MAX_ITEM;
use super::{Failure, Inner, LARGEST, bounded, shorten};
use crate::protocol::detail::{Detail, Signal};
use crate::protocol::kind::ErrorKind;

/// The maximum length of a message and of a place, in bytes.
pub(crate) const MAX_MESSAGE: usize = 8 * 1024;

/// The HTTP request that failed, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Upstream {
    /// HTTP method.
    pub method: String,
    /// URL without secret parameters.
    pub url: String,
    /// HTTP status; null if no response was received.
    pub http_status: Option<u16>,
    /// The service's error code, unchanged.
    pub code: Option<String>,
    /// The service's ID of the request.
    pub request_id: Option<String>,
    /// The host's ID of the request, as sent in `client-request-id`.
    pub client_request_id: Option<String>,
    /// The service's time of the response; RFC 3339 if it could be parsed.
    pub date: Option<String>,
}

/// One of several faults.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FaultItem {
    /// JSON Pointer into the request, or the ID of the content that failed.
    pub at: Option<String>,
    /// The status code that the integration documents.
    pub status_code: String,
    /// The kind of the fault.
    pub kind: ErrorKind,
    /// One sentence.
    pub message: String,
}

/// The `error` block of a result.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ErrorBlock {
    /// What failed, as the integration documents it.
    pub failure_indicator: String,
    /// The status code that the integration documents. Playbooks can compare it.
    pub status_code: String,
    /// The service's message, shortened, or one sentence of the host.
    pub message: String,
    /// The kind of the failure. Programs can compare it.
    pub kind: ErrorKind,
    /// Who reported the failure.
    pub source: FaultSource,
    /// Can the identical request succeed later?
    pub retryable: bool,
    /// How long to wait before the retry, in milliseconds; null if the service did not say.
    pub retry_after_ms: Option<u64>,
    /// Why it failed: one sentence.
    pub cause: String,
    /// What to do: one sentence.
    pub assistance: String,
    /// JSON Pointer into the request, `line 7`, or `file:pointer` of a manifest or mapping.
    pub at: Option<String>,
    /// The HTTP request that failed.
    pub upstream: Option<Upstream>,
    /// Single faults: every invalid input, every content blob that failed.
    pub items: Vec<FaultItem>,
    /// The signal that stopped the run. It decides the exit code.
    #[serde(skip)]
    pub stopped_by: Option<Signal>,
}

impl ErrorBlock {
    /// Cuts long messages and places, after the secrets were removed.
    pub(crate) fn shorten(&mut self) {
        shorten(&mut self.message, MAX_MESSAGE);
        self.at.iter_mut().for_each(|at| shorten(at, MAX_MESSAGE));
        for item in &mut self.items {
            shorten(&mut item.message, MAX_ITEM);
            item.at.iter_mut().for_each(|at| shorten(at, MAX_ITEM));
        }
    }
}

/// Who reported a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultSource {
    /// The service.
    Upstream,
    /// The host.
    Host,
}

/// An integration's own status codes: the service's code, `kind.rule` or a kind → the status code.
pub type Codes = BTreeMap<String, String>;

impl Failure {
    /// Makes the `error` block. Its texts are cut later, by `ErrorBlock::shorten`.
    pub fn close(self, indicator: &str, codes: &Codes) -> ErrorBlock {
        let status_code = self.status_code(codes);
        let Inner {
            kind,
            detail,
            message,
            cause,
            assistance,
            at,
            retry_after,
            upstream,
            items,
            unlisted,
            ..
        } = *self.0;
        let (mut usual_cause, mut usual_advice) = kind.usual();
        match (kind, at.as_deref()) {
            (ErrorKind::MalformedRequest, None | Some("")) if items.is_empty() => {
                usual_advice =
                    "Send one valid JSON object. `soarhost sample` prints a valid request.";
            }
            (ErrorKind::InvalidInput, at) if items.is_empty() => {
                usual_advice = "Correct the value that `at` names; nothing was sent.";
                if at.is_some_and(|at| at.starts_with("--")) {
                    usual_cause = "An operator setting is invalid.";
                }
            }
            _ => {}
        }
        let mut items: Vec<FaultItem> = items.into_iter().map(|item| item.item(codes)).collect();
        if unlisted > 0 {
            items.push(FaultItem {
                at: None,
                status_code: status_code.clone(),
                kind,
                message: format!("{unlisted} more faults are not listed."),
            });
        }
        ErrorBlock {
            failure_indicator: indicator.to_owned(),
            status_code,
            message: bounded(message),
            kind,
            source: match upstream {
                Some(_) => FaultSource::Upstream,
                None => FaultSource::Host,
            },
            retryable: kind.retryable(),
            retry_after_ms: retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            cause: cause.unwrap_or_else(|| usual_cause.to_owned()),
            assistance: assistance.unwrap_or_else(|| usual_advice.to_owned()),
            at: at.filter(|at| at.len() <= LARGEST),
            upstream,
            items,
            stopped_by: detail.and_then(Detail::signal),
        }
    }

    fn item(self, codes: &Codes) -> FaultItem {
        FaultItem {
            status_code: self.status_code(codes),
            at: self.0.at,
            kind: self.0.kind,
            message: self.0.message,
        }
    }

    /// The integration's code (the most specific one), else the service's documented code, else the
    /// HTTP status, else the number of the kind.
    fn status_code(&self, codes: &Codes) -> String {
        let (name, vendor) = (self.0.kind.name(), self.vendor_code());
        let by_rule = self.0.rule.map(|rule| format!("{name}.{rule}"));
        let of_integration = [vendor, by_rule.as_deref(), Some(name)]
            .into_iter()
            .flatten()
            .find_map(|key| codes.get(key).map(String::as_str));
        let documented = vendor.filter(|_| self.0.is_code_documented);
        if let Some(code) = of_integration.or(documented) {
            return code.to_owned();
        }
        // A response with status 200 and an unusable body did not fail because of its status.
        let status = self.http_status().filter(|status| *status >= 300);
        status.unwrap_or(self.0.kind.number()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::MAX_ITEMS;
    use super::*;

    fn codes() -> Codes {
        [
            ("LOGIN16", "P10"),
            ("invalid_input.time_range", "P03"),
            ("invalid_input", "P02"),
        ]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into()
    }

    fn code_of(failure: Failure) -> String {
        failure.close("It failed.", &codes()).status_code
    }

    fn upstream(code: &str, http_status: u16) -> Upstream {
        Upstream {
            code: Some(code.to_owned()),
            http_status: Some(http_status),
            ..Upstream::default()
        }
    }

    #[test]
    fn status_code_is_the_most_specific_documented_code() {
        let input = || Failure::invalid_input("/inputs/x", "No.");
        assert_eq!(code_of(input()), "P02");
        assert_eq!(code_of(input().rule("time_range")), "P03");
        let refused = |code, status| {
            Failure::new(ErrorKind::AuthFailed, "No.").upstream(upstream(code, status))
        };
        assert_eq!(code_of(refused("LOGIN16", 400)), "P10");
        assert_eq!(
            code_of(refused("LOGIN15", 401).with_documented_code()),
            "LOGIN15"
        );
        assert_eq!(code_of(refused("LOGIN15", 401)), "401");
        assert_eq!(code_of(Failure::new(ErrorKind::Network, "No.")), "503");
    }

    #[test]
    fn excess_faults_are_counted_and_long_texts_are_cut() {
        let fault = |n: usize| {
            let message = format!("{n} {}", "é".repeat(2 * MAX_ITEM));
            Failure::invalid_input(format!("/inputs/{n}"), message)
        };
        let joined = Failure::join((0..MAX_ITEMS + 7).map(fault).collect());
        let mut block = joined.expect("faults").close("It failed.", &Codes::new());
        block.shorten();
        assert_eq!(block.items.len(), MAX_ITEMS + 1);
        let last = block.items.last().expect("items");
        assert_eq!(last.message, "7 more faults are not listed.");
        assert!(
            block.message.starts_with("107 faults: 0 é"),
            "{}",
            block.message
        );
        let bytes: usize = block.items.iter().map(|item| item.message.len()).sum();
        assert!(bytes + block.message.len() < (MAX_ITEMS + 9) * (MAX_ITEM + 8));
    }

    #[test]
    fn joined_faults_have_the_code_of_their_common_rule() {
        let range = || Failure::invalid_input("/inputs/Start Time", "Range.").rule("time_range");
        let other = Failure::invalid_input("/inputs/Top", "Top.");
        let same = Failure::join(vec![range(), range()]).expect("two faults");
        assert_eq!(code_of(same), "P03");
        let mixed = Failure::join(vec![range(), other]).expect("two faults");
        let block = mixed.close("It failed.", &codes());
        assert_eq!(block.status_code, "P02");
        assert_eq!(block.message, "2 faults: Range. Top.");
        let item_codes: Vec<_> = block.items.iter().map(|i| i.status_code.as_str()).collect();
        assert_eq!(item_codes, ["P03", "P02"]);
    }
}
