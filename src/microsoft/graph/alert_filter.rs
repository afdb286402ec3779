//! Typed values of alert properties, converted to a filter condition.
//!
//! A value is one of the documented values, or free text for a person. Values are quoted, so that
//! none can change the rest of the condition. Does not combine conditions: the operation does.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::names::alike;

/// The values of one property: one value or a list. An alert must have one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AnyOf<P>(Vec<String>, #[serde(skip)] std::marker::PhantomData<P>);

impl<P> Default for AnyOf<P> {
    fn default() -> Self {
        AnyOf(Vec::new(), std::marker::PhantomData)
    }
}

/// A property that the service can filter by.
pub trait Property {
    /// Its name.
    const NAME: &'static str;
    /// Its documented values; empty for free text.
    const VALUES: &'static [&'static str];
}

macro_rules! properties {
    ($($(#[$doc:meta])* $property:ident = $name:literal [$($word:literal),*];)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
            pub enum $property {}

            impl Property for $property {
                const NAME: &'static str = $name;
                const VALUES: &'static [&'static str] = &[$($word),*];
            }
        )*
    };
}

properties! {
    /// The severity of an alert.
    Severity = "severity" ["unknown", "informational", "low", "medium", "high"];
    /// The status of its investigation.
    Status = "status" ["unknown", "new", "inProgress", "resolved"];
    /// The product that created it.
    ServiceSource = "serviceSource" [
        "unknown", "microsoftDefenderForEndpoint", "microsoftDefenderForIdentity",
        "microsoftDefenderForCloudApps", "microsoftDefenderForOffice365", "microsoft365Defender",
        "azureAdIdentityProtection", "microsoftAppGovernance", "dataLossPrevention",
        "microsoftDefenderForCloud", "microsoftSentinel", "microsoftInsiderRiskManagement",
        "microsoftThreatIntelligence", "microsoftSecurityForAI"
    ];
    /// The result of its investigation.
    Classification = "classification" [
        "unknown", "falsePositive", "truePositive", "informationalExpectedActivity"
    ];
    /// The reason for its classification.
    Determination = "determination" [
        "unknown", "apt", "malware", "securityPersonnel", "securityTesting", "unwantedSoftware",
        "other", "multiStagedAttack", "compromisedAccount", "phishing", "maliciousUserActivity",
        "notMalicious", "notEnoughDataToValidate", "confirmedActivity", "lineOfBusinessApplication"
    ];
    /// The person it is assigned to.
    AssignedTo = "assignedTo" [];
}

impl<P: Property> AnyOf<P> {
    /// Returns whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The condition. `None` without values.
    pub fn condition(&self) -> Option<String> {
        let one = |value: &String| format!("{} eq '{}'", P::NAME, value.replace('\'', "''"));
        match self.0.as_slice() {
            [] => None,
            [value] => Some(one(value)),
            several => {
                let all: Vec<String> = several.iter().map(one).collect();
                Some(format!("({})", all.join(" or ")))
            }
        }
    }
}

/// The service's spelling of a value.
fn canonical<P: Property>(given: String) -> Result<String, String> {
    if P::VALUES.is_empty() {
        return Ok(given);
    }
    let known = P::VALUES.iter().find(|known| alike(known, &given));
    known
        .map(|known| (*known).to_owned())
        .ok_or_else(|| format!("expected one of {}", P::VALUES.join(", ")))
}

impl<'de, P: Property> Deserialize<'de> for AnyOf<P> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "text or an array of texts")]
        enum Given {
            One(String),
            Several(Vec<String>),
        }
        let given = match Given::deserialize(from)? {
            Given::One(value) => vec![value],
            Given::Several(values) => values,
        };
        let values = given.into_iter().map(canonical::<P>);
        let values = values.collect::<Result<_, _>>().map_err(D::Error::custom)?;
        Ok(AnyOf(values, std::marker::PhantomData))
    }
}

impl<P: Property> JsonSchema for AnyOf<P> {
    fn schema_name() -> Cow<'static, str> {
        format!("AnyOf_{}", P::NAME).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut value = json!({ "type": "string" });
        if !P::VALUES.is_empty() {
            value["enum"] = Value::from(P::VALUES);
            value["x-folds"] = Value::Bool(true);
        }
        json_schema!({ "anyOf": [value, { "type": "array", "items": value }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition<P: Property>(value: Value) -> Option<String> {
        let read: AnyOf<P> = serde_json::from_value(value).expect("values");
        read.condition()
    }

    #[test]
    fn condition_has_the_services_spelling() {
        assert_eq!(condition::<Severity>(json!([])), None);
        let one = condition::<Status>(json!("In Progress"));
        assert_eq!(one.as_deref(), Some("status eq 'inProgress'"));
        let two = condition::<Severity>(json!(["High", "medium"]));
        assert_eq!(
            two.as_deref(),
            Some("(severity eq 'high' or severity eq 'medium')")
        );
    }

    #[test]
    fn quote_in_a_value_is_doubled() {
        let odd = condition::<AssignedTo>(json!("o'brien@contoso.com' or severity eq 'low"));
        assert_eq!(
            odd.as_deref(),
            Some("assignedTo eq 'o''brien@contoso.com'' or severity eq ''low'")
        );
        let unknown: Result<AnyOf<Severity>, _> = serde_json::from_value(json!("hi'gh'"));
        assert!(unknown.is_ok_and(|values| values.0 == ["high"]));
        let unknown: Result<AnyOf<Severity>, _> = serde_json::from_value(json!("highest"));
        assert!(unknown.is_err());
    }
}
