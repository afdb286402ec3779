//! The permissions of an integration with their effects, and the content types of the feed.
//!
//! Explains names of Microsoft that commands use. How a command gets a permission is in its manifest.

use std::collections::BTreeMap;

use super::{line, permissions};
use crate::manifest::Manifest;
use crate::manifest::param::Choices;
use crate::microsoft::ContentType;

/// The effect of each permission.
const PERMISSIONS: &[(&str, &str)] = &[
    (
        "ActivityFeed.Read",
        "Read the audit records of the organization.",
    ),
    (
        "ActivityFeed.ReadDlp",
        "Read events of data loss prevention, with the sensitive data that was found.",
    ),
    (
        "ServiceHealth.Read",
        "Read the health of the organization's services.",
    ),
    (
        "SecurityAlert.Read.All",
        "Read all security alerts (alerts_v2), without a signed-in user.",
    ),
    (
        "SecurityEvents.Read.All",
        "Read all security events, without a signed-in user. Documented, but not needed for alerts_v2.",
    ),
    (
        "AuditLogsQuery.Read.All",
        "Search the audit log of all services with Microsoft Graph.",
    ),
    (
        "Exchange.ManageAsApp",
        "Call Exchange Online as an application. The role of the application decides what it can do.",
    ),
    (
        "Exchange.Manage",
        "Search the audit log with Exchange Online, with the rights of the signed-in person.",
    ),
];

/// Writes the permissions of all commands, each once.
pub(super) fn permissions_section(page: &mut String, manifest: &Manifest) {
    let mut users: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for command in &manifest.commands {
        for (name, api, grant) in permissions(command) {
            let commands = users.entry((api, name, grant)).or_default();
            commands.push(&command.title);
        }
    }
    if users.is_empty() {
        return;
    }
    line(page, "\n## Permissions\n");
    line(
        page,
        "| Permission | API | Type | Allows | Commands |\n|---|---|---|---|---|",
    );
    for ((api, name, grant), commands) in users {
        let known = PERMISSIONS.iter().find(|(known, _)| *known == name);
        let allows = known.map_or("", |(_, allows)| *allows);
        let commands = commands.join(", ");
        line(
            page,
            &format!("| {name} | {api} | {grant} | {allows} | {commands} |"),
        );
    }
}

/// Writes the content types, if a parameter selects one.
pub(super) fn content_types(page: &mut String, manifest: &Manifest) {
    let names: Vec<&str> = ContentType::ALL.map(ContentType::name).to_vec();
    let inputs = manifest.commands.iter().flat_map(|command| &command.inputs);
    let mut params = manifest.connection.iter().chain(inputs);
    let selects = |choices: &Choices| choices.values() == names;
    if !params.any(|param| param.choices.as_ref().is_some_and(selects)) {
        return;
    }
    line(page, "\n## Content types\n");
    line(page, "| Content type | Contains |\n|---|---|");
    for one in ContentType::ALL {
        line(page, &format!("| {} | {} |", one.name(), one.contains()));
    }
    line(page, "\nEach content type has its own subscription.");
}
