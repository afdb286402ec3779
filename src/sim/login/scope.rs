//! The scope of a user sign-in: one resource, permissions, and the scopes of `OpenID`. Whether
//! resource and permissions exist is not checked here.

use crate::sim::login::errors::{Refused, refused};

/// The resource of a permission without one.
const GRAPH: &str = "https://graph.microsoft.com";

/// A parsed scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RequestedScope {
    /// The resource; `None` if there are only scopes of `OpenID`.
    pub(super) resource: Option<String>,
    /// The permissions by name; empty for `.default`, which stands for all consented ones.
    pub(super) names: Vec<String>,
    /// Whether an identity token is requested.
    pub(super) openid: bool,
    /// Whether a refresh token is requested.
    pub(super) offline: bool,
}

impl RequestedScope {
    pub(super) fn read(scope: &str) -> Result<Self, Refused> {
        let mut requested = Self::default();
        let mut default = false;
        for word in scope.split_whitespace() {
            match word {
                "openid" | "profile" | "email" => requested.openid = true,
                "offline_access" => requested.offline = true,
                word => {
                    let (resource, name) = word.rsplit_once('/').unwrap_or((GRAPH, word));
                    let known = requested
                        .resource
                        .get_or_insert_with(|| resource.to_owned());
                    if !same(known, resource) {
                        return Err(refused(28000, &[scope]));
                    }
                    if name.is_empty() || resource.is_empty() {
                        return Err(refused(70011, &[scope]));
                    }
                    if name == ".default" {
                        default = true;
                    } else {
                        requested.names.push(name.to_owned());
                    }
                }
            }
        }
        if default && !requested.names.is_empty() {
            return Err(refused(70011, &[scope]));
        }
        Ok(requested)
    }

    /// The scope of a token request, limited to the scope of the sign-in.
    pub(super) fn of(now: Option<&str>, then: &str) -> Result<Self, Refused> {
        let then = Self::read(then)?;
        let Some(now) = now else { return Ok(then) };
        let mut requested = Self::read(now)?;
        if requested.resource.is_none() {
            requested.resource = then.resource;
            requested.names = then.names;
        }
        requested.openid |= then.openid;
        requested.offline |= then.offline;
        Ok(requested)
    }

    /// The resource of the token.
    pub(super) fn audience(&self) -> Result<&str, Refused> {
        match &self.resource {
            Some(resource) => Ok(resource),
            None if self.openid => Ok(GRAPH),
            None => Err(refused(28003, &[])),
        }
    }
}

fn same(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.trim_end_matches('/').to_ascii_lowercase();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = "https://manage.office.com";

    #[test]
    fn scope_is_parsed() {
        let requested =
            RequestedScope::read(&format!("openid offline_access {FEED}/.default")).unwrap();
        assert_eq!(requested.audience().unwrap(), FEED);
        assert!(requested.openid && requested.offline && requested.names.is_empty());
        let requested = RequestedScope::read(&format!("{FEED}/A {FEED}/B")).unwrap();
        assert_eq!(requested.names, ["A", "B"]);
        assert!(!requested.offline);
        let bare = RequestedScope::read("User.Read").unwrap();
        assert_eq!(bare.audience().unwrap(), GRAPH);
    }

    #[test]
    fn several_resources_are_rejected() {
        let number = |scope: &str| RequestedScope::read(scope).unwrap_err().number;
        assert_eq!(number(&format!("{FEED}/.default User.Read")), 28000);
        assert_eq!(number(&format!("{FEED}/.default {FEED}/A")), 70011);
        assert_eq!(number(&format!("{FEED}/")), 70011);
        let nothing = RequestedScope::read("offline_access").unwrap();
        assert_eq!(nothing.audience().unwrap_err().number, 28003);
        assert_eq!(
            RequestedScope::read("openid").unwrap().audience().unwrap(),
            GRAPH
        );
    }

    #[test]
    fn missing_parts_come_from_the_sign_in() {
        let then = format!("{FEED}/.default offline_access");
        assert_eq!(
            RequestedScope::of(None, &then).unwrap(),
            RequestedScope::read(&then).unwrap()
        );
        let now = RequestedScope::of(Some("openid"), &then).unwrap();
        assert_eq!(now.audience().unwrap(), FEED);
        assert!(now.openid && now.offline);
        let other = RequestedScope::of(Some("User.Read"), &then).unwrap();
        assert_eq!(other.audience().unwrap(), GRAPH);
    }
}
