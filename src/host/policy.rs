//! The operator's policy: the features that requests must not use.
//!
//! Also rejects requests that would send an operator's secrets over insecure TLS. Stored
//! connections belong to the operator and are exempt.

use crate::host::catalog::Target;
use crate::host::{Settings, requested_rules};
use crate::manifest::{Bound, CommandKind, Outputs, Slot};
use crate::protocol::Failure;
use crate::protocol::envelope::{Connection, Envelope, MappingChoice};
use crate::protocol::secret::SecretRef;

/// A feature of requests that an operator can forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    InsecureTls,
    ManagedIdentity,
    InlineMapping,
    InlineRules,
    InlineConnection,
    Write,
}

/// Each feature with its word in `--forbid` and its name in messages.
const FEATURES: [(Feature, &str, &str); 6] = [
    (Feature::InsecureTls, "insecure-tls", "Insecure TLS"),
    (
        Feature::ManagedIdentity,
        "managed-identity",
        "A managed identity",
    ),
    (
        Feature::InlineMapping,
        "inline-mapping",
        "A mapping inside the request",
    ),
    (
        Feature::InlineRules,
        "inline-rules",
        "A rule inside the request",
    ),
    (
        Feature::InlineConnection,
        "inline-connection",
        "A connection inside the request",
    ),
    (Feature::Write, "write", "A command that changes something"),
];

/// The features that requests must not use.
#[derive(Clone, Debug, Default)]
pub struct Forbidden(Vec<Feature>);

impl Forbidden {
    /// Reads the words of `--forbid`. Errors: `invalid_input` at the flag.
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let words = words.iter().map(|word| word.trim());
        let uses = words.filter(|word| !word.is_empty()).map(|word| {
            let known = FEATURES.iter().find(|(_, known, _)| *known == word);
            known.map(|(found, ..)| *found).ok_or_else(|| {
                let names: Vec<&str> = FEATURES.iter().map(|(_, name, _)| *name).collect();
                let message = format!("`--forbid` does not know \"{word}\".");
                Failure::invalid_input("--forbid", message).advice(format!(
                    "Use a list of these words, separated by commas: {}.",
                    names.join(", ")
                ))
            })
        });
        uses.collect::<Result<_, _>>().map(Forbidden)
    }

    fn fault(&self, used: Feature, at: &str) -> Option<Failure> {
        let (_, word, name) = FEATURES.iter().find(|(known, ..)| *known == used)?;
        self.0.contains(&used).then(|| {
            let message = format!("{name} is forbidden by the operator (--forbid {word}).");
            Failure::invalid_input(at, message)
                .advice("Send the request without it, or ask the operator of the host.")
        })
    }
}

/// The faults of a request that uses forbidden features.
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
            used.push((Feature::InlineConnection, "/connection"));
        }
        if on(Slot::ManagedIdentity) {
            used.push((Feature::ManagedIdentity, bound.place(Slot::ManagedIdentity)));
        }
        if on(Slot::TrustAnyCertificate) {
            used.push((Feature::InsecureTls, bound.place(Slot::TrustAnyCertificate)));
            faults.extend(insecure_secret(settings, bound, on(Slot::ManagedIdentity)));
        }
    }
    if matches!(envelope.mapping, Some(MappingChoice::Inline(_))) {
        used.push((Feature::InlineMapping, "/mapping"));
    }
    let mut rules = bound.rules.iter().flatten();
    if rules.any(|rule| requested_rules::is_inline(rule)) {
        used.push((Feature::InlineRules, bound.input_place(Outputs::RULES)));
    }
    if target.command.kind == CommandKind::Write {
        used.push((Feature::Write, "/command"));
    }
    let forbidden = used
        .into_iter()
        .filter_map(|(used, at)| settings.forbidden.fault(used, at));
    forbidden.chain(faults).collect()
}

/// The fault of insecure TLS with an operator's secret or a managed identity.
fn insecure_secret(settings: &Settings, bound: &Bound, managed_identity: bool) -> Option<Failure> {
    let is_reference = |(_, text): &(Slot, &str)| !SecretRef::parse(text).is_literal();
    let slot = bound.secrets().find(is_reference).map(|(slot, _)| slot);
    if settings.allowed.insecure_tls || slot.is_none() && !managed_identity {
        return None;
    }
    let secret = match slot {
        Some(slot) => format!("the secret that \"{}\" refers to", bound.name(slot)),
        None => "a token of the managed identity".to_owned(),
    };
    let flag = bound.name(Slot::TrustAnyCertificate);
    let message = format!("With \"{flag}\", {secret} could be sent to any server that answers.");
    Some(Failure::invalid_input(bound.place(Slot::TrustAnyCertificate), message).advice(
        "Give the server's root certificate with --ca-file, or start the host with --allow-insecure-tls.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_word_is_rejected_with_list_of_known_words() {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let known =
            Forbidden::parse(&words(&["write", " insecure-tls ", ""])).expect("known words");
        assert_eq!(known.0, [Feature::Write, Feature::InsecureTls]);
        let failure = Forbidden::parse(&words(&["writes"])).expect_err("an unknown word");
        assert_eq!(failure.place(), Some("--forbid"));
        assert_eq!(failure.message(), "`--forbid` does not know \"writes\".");
        let advice = failure.assistance().expect("advice");
        assert!(advice.ends_with("insecure-tls, managed-identity, inline-mapping, inline-rules, inline-connection, write."));
    }
}
