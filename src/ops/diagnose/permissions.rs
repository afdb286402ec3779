//! The stage of permissions: those in the tokens against those that each command needs.
//!
//! An operation states the permissions that it requires. A command can list further permissions, which
//! its product documents. Does not verify tokens: the services do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::microsoft::ContentType;
use crate::microsoft::connection::Credential;
use crate::net::Token;
use crate::ops::diagnose::diagnosis::Diagnosis;
use crate::ops::diagnose::stage::Stage;
use crate::ops::{self, Permission, READ_DLP, READ_FEED};

/// The operation that needs only one of its permissions.
const SEARCH: &str = "audit.search";

impl Diagnosis<'_> {
    /// Compares the permissions, and blocks the services that would refuse every request.
    pub(super) fn permissions(&mut self) {
        if self.tokens.is_empty() {
            let failed = self.blocked_by(&self.services()).unwrap_or("sign_in");
            self.add(Stage::after("permissions", failed));
            return;
        }
        if !self.tokens.values().any(is_readable) {
            let detail = "The tokens have another format, so their permissions are not known.";
            self.add(Stage::skipped("permissions", detail));
            return;
        }
        let missing = self.missing();
        if missing.is_empty() {
            let stage = self.granted();
            self.add(stage);
            return;
        }
        let is_dlp_only = missing.keys().all(|permission| *permission == READ_DLP);
        let wants_dlp = self.input.content_types.contains(&ContentType::Dlp);
        let mut detail = self.lacking(&missing);
        let names: Vec<&str> = missing.keys().map(|(_, name)| *name).collect();
        let searches = self
            .input
            .commands
            .iter()
            .all(|one| one.operation == SEARCH);
        let remedy = format!(
            "Grant {} ({}) and give admin consent. New tokens have the permission after some minutes.",
            names.join(if searches { " or " } else { " and " }),
            self.grant()
        );
        let services: Vec<Permission> = missing.keys().copied().collect();
        if is_dlp_only && !wants_dlp {
            detail.push_str(" Without it, DLP.All cannot be read.");
            self.add(Stage::warn("permissions", detail, remedy));
            return;
        }
        self.add(Stage::fail("permissions", detail, remedy));
        for (api, _) in services {
            let service = self
                .services()
                .into_iter()
                .find(|service| service.name() == api);
            if let Some(service) = service {
                self.block(service, "permissions");
            }
        }
    }

    /// The permissions that are not in the tokens, with the commands that need them.
    fn missing(&self) -> BTreeMap<Permission, Vec<&str>> {
        let mut missing: BTreeMap<Permission, Vec<&str>> = BTreeMap::new();
        for command in &self.input.commands {
            let operation = ops::find(&command.operation);
            let needed = operation.map_or(&[][..], |operation| operation.permissions);
            // A command that does not list a permission does not use the part that needs it.
            let needed = needed.iter().filter(|(_, name)| {
                command.permissions.is_empty() || command.permissions.iter().any(|own| own == name)
            });
            let needed = needed.filter(|(api, _)| self.tokens.keys().any(|one| one.name() == *api));
            let needed: Vec<&Permission> = needed.collect();
            let lacks = |permission: &&&Permission| !self.holds(permission);
            if command.operation == SEARCH && needed.iter().any(|one| self.holds(one)) {
                continue;
            }
            for permission in needed.iter().filter(lacks) {
                missing
                    .entry(**permission)
                    .or_default()
                    .push(&command.title);
            }
        }
        missing
    }

    /// The missing permissions, with the commands that need them.
    fn lacking(&self, missing: &BTreeMap<Permission, Vec<&str>>) -> String {
        let lines = missing.iter().map(|((api, name), commands)| {
            format!("{name} ({api}) is missing for {}", commands.join(", "))
        });
        let mut detail = format!("{}.", lines.collect::<Vec<_>>().join("; "));
        let empty = self
            .tokens
            .iter()
            .filter(|(_, token)| token.roles.is_empty());
        let empty: Vec<&str> = empty.map(|(service, _)| service.name()).collect();
        if !empty.is_empty() {
            let services = empty.join(" and ");
            let _ = write!(
                detail,
                " The token for {services} has no permission at all, so consent is probably missing."
            );
        }
        detail
    }

    /// True if a token of the service has the permission or one that includes it.
    fn holds(&self, (api, name): &Permission) -> bool {
        let own = self
            .tokens
            .iter()
            .find(|(service, _)| service.name() == *api);
        let roles = own.map_or(&[][..], |(_, token)| &token.roles);
        let writes = name.replace(".Read.", ".ReadWrite.");
        let family = match *name {
            "Exchange.ManageAsApp" => "Exchange.Manage",
            "AuditLogsQuery.Read.All" => "AuditLogsQuery",
            _ => name,
        };
        let is_held = |role: &String| {
            role == name || *role == writes || family != *name && role.starts_with(family)
        };
        roles.iter().any(is_held)
    }

    /// The stage if nothing is missing.
    fn granted(&self) -> Stage {
        let mut roles: Vec<&str> = self
            .tokens
            .values()
            .flat_map(|token| token.roles.iter().map(String::as_str))
            .collect();
        roles.sort_unstable();
        roles.dedup();
        let documented = self.input.commands.iter().flat_map(|one| &one.permissions);
        let mut others: Vec<&str> = documented
            .map(String::as_str)
            .filter(|name| !roles.contains(name) && ![READ_DLP.1, READ_FEED.1].contains(name))
            .collect();
        others.sort_unstable();
        others.dedup();
        let mut detail = match roles.as_slice() {
            [] => "No command needs a permission.".to_owned(),
            roles => format!("Granted: {}.", roles.join(", ")),
        };
        if !others.is_empty() {
            let others = others.join(", ");
            let _ = write!(detail, " Documented, but not needed: {others}.");
        }
        Stage::pass("permissions", detail)
    }

    /// How a permission is granted to this credential.
    fn grant(&self) -> &'static str {
        match self.call.connection.credential {
            Credential::DeviceCode(_) | Credential::AuthorizationCode(_) => "delegated",
            Credential::Application(_) | Credential::ManagedIdentity(_) => "application",
        }
    }
}

/// True if the claims of the token could be read.
fn is_readable(token: &Token) -> bool {
    token.tenant.is_some() || !token.roles.is_empty()
}
