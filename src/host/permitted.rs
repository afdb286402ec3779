//! What requests must not do: the limits that the operator sets, and sending secrets to a server whose
//! certificate is not checked.
//!
//! Stored connections are the operator's own and exempt: only what a request itself brings is
//! checked here.

use serde_json::Value;

use crate::host::Settings;
use crate::host::catalog::Target;
use crate::manifest::{Bound, CommandKind, Slot};
use crate::protocol::Failure;
use crate::protocol::envelope::{Connection, Envelope, MappingChoice};
use crate::protocol::secret::SecretRef;

/// Something that a request can use and an operator can forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    InsecureTls,
    ManagedIdentity,
    InlineMapping,
    InlineRules,
    InlineConnection,
    Write,
}

/// Each with its word and what it is.
const USES: [(Use, &str, &str); 6] = [
    (Use::InsecureTls, "insecure-tls", "Trusting any certificate"),
    (
        Use::ManagedIdentity,
        "managed-identity",
        "A managed identity",
    ),
    (
        Use::InlineMapping,
        "inline-mapping",
        "A mapping inside the request",
    ),
    (
        Use::InlineRules,
        "inline-rules",
        "A rule inside the request",
    ),
    (
        Use::InlineConnection,
        "inline-connection",
        "A connection inside the request",
    ),
    (Use::Write, "write", "A command that changes something"),
];

/// What requests must not use.
#[derive(Clone, Debug, Default)]
pub struct Forbidden(Vec<Use>);

impl Forbidden {
    /// Reads the words of `--forbid`. Errors: `invalid_input` at the flag.
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let words = words.iter().map(|word| word.trim());
        let uses = words.filter(|word| !word.is_empty()).map(|word| {
            let known = USES.iter().find(|(_, known, _)| *known == word);
            known.map(|(found, ..)| *found).ok_or_else(|| {
                let names: Vec<&str> = USES.iter().map(|(_, name, _)| *name).collect();
                let message = format!("\"{word}\" cannot be forbidden.");
                Failure::invalid_input("--forbid", message).advice(format!(
                    "Give a list of these words, separated by commas: {}.",
                    names.join(", ")
                ))
            })
        });
        uses.collect::<Result<_, _>>().map(Forbidden)
    }

    fn fault(&self, used: Use, at: &str) -> Option<Failure> {
        let (_, word, what) = USES.iter().find(|(known, ..)| *known == used)?;
        self.0.contains(&used).then(|| {
            let message = format!("{what} is forbidden by the operator (--forbid {word}).");
            Failure::invalid_input(at, message)
                .advice("Send the request without it, or ask the operator of the host.")
        })
    }
}

/// Everything that the request uses and must not.
pub(super) fn check(
    settings: &Settings,
    envelope: &Envelope,
    target: &Target<'_>,
    bound: &Bound,
) -> Vec<Failure> {
    let on = |slot: Slot| bound.flag(slot) == Some(true);
    let mut used = Vec::new();
    let mut faults = Vec::new();
    if let Connection::Parameters(parameters) = &envelope.connection {
        if !parameters.is_empty() {
            used.push((Use::InlineConnection, "/connection"));
        }
        if on(Slot::ManagedIdentity) {
            used.push((Use::ManagedIdentity, bound.place(Slot::ManagedIdentity)));
        }
        if on(Slot::TrustAnyCertificate) {
            used.push((Use::InsecureTls, bound.place(Slot::TrustAnyCertificate)));
            faults.extend(sent_to_anybody(settings, bound, on(Slot::ManagedIdentity)));
        }
    }
    if matches!(envelope.mapping, Some(MappingChoice::Inline(_))) {
        used.push((Use::InlineMapping, "/mapping"));
    }
    if let Some(Value::Array(rules)) = bound.input.get("rules")
        && rules.iter().any(is_inline_rule)
    {
        used.push((Use::InlineRules, bound.input_place("rules")));
    }
    if target.command.kind == CommandKind::Write {
        used.push((Use::Write, "/command"));
    }
    let forbidden = used
        .into_iter()
        .filter_map(|(used, at)| settings.forbidden.fault(used, at));
    forbidden.chain(faults).collect()
}

/// A rule is given by its name, or as the text of a document, which has several lines.
fn is_inline_rule(rule: &Value) -> bool {
    rule.as_str().is_none_or(|text| text.contains('\n'))
}

/// A secret that the operator keeps, sent to whoever answers.
fn sent_to_anybody(settings: &Settings, bound: &Bound, machine: bool) -> Option<Failure> {
    let is_reference = |(_, text): &(Slot, &str)| !SecretRef::parse(text).is_literal();
    let slot = bound.secrets().find(is_reference).map(|(slot, _)| slot);
    if settings.allowed.insecure_tls || slot.is_none() && !machine {
        return None;
    }
    let whose = match slot {
        Some(slot) => format!("the secret that \"{}\" refers to", bound.name(slot)),
        None => "a token of this machine".to_owned(),
    };
    let flag = bound.name(Slot::TrustAnyCertificate);
    let message = format!("With \"{flag}\", {whose} could be sent to any server that answers.");
    Some(Failure::invalid_input(bound.place(Slot::TrustAnyCertificate), message).advice(
        "Give the server's root certificate with --ca-file, or start the host with --allow-insecure-tls.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_word_of_the_list_is_refused_with_the_known_ones() {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let known =
            Forbidden::parse(&words(&["write", " insecure-tls ", ""])).expect("known words");
        assert_eq!(known.0, [Use::Write, Use::InsecureTls]);
        let failure = Forbidden::parse(&words(&["writes"])).expect_err("an unknown word");
        assert_eq!(failure.place(), Some("--forbid"));
        assert_eq!(failure.message(), "\"writes\" cannot be forbidden.");
        let advice = failure.assistance().expect("advice");
        assert!(advice.ends_with("insecure-tls, managed-identity, inline-mapping, inline-rules, inline-connection, write."));
    }

    #[test]
    fn rule_text_is_told_from_a_rule_name() {
        assert!(is_inline_rule(&Value::from("title: x\ndetection: {}\n")));
        assert!(!is_inline_rule(&Value::from("suspicious_inbox_rule")));
    }
}
