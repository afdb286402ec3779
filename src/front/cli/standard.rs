//! The standard vocabularies OCSF and ECS: which mapping an input needs, and their reference pages.
//!
//! The mappings are data of the catalog. This module knows only their names and how to tell alerts
//! from audit records.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Read};

use clap::ValueEnum;
use serde_json::Value;

use crate::host::catalog::Catalog;
use crate::mapping::{Field, Source};
use crate::protocol::failure::{ErrorKind, Failure};

/// A standard vocabulary of security events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Standard {
    /// Open Cybersecurity Schema Framework 1.5.0
    Ocsf,
    /// Elastic Common Schema 8.11, as the integrations o365 and `m365_defender` use it
    Ecs,
}

/// How much of an input is read to tell alerts from audit records.
const LOOK: usize = 1 << 20;

/// Members that only alerts of Microsoft Graph have, and one that every audit record has.
const OF_ALERTS: [&str; 4] = [
    "\"alertWebUrl\"",
    "\"detectionSource\"",
    "\"serviceSource\"",
    "\"providerAlertId\"",
];
const OF_RECORDS: &str = "\"CreationTime\"";

impl Standard {
    /// Both vocabularies.
    pub const ALL: [Standard; 2] = [Standard::Ocsf, Standard::Ecs];

    /// The name in commands and folders.
    pub fn name(self) -> &'static str {
        match self {
            Standard::Ocsf => "ocsf",
            Standard::Ecs => "ecs",
        }
    }

    /// The mapping for an input, and the input again from its start.
    pub(super) fn mapping_for(
        self,
        mut input: Box<dyn Read>,
    ) -> Result<(String, Box<dyn Read>), Failure> {
        let (mut start, mut piece) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let read = input.read(&mut piece);
            let read =
                read.map_err(|error| unknown(&format!("The input cannot be read: {error}.")))?;
            start.extend_from_slice(&piece[..read]);
            if let Some(kind) = kind_of(&start) {
                let name = format!("{}/{kind}", self.name());
                return Ok((name, Box::new(Cursor::new(start).chain(input))));
            }
            if read == 0 || start.len() >= LOOK {
                let message = "The input has neither alerts of Microsoft Graph nor audit records.";
                return Err(unknown(message));
            }
        }
    }

    /// The reference page: which records belong to which class.
    pub fn page(self, catalog: &Catalog) -> Result<String, Failure> {
        let name = self.name();
        let mut page = format!(
            "# {}\n\nPrint events of saved records or alerts with `soarhost map --as {name} FILE`, or name \
             the mapping in a request: `\"mapping\": \"{name}/audit\"`.\n",
            name.to_uppercase()
        );
        for part in ["audit", "alert"] {
            let mapping = catalog.mapping(&format!("{name}/{part}"))?;
            // Writing to a String cannot fail.
            let _ = write!(page, "\n## {}\n\nMapping `{name}/{part}`.", mapping.title);
            if let Some(rest) = &mapping.rest {
                let _ = write!(
                    page,
                    " Values that no field holds completely are in `{rest}`."
                );
            }
            page.push_str(" A record belongs to the first source whose condition is true.\n");
            for source in &mapping.sources {
                section(&mut page, source);
            }
        }
        Ok(page)
    }
}

fn unknown(message: &str) -> Failure {
    Failure::new(ErrorKind::BadResponse, message)
        .advice("Name the mapping instead of --as, for example `soarhost map ocsf/audit FILE`.")
}

/// The kind of the first record in a text.
fn kind_of(start: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(start);
    let alert = OF_ALERTS.iter().filter_map(|name| text.find(name)).min();
    match (alert, text.find(OF_RECORDS)) {
        (Some(alert), Some(record)) if record < alert => Some("audit"),
        (Some(_), _) => Some("alert"),
        (None, Some(_)) => Some("audit"),
        (None, None) => None,
    }
}

/// A source: its condition, its constants, and its values by operation.
fn section(page: &mut String, source: &Source) {
    let _ = write!(page, "\n### {}\n", source.title);
    if let Some(when) = &source.when {
        let _ = write!(page, "\nCondition: `{when}`\n");
    }
    let constant = |field: &&Field| field.path.is_none() && field.from.is_none();
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let constants = source.fields.iter().filter(constant).map(|field| {
        let value = field.default.as_ref().map(text).unwrap_or_default();
        format!("`{}` {value}", field.field)
    });
    let constants: Vec<String> = constants.collect();
    if !constants.is_empty() {
        let _ = write!(page, "\nConstants: {}.\n", constants.join(", "));
    }
    let by_operation = |field: &&Field| field.path.as_deref() == Some(".Operation");
    for field in source.fields.iter().filter(by_operation) {
        let mut operations: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (operation, value) in field.values.iter().flatten() {
            let operation = if operation == "*" {
                "every other"
            } else {
                operation
            };
            operations.entry(text(value)).or_default().push(operation);
        }
        if !operations.is_empty() {
            let what = if field.regex.is_some() {
                "Part of the operation"
            } else {
                "Operations"
            };
            let _ = write!(page, "\n| `{}` | {what} |\n|---|---|\n", field.field);
        }
        for (value, operations) in operations {
            let _ = writeln!(page, "| {value} | {} |", operations.join(", "));
        }
    }
}
