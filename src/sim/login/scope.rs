//! What a person's client asks for: one resource, permissions of it, and the words of `OpenID`.
//!
//! It deliberately does not know which resources and permissions exist.

use crate::sim::login::errors::{Refused, refused};

/// The resource of a permission that names none.
const GRAPH: &str = "https://graph.microsoft.com";

/// A scope that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The resource; none when only words of `OpenID` were given.
    pub(super) resource: Option<String>,
    /// The permissions by name; none stands for all that were consented to (`.default`).
    pub(super) names: Vec<String>,
    /// Whether the identity of the person is asked for.
    pub(super) openid: bool,
    /// Whether the client wants to go on when the person has left.
    pub(super) offline: bool,
}

impl Wanted {
    /// Reads the words of a scope.
    pub(super) fn read(scope: &str) -> Result<Self, Refused> {
        let mut wanted = Self::default();
        let mut default = false;
        for word in scope.split_whitespace() {
            match word {
                "openid" | "profile" | "email" => wanted.openid = true,
                "offline_access" => wanted.offline = true,
                word => {
                    let (resource, name) = word.rsplit_once('/').unwrap_or((GRAPH, word));
                    let known = wanted.resource.get_or_insert_with(|| resource.to_owned());
                    if !same(known, resource) {
                        return Err(refused(28000, &[scope]));
                    }
                    if name.is_empty() || resource.is_empty() {
                        return Err(refused(70011, &[scope]));
                    }
                    if name == ".default" {
                        default = true;
                    } else {
                        wanted.names.push(name.to_owned());
                    }
                }
            }
        }
        if default && !wanted.names.is_empty() {
            return Err(refused(70011, &[scope]));
        }
        Ok(wanted)
    }

    /// What is asked for now, of what was asked for when the person signed in.
    pub(super) fn of(now: Option<&str>, then: &str) -> Result<Self, Refused> {
        let then = Self::read(then)?;
        let Some(now) = now else { return Ok(then) };
        let mut wanted = Self::read(now)?;
        if wanted.resource.is_none() {
            wanted.resource = then.resource;
            wanted.names = then.names;
        }
        wanted.openid |= then.openid;
        wanted.offline |= then.offline;
        Ok(wanted)
    }

    /// The resource that a token is for.
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
    fn words_are_told_apart() {
        let wanted = Wanted::read(&format!("openid offline_access {FEED}/.default")).unwrap();
        assert_eq!(wanted.audience().unwrap(), FEED);
        assert!(wanted.openid && wanted.offline && wanted.names.is_empty());
        let wanted = Wanted::read(&format!("{FEED}/A {FEED}/B")).unwrap();
        assert_eq!(wanted.names, ["A", "B"]);
        assert!(!wanted.offline);
        let bare = Wanted::read("User.Read").unwrap();
        assert_eq!(bare.audience().unwrap(), GRAPH);
    }

    #[test]
    fn one_resource_and_no_mixture() {
        let number = |scope: &str| Wanted::read(scope).unwrap_err().number;
        assert_eq!(number(&format!("{FEED}/.default User.Read")), 28000);
        assert_eq!(number(&format!("{FEED}/.default {FEED}/A")), 70011);
        assert_eq!(number(&format!("{FEED}/")), 70011);
        let nothing = Wanted::read("offline_access").unwrap();
        assert_eq!(nothing.audience().unwrap_err().number, 28003);
        assert_eq!(Wanted::read("openid").unwrap().audience().unwrap(), GRAPH);
    }

    #[test]
    fn what_is_left_out_now_is_what_was_asked_then() {
        let then = format!("{FEED}/.default offline_access");
        assert_eq!(
            Wanted::of(None, &then).unwrap(),
            Wanted::read(&then).unwrap()
        );
        let now = Wanted::of(Some("openid"), &then).unwrap();
        assert_eq!(now.audience().unwrap(), FEED);
        assert!(now.openid && now.offline);
        let other = Wanted::of(Some("User.Read"), &then).unwrap();
        assert_eq!(other.audience().unwrap(), GRAPH);
    }
}
